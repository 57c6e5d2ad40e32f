#include "controller/custom_kinds.h"

namespace weft::controller {

const kube::Resource* CustomKinds::find(std::string_view api_version, std::string_view kind) const {
    const std::string_view group = api_version.substr(0, api_version.find('/'));
    for (const kube::Resource& resource : resources_) {
        if (resource.kind == kind && resource.group == group) return &resource;
    }
    return nullptr;
}

void CustomKinds::add(const kube::Object& definition) {
    for (const json::Value& version : definition.array({"spec", "versions"})) {
        if (!json::find_bool(version, {"served"})) continue;
        resources_.push_back({keep(definition.string({"spec", "group"})), keep(json::find_string(version, {"name"})),
                              keep(definition.string({"spec", "names", "plural"})),
                              keep(definition.string({"spec", "names", "kind"})),
                              definition.string({"spec", "scope"}) == "Namespaced"});
        return;
    }
}

Result<std::shared_ptr<const CustomKinds>> custom_kinds(kube::Client& client) {
    auto kinds = std::make_shared<CustomKinds>();
    const auto definitions = client.list(kube::custom_resource_definitions);
    if (!definitions && definitions.error().code != Code::not_found) return fail(definitions.error());
    if (definitions) {
        for (const kube::Object& definition : definitions->items) {
            const std::string_view group = definition.string({"spec", "group"});
            if (group != kube::vpcs.group && group != kube::pod_enis.group) kinds->add(definition);
        }
    }
    return std::shared_ptr<const CustomKinds>(std::move(kinds));
}

}  // namespace weft::controller
