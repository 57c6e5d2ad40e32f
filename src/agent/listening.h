// Listening: the multicast groups in which others on the wire look for this node's IPv6 addresses that its kernel does
// not know of: the public ones it announces, and those of its pods where the fabric routes them.
//
// desired_groups is pure. Called at every round of the announcer, behind it: an address is listened for as soon as it
// is announced. Threads: the brain's. Source: RFC 4861 §7.2.1; kernel/multicast.h.
#pragma once
#include <set>

#include "agent/tables.h"
#include "kernel/multicast.h"
#include "kube/brain.h"

namespace weft::agent {

std::set<net::Mac> desired_groups(const Tables& tables);

// Both must outlive the brain.
void add_listening(kube::Brain& brain, const Tables& tables, kernel::MulticastGroups& groups);

}  // namespace weft::agent
