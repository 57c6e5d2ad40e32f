// Announcing: the Announcer among the agent's reconcilers: Nodes, Services and their slices tell it who may announce
// what, and a round comes by time. Threads: the brain's.
#pragma once
#include "agent/announcer.h"
#include "agent/view.h"
#include "kube/brain.h"

namespace weft::agent {

// Before the brain runs; all must outlive it.
void add_announcing(kube::Brain& brain, const View& view, Announcer& announcer);

}  // namespace weft::agent
