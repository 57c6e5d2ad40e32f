#include "apiserver/target.h"

#include <span>

namespace weft::apiserver {

std::string_view verb_name(Verb verb) {
    switch (verb) {
        case Verb::get: return "get";
        case Verb::list: return "list";
        case Verb::watch: return "watch";
        case Verb::create: return "create";
        case Verb::update: return "update";
        case Verb::patch: return "patch";
        case Verb::remove: return "delete";
        case Verb::remove_collection: return "deletecollection";
        case Verb::connect: return "connect";
    }
    return "";
}

static bool has_subresource(const Kind& kind, std::string_view sub) {
    if (sub == "status") return kind.has_status;
    if (sub == "scale") return kind.has_scale;
    if (!kind.group.empty()) return false;
    if (kind.plural == "namespaces") return sub == "finalize";
    if (kind.plural == "serviceaccounts") return sub == "token";
    if (kind.plural == "pods") return sub == "binding" || sub == "log" || sub == "exec";
    return false;
}

static std::optional<Target> find_object(const KindTable& table, std::string_view group, std::string_view version,
                                         std::span<const std::string> rest) {
    Target target;
    if (!rest.empty() && rest.front() == "watch") {
        target.watch_prefix = true;
        rest = rest.subspan(1);
    }
    for (const std::string& part : rest)
        if (part.empty()) return std::nullopt;
    if (rest.empty()) return std::nullopt;
    const bool is_namespace_itself =
        rest.size() <= 2 || (rest.size() == 3 && (rest[2] == "status" || rest[2] == "finalize"));
    const bool in_namespace = rest[0] == "namespaces" && !is_namespace_itself;
    if (in_namespace) {
        target.key.ns = rest[1];
        rest = rest.subspan(2);
    }
    if (rest.size() > 3) return std::nullopt;
    target.kind = table.find(group, version, rest[0]);
    if (target.kind == nullptr || (in_namespace && !target.kind->resource.namespaced)) return std::nullopt;
    if (rest.size() > 1) target.key.name = rest[1];
    if (rest.size() > 2) target.subresource = rest[2];
    if (!target.key.name.empty() && target.kind->resource.namespaced && !in_namespace) return std::nullopt;
    if (!target.subresource.empty() && !has_subresource(*target.kind, target.subresource)) return std::nullopt;
    return target;
}

// The verb of a method at this place; nullopt: 405.
static std::optional<Verb> verb_of(const Target& target, const Call& call) {
    const bool named = !target.key.name.empty();
    const std::string& method = call.method;
    const std::string& sub = target.subresource;
    const bool anywhere = target.kind->resource.namespaced && target.key.ns.empty();  // of all namespaces
    const std::string_view watch = call.query.get("watch");
    const bool wants_watch =
        target.watch_prefix || watch == "1" || watch == "true" || (call.query.has("watch") && watch.empty());
    if (sub == "exec") return method == "GET" || method == "POST" ? std::optional(Verb::connect) : std::nullopt;
    if (sub == "log") return method == "GET" ? std::optional(Verb::connect) : std::nullopt;
    if (sub == "binding" || sub == "token") return method == "POST" ? std::optional(Verb::create) : std::nullopt;
    if (method == "GET" || method == "HEAD") {
        if (sub.empty() && wants_watch) return Verb::watch;
        return named ? Verb::get : Verb::list;
    }
    if (target.watch_prefix) return std::nullopt;
    if (method == "POST") return !named && !anywhere ? std::optional(Verb::create) : std::nullopt;
    if (method == "PUT") return named ? std::optional(Verb::update) : std::nullopt;
    if (method == "PATCH") return named ? std::optional(Verb::patch) : std::nullopt;
    if (method == "DELETE" && sub.empty()) {
        if (named) return Verb::remove;
        const bool is_namespaces = target.kind->group.empty() && target.kind->plural == "namespaces";
        return !anywhere && !is_namespaces ? std::optional(Verb::remove_collection) : std::nullopt;
    }
    return std::nullopt;
}

// Doors of a pod that real clusters have and this server does not: a word on what to do instead. kubectl shows it.
static std::string_view instead_of(std::string_view plural, std::string_view sub) {
    if (plural == "pods" && sub == "attach") return "attach is not offered here: use kubectl exec, or kubectl logs -f";
    if (plural == "pods" && sub == "portforward")
        return "port-forward is not offered here: use a Service of type NodePort or LoadBalancer, or weft exec";
    if (plural == "pods" && sub == "ephemeralcontainers")
        return "ephemeral containers are not offered here: use kubectl exec, or weft exec";
    if ((plural == "pods" || plural == "services") && sub == "proxy")
        return "the proxy subresource is not offered here: use a Service of type NodePort or LoadBalancer, or weft exec";
    return {};
}

Outcome<std::optional<Target>> find_target(std::shared_ptr<const KindTable> table, const Call& call) {
    const auto& segments = call.segments;
    if (segments.size() >= 7 && segments[0] == "api" && segments[1] == "v1" && segments[2] == "namespaces")
        if (const std::string_view why = instead_of(segments[4], segments[6]); !why.empty())
            return refuse(404, "NotFound", std::string(why));
    std::optional<Target> target;
    if (segments.size() >= 2 && segments[0] == "api")
        target = find_object(*table, "", segments[1], std::span(segments).subspan(2));
    else if (segments.size() >= 3 && segments[0] == "apis" && !segments[1].empty())
        target = find_object(*table, segments[1], segments[2], std::span(segments).subspan(3));
    if (!target) return std::optional<Target>();
    const auto verb = verb_of(*target, call);
    if (!verb) return method_not_allowed(*target->kind, call.method == "DELETE" ? "delete" : call.method);
    target->verb = *verb;
    target->table = std::move(table);
    return target;
}

}  // namespace weft::apiserver
