// Topology: the wires of a weft on one machine, made of network namespaces. Everything is created if absent and adopted
// if there, so `up` may be run again at any time, also after it was killed in the middle.
//
//   weft-I-internet --eth0--\                                   198.18.0.1/16, clients 198.51.100.7 and 192.0.2.7 on lo
//                            street (bridge in weft-I-fabric)
//   weft-I-node-1 ---eth0---/                                   198.18.1.1/16, default route 198.18.0.1
//   weft-I-node-2 ---eth0---/                                   198.18.1.2/16 ...
//
// The same in IPv6: fd00:198:18::1/64, clients 2001:db8:51::7 and 2001:db8:2::7; nodes fd00:198:18::1:1/64 and so on.
// 203.0.113.0/24 and 2001:db8:113::/64 are on-link for `internet`: a node wins a public address by answering ARP and ND.
// Source: docs/design/standalone.md. Limits: nodes_max.
#pragma once
#include <string>
#include <vector>

#include "base/instance.h"
#include "base/result.h"
#include "net/address.h"

namespace weft::standalone {

inline constexpr unsigned nodes_max = 200;

struct NodeSpec {
    std::string name;
    std::vector<std::string> zones;  // the first is its topology zone; one node may stand for several
    unsigned number = 1;             // 1 .. nodes_max: its underlay address is 198.18.1.number
};

net::Address underlay_address(const NodeSpec& node);
net::Address ipv6_underlay_address(const NodeSpec& node);

Status build_topology(const Instance& instance, const std::vector<NodeSpec>& nodes);
// Takes the node's port off the street, and with it its uplink; gone already is success.
Status leave_street(const Instance& instance, const NodeSpec& node);
// Every namespace whose name carries the instance, pods' and service endpoints' too.
Status remove_topology(const Instance& instance);

// Our own BPF file system under the run folder, and the cgroup folders. cgroup2's mount point is returned.
Result<std::string> mount_file_systems(const Instance& instance, const std::vector<NodeSpec>& nodes);

}  // namespace weft::standalone
