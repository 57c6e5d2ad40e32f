// Overlay: where everything is that is not on this node. Rows of `nodes` (how to reach each other node) and `locations`
// (what lives there): the AddressBlocks leased to it, in both families; single addresses that were split from a block;
// its neighbours' addresses; and its underlay address, from which alone its tunnel frames are believed.
//
// desired_* are pure. A node keeps its number while it keeps its name; after a restart it is taken over from the map by
// its address. Nothing is erased before the caches are in sync; a way stands before what leads to it, and goes after it.
// A node that is not legible (no InternalIP yet) has no rows. Threads: the brain's. Source: design.md §5, §6,
// bpf/abi/location.h, docs/design/overlay.md.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/host.h"
#include "agent/tables.h"
#include "agent/view.h"

namespace weft::agent {

// Another node, as its Node object shows it.
struct OtherNode {
    std::string name;
    net::Address underlay;
    std::vector<net::Address> neighbours;  // of its service and host endpoints
    bool operator==(const OtherNode&) const = default;
};

// invalid: no InternalIP of IPv4.
Result<OtherNode> parse_other_node(const kube::Object& node);

using NodeNumbers = std::map<std::string, uint32_t>;  // by name

// Each node's number: the one it has, else that of its address in `rows`, else the lowest that is free.
NodeNumbers number_nodes(const std::vector<OtherNode>& nodes, const NodeNumbers& before,
                         const std::map<uint32_t, abi::remote_node>& rows);

std::map<uint32_t, abi::remote_node> desired_nodes(const std::vector<OtherNode>& nodes, const NodeNumbers& numbers,
                                                   unsigned uplink_mtu);

struct LeasedBlock {
    std::string node;
    uint32_t vni = 0;
    net::Prefix cidr;
    bool operator==(const LeasedBlock&) const = default;
};

std::map<abi::location_key, uint32_t> desired_locations(const std::vector<OtherNode>& nodes,
                                                        const NodeNumbers& numbers,
                                                        const std::vector<LeasedBlock>& blocks);

// The IPv6 addresses that go with a block of IPv4 ones; nothing where the vSwitch has none.
std::optional<net::Prefix> ipv6_of_block(const cloud::VSwitch& vswitch, const net::Prefix& cidr);

// Makes the node's VXLAN device, or adopts it, and returns its ifindex.
Result<uint32_t> ensure_tunnel(const Uplink& uplink);

class Overlay {
public:
    // `nodes` holds every Node.
    Overlay(const View& view, const kube::Cache& nodes, Tables& tables, unsigned uplink_mtu)
        : view_(view), nodes_(nodes), tables_(tables), uplink_mtu_(uplink_mtu) {}

    Status reconcile();

private:
    std::vector<OtherNode> other_nodes() const;
    std::vector<LeasedBlock> leased_blocks() const;

    const View& view_;
    const kube::Cache& nodes_;
    Tables& tables_;
    unsigned uplink_mtu_;
    NodeNumbers numbers_;
};

// Joins it to the brain: Nodes, AddressBlocks, VPCs and vSwitches make it look again.
void add_overlay(kube::Brain& brain, const View& view, Overlay& overlay);

}  // namespace weft::agent
