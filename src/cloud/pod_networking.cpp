#include "cloud/pod_networking.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "base/rng.h"
#include "base/strings.h"
#include "cloud/annotations.h"

namespace weft::cloud {
namespace {

constexpr std::string_view digits = "0123456789";

std::optional<Duration> unit_of(std::string_view name) {
    if (name == "ns") return std::chrono::nanoseconds(1);
    if (name == "us" || name == "µs") return std::chrono::microseconds(1);
    if (name == "ms") return std::chrono::milliseconds(1);
    if (name == "s") return std::chrono::seconds(1);
    if (name == "m") return std::chrono::minutes(1);
    if (name == "h") return std::chrono::hours(1);
    return std::nullopt;
}

uint64_t hash(std::string_view text) {
    uint64_t value = 14695981039346656037u;  // FNV-1a: the same in every process
    for (const char c : text) value = (value ^ uint8_t(c)) * 1099511628211u;
    return value;
}

}  // namespace

SelectionPolicy parse_selection_policy(std::string_view text) {
    if (text == "random") return SelectionPolicy::random;
    if (text == "most") return SelectionPolicy::most;
    return SelectionPolicy::ordered;
}

std::string_view selection_policy_name(SelectionPolicy policy) {
    switch (policy) {
        case SelectionPolicy::ordered:
            return "ordered";
        case SelectionPolicy::random:
            return "random";
        case SelectionPolicy::most:
            return "most";
    }
    return "ordered";
}

Result<Duration> parse_go_duration(std::string_view text) {
    const auto bad = [whole = text] { return fail(Code::invalid, fmt::format("invalid duration \"{}\"", whole)); };
    if (text == "0") return Duration{};
    if (text.empty()) return bad();
    double total = 0;
    while (!text.empty()) {
        const size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
        const std::string number(text.substr(0, end));
        if (number.find_first_of(digits) == number.npos || std::count(number.begin(), number.end(), '.') > 1 ||
            number.size() > 15)
            return bad();
        text.remove_prefix(end);
        const size_t unit_end = std::min(text.find_first_of("0123456789."), text.size());
        const auto unit = unit_of(text.substr(0, unit_end));
        if (!unit) return bad();
        text.remove_prefix(unit_end);
        total += std::strtod(number.c_str(), nullptr) * double(unit->count());
    }
    if (total > double(INT64_MAX / 2)) return bad();
    return Duration(int64_t(total));
}

std::string go_duration(Duration duration) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
    if (seconds >= 3600) return fmt::format("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if (seconds >= 60) return fmt::format("{}m{}s", seconds / 60, seconds % 60);
    return fmt::format("{}s", seconds);
}

Result<AllocationType> parse_allocation_type(const json::Value* value) {
    AllocationType type;
    if (value == nullptr || !value->is_object()) return type;
    const std::string_view name = json::find_string(*value, {"type"});
    if (name != "" && name != "Elastic" && name != "Fixed")
        return fail(Code::invalid, fmt::format("type: {} is neither Elastic nor Fixed", name));
    type.is_fixed = name == "Fixed";
    const std::string_view strategy = json::find_string(*value, {"releaseStrategy"});
    const std::string_view after = json::find_string(*value, {"releaseAfter"});
    if (strategy != "" && strategy != "TTL" && strategy != "Never")
        return fail(Code::invalid, fmt::format("releaseStrategy: {} is neither TTL nor Never", strategy));
    if (strategy == "Never" && !after.empty())
        return fail(Code::invalid, "releaseAfter must be empty when releaseStrategy is never");
    if (!type.is_fixed) return type;
    if (strategy.empty()) return fail(Code::invalid, "releaseStrategy: required when type is Fixed");
    type.is_forever = strategy == "Never";
    if (type.is_forever) return type;
    const auto parsed = parse_go_duration(after);
    if (!parsed) return fail(Code::invalid, fmt::format("invalid releaseAfter {}", after));
    type.release_after = *parsed;
    return type;
}

json::Object allocation_type_json(const AllocationType& type) {
    if (!type.is_fixed) return json::Object{{"type", "Elastic"}};
    if (type.is_forever) return json::Object{{"type", "Fixed"}, {"releaseStrategy", "Never"}};
    return json::Object{
        {"type", "Fixed"}, {"releaseStrategy", "TTL"}, {"releaseAfter", go_duration(type.release_after)}};
}

Result<PodNetworking> parse_pod_networking(const json::Value& object) {
    PodNetworking networking;
    networking.name = json::find_string(object, {"metadata", "name"});
    networking.allocation =
        TRY_IN("spec.allocationType", parse_allocation_type(json::find(object, {"spec", "allocationType"})));
    networking.vswitches = json::find_strings(object, {"spec", "vSwitchOptions"});
    networking.security_groups = json::find_strings(object, {"spec", "securityGroupIDs"});
    if (networking.security_groups.size() > security_groups_max)
        return fail(Code::invalid,
                    fmt::format("spec.securityGroupIDs: security group can not more than {}", security_groups_max));
    networking.policy =
        parse_selection_policy(json::find_string(object, {"spec", "vSwitchSelectOptions", "vSwitchSelectionPolicy"}));
    return networking;
}

Result<std::optional<AllocationType>> fixed_by_annotation(const json::Value& pod) {
    if (json::find_string(pod, {"metadata", "annotations", eci_fixed_annotation}) != "true") return std::nullopt;
    AllocationType type{.is_fixed = true, .is_forever = false, .release_after = eci_retention_default};
    const std::string_view hours = json::find_string(pod, {"metadata", "annotations", eci_retain_annotation});
    if (hours.empty()) return type;
    const auto parsed = parse_unsigned(trim(hours));
    if (!parsed || *parsed > retention_hours_max)
        return fail(Code::invalid, fmt::format("metadata.annotations[{}]: {}: must be a number of hours from 0 to {}",
                                               eci_retain_annotation, hours, retention_hours_max));
    type.release_after = std::chrono::hours(*parsed);
    return type;
}

std::vector<VSwitch> in_order_of_trial(std::vector<VSwitch> vswitches, SelectionPolicy policy,
                                       const std::vector<uint64_t>& available, std::string_view salt) {
    if (policy == SelectionPolicy::ordered || vswitches.size() < 2) return vswitches;
    std::vector<size_t> order(vswitches.size());
    std::iota(order.begin(), order.end(), size_t(0));
    if (policy == SelectionPolicy::most) {
        std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
            return available[a] != available[b] ? available[a] > available[b] : a < b;
        });
    } else {
        Rng rng(hash(salt));
        for (size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[rng.below(i + 1)]);
    }
    std::vector<VSwitch> sorted;
    for (const size_t i : order) sorted.push_back(std::move(vswitches[i]));
    return sorted;
}

}  // namespace weft::cloud
