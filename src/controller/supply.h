// Supply: the condition AddressesAvailable of a vSwitch: True while it has enough, False (RunningLow) before it runs
// dry and (Exhausted) when it has. Threads: the brain's only. Source: cloud/forecast.h.
#pragma once
#include "cloud/forecast.h"
#include "cloud/ipam.h"
#include "controller/world.h"

namespace weft::controller {

// Notes the use of now and puts the condition into `next`.
void put_supply(World& world, const kube::Object& vswitch, const cloud::Counts& counts, kube::Object& next);

// A pace that has ceased makes itself known by no change: one that is low is looked at again by time.
inline constexpr Duration supply_look_again = std::chrono::minutes(1);
bool wants_another_look(const kube::Object& vswitch);

}  // namespace weft::controller
