#include "agent/overlay.h"

#include "agent/interface_ipv6.h"
#include "agent/mtu.h"
#include "base/json.h"

namespace weft::agent {
namespace {

net::Address ip(std::string_view text) { return MUST(net::Address::parse(text)); }

net::Prefix prefix(std::string_view text) { return MUST(net::Prefix::parse(text)); }

OtherNode node(std::string name, std::string_view underlay) { return {std::move(name), ip(underlay), {}}; }

abi::remote_node row(std::string_view underlay) { return {abi::to_abi(ip(underlay)), 1450, 0}; }

kube::Object object(std::string_view yaml) { return kube::Object(MUST(json::parse_yaml(yaml)).at(0)); }

TEST(OverlayNodes, are_read_from_the_node_object) {
    const auto parsed = parse_other_node(object(R"(
metadata:
  name: n2
  annotations: {weft.dev/service-address: 100.64.0.4, weft.dev/host-address: 100.64.0.5, weft.dev/uplink-mtu: "9000"}
status:
  addresses:
  - {type: Hostname, address: n2}
  - {type: InternalIP, address: "fd00::2"}
  - {type: InternalIP, address: 198.18.1.2})"));
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(*parsed,
              (OtherNode{"n2", ip("198.18.1.2"), {ip("100.64.0.4"), ip("100.64.0.5")}, ip("fd00::2"), 9000}));
    const auto bare = parse_other_node(object("metadata: {name: n3}\nstatus: {addresses: []}"));
    ASSERT_FALSE(bare);
    EXPECT_NE(bare.error().message.find("n3: status.addresses"), std::string::npos) << bare.error().message;
}

TEST(OverlayNodes, keep_their_number_and_get_it_back_after_a_restart_by_their_address) {
    const std::vector<OtherNode> nodes{node("n2", "198.18.1.2"), node("n3", "198.18.1.3")};
    const NodeNumbers first = number_nodes(nodes, {}, {});
    EXPECT_EQ(first, (NodeNumbers{{"n2", 1}, {"n3", 2}}));

    const std::vector<OtherNode> moved{node("n2", "198.18.1.9"), node("n3", "198.18.1.3")};
    EXPECT_EQ(number_nodes(moved, first, desired_nodes(nodes, first, 1500)), first) << "n2 changed its address";

    const std::map<uint32_t, abi::remote_node> rows{{5, row("198.18.1.3")}, {7, row("198.18.1.2")}};
    EXPECT_EQ(number_nodes(nodes, {}, rows), (NodeNumbers{{"n2", 7}, {"n3", 5}})) << "after a restart";
}

TEST(OverlayNodes, never_get_the_number_of_one_whose_row_still_stands) {
    const NodeNumbers before{{"n2", 1}};
    const std::map<uint32_t, abi::remote_node> rows{{1, row("198.18.1.2")}};
    EXPECT_EQ(number_nodes({node("n3", "198.18.1.3")}, before, rows), (NodeNumbers{{"n3", 2}}));
}

TEST(OverlayLocations, are_blocks_of_other_nodes_their_neighbours_in_both_families_and_their_underlay) {
    OtherNode n2 = node("n2", "198.18.1.2");
    n2.neighbours = {ip("100.64.0.5")};
    const std::vector<LeasedBlock> blocks{
        {"n2", 7, prefix("10.0.2.0/28")}, {"n2", 7, prefix("10.0.1.3/32")}, {"unknown", 7, prefix("10.0.3.0/28")}};
    const auto rows = desired_locations({n2}, {{"n2", 4}}, blocks);
    const std::map<abi::location_key, uint32_t> want{
        {abi::location_key_of(VPC_OUTSIDE, prefix("198.18.1.2/32")), 4},
        {abi::location_key_of(LOCATION_EVERY_VPC, prefix("100.64.0.5/32")), 4},
        {abi::location_key_of(LOCATION_EVERY_VPC, net::Prefix::host(neighbour_ipv6(ip("100.64.0.5")))), 4},
        {abi::location_key_of(7, prefix("10.0.2.0/28")), 4},
        {abi::location_key_of(7, prefix("10.0.1.3/32")), 4},
    };
    EXPECT_EQ(rows, want);
}

TEST(OverlayLocations, the_ipv6_half_of_a_block_lies_where_its_ipv4_half_does) {
    cloud::VSwitch vswitch;
    vswitch.cidr = prefix("10.0.2.0/24");
    EXPECT_EQ(ipv6_of_block(vswitch, prefix("10.0.2.32/28")), std::nullopt);
    vswitch.ipv6_block = prefix("fd00:1:2:3::/64");
    vswitch.ipv6_given = true;
    EXPECT_EQ(ipv6_of_block(vswitch, prefix("10.0.2.32/28")), prefix("fd00:1:2:3::20/124"));
    EXPECT_EQ(ipv6_of_block(vswitch, prefix("10.0.2.5/32")), prefix("fd00:1:2:3::5/128"));
}

TEST(OverlayMtu, is_what_the_tunnel_leaves_of_the_narrower_of_both_uplinks) {
    OtherNode other = node("n2", "198.18.1.2");
    const auto mtu_of_way = [&] { return desired_nodes({other}, {{"n2", 1}}, 1500).at(1).mtu; };
    EXPECT_EQ(mtu_of_way(), 1450u) << "it has not said: as much as ours";
    other.mtu = 9000;
    EXPECT_EQ(mtu_of_way(), 1450u);
    EXPECT_TRUE(narrower_nodes({other}, 1500).empty());
    other.mtu = 1280;
    EXPECT_EQ(mtu_of_way(), 1230u);
    EXPECT_EQ(narrower_nodes({other}, 1500), (std::map<net::Address, unsigned>{{ip("198.18.1.2"), 1280}}));
}

TEST(OverlayMtu, of_a_node_that_says_nonsense_is_as_unknown) {
    for (const char* text : {"", "0", "575", "65536", "-1", "1500 bytes"}) {
        kube::Object n2 = object("metadata: {name: n2}\nstatus: {addresses: [{type: InternalIP, address: 198.18.1.2}]}");
        n2.set_annotation("weft.dev/uplink-mtu", text);
        EXPECT_EQ(MUST(parse_other_node(n2)).mtu, 0u) << text;
    }
}

TEST(OverlayMtu, of_pods_leaves_ipv6_its_1280_whatever_the_uplink) {
    EXPECT_EQ(pod_mtu(1500).tunnel, 1450u);
    EXPECT_EQ(pod_mtu(9000).tunnel, 8950u);
    EXPECT_EQ(pod_mtu(1280).tunnel, 1280u);
    EXPECT_EQ(pod_mtu(1280).routed, 1280u);
    EXPECT_EQ(pod_mtu(9000).routed, 9000u);
}

TEST(OverlayNodes, those_on_the_wire_are_marked_and_reached_by_the_hooks_alone) {
    OtherNode n2 = node("n2", "198.18.1.2");
    EXPECT_EQ(desired_nodes({n2}, {{"n2", 4}}, 1500).at(4).flags, 0u);
    n2.on_link = true;
    EXPECT_EQ(desired_nodes({n2}, {{"n2", 4}}, 1500).at(4).flags, uint32_t(abi::NODE_ON_LINK));
}

TEST(OverlayRouted, a_node_has_a_way_a_family_beside_its_tunnel) {
    OtherNode n2 = node("n2", "198.18.1.2");
    n2.hop = ip("198.18.0.1");
    n2.hop_ipv6 = ip("fd00::2");
    n2.mtu = 1400;
    const auto rows = desired_nodes({n2}, {{"n2", 4}}, 1500);
    const std::map<uint32_t, abi::remote_node> want{
        {4, {abi::to_abi(ip("198.18.1.2")), 1350, 0}},
        {4 | NODE_WAY_V4, {abi::to_abi(ip("198.18.0.1")), 1400, abi::NODE_ROUTED}},
        {4 | NODE_WAY_V6, {abi::to_abi(ip("fd00::2")), 1400, abi::NODE_ROUTED}},
    };
    EXPECT_EQ(rows, want);
    EXPECT_EQ(number_nodes({n2}, {}, rows), (NodeNumbers{{"n2", 4}})) << "after a restart";
    const auto locations = desired_locations({}, {{"n2", 4}}, {{"n2", 7, prefix("10.0.2.0/28"), NODE_WAY_V4}});
    EXPECT_EQ(locations.at(abi::location_key_of(7, prefix("10.0.2.0/28"))), 4 | NODE_WAY_V4);
}

}  // namespace
}  // namespace weft::agent
