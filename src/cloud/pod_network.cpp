#include "cloud/pod_network.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/strings.h"
#include "cloud/annotations.h"

namespace weft::cloud {
namespace {

constexpr uint32_t neighbours_first = 0x64400000;   // 100.64.0.0
constexpr uint32_t services_hole = 0x64640000;      // 100.100.0.0/16 belongs to cloud services
constexpr uint32_t services_hole_end = 0x64650000;  // 100.101.0.0
static_assert(neighbours_first + 2 * node_numbers_max < services_hole, "node numbers stay below the hole");

const VSwitch* by_name(std::span<const VSwitch> vswitches, std::string_view name) {
    const auto found =
        std::find_if(vswitches.begin(), vswitches.end(), [&](const VSwitch& v) { return v.name == name; });
    return found == vswitches.end() ? nullptr : &*found;
}

std::vector<VSwitch> of_vpc(std::span<const VSwitch> vswitches, const Vpc& vpc) {
    std::vector<VSwitch> mine;
    std::copy_if(vswitches.begin(), vswitches.end(), std::back_inserter(mine),
                 [&](const VSwitch& v) { return v.vpc == vpc.name; });
    std::sort(mine.begin(), mine.end(), [](const VSwitch& a, const VSwitch& b) { return a.name < b.name; });
    return mine;
}

std::unexpected<Refusal> refuse(std::string_view reason, std::string message) {
    return std::unexpected(Refusal{reason, std::move(message)});
}

}  // namespace

Result<Vpc> vpc_of_namespace(const json::Value& namespace_object, std::span<const Vpc> vpcs) {
    const std::string_view named = json::find_string(namespace_object, {"metadata", "annotations", vpc_annotation});
    const std::string_view ns = json::find_string(namespace_object, {"metadata", "name"});
    if (named.empty()) {
        const Vpc* const vpc = default_vpc(vpcs);
        if (vpc == nullptr)
            return fail(Code::not_found, fmt::format("namespace {}: no VPC has spec.default: true", ns));
        return *vpc;
    }
    const auto found = std::find_if(vpcs.begin(), vpcs.end(), [&](const Vpc& v) { return v.name == named; });
    if (found == vpcs.end())
        return fail(Code::not_found, fmt::format("namespace {}: metadata.annotations[{}]: VPC {} does not exist", ns,
                                                 vpc_annotation, named));
    return *found;
}

std::string_view dns_name_of_namespace(const json::Value& namespace_object) {
    return json::find_string(namespace_object, {"metadata", "annotations", dns_namespace_annotation},
                             json::find_string(namespace_object, {"metadata", "name"}));
}

std::expected<std::vector<VSwitch>, Refusal> vswitches_of_pod(const json::Value& pod, const Vpc& vpc,
                                                              std::span<const VSwitch> vswitches,
                                                              const json::Value* acs_profile) {
    const json::Value* const annotation = json::find(pod, {"metadata", "annotations", vswitch_ids_annotation});
    if (annotation != nullptr && annotation->is_string()) {
        const std::string field = fmt::format("metadata.annotations[{}]", vswitch_ids_annotation);
        std::vector<VSwitch> chosen;
        for (const std::string& id : split_list(json::view(annotation->get_string()))) {
            const VSwitch* const vswitch = by_name(vswitches, id);
            if (vswitch == nullptr)
                return refuse(reason_vswitch_not_found, fmt::format("{}: vSwitch {} does not exist", field, id));
            if (vswitch->vpc != vpc.name)
                return refuse(reason_vpc_mismatch, fmt::format("{}: vSwitch {} belongs to VPC {}, the pod to VPC {}",
                                                               field, id, vswitch->vpc, vpc.name));
            if (by_name(chosen, id) == nullptr) chosen.push_back(*vswitch);
        }
        if (chosen.empty()) return refuse(reason_vswitch_not_found, field + ": names no vSwitch");
        return chosen;
    }
    if (acs_profile != nullptr) {
        std::vector<VSwitch> chosen;
        for (const std::string& id : split_list(json::find_string(*acs_profile, {"data", "vSwitchIds"}))) {
            const VSwitch* const vswitch = by_name(vswitches, id);
            if (vswitch != nullptr && vswitch->vpc == vpc.name && by_name(chosen, id) == nullptr)
                chosen.push_back(*vswitch);
        }
        if (!chosen.empty()) return chosen;
    }
    std::vector<VSwitch> all = of_vpc(vswitches, vpc);
    if (all.empty()) return refuse(reason_vswitch_not_found, fmt::format("VPC {} has no vSwitch", vpc.name));
    return all;
}

bool node_serves_zone(const json::Value& node, std::string_view zone) {
    if (json::find_string(node, {"metadata", "labels", zone_label}) == zone) return true;
    const auto zones = split_list(json::find_string(node, {"metadata", "annotations", zones_annotation}));
    return std::find(zones.begin(), zones.end(), zone) != zones.end();
}

Neighbours neighbours_of_node(uint32_t number) {
    ENSURE(number < node_numbers_max);
    const uint32_t even = neighbours_first + 2 * number;
    return {net::Address::v4(even), net::Address::v4(even + 1)};
}

std::optional<uint32_t> node_number(const net::Address& service_address) {
    if (!service_address.is_v4()) return std::nullopt;
    const uint32_t value = service_address.v4_host_order();
    if (value < neighbours_first || value >= neighbours_first + 2 * node_numbers_max || value % 2 != 0)
        return std::nullopt;
    return (value - neighbours_first) / 2;
}

std::optional<uint32_t> lowest_free_node_number(const std::set<uint32_t>& taken) {
    uint32_t candidate = 1;
    for (const uint32_t number : taken) {
        if (number < candidate) continue;
        if (number > candidate) break;
        ++candidate;
    }
    if (candidate >= node_numbers_max) return std::nullopt;
    return candidate;
}

bool is_neighbour_address(const net::Address& address) {
    if (!address.is_v4()) return false;
    const uint32_t value = address.v4_host_order();
    return (value & 0xffc00000) == neighbours_first && (value < services_hole || value >= services_hole_end);
}

}  // namespace weft::cloud
