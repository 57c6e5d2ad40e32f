// Ordinals: which pods of a StatefulSet are made and which end next. Pure: the state of each ordinal in, the next step
// out; computed again after every change, so a restart in the middle goes on where it was.
//
//   1  a pod that ran to its end goes, to be made again
//   2  missing ordinals are made from the lowest up; ordered: none past one that is not available
//   3  surplus goes from the highest ordinal down
//   4  pods of old templates go from the highest down to `partition`, as many at a time as may be unavailable
//
// Threads: values only. Source: spec/kubernetes.md §11; the StatefulSet's documented guarantees.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace weft::controller {

struct OrdinalSettings {
    int64_t replicas = 1;
    int64_t start = 0;       // spec.ordinals.start
    bool parallel = false;   // podManagementPolicy Parallel
    bool on_delete = false;  // updateStrategy OnDelete: only the user replaces
    int64_t partition = 0;   // ordinals below keep the current template
    int64_t unavailable_max = 1;  // while templates change

    int64_t end() const { return start + replicas; }
};
OrdinalSettings ordinal_settings(const json::Value& stateful_set);

struct OrdinalPod {
    int64_t ordinal = 0;
    bool is_updated = false;    // made from the newest template
    bool is_available = false;  // ready for minReadySeconds
    bool is_terminal = false;
    bool is_deleting = false;
};

struct OrdinalStep {
    struct Make {
        int64_t ordinal = 0;
        bool updated = true;  // of the newest template; else of the current one
        bool operator==(const Make&) const = default;
    };
    std::vector<Make> makes;
    std::vector<int64_t> ends;
    bool operator==(const OrdinalStep&) const = default;
};
// `pods`: at most one an ordinal.
OrdinalStep next_step(const OrdinalSettings& settings, std::vector<OrdinalPod> pods);

// 7 for ("db", "db-7"); nullopt for a name that is not of this set, "db-07" too.
std::optional<int64_t> ordinal_of(std::string_view set, std::string_view pod);

}  // namespace weft::controller
