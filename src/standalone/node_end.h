// NodeEnd: a node is gone at once, as when its machine loses its power: its processes and pods, its place on the street,
// its namespaces, pins, sockets and cgroup. The others and the API are told nothing. With its state folder kept it may start
// again (a reboot: what lay in its run folder, the allocation log among it, is gone as /run is).
//
// While it ends no supervisor may run, or it would start the processes again. Everything that is already gone is success.
// Threads: the verb's.
#pragma once
#include <string>

#include "base/instance.h"
#include "base/result.h"
#include "standalone/topology.h"

namespace weft::standalone {

enum class NodeState : uint8_t { kept, removed };

Status end_node(const Instance& instance, const NodeSpec& node, NodeState state);

}  // namespace weft::standalone
