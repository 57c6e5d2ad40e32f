#include "runtime/account.h"

#include <algorithm>

namespace weft::runtime {
namespace {

constexpr Duration retry_renewal = std::chrono::seconds(10);
constexpr Duration retry_first = std::chrono::milliseconds(500);  // a new namespace's account is being made
constexpr int64_t lifetime_s_max = int64_t(1) << 32;  // what the API server gives at most
constexpr std::string_view root_ca_config_map = "kube-root-ca.crt";

// Four fifths of a life, whatever the pod's spec calls a life: never at once, and nothing that overflows.
Duration renewed_after(int64_t lifetime_s) {
    const Duration wait = std::chrono::seconds(std::clamp<int64_t>(lifetime_s, 0, lifetime_s_max) * 4 / 5);
    return std::max(wait, retry_renewal);
}

}  // namespace

std::string account_of(const kube::Object& pod) {
    const std::string_view name = pod.string({"spec", "serviceAccountName"});
    return std::string(name.empty() ? "default" : name);
}

RequestToken token_requester(kube::Endpoint api) {
    return [api = std::move(api)](const kube::Object& pod, const TokenWish& wish) -> Result<std::string> {
        json::Object spec{{"expirationSeconds", wish.lifetime_s},
                          {"boundObjectRef", json::Object{{"apiVersion", "v1"},
                                                          {"kind", "Pod"},
                                                          {"name", pod.name()},
                                                          {"uid", pod.uid()}}}};
        if (!wish.audience.empty()) spec["audiences"] = json::Array{json::Value(wish.audience)};
        const json::Value body = json::Object{
            {"apiVersion", "authentication.k8s.io/v1"}, {"kind", "TokenRequest"}, {"spec", std::move(spec)}};
        const std::string path =
            fmt::format("/api/v1/namespaces/{}/serviceaccounts/{}/token", pod.ns(), account_of(pod));
        const auto reply = TRY_IN("token", kube::raw_request(api, "POST", path, json::serialize(body),
                                                             "application/json", "application/json"));
        const auto answer = json::parse(reply.body);
        const std::string_view token = answer ? json::find_string(*answer, {"status", "token"}) : std::string_view();
        if (reply.status != 201 || token.empty())
            return fail(reply.status == 404 ? Code::not_found : Code::unavailable,
                        fmt::format("token: {}", answer ? json::find_string(*answer, {"message"}) : reply.body));
        return std::string(token);
    };
}

Result<bool> automounts(const kube::Object& pod, const kube::ObjectPtr& account) {
    if (pod.find({"spec", "automountServiceAccountToken"}) != nullptr)
        return pod.boolean({"spec", "automountServiceAccountToken"});
    if (!account) return fail(Code::not_found, fmt::format("serviceaccount \"{}\" not found", account_of(pod)));
    return account->boolean({"automountServiceAccountToken"}, true);
}

Result<std::string> current_token(AccountTokens& tokens, const TokenWish& wish,
                                  const std::function<void(const TokenWish&)>& ask, MonotonicTime now) {
    AccountTokens::Token& token = tokens.tokens[wish];
    if (!token.asked && now >= token.renew_at) {
        token.asked = true;
        ask(wish);
    }
    if (!token.text.empty()) return token.text;
    return fail(Code::unavailable, token.error.empty() ? "token: it is being asked for" : token.error);
}

void token_came(AccountTokens& tokens, const TokenWish& wish, const Result<std::string>& token, MonotonicTime now) {
    AccountTokens::Token& mine = tokens.tokens[wish];
    mine.asked = false;
    mine.error = token ? "" : token.error().message;
    if (token) mine.text = *token;
    const Duration wait = token               ? renewed_after(wish.lifetime_s)
                          : mine.text.empty() ? retry_first
                                              : retry_renewal;
    mine.renew_at = now + wait;
}

bool first_is_awaited(const AccountTokens& tokens) {
    return std::any_of(tokens.tokens.begin(), tokens.tokens.end(), [](const auto& entry) {
        return entry.second.asked && entry.second.text.empty() && entry.second.error.empty();
    });
}

std::optional<MonotonicTime> renewal(const AccountTokens& tokens, MonotonicTime now) {
    std::optional<MonotonicTime> first;
    for (const auto& [wish, token] : tokens.tokens) {
        if (token.asked) continue;
        const MonotonicTime at = std::max(token.renew_at, now + retry_first);
        first = first ? std::min(*first, at) : at;
    }
    return first;
}

Result<VolumePlan> plan_account_volume(const kube::Object& pod, const References& references) {
    VolumePlan plan;
    plan.name = account_volume;
    const kube::ObjectPtr ca = references.config_map(root_ca_config_map);
    if (!ca) return fail(Code::not_found, fmt::format("configmap \"{}\" not found", root_ca_config_map));
    plan.files["ca.crt"] = {TRY(entry_of(*ca, "ca.crt")).value_or(""), 0644};
    plan.files["namespace"] = {std::string(pod.ns()), 0644};
    plan.files["token"] = {TRY(references.token("", TokenWish{}.lifetime_s)), 0644};
    return plan;
}

}  // namespace weft::runtime
