#include "apiserver/api.h"

#include <fmt/format.h>

#include "apiserver/discovery.h"
#include "apiserver/negotiate.h"
#include "apiserver/openapi.h"
#include "apiserver/rest.h"
#include "apiserver/review.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/rng.h"

namespace weft::apiserver {

Api::Api(store::Log& log, Tokens tokens, const Instance& instance, const Clock& clock)
    : objects_(log), kinds_(KindTable::builtin()), tokens_(std::move(tokens)), instance_(instance), clock_(clock) {}

Result<std::unique_ptr<Api>> Api::open(store::Log& log, Tokens tokens, const Instance& instance, const Clock& clock) {
    std::unique_ptr<Api> api(new Api(log, std::move(tokens), instance, clock));
    TRY_IN("load the stored definitions", api->kinds_.load(log));
    TRY_IN("make the default namespaces", api->make_default_namespaces());
    return api;
}

Status Api::make_default_namespaces() {
    const auto table = kinds_.table();
    const Kind* kind = table->find(kube::namespaces);
    ENSURE(kind != nullptr);
    for (const char* name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
        if (objects_.get(*kind, {"", name})) continue;
        json::Value object = kube::Object::of(kube::namespaces, {"", name}).body();
        apply_defaults(*kind, object);
        prepare_create(*kind, object);
        json::set(object, {"metadata", "uid"}, json::Value(random_uuid()));
        json::set(object, {"metadata", "creationTimestamp"}, json::Value(rfc3339(clock_.wall())));
        json::set(object, {"metadata", "labels", "kubernetes.io/metadata.name"}, json::Value(name));
        const auto created = objects_.create(*kind, std::move(object), {});
        if (!created && created.error().refusal.reason != "AlreadyExists")
            return fail(Code::io, created.error().refusal.message);
    }
    return {};
}

namespace {

// One request in flight, as long as it lives.
class Place {
public:
    Place(std::atomic<int>& counter, int limit) : counter_(counter), granted_(counter.fetch_add(1) < limit) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { counter_.fetch_sub(1); }
    bool granted() const { return granted_; }

private:
    std::atomic<int>& counter_;
    const bool granted_;
};

json::Value version_info() {
    return json::Object{{"major", "1"},        {"minor", "36"},           {"gitVersion", "v1.36.0+weft"},
                        {"gitCommit", ""},     {"gitTreeState", "clean"}, {"buildDate", "1970-01-01T00:00:00Z"},
                        {"goVersion", "none"}, {"compiler", __VERSION__}, {"platform", "linux/amd64"}};
}

Reply plain_not_found() { return Reply::text(404, "404 page not found\n"); }

}  // namespace

Reply Api::answer(const Call& call) {
    auto reply = answer_or_fail(call);
    const int code = reply ? reply->status : reply.error().code();
    metrics::counter("weft_apiserver_requests_total",
                     {{"method", call.method.size() <= 8 ? call.method : "other"}, {"code", std::to_string(code)}},
                     "requests answered")
        .add();
    if (!reply && code >= 500)
        log::warning("request failed",
                     {{"method", call.method}, {"path", call.path}, {"error", reply.error().refusal.message}});
    return reply ? std::move(*reply) : failure_reply(reply.error(), call);
}

Outcome<Reply> Api::answer_or_fail(const Call& call) {
    if (auto health = answer_health(call)) return std::move(*health);
    const auto& path = call.segments;
    if (path.size() == 1 && path[0] == "version") return json_reply(200, version_info(), TRY(negotiate(call, {})));
    const Identity sender = TRY(identify(call));
    if (sender.role == nullptr) return refuse(401, "Unauthorized", "Unauthorized");
    const Identity identity = TRY(impersonate(sender, call));
    if (path.empty())
        return json_reply(200, json::Object{{"paths", json::Array{"/api", "/apis", "/healthz", "/livez", "/metrics",
                                                                  "/openapi/v3", "/readyz", "/version"}}});
    if (path.size() == 1 && path[0] == "metrics") {
        Reply reply = Reply::text(200, metrics::render());
        reply.content_type = "text/plain; version=0.0.4";
        return reply;
    }
    const auto table = kinds_.table();
    if (path[0] == "openapi") {
        auto document = TRY(answer_openapi(call, *table));
        return document ? std::move(*document) : plain_not_found();
    }
    if (path[0] != "api" && path[0] != "apis") return plain_not_found();
    if (auto found = TRY(discover(*table, call))) return std::move(*found);
    const auto whose = [&](std::string_view token, const std::vector<std::string>& audiences) {
        return owner_of(fmt::format("Bearer {}", token), audiences);
    };
    if (auto review = TRY(answer_review(call, {identity, *table, whose}))) return std::move(*review);
    return answer_resource(call, identity, table);
}

Outcome<Reply> Api::answer_resource(const Call& call, const Identity& identity,
                                    std::shared_ptr<const KindTable> table) {
    const auto target = TRY(find_target(std::move(table), call));
    if (!target) return plain_not_found();
    TRY(authorize(identity, *target, call));
    if (call.body.size() > json::json_bytes_max)
        return refuse(413, "RequestEntityTooLarge",
                      fmt::format("Request entity too large: limit is {}", json::json_bytes_max));
    Rest rest(objects_, kinds_, clock_, instance_, call, *target);
    if (target->verb == Verb::watch || target->verb == Verb::connect) return rest.answer();
    const bool reads = target->verb == Verb::get || target->verb == Verb::list;
    const Place place(reads ? reads_ : writes_, reads ? reads_in_flight_max : writes_in_flight_max);
    if (!place.granted()) {
        Failure busy(Refusal{429, "TooManyRequests", "too many requests, please try again later", {}});
        busy.retry_after_s = 1;
        return refuse(std::move(busy));
    }
    return rest.answer();
}

std::optional<Reply> Api::answer_health(const Call& call) {
    const auto& path = call.segments;
    if (path.empty() || path.size() > 2 || (path[0] != "healthz" && path[0] != "livez" && path[0] != "readyz"))
        return std::nullopt;
    std::vector<std::pair<std::string_view, bool>> checks{{"ping", true}};
    if (path[0] != "livez") checks.emplace_back("storage-write", objects_.log().writable());
    const auto known = [&](std::string_view name) {
        return std::any_of(checks.begin(), checks.end(), [&](const auto& check) { return check.first == name; });
    };
    for (const std::string_view name : call.query.all("exclude"))
        if (!known(name)) return Reply::text(404, fmt::format("no such check: {}\n", name));
    if (path.size() == 2 && !known(path[1])) return Reply::text(404, "404 page not found\n");
    bool all = true;
    std::string text;
    for (const auto& [name, ok] : checks) {
        const auto excluded = call.query.all("exclude");
        const bool skipped = std::find(excluded.begin(), excluded.end(), name) != excluded.end();
        if ((path.size() == 2 && name != path[1]) || skipped) continue;
        all = all && ok;
        text += fmt::format("[{}]{} {}\n", ok ? '+' : '-', name, ok ? "ok" : "failed");
    }
    if (!all) return Reply::text(500, text + fmt::format("{} check failed\n", path[0]));
    if (call.query.has("verbose")) return Reply::text(200, text + fmt::format("{} check passed\n", path[0]));
    return Reply::text(200, "ok");
}

// kubectl looks here for a kind that it does not find in v3; a document without kinds lets it say so to its user.
// A protobuf openapi.v2.Document: swagger = "2.0", info = {title = "weft", version = "v1"}.
static Outcome<std::optional<Reply>> empty_openapi_v2(const Call& call) {
    constexpr std::string_view type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    if (call.accept.find("application/com.github.proto-openapi.spec.v2") == std::string::npos)
        return refuse(406, "NotAcceptable", "OpenAPI v2 is not served here, use /openapi/v3");
    Reply reply = Reply::text(200, "\x0a\x03" "2.0" "\x12\x0a\x0a\x04" "weft" "\x12\x02" "v1");
    reply.content_type = type;
    return std::optional(std::move(reply));
}

Outcome<std::optional<Reply>> Api::answer_openapi(const Call& call, const KindTable& table) {
    const auto& path = call.segments;
    if (path.size() == 2 && path[1] == "v2") return empty_openapi_v2(call);
    if (path.size() < 2 || path[1] != "v3") return std::optional<Reply>();
    std::string group, version;
    if (path.size() == 4 && path[2] == "api") version = path[3];
    else if (path.size() == 5 && path[2] == "apis") group = path[3], version = path[4];
    else if (path.size() != 2) return std::optional<Reply>();
    const bool is_index = path.size() == 2;
    bool served = is_index;
    for (const auto& [g, v] : table.group_versions())
        served = served || (g == group && v == version && !version.empty());
    if (!served) return std::optional<Reply>();
    TRY(negotiate(call, {}));
    std::shared_ptr<const std::string> text;
    {
        const std::lock_guard lock(documents_mutex_);
        if (documents_version_ != kinds_.version()) documents_.clear();
        documents_version_ = kinds_.version();
        auto& document = documents_[is_index ? "" : group + "/" + version];
        if (!document)
            document = std::make_shared<const std::string>(
                json::serialize(is_index ? openapi_v3_index(table) : openapi_v3(table, group, version)));
        text = document;
    }
    Reply reply{.status = 200, .body = *text};
    if (!is_index && call.query.has("hash"))
        reply.headers.emplace_back("Cache-Control", "public, immutable, max-age=31536000");
    return std::optional(std::move(reply));
}

}  // namespace weft::apiserver
