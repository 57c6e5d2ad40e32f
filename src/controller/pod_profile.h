// PodProfile: what the cloud adds to a pod at its creation: the network that it asks for itself (cloud/pod_networks.h) or the
// PodNetworking that selects it, then the effects of acs-profile's selectors. A key is only added, never replaced: the pod's own value wins, then the PodNetworking, then
// the selectors in their order. Decided once, before the pod is bound, and noted in weft.dev/profiled.
//
// Reads the API itself, not the caches: what was there when the pod was made must count. Threads: the brain's only.
// Source: spec/acs.md §3.3, §3.4.
#pragma once
#include <string>

#include "cloud/pod_networking.h"
#include "controller/world.h"

namespace weft::controller {

struct Additions {
    json::Object annotations, labels;
};

// What the pod lacks, the note included; empty when it has the note, or names a PodNetworking that cannot be used now. An API
// that does not answer is an error: nothing is decided without it.
Result<Additions> additions_for(World& world, const kube::Object& pod);
void add_to(kube::Object& pod, const Additions& additions);

// A PodNetworking as it stands: its vSwitches found, or why it cannot be used.
struct NetworkingState {
    std::vector<cloud::VSwitch> vswitches;
    std::string problem;
};

NetworkingState judge_pod_networking(World& world, const kube::Object& object);

// Why this pod cannot use the PodNetworking; "" when it can.
std::string why_not(World& world, const kube::Object& pod, const kube::Object& pod_networking);
// Will the next pod of its kind have the same name? A fixed address is for those only.
bool has_lasting_name(const kube::Object& pod);

}  // namespace weft::controller
