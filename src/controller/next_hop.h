// Next hop: what the id in a route means now: the other VPC of a peering, or the address of a pod that may forward.
// Threads: the brain's. Source: spec/acs.md §1.3, docs/design/objects.md "Route tables and peering".
#pragma once
#include "controller/world.h"

namespace weft::controller {

// For the tables of one VPC; both outlive it. Its errors are sentences about the id.
cloud::FindHop hop_finder(const World& world, const cloud::Vpc& vpc);

}  // namespace weft::controller
