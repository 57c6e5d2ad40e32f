#include "apiserver/discovery.h"

#include <fmt/format.h>

#include "apiserver/negotiate.h"
#include "apiserver/review.h"
#include "base/strings.h"

namespace weft::apiserver {

static constexpr std::string_view discovery_type =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

namespace {

struct Subresource {
    std::string_view name, group, version, kind;  // what it speaks; group and version empty: its parent's
    std::vector<std::string_view> verbs;
};

std::vector<Subresource> subresources(const Kind& kind) {
    std::vector<Subresource> all;
    if (kind.has_status) all.push_back({"status", {}, {}, kind.kind_name, {"get", "patch", "update"}});
    if (kind.has_scale) all.push_back({"scale", "autoscaling", "v1", "Scale", {"get", "patch", "update"}});
    if (kind.resource == kube::namespaces) all.push_back({"finalize", {}, {}, kind.kind_name, {"update", "patch"}});
    if (kind.resource == kube::service_accounts)
        all.push_back({"token", "authentication.k8s.io", "v1", "TokenRequest", {"create"}});
    if (kind.resource == kube::pods) {
        all.push_back({"binding", "", "v1", "Binding", {"create"}});
        all.push_back({"exec", "", "v1", "PodExecOptions", {"create", "get"}});
        all.push_back({"log", {}, {}, kind.kind_name, {"get"}});
    }
    return all;
}

std::vector<std::string_view> verbs(const Kind& kind) {
    std::vector<std::string_view> all{"create", "delete", "deletecollection", "get",
                                      "list",   "patch",  "update",           "watch"};
    if (kind.resource == kube::namespaces) std::erase(all, "deletecollection");
    return all;
}

template <class Strings>
json::Array array_of(const Strings& strings) {
    json::Array array;
    for (const auto& text : strings) array.emplace_back(std::string_view(text));
    return array;
}

std::string singular_of(const ReviewKind& review) { return to_lower(review.kind); }

json::Value classic_resources(const KindTable& table, std::string_view group, std::string_view version) {
    json::Array resources;
    for (const KindPtr& kind : table.all()) {
        if (kind->group != group || kind->version != version) continue;
        json::Object row{{"name", kind->plural},
                         {"singularName", kind->singular},
                         {"namespaced", kind->resource.namespaced},
                         {"kind", kind->kind_name},
                         {"verbs", array_of(verbs(*kind))}};
        if (!kind->short_names.empty()) row["shortNames"] = array_of(kind->short_names);
        if (!kind->categories.empty()) row["categories"] = array_of(kind->categories);
        row["storageVersionHash"] = kind->storage_version_hash;
        resources.push_back(std::move(row));
        for (const Subresource& sub : subresources(*kind)) {
            json::Object below{{"name", fmt::format("{}/{}", kind->plural, sub.name)},
                               {"singularName", ""},
                               {"namespaced", kind->resource.namespaced},
                               {"kind", sub.kind},
                               {"verbs", array_of(sub.verbs)}};
            if (!sub.group.empty()) below["group"] = sub.group;
            if (!sub.version.empty()) below["version"] = sub.version;
            resources.push_back(std::move(below));
        }
    }
    for (const ReviewKind& review : review_kinds()) {
        if (review.group != group || version != review_version) continue;
        resources.push_back(json::Object{{"name", review.plural},
                                         {"singularName", singular_of(review)},
                                         {"namespaced", review.namespaced},
                                         {"kind", review.kind},
                                         {"verbs", json::Array{"create"}}});
    }
    const std::string group_version = group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
    return json::Object{{"kind", "APIResourceList"},
                        {"apiVersion", "v1"},
                        {"groupVersion", group_version},
                        {"resources", std::move(resources)}};
}

// The served versions of a group, in order of preference.
std::vector<std::string> versions_of(const KindTable& table, std::string_view group) {
    std::vector<std::string> versions;
    for (const auto& [g, version] : table.group_versions())
        if (g == group) versions.push_back(version);
    for (const ReviewKind& review : review_kinds()) {
        if (review.group != group) continue;
        if (std::find(versions.begin(), versions.end(), review_version) == versions.end())
            versions.emplace_back(review_version);
    }
    return versions;
}

std::vector<std::string> groups_of(const KindTable& table) {
    std::vector<std::string> groups;
    for (const auto& [group, version] : table.group_versions())
        if (!group.empty() && std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
    for (const ReviewKind& review : review_kinds())
        if (std::find(groups.begin(), groups.end(), review.group) == groups.end()) groups.emplace_back(review.group);
    std::sort(groups.begin(), groups.end());
    return groups;
}

json::Object classic_group(const KindTable& table, const std::string& group) {
    json::Array versions;
    for (const std::string& version : versions_of(table, group))
        versions.push_back(json::Object{{"groupVersion", group + "/" + version}, {"version", version}});
    json::Value preferred = versions.front();
    return {{"name", group}, {"versions", std::move(versions)}, {"preferredVersion", std::move(preferred)}};
}

json::Value response_kind(const Kind& kind, std::string_view group, std::string_view version, std::string_view name) {
    return json::Object{{"group", version.empty() ? std::string_view(kind.group) : group},
                        {"version", version.empty() ? std::string_view(kind.version) : version},
                        {"kind", name}};
}

json::Object aggregated_group(const KindTable& table, std::string_view group) {
    json::Array versions;
    for (const std::string& version : versions_of(table, group)) {
        json::Array resources;
        for (const KindPtr& kind : table.all()) {
            if (kind->group != group || kind->version != version) continue;
            json::Object row{{"resource", kind->plural},
                             {"responseKind", response_kind(*kind, {}, {}, kind->kind_name)},
                             {"scope", kind->resource.namespaced ? "Namespaced" : "Cluster"},
                             {"singularResource", kind->singular},
                             {"verbs", array_of(verbs(*kind))}};
            if (!kind->short_names.empty()) row["shortNames"] = array_of(kind->short_names);
            if (!kind->categories.empty()) row["categories"] = array_of(kind->categories);
            json::Array below;
            for (const Subresource& sub : subresources(*kind))
                below.push_back(json::Object{{"subresource", sub.name},
                                             {"responseKind", response_kind(*kind, sub.group, sub.version, sub.kind)},
                                             {"verbs", array_of(sub.verbs)}});
            if (!below.empty()) row["subresources"] = std::move(below);
            resources.push_back(std::move(row));
        }
        for (const ReviewKind& review : review_kinds()) {
            if (review.group != group || version != review_version) continue;
            resources.push_back(json::Object{
                {"resource", review.plural},
                {"responseKind", json::Object{{"group", review.group}, {"version", version}, {"kind", review.kind}}},
                {"scope", review.namespaced ? "Namespaced" : "Cluster"},
                {"singularResource", singular_of(review)},
                {"verbs", json::Array{"create"}}});
        }
        versions.push_back(
            json::Object{{"version", version}, {"resources", std::move(resources)}, {"freshness", "Current"}});
    }
    json::Object metadata;
    if (!group.empty()) metadata["name"] = group;
    return {{"metadata", std::move(metadata)}, {"versions", std::move(versions)}};
}

Reply aggregated(const KindTable& table, bool core, const Call& call) {
    json::Array items;
    if (core) {
        items.push_back(aggregated_group(table, ""));
    } else {
        for (const std::string& group : groups_of(table)) items.push_back(aggregated_group(table, group));
    }
    Reply reply = json_reply(200, json::Object{{"kind", "APIGroupDiscoveryList"},
                                               {"apiVersion", "apidiscovery.k8s.io/v2"},
                                               {"metadata", json::Object{}},
                                               {"items", std::move(items)}});
    reply.content_type = discovery_type;
    const std::string tag = fmt::format("\"{:016x}\"", std::hash<std::string>()(reply.body));
    reply.headers = {{"ETag", tag}, {"Vary", "Accept"}};
    if (call.if_none_match == tag) {
        reply.status = 304;
        reply.body.clear();
    }
    return reply;
}

}  // namespace

Outcome<std::optional<Reply>> discover(const KindTable& table, const Call& call) {
    const auto& path = call.segments;
    const bool core = path[0] == "api";
    // kubectl ends these paths without a slash, older clients with one.
    const size_t depth = path.size() > 1 && path.back().empty() ? path.size() - 1 : path.size();
    const bool known = (core && depth <= 2) || (path[0] == "apis" && depth <= 3);
    if (!known) return std::optional<Reply>();
    if (call.method != "GET" && call.method != "HEAD")
        return refuse(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
    const Accepted accepted = TRY(depth == 1 ? negotiate(call, {Shape::discovery}) : negotiate(call, {}));
    if (accepted.shape == Shape::discovery) return std::optional(aggregated(table, core, call));

    json::Value body;
    if (core && depth == 1) {
        body = json::Object{
            {"kind", "APIVersions"}, {"versions", json::Array{"v1"}}, {"serverAddressByClientCIDRs", json::Array()}};
    } else if (!core && depth == 1) {
        json::Array groups;
        for (const std::string& group : groups_of(table)) groups.push_back(classic_group(table, group));
        body = json::Object{{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(groups)}};
    } else {
        const std::string group = core ? "" : path[1];
        const auto versions = versions_of(table, group);
        if (versions.empty() || (!core && group.empty())) return std::optional<Reply>();
        if (!core && depth == 2) {
            json::Object one = classic_group(table, group);
            one["kind"] = "APIGroup";
            one["apiVersion"] = "v1";
            body = std::move(one);
        } else {
            const std::string& version = core ? path[1] : path[2];
            if (std::find(versions.begin(), versions.end(), version) == versions.end()) return std::optional<Reply>();
            body = classic_resources(table, group, version);
        }
    }
    Reply reply = json_reply(200, body, accepted);
    reply.headers.emplace_back("Vary", "Accept");
    return std::optional(std::move(reply));
}

}  // namespace weft::apiserver
