// System table: the RouteTable vrt-<vpc> that every VPC has from the start and that goes with it.
// Errors: the API's. Threads: the brain's. Source: spec/acs.md §1.3.
#pragma once
#include "controller/world.h"

namespace weft::controller {

Status ensure_system_table(World& world, const kube::Object& vpc);
Status remove_system_table(World& world, const kube::Object& vpc);  // absent is success

}  // namespace weft::controller
