// Overlay: where everything is that is not on this node. Rows of `nodes` (how to reach each other node) and `locations`
// (what lives there): the AddressBlocks leased to it, in both families; single addresses that were split from a block;
// its neighbours' addresses; and its underlay address, from which alone its tunnel frames are believed.
//
// A node has a row for its tunnel and, while a VPC without overlay exists, one a family for the way on which the fabric
// routes pods (NODE_WAY_V4, NODE_WAY_V6), whose next hop is the kernel's choice for that node's own address. Where
// there is no such way the tunnel stands in for it. A way carries what both ends' uplinks do (annotation
// weft.dev/uplink-mtu; its absence says: as much as ours).
//
// desired_* are pure. A node keeps its number while it keeps its name; after a restart it is taken over from the map by
// its address. Nothing is erased before the caches are in sync; a way stands before what leads to it, and goes after
// it. A node that is not legible (no InternalIP yet) has no rows. A change costs the rows of what changed (a block, the
// blocks of a node, a VPC or a vSwitch) and a look at the other nodes, however many blocks there are. Threads: the
// brain's. Source: design.md §5, §6, bpf/abi/location.h, docs/design/overlay.md.
#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/host.h"
#include "agent/tables.h"
#include "agent/underlay.h"
#include "agent/view.h"

namespace weft::agent {

// Another node, as its Node object shows it.
struct OtherNode {
    std::string name;
    net::Address underlay;
    std::vector<net::Address> neighbours;  // of its service and host endpoints
    std::optional<net::Address> underlay_ipv6 = std::nullopt;
    unsigned mtu = 0;  // of its uplink; 0: it has not said
    // Next hops on the way to its underlay addresses, where the fabric is to route pods.
    std::optional<net::Address> hop = std::nullopt, hop_ipv6 = std::nullopt;
    bool on_link = false;  // on the uplink's own wire: NODE_ON_LINK

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
    uint32_t way = 0;  // NODE_WAY_*; 0: the tunnel
    bool operator==(const LeasedBlock&) const = default;
};

std::map<abi::location_key, uint32_t> desired_locations(const std::vector<OtherNode>& nodes, const NodeNumbers& numbers,
                                                        const std::vector<LeasedBlock>& blocks);

// Those whose uplink takes less than ours.
std::map<net::Address, unsigned> narrower_nodes(const std::vector<OtherNode>& nodes, unsigned uplink_mtu);

// The IPv6 addresses that go with a block of IPv4 ones; nothing where the vSwitch has none.
std::optional<net::Prefix> ipv6_of_block(const cloud::VSwitch& vswitch, const net::Prefix& cidr);

// Makes the node's VXLAN device, or adopts it, and returns its ifindex.
Result<uint32_t> ensure_tunnel(const Uplink& uplink);

class Overlay {
public:
    // `nodes` holds every Node.
    Overlay(const View& view, const kube::Cache& nodes, Tables& tables, unsigned uplink_mtu, Underlay& underlay)
        : view_(view), nodes_(nodes), tables_(tables), uplink_mtu_(uplink_mtu), underlay_(underlay) {}

    Status reconcile();
    // The rows of the nodes, and of the blocks of those that changed; the rows of one AddressBlock, by its name. Everything
    // where two claim one row or the last write failed.
    Status reconcile_nodes();
    Status reconcile_block(const std::string& name);
    bool has_moved();  // would the ways to the nodes be others now; asks the kernel about each

private:
    using Locations = std::map<abi::location_key, uint32_t>;

    std::vector<OtherNode> other_nodes();
    bool has_routed_vpc() const;
    // Both families of it; nothing where it is here, not legible, or of a VPC without a number.
    std::vector<LeasedBlock> parse_leased(const kube::Object& block) const;
    uint32_t way_of(const kube::Object& vpc, std::string_view node, const net::Prefix& block) const;
    Locations rows_of_block(const std::string& name) const;
    std::set<std::string> look_at_nodes();  // which are other than before
    // false: shared with another, nothing is written.
    Result<bool> write_rows(const std::string& name, const Locations& want);
    void count() const;

    const View& view_;
    const kube::Cache& nodes_;
    Tables& tables_;
    unsigned uplink_mtu_;
    Underlay& underlay_;
    NodeNumbers numbers_;
    std::vector<OtherNode> others_;                                        // as of the last look at them
    std::map<net::Address, bool> on_link_;                                 // what the kernel said since has_moved()
    std::map<std::string, std::vector<abi::location_key>> rows_of_block_;  // by name; "": the nodes' own
    std::map<abi::location_key, unsigned> claims_;                         // of blocks and nodes
    bool is_stale_ = true;  // what is remembered may not be what is written
};

// Joins it to the brain: Nodes, AddressBlocks, VPCs and vSwitches make it look again.
void add_overlay(kube::Brain& brain, const View& view, Overlay& overlay);

}  // namespace weft::agent
