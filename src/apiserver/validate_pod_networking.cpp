// PodNetworking: what one object shows by itself (spec/acs.md §3.4). Whether its vSwitches exist is the controller's to
// say.
#include "apiserver/validate_rules.h"
#include "cloud/pod_networking.h"

namespace weft::apiserver {

void validate_pod_networking(const json::Value& object, Stored, FieldErrors& errors) {
    const json::Value* const type = json::find(object, {"spec", "allocationType"});
    if (const auto parsed = cloud::parse_allocation_type(type); !parsed) {
        const bool about_time = parsed.error().message.find("releaseAfter") != std::string::npos;
        const std::string_view after = type == nullptr ? "" : json::find_string(*type, {"releaseAfter"});
        errors.push_back(about_time
                             ? invalid_value("spec.allocationType.releaseAfter", after, parsed.error().message)
                             : invalid_value("spec.allocationType", json::serialize(*type), parsed.error().message));
    }
    const std::vector<std::string> groups = json::find_strings(object, {"spec", "securityGroupIDs"});
    if (groups.size() > cloud::security_groups_max)
        errors.push_back(invalid_value("spec.securityGroupIDs", json::Value(int64_t(groups.size())),
                                       fmt::format("security group can not more than {}", cloud::security_groups_max)));
    for (const std::string_view part : {"podSelector", "namespaceSelector"}) {
        const json::Value* const selector = json::find(object, {"spec", "selector", part});
        if (selector != nullptr) validate_selector(selector, "spec.selector." + std::string(part), errors);
    }
}

}  // namespace weft::apiserver
