// Nodes: the node names of an instance, as `weft up` wrote them down. Errors name the next command to type.
#pragma once
#include <string>
#include <vector>

#include "base/instance.h"
#include "base/result.h"
#include "kernel/bpf_object.h"

namespace weft::cli {

// All of them, or only the one that is asked for; not_found names those that there are.
Result<std::vector<std::string>> node_names(const Instance& instance, const std::string& only = "");

// The node's pinned maps, to read.
Result<kernel::NodeMaps> maps_of_node(const Instance& instance, const std::string& node);

}  // namespace weft::cli
