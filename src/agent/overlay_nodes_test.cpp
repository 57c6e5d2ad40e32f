// Nodes that come, change and leave, and VPCs that the fabric routes: what the overlay's rows become.
#include "agent/interface_ipv6.h"
#include "agent/overlay_scene.h"

namespace weft::agent {
namespace {

constexpr std::string_view world = R"(
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 198.18.1.1}, {type: InternalIP, address: "fd00:18::1"}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2, annotations: {weft.dev/host-address: 100.64.0.5}}
status: {addresses: [{type: InternalIP, address: 198.18.1.2}, {type: InternalIP, address: "fd00:18::2"}]}
---
apiVersion: v1
kind: Node
metadata: {name: n3}
status: {addresses: [{type: InternalIP, address: 198.18.1.3}]}
---
apiVersion: weft.dev/v1
kind: VPC
metadata: {name: over}
spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20}
status: {vni: 7}
---
apiVersion: weft.dev/v1
kind: VSwitch
metadata: {name: over-1}
spec: {vpc: over, zone: z, cidrBlock: 10.0.0.0/20}
---
apiVersion: weft.dev/v1
kind: VSwitch
metadata: {name: plain-1}
spec: {vpc: plain, zone: z, cidrBlock: 10.1.0.0/20}
status: {ipv6CidrBlock: "fd00:1::/64"}
---
{apiVersion: weft.dev/v1, kind: AddressBlock, metadata: {name: o2}, spec: {vpc: over, vSwitch: over-1, cidr: 10.0.0.0/28, node: n2}}
---
{apiVersion: weft.dev/v1, kind: AddressBlock, metadata: {name: o3}, spec: {vpc: over, vSwitch: over-1, cidr: 10.0.0.16/28, node: n3}}
---
{apiVersion: weft.dev/v1, kind: AddressBlock, metadata: {name: p2}, spec: {vpc: plain, vSwitch: plain-1, cidr: 10.1.0.0/28, node: n2}}
---
{apiVersion: weft.dev/v1, kind: AddressBlock, metadata: {name: p3}, spec: {vpc: plain, vSwitch: plain-1, cidr: 10.1.0.16/28, node: n3}}
)";

constexpr std::string_view plain = R"(
apiVersion: weft.dev/v1
kind: VPC
metadata: {name: plain}
spec: {cidrBlock: 10.1.0.0/16, serviceCIDR: 172.21.0.0/20, encapsulation: None}
status: {vni: 8}
)";

struct OverlayOfNodes : OverlayScene {
    OverlayOfNodes() : OverlayScene(world) { brain->run_until_idle(); }

    void change(const kube::Resource& resource, const std::string& name,
                const std::function<void(kube::Object&)>& edit) {
        kube::Object object = MUST(api.get(resource, {"", name}));
        edit(object);
        MUST(api.update(resource, object));
        brain->run_until_idle();
    }

    // "198.18.1.2 1450", "198.18.1.2 1500 routed", "nowhere".
    std::string way(uint32_t vni, std::string_view block) {
        const uint32_t* const number =
            tables.locations.find(abi::location_key_of(vni, MUST(net::Prefix::parse(block))));
        if (number == nullptr) return "nowhere";
        const abi::remote_node* const node = tables.nodes.find(*number);
        if (node == nullptr) return "lost";
        return abi::from_abi(node->underlay).text() + " " + std::to_string(node->mtu) +
               (node->flags & abi::NODE_ROUTED ? " routed" : "");
    }
};

TEST_F(OverlayOfNodes, a_node_that_changes_its_address_costs_its_own_rows_and_nobody_elses) {
    EXPECT_EQ(way(7, "10.0.0.0/28"), "198.18.1.2 1450");
    const uint64_t before = maps.writes();
    kube::Object n2 = MUST(api.get(kube::nodes, {"", "n2"}));
    n2.set({"status", "addresses"}, json::Array{json::Object{{"type", "InternalIP"}, {"address", "198.18.1.22"}}});
    MUST(api.update_status(kube::nodes, n2));
    brain->run_until_idle();
    EXPECT_EQ(maps.writes() - before, 3u) << "its way; who is believed: one more, one less";
    EXPECT_EQ(way(7, "10.0.0.0/28"), "198.18.1.22 1450");
    EXPECT_EQ(way(0, "198.18.1.22/32"), "198.18.1.22 1450");
    EXPECT_EQ(way(0, "198.18.1.2/32"), "nowhere") << "frames from its old address are a stranger's";
    EXPECT_EQ(way(7, "10.0.0.16/28"), "198.18.1.3 1450");
}

