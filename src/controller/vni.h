// VNI: a VPC's number on the wire. status.vni is the one place that says who has which; it is written once. A number
// rests for a week after its VPC is gone, counted by monotonic clocks alone (cloud/lapse.h), and one that nodes still use is
// taken over if a status is lost.
// Errors: the API's. Threads: the brain's. Source: design.md §4.
#pragma once
#include "controller/world.h"

namespace weft::controller {

// Why the VPC cannot have the number that its spec asks for; "" when it can, or asks for none.
std::string vni_conflict(World& world, const kube::Object& vpc);
// For a VPC that has none: the one it asks for, the one that nodes say it has, else the lowest that is free.
Result<int64_t> choose_vni(World& world, const kube::Object& vpc);
// The VPC is going: its number begins to rest.
Status record_release(World& world, int64_t vni, std::string_view vpc);
// Every Lapse::renewal_period: notes for how long the numbers have rested, and forgets those that have.
Status note_rests(World& world);

}  // namespace weft::controller
