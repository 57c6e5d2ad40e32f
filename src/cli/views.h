// Views: what the verbs show, as values: -o json prints them and `weft bundle` packs them. Errors name the next command.
// Threads: the verb's.
#pragma once
#include <string>

#include "base/instance.h"
#include "base/json.h"
#include "cli/doctor.h"

namespace weft::cli {

// {instance, kubeconfig, supervisor, ready, processes: [{name, node, pid, ready, state}], nodes: node_view.h}
Result<json::Value> status_view(const Instance& instance);

// [{node, hook, reason, packets}], those that are not 0.
Result<json::Value> drops_view(const Instance& instance);

// [{node, vni, protocol, state, initiator, responder, ...}], youngest first. "": every node, every address.
Result<json::Value> conntrack_view(const Instance& instance, const std::string& node, const std::string& address);

// {version, dataPlaneVersion, kernel}
json::Value version_view(const std::string& number);

// [{level, subject, text, fix}]
json::Value findings_view(const std::vector<Finding>& findings);

// [{node, map, entries, capacity}]
Result<json::Value> maps_view(const Instance& instance);

}  // namespace weft::cli