TEST_F(OverlayOfNodes, a_node_that_leaves_takes_all_its_rows_with_it) {
    MUST(api.remove(kube::nodes, {"", "n2"}));
    brain->run_until_idle();
    EXPECT_EQ(way(7, "10.0.0.0/28"), "nowhere") << "its lease may outlive it for a moment";
    EXPECT_EQ(way(0, "198.18.1.2/32"), "nowhere");
    EXPECT_EQ(way(LOCATION_EVERY_VPC, "100.64.0.5/32"), "nowhere");
    EXPECT_EQ(tables.nodes.rows().size(), 1u);
    EXPECT_EQ(way(7, "10.0.0.16/28"), "198.18.1.3 1450");
    MUST(api.remove(kube::address_blocks, {"", "o2"}));
    api.seed(
        "{apiVersion: weft.dev/v1, kind: AddressBlock, metadata: {name: o9}, spec: {vpc: over, vSwitch: over-1, cidr: "
        "10.0.0.0/28, node: n3}}");
    brain->run_until_idle();
    EXPECT_EQ(way(7, "10.0.0.0/28"), "198.18.1.3 1450") << "its addresses are lent to another";
}

TEST_F(OverlayOfNodes, what_another_uplink_carries_is_known_at_once_in_both_directions) {
    const auto say = [&](const char* mtu) {
        change(kube::nodes, "n2", [&](kube::Object& node) { node.set_annotation("weft.dev/uplink-mtu", mtu); });
    };
    say("9000");
    EXPECT_EQ(way(7, "10.0.0.0/28"), "198.18.1.2 1450") << "no more than ours";
    EXPECT_TRUE(underlay.narrow.empty());
    say("1280");
    EXPECT_EQ(way(7, "10.0.0.0/28"), "198.18.1.2 1230");
    EXPECT_EQ(underlay.narrow.size(), 1u) << "the kernel cuts the tunnel's own packets for it";
    EXPECT_EQ(way(7, "10.0.0.16/28"), "198.18.1.3 1450");
    say("1500");
    EXPECT_EQ(way(7, "10.0.0.0/28"), "198.18.1.2 1450");
    EXPECT_TRUE(underlay.narrow.empty());
}

TEST_F(OverlayOfNodes, a_way_that_begins_to_lead_over_a_router_is_the_devices_within_seconds) {
    const auto is_on_link = [&] {
        const abi::remote_node* const n2 =
            tables.nodes.find(*tables.locations.find(abi::location_key_of(7, MUST(net::Prefix::parse("10.0.0.0/28")))));
        return n2->flags == uint32_t(abi::NODE_ON_LINK);
    };
    EXPECT_TRUE(is_on_link());
    const uint64_t before = maps.writes();
    underlay.hops[MUST(net::Address::parse("198.18.1.2"))] = MUST(net::Address::parse("198.18.0.1"));
    clock.advance(std::chrono::seconds(6));
    brain->run_until_idle();
    EXPECT_FALSE(is_on_link());
    EXPECT_EQ(maps.writes() - before, 1u) << "one row, however many blocks lie behind it";
    underlay.hops.clear();
    clock.advance(std::chrono::seconds(6));
    brain->run_until_idle();
    EXPECT_TRUE(is_on_link());
}

TEST_F(OverlayOfNodes, a_vpc_without_overlay_is_reached_by_the_next_hop_the_kernel_chooses_for_its_node) {
    EXPECT_EQ(way(8, "10.1.0.0/28"), "nowhere");
    EXPECT_EQ(tables.nodes.rows().size(), 2u) << "no such VPC: tunnels only";
    api.seed(plain);
    brain->run_until_idle();
    EXPECT_EQ(way(8, "10.1.0.0/28"), "198.18.1.2 1500 routed");
    EXPECT_EQ(way(8, "fd00:1::/124"), "fd00:18::2 1500 routed");
    EXPECT_EQ(way(8, "fd00:1::10/124"), "198.18.1.3 1450") << "n3 has no IPv6 on the wire: the tunnel stands in";
    EXPECT_EQ(way(7, "10.0.0.0/28"), "198.18.1.2 1450") << "other VPCs keep their overlay";
    EXPECT_EQ(way(LOCATION_EVERY_VPC, "100.64.0.5/32"), "198.18.1.2 1450") << "neighbours are spoken to by the tunnel";

    underlay.hops[MUST(net::Address::parse("198.18.1.2"))] = MUST(net::Address::parse("198.18.0.1"));
    underlay.unreachable.insert(MUST(net::Address::parse("fd00:18::2")));
    clock.advance(std::chrono::seconds(6));
    brain->run_until_idle();
    EXPECT_EQ(way(8, "10.1.0.0/28"), "198.18.0.1 1500 routed") << "a router stands between now";
    EXPECT_EQ(way(8, "fd00:1::/124"), "198.18.1.2 1450");

    MUST(api.remove(kube::vpcs, {"", "plain"}));
    brain->run_until_idle();
    EXPECT_EQ(way(8, "10.1.0.0/28"), "nowhere");
    EXPECT_EQ(tables.nodes.rows().size(), 2u);
}

TEST_F(OverlayOfNodes, after_a_restart_nothing_is_written) {
    api.seed(plain);
    brain->run_until_idle();
    const uint64_t before = maps.writes();
    const auto again = kube::Brain::create(api, clock);
    Tables same(maps);
    MUST(same.load());
    View fresh_view{*again, "n1"};
    Overlay fresh{fresh_view, again->watch(kube::nodes), same, 1500, underlay};
    add_overlay(*again, fresh_view, fresh);
    again->run_until_idle();
    EXPECT_EQ(maps.writes(), before);
}

}  // namespace
}  // namespace weft::agent
