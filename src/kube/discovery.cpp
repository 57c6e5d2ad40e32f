#include "kube/discovery.h"

#include <fmt/format.h>

#include <mutex>
#include <set>

namespace weft::kube {

// Resource holds views; what a server tells us once stays for good (a few kilobytes per process).
static std::string_view keep(std::string_view text) {
    static std::mutex mutex;
    static auto* const texts = new std::set<std::string, std::less<>>;
    const std::lock_guard lock(mutex);
    return *texts->emplace(text).first;
}

static Result<json::Value> fetch(const Endpoint& endpoint, const std::string& path) {
    const RawReply reply = TRY(raw_request(endpoint, "GET", path, "", "", "application/json"));
    if (reply.status != 200) return fail(Code::unavailable, fmt::format("GET {}: HTTP {}", path, reply.status));
    return json::parse(reply.body);
}

static Status add_group_version(const Endpoint& endpoint, std::string_view group, std::string_view version,
                                std::vector<ServedKind>& kinds) {
    const std::string path = group.empty() ? fmt::format("/api/{}", version) : fmt::format("/apis/{}/{}", group, version);
    const json::Value list = TRY(fetch(endpoint, path));
    const json::Array* resources = json::find_array(list, {"resources"});
    if (resources == nullptr) return {};
    for (const json::Value& one : *resources) {
        const std::string_view plural = json::find_string(one, {"name"});
        if (plural.empty() || plural.find('/') != std::string_view::npos) continue;
        ServedKind kind;
        kind.resource = Resource{keep(group), keep(version), keep(plural), keep(json::find_string(one, {"kind"})),
                                 json::find_bool(one, {"namespaced"})};
        kind.singular = json::find_string(one, {"singularName"});
        kind.short_names = json::find_strings(one, {"shortNames"});
        kind.categories = json::find_strings(one, {"categories"});
        kinds.push_back(std::move(kind));
    }
    return {};
}

Result<std::vector<ServedKind>> discover(const Endpoint& endpoint) {
    std::vector<ServedKind> kinds;
    TRY(add_group_version(endpoint, "", "v1", kinds));
    const json::Value groups = TRY(fetch(endpoint, "/apis"));
    const json::Array* list = json::find_array(groups, {"groups"});
    if (list == nullptr) return kinds;
    for (const json::Value& group : *list)
        TRY(add_group_version(endpoint, json::find_string(group, {"name"}),
                              json::find_string(group, {"preferredVersion", "version"}), kinds));
    return kinds;
}

Result<Resource> find_by_name(const std::vector<ServedKind>& kinds, std::string_view name) {
    const size_t dot = name.find('.');
    const std::string_view word = name.substr(0, dot);
    const std::string_view group = dot == std::string_view::npos ? std::string_view{} : name.substr(dot + 1);
    for (const ServedKind& kind : kinds) {
        if (dot != std::string_view::npos && kind.resource.group != group) continue;
        const bool is_short = std::find(kind.short_names.begin(), kind.short_names.end(), word) != kind.short_names.end();
        if (kind.resource.plural == word || kind.singular == word || kind.resource.kind == word || is_short)
            return kind.resource;
    }
    return fail(Code::not_found, fmt::format("the server doesn't have a resource type \"{}\"; kubectl api-resources lists them", name));
}

Result<Resource> find_by_kind(const std::vector<ServedKind>& kinds, std::string_view api_version, std::string_view kind) {
    for (const ServedKind& served : kinds)
        if (served.resource.kind == kind && served.resource.api_version() == api_version) return served.resource;
    return fail(Code::not_found, fmt::format("no matches for kind \"{}\" in version \"{}\"", kind, api_version));
}

}  // namespace weft::kube
