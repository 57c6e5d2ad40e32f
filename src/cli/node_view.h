// NodeView: each node of an instance as a person asks for it: does its uplink answer, its MTU, what it dropped, the
// version of its data plane, how old its knowledge of the API is, how many public addresses it announces.
// Threads: the verb's; nodes are asked side by side, at most answer_wait. Source: issue "VPCs over several nodes", part 6.
#pragma once
#include <chrono>

#include "base/instance.h"
#include "base/json.h"
#include "cli/output.h"

namespace weft::cli {

inline constexpr std::chrono::milliseconds answer_wait{1000};

// [{name, address, reachable, mtu, drops, dataPlaneVersion, syncAgeSeconds, announces}]; what an agent that does not
// answer would have said is left out.
Result<json::Array> nodes_view(const Instance& instance);
Table nodes_table(const json::Array& nodes);

}  // namespace weft::cli
