// Rollout: how many pods each ReplicaSet of a Deployment should have next. Pure: numbers in, numbers out; the next step
// is computed again after every change, so a restart in the middle goes on where it was.
//
// Never more than replicas + maxSurge pods wanted, never fewer than replicas - maxUnavailable available by our doing.
// Threads: values only. Source: spec/kubernetes.md §11; the Deployment's documented rolling update.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace weft::controller {

struct RolloutSettings {
    int64_t replicas = 1;
    bool recreate = false;  // strategy Recreate: all old ones go before a new one comes
    int64_t max_surge = 1;
    int64_t max_unavailable = 0;
};
// spec.replicas, spec.strategy; percentages of replicas, surge rounded up and unavailable down; not both 0.
RolloutSettings rollout_settings(const json::Value& deployment);

struct ReplicaSetState {
    std::string name;
    std::string created;   // oldest are emptied first
    int64_t wanted = 0;    // spec.replicas
    int64_t existing = 0;  // status.replicas
    int64_t ready = 0;
    int64_t available = 0;
};

struct Scale {
    std::string name;
    int64_t replicas = 0;
    bool operator==(const Scale&) const = default;
};

// How many a ReplicaSet that does not exist yet starts with.
int64_t first_replicas(const RolloutSettings& settings, const std::vector<ReplicaSetState>& old);
// Changes only. `current` is the one with the Deployment's template.
std::vector<Scale> next_scales(const RolloutSettings& settings, const ReplicaSetState& current,
                               const std::vector<ReplicaSetState>& old);

// Same template (order of members and the hash label aside) and the name part that follows from it.
bool same_template(const json::Value& a, const json::Value& b);
std::string template_hash(const json::Value& pod_template, int64_t collision_count);

}  // namespace weft::controller
