// PodNetworks: the network that a pod asks for itself, in one of Terway's three annotations:
//
//   k8s.aliyun.com/pod-networks           spelled out: {"podNetworks": [{"vSwitchOptions": [...], "securityGroupIDs": [...],
//                                         "allocationType": {...}, "vSwitchSelectOptions": {...}, "interface": "eth0"}]}
//   k8s.aliyun.com/pod-networks-request   PodNetworkings by name: [{"network": "edge", "interfaceName": "eth0"}]
//   k8s.aliyun.com/pod-networking         one PodNetworking by name; ours too, on a pod that one has selected
//
// Two of them together are refused. Our pods have one interface, so each names one network. Errors name the annotation.
// Threads: values only. Source: spec/acs.md §3.4.
#pragma once
#include <optional>
#include <string>

#include "cloud/pod_networking.h"

namespace weft::cloud {

struct OwnNetwork {
    std::optional<PodNetworking> spelled_out;
    std::string named;  // a PodNetworking; "" = none

    bool is_there() const { return spelled_out || !named.empty(); }
};

// Nothing for a pod that Terway leaves alone: in its node's network, or labelled k8s.aliyun.com/ignore-by-terway.
Result<OwnNetwork> own_network(const json::Value& pod);
bool is_left_alone(const json::Value& pod);

}  // namespace weft::cloud
