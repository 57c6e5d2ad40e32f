// NodeFit: may this pod run on that node? Ready and not cordoned, spec.nodeSelector, taints, podAntiAffinity that is
// required, and hostPorts that no other pod has there (the same number with another protocol or hostIP is another
// port). A pod that names its node itself runs there, whatever the node says. Node affinity is not read: the pod's
// vSwitches decide the zone (spec/acs.md §3.1). Threads: values only; made anew for each decision.
#pragma once
#include <set>
#include <string>

#include "controller/world.h"

namespace weft::controller {

class NodeFit {
public:
    NodeFit(const World& world, const kube::Object& pod);

    // "" when it may; else a few words that follow a number of nodes: "2 not Ready".
    std::string why_not(const kube::Object& node) const;

private:
    const kube::Object& pod_;
    // {label of nodes, value}: where a pod stands that this one keeps away from.
    std::set<std::pair<std::string, std::string>> avoided_;
    std::set<std::string, std::less<>> without_port_;  // nodes where another pod has a hostPort of this one
};

}  // namespace weft::controller
