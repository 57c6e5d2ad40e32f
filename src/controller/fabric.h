// Fabric: may a VPC do without overlay? Its addresses are then spoken on the wire itself, so they must be nobody else's
// there: no other such VPC's, no node's, no public pool's. Of two that collide the one that is in effect stays, then
// the older. Errors: sentences that name the field. Threads: the brain's. Source: docs/design/overlay.md "Without the
// overlay".
#pragma once
#include <string>

#include "controller/world.h"

namespace weft::controller {

// "" when it may, or has an overlay.
std::string fabric_conflict(const World& world, const cloud::Vpc& vpc);
// What of it takes the tunnel all the same, and why; "" when nothing has to.
std::string fabric_gap(const World& world, const cloud::Vpc& vpc);

}  // namespace weft::controller
