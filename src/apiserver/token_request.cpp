// serviceaccounts/token: gives a ServiceAccount's token out (TokenRequest), and takes it back in as an identity.
// Source: spec/kubernetes.md API-130.
#include <fmt/format.h>

#include "apiserver/account_token.h"
#include "apiserver/api.h"
#include "apiserver/rest.h"
#include "apiserver/schema.h"
#include "apiserver/validate.h"
#include "base/strings.h"

namespace weft::apiserver {

namespace {

constexpr int64_t account_token_s_max = int64_t(1) << 32;

int64_t unix_seconds(WallTime time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

FieldErrors wrong_with(const json::Value& request) {
    FieldErrors errors;
    const json::Value* seconds = json::find(request, {"spec", "expirationSeconds"});
    if (seconds != nullptr && seconds->is_int64() && seconds->get_int64() < account_token_s_min)
        errors.push_back(
            invalid_value("spec.expirationSeconds", *seconds, "may not specify a duration less than 10 minutes"));
    else if (seconds != nullptr && (!seconds->is_int64() || seconds->get_int64() > account_token_s_max))
        errors.push_back(
            invalid_value("spec.expirationSeconds", *seconds, "may not specify a duration larger than 2^32 seconds"));
    const std::string_view kind = json::find_string(request, {"spec", "boundObjectRef", "kind"});
    if (json::has(request, {"spec", "boundObjectRef"}) && kind != "Pod")
        errors.push_back(not_supported("spec.boundObjectRef.kind", json::Value(kind), {"Pod"}));
    return errors;
}

}  // namespace

Outcome<Reply> Rest::create_token() {
    TRY(read_write_options());
    json::Value request = TRY(decode_body(call_, nullptr));
    // Go writes pointers that are not set as null.
    for (const std::string_view field : {"audiences", "expirationSeconds", "boundObjectRef"})
        if (const json::Value* value = json::find(request, {"spec", field}); value != nullptr && value->is_null())
            json::erase(request, {"spec", field});
    const std::string_view sent_kind = json::find_string(request, {"kind"}, "TokenRequest");
    if (!request.is_object() || sent_kind != "TokenRequest")
        return refuse(400, "BadRequest", fmt::format("{} cannot be handled as a TokenRequest", sent_kind));
    if (FieldErrors errors = wrong_with(request); !errors.empty()) {
        Kind kind;
        kind.group = "authentication.k8s.io";
        kind.kind_name = "TokenRequest";
        return unprocessable(kind, target_.key.name, std::move(errors));
    }
    const json::Value account = TRY(objects_.get(kind_, target_.key));
    AccountClaims claims;
    claims.ns = target_.key.ns;
    claims.account = target_.key.name;
    claims.account_uid = json::find_string(account, {"metadata", "uid"});
    claims.audiences = json::find_strings(request, {"spec", "audiences"});
    if (claims.audiences.empty()) claims.audiences.emplace_back(account_issuer);
    claims.issued_s = unix_seconds(clock_.wall());
    const int64_t lifetime_s = json::find_int(request, {"spec", "expirationSeconds"}, account_token_s_default);
    claims.expires_s = claims.issued_s + lifetime_s;
    if (json::has(request, {"spec", "boundObjectRef"})) {
        const Kind& pods = *KindTable::builtin()->find(kube::pods);
        claims.pod = json::find_string(request, {"spec", "boundObjectRef", "name"});
        const json::Value pod = TRY(objects_.get(pods, {claims.ns, claims.pod}));
        claims.pod_uid = json::find_string(pod, {"metadata", "uid"});
        const std::string_view wished = json::find_string(request, {"spec", "boundObjectRef", "uid"}, claims.pod_uid);
        if (wished != claims.pod_uid)
            return conflict(pods, claims.pod,
                            fmt::format("the UID in the bound object reference ({}) does not match the UID in record "
                                        "({})",
                                        wished, claims.pod_uid));
        if (json::find_string(pod, {"spec", "serviceAccountName"}, "default") != claims.account)
            return refuse(400, "BadRequest", fmt::format("pod {} runs under another account", claims.pod));
    }
    const auto key = account_key(instance_, true);
    if (!key) return refuse(Failure(key.error()));
    json::Object spec;
    if (const json::Object* given = json::find_object(request, {"spec"})) spec = *given;
    json::Array audiences;
    for (const std::string& audience : claims.audiences) audiences.push_back(json::Value(audience));
    spec["audiences"] = std::move(audiences);
    spec["expirationSeconds"] = lifetime_s;
    const WallTime ends = WallTime(std::chrono::seconds(claims.expires_s));
    const json::Object reply{
        {"kind", "TokenRequest"},
        {"apiVersion", "authentication.k8s.io/v1"},
        {"metadata", json::Object{{"name", claims.account},
                                  {"namespace", claims.ns},
                                  {"creationTimestamp", rfc3339(clock_.wall())}}},
        {"spec", std::move(spec)},
        {"status", json::Object{{"token", sign_claims(claims, *key)}, {"expirationTimestamp", rfc3339(ends)}}}};
    return json_reply(201, reply, TRY(negotiate(call_, {})));
}

Outcome<Identity> Api::identify(const Call& call) {
    auto owner = owner_of(call.authorization, {std::string(account_issuer)});
    if (!owner) return refuse(std::move(owner.error()));
    if (owner->audiences.empty()) return refuse(401, "Unauthorized", "Unauthorized");
    return std::move(owner->identity);
}

Outcome<TokenOwner> Api::owner_of(std::string_view header, const std::vector<std::string>& audiences) {
    const auto shared = [&](const std::vector<std::string>& meant_for) {
        std::vector<std::string> both;
        std::copy_if(audiences.begin(), audiences.end(), std::back_inserter(both), [&](const std::string& audience) {
            return std::find(meant_for.begin(), meant_for.end(), audience) != meant_for.end();
        });
        return both;
    };
    auto known = tokens_.identify(header);
    if (known) return TokenOwner{std::move(*known), shared({std::string(account_issuer)})};
    const auto unknown = [&] { return refuse(std::move(known.error())); };
    const size_t space = header.find(' ');
    if (space == std::string_view::npos || !equals_ignoring_case(header.substr(0, space), "bearer")) return unknown();
    const auto key = account_key(instance_, false);
    if (!key) return unknown();
    const auto claims = verify_token(trim(header.substr(space + 1)), *key, clock_.wall());
    if (!claims) return unknown();
    const auto table = KindTable::builtin();
    const auto has = [&](const kube::Resource& resource, const std::string& name, const std::string& uid) {
        const auto object = objects_.get(*table->find(resource), {claims->ns, name});
        return object && json::find_string(*object, {"metadata", "uid"}) == uid;
    };
    if (!has(kube::service_accounts, claims->account, claims->account_uid)) return unknown();
    if (!claims->pod.empty() && !has(kube::pods, claims->pod, claims->pod_uid)) return unknown();
    return TokenOwner{{claims->user(), &account_role(), claims->ns, claims->account_uid}, shared(claims->audiences)};
}

}  // namespace weft::apiserver
