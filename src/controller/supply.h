// Supply: the condition AddressesAvailable of a vSwitch: True while it has enough, False (RunningLow) before it runs
// dry and (Exhausted) when it has. Threads: the brain's only. Source: cloud/forecast.h.
#pragma once
#include "cloud/forecast.h"
#include "cloud/ipam.h"
#include "controller/world.h"

namespace weft::controller {

// Notes the use of now and puts the condition into `next`.
void put_supply(World& world, const kube::Object& vswitch, const cloud::Counts& counts, kube::Object& next);

}  // namespace weft::controller
