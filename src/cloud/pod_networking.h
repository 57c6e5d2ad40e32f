// PodNetworking: Terway's object as plain values: for how long an address belongs to a pod's name, from which vSwitches
// it comes and in which order they are tried; and the same wish as ECI's annotations say it on the pod itself.
//
// Errors name the field; the texts of releaseAfter are Terway's own. Threads: values only. Source: spec/acs.md §3.4,
// §3.5.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "cloud/vswitch.h"

namespace weft::cloud {

inline constexpr size_t security_groups_max = 10;  // of one PodNetworking
inline constexpr Duration eci_retention_default = std::chrono::hours(48);
inline constexpr uint64_t retention_hours_max = 24 * 366;

enum class SelectionPolicy : uint8_t { ordered, random, most };
SelectionPolicy parse_selection_policy(std::string_view text);  // anything unknown is `ordered`
std::string_view selection_policy_name(SelectionPolicy policy);

struct AllocationType {
    bool is_fixed = false;
    bool is_forever = false;   // releaseStrategy Never
    Duration release_after{};  // of TTL
    bool operator==(const AllocationType&) const = default;
};

// As it stands in PodNetworking.spec and PodENI.spec.allocations[]; null is Elastic.
Result<AllocationType> parse_allocation_type(const json::Value* value);
json::Object allocation_type_json(const AllocationType& type);

struct PodNetworking {
    std::string name;
    AllocationType allocation;
    std::vector<std::string> vswitches;  // names, not looked up
    std::vector<std::string> security_groups;
    SelectionPolicy policy = SelectionPolicy::ordered;
};

Result<PodNetworking> parse_pod_networking(const json::Value& object);

// k8s.aliyun.com/eci-fixed-ip and -retain-hour; nothing when the pod asks for no fixed address.
Result<std::optional<AllocationType>> fixed_by_annotation(const json::Value& pod);

// Go's time.ParseDuration for what is not negative: "5m0s", "1h30m", "300ms".
Result<Duration> parse_go_duration(std::string_view text);
std::string go_duration(Duration duration);  // whole seconds: "5m0s"

// The order in which the vSwitches are tried. `available` is asked of each; `salt` (the pod's uid) makes random the
// same at every look at one pod.
std::vector<VSwitch> in_order_of_trial(std::vector<VSwitch> vswitches, SelectionPolicy policy,
                                       const std::vector<uint64_t>& available, std::string_view salt);

}  // namespace weft::cloud
