// PodMtu: what the interfaces of pods carry on this node, by how their VPC crosses the wire. Through the tunnel an
// uplink below 1330 bytes leaves less than the 1280 that IPv6 needs on every link (RFC 8200 §5): pods have 1280 all the
// same, and what the wire cannot take is told to them (IPv4, by its size) or cut outside (IPv6, up to 1280).
// docs/design/overlay.md.
#pragma once
#include <algorithm>

#include "abi/tunnel.h"
#include "cloud/vpc.h"

namespace weft::agent {

inline constexpr unsigned ipv6_mtu_min = 1280;

struct PodMtu {
    unsigned tunnel = 0;
    unsigned routed = 0;  // VPCs without overlay

    unsigned of(const cloud::Vpc& vpc) const { return vpc.is_routed ? routed : tunnel; }
};

inline PodMtu pod_mtu(unsigned uplink_mtu) {
    return {std::max(uplink_mtu, ipv6_mtu_min + TUNNEL_OVERHEAD) - TUNNEL_OVERHEAD, uplink_mtu};
}

}  // namespace weft::agent
