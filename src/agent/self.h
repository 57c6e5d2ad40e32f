// Self: what the agent says about its node in /metrics (address, MTU, version of the data plane, age of what it knows
// of the API), and whether the uplink is still the one it started with. Threads: show_node's lines are made on any.
#pragma once
#include <memory>
#include <string>

#include "agent/host.h"
#include "agent/view.h"
#include "kube/brain.h"

namespace weft::agent {

inline constexpr Duration uplink_check_period = std::chrono::seconds(1);

// The lines end when what is returned is dropped.
std::shared_ptr<void> show_node(const Uplink& uplink, const kube::Brain& brain);

// The number of this node's pods that the agent knows of. Before the brain runs.
void count_pods(kube::Brain& brain, const View& view);

// Another address of either family, MAC, MTU or link under the name. An uplink that is absent is no change: it comes back.
bool has_changed(const std::string& link, const Uplink& uplink);

}  // namespace weft::agent
