#include "kube/apply.h"

#include <fmt/format.h>

namespace weft::kube {

static constexpr std::string_view last_applied_annotation = "kubectl.kubernetes.io/last-applied-configuration";

// A list element or scalar counts as equal when everything that is wanted stands in live; defaults the server added inside
// list elements are no difference.
static bool covers(const json::Value& live, const json::Value& wanted) {
    if (wanted.is_object()) {
        if (!live.is_object()) return false;
        for (const auto& [name, value] : wanted.get_object()) {
            const json::Value* there = live.get_object().if_contains(name);
            if (value.is_null() ? there != nullptr : there == nullptr || !covers(*there, value)) return false;
        }
        return true;
    }
    if (wanted.is_array()) {
        if (!live.is_array() || live.get_array().size() != wanted.get_array().size()) return false;
        for (size_t i = 0; i < wanted.get_array().size(); i++)
            if (!covers(live.get_array()[i], wanted.get_array()[i])) return false;
        return true;
    }
    return live == wanted;
}

json::Value three_way_patch(const json::Value& last, const json::Value& live, const json::Value& wanted) {
    json::Object patch;
    static const json::Value nothing = json::Object{};
    for (const auto& [name, value] : wanted.get_object()) {
        const json::Value* there = live.is_object() ? live.get_object().if_contains(name) : nullptr;
        const json::Value* before = last.is_object() ? last.get_object().if_contains(name) : nullptr;
        if (value.is_object() && there != nullptr && there->is_object()) {
            json::Value inner = three_way_patch(before != nullptr ? *before : nothing, *there, value);
            if (!inner.get_object().empty()) patch.emplace(name, std::move(inner));
        } else if (value.is_array() && before != nullptr && *before != value) {
            patch.emplace(name, value);  // an element was dropped or changed on purpose
        } else if (value.is_null() ? there != nullptr : there == nullptr || !covers(*there, value)) {
            patch.emplace(name, value);
        }
    }
    if (last.is_object())
        for (const auto& [name, value] : last.get_object())
            if (!wanted.get_object().contains(name) && live.is_object() && live.get_object().contains(name))
                patch.emplace(name, nullptr);
    return patch;
}

Result<Applied> apply(Client& client, const Resource& resource, Object wanted, std::string_view ns) {
    if (resource.namespaced && wanted.ns().empty()) wanted.set({"metadata", "namespace"}, ns.empty() ? "default" : ns);
    json::erase(wanted.body(), {"status"});
    json::erase(wanted.body(), {"metadata", "annotations", last_applied_annotation});
    const std::string text = json::serialize(wanted.body());
    wanted.set_annotation(last_applied_annotation, text);

    const auto live = client.get(resource, wanted.key());
    if (!live && live.error().code != Code::not_found) return fail(live.error());
    if (!live) {
        TRY(client.create(resource, wanted));
        return Applied::created;
    }
    const auto last = json::parse(live->annotation(last_applied_annotation));
    const json::Value patch = three_way_patch(last ? *last : json::Value(json::Object{}), live->body(), wanted.body());
    if (patch.get_object().empty()) return Applied::unchanged;
    const Object after = TRY(client.patch(resource, wanted.key(), PatchType::merge, patch));
    return after.resource_version() == live->resource_version() ? Applied::unchanged : Applied::configured;
}

Result<std::vector<Object>> read_manifests(std::string_view yaml) {
    std::vector<Object> objects;
    for (json::Value& document : TRY(json::parse_yaml(yaml))) {
        Object object(std::move(document));
        if (object.kind() == "List") {
            for (const json::Value& item : object.array({"items"})) objects.emplace_back(item);
            continue;
        }
        if (object.kind().empty()) return fail(Code::invalid, "a document has no kind");
        if (object.api_version().empty()) return fail(Code::invalid, fmt::format("{} has no apiVersion", object.kind()));
        objects.push_back(std::move(object));
    }
    return objects;
}

Status apply_yaml(Client& client, const std::vector<ServedKind>& kinds, std::string_view yaml, std::string_view ns,
                  const std::function<void(const Object&, Applied)>& done) {
    for (Object& object : TRY(read_manifests(yaml))) {
        const Resource resource = TRY(find_by_kind(kinds, object.api_version(), object.kind()));
        const std::string doing = fmt::format("apply {} {}", object.kind(), object.name());
        const Applied result = TRY_IN(doing, apply(client, resource, object, ns));
        done(object, result);
    }
    return {};
}

}  // namespace weft::kube
