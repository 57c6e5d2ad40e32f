// The rules of spec/acs.md §1.3 and §1.4, one row each.
#include "cloud/route_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cloud/peering.h"

namespace weft::cloud {
namespace {

net::Prefix prefix(std::string_view text) { return MUST(net::Prefix::parse(text)); }

json::Value yaml(std::string_view text) {
    auto documents = MUST(json::parse_yaml(text));
    ENSURE(documents.size() == 1);
    return documents[0];
}

Vpc vpc(std::string name = "v") {
    Vpc vpc;
    vpc.name = std::move(name);
    vpc.vni = 7;
    vpc.blocks = {prefix("10.0.0.0/16"), prefix("192.168.0.0/20")};
    vpc.service_cidr = prefix("172.21.0.0/20");
    vpc.ipv6_block = prefix("fd00:1::/56");
    return vpc;
}

std::vector<VSwitch> vswitches() {
    VSwitch a;
    a.name = "vsw-a";
    a.vpc = "v";
    a.cidr = prefix("10.0.1.0/24");
    a.ipv6_block = prefix("fd00:1::/64");
    VSwitch elsewhere = a;
    elsewhere.name = "vsw-other";
    elsewhere.vpc = "w";
    elsewhere.cidr = prefix("10.9.0.0/24");
    return {a, elsewhere};
}

std::expected<NextHop, std::string> find_hop(HopType type, std::string_view id, bool is_v4) {
    if (type == HopType::vpc_peer && id == "peer-a") return NextHop{.vni = 9, .via = std::nullopt};
    if (type == HopType::instance && id == "default/fw")
        return NextHop{.vni = 0, .via = MUST(net::Address::parse(is_v4 ? "10.0.1.4" : "fd00:1::4"))};
    return std::unexpected("is not there");
}

std::vector<JudgedRoute> judge(std::vector<RouteWish> routes, std::string name = "vrt-mine") {
    RouteTable table{.name = std::move(name), .created = {}, .vpc = "v", .routes = std::move(routes)};
    return judge_routes(table, vpc(), vswitches(), find_hop);
}

TEST(RouteTable, a_route_that_breaks_a_rule_is_a_conflict_that_names_it) {
    struct Row {
        RouteWish wish;
        RouteState state;
        std::string_view message;  // its beginning, after the field
    };
    const auto active = RouteState::active, conflict = RouteState::conflict, missing = RouteState::next_hop_missing;
    const Row rows[] = {
        {{"10.9.0.0/16", "VpcPeer", "peer-a"}, active, ""},
        {{"0.0.0.0/0", "Instance", "default/fw"}, active, ""},
        {{"198.51.100.0/24", "Blackhole", ""}, active, ""},
        {{"fd00:2::/56", "VpcPeer", "peer-a"}, active, ""},
        {{"::/0", "Instance", "default/fw"}, active, ""},
        // Around system routes is allowed, inside the VPC's blocks where no vSwitch is too.
        {{"10.0.0.0/8", "VpcPeer", "peer-a"}, active, ""},
        {{"10.0.0.0/16", "Blackhole", ""}, active, ""},
        {{"10.0.200.0/24", "Instance", "default/fw"}, active, ""},
        {{"10.0.200.0/24", "VpcPeer", "peer-a"}, conflict, "lies inside 10.0.0.0/16 of the VPC: VpcPeer leads out"},
        // vSwitches: never equal, never more specific.
        {{"10.0.1.0/24", "Blackhole", ""}, conflict, "equals the system route 10.0.1.0/24 of vSwitch vsw-a"},
        {{"10.0.1.128/25", "Blackhole", ""}, conflict, "is more specific than the system route 10.0.1.0/24 of vSwitch"},
        {{"10.0.1.9/32", "Instance", "default/fw"}, conflict, "is more specific than the system route 10.0.1.0/24"},
        {{"fd00:1::/80", "Blackhole", ""}, conflict, "is more specific than the system route fd00:1::/64 of vSwitch"},
        // 100.64.0.0/10: more specific is allowed, equal is not.
        {{"100.64.0.0/10", "Blackhole", ""}, conflict, "equals the system route 100.64.0.0/10 of the cloud's own"},
        {{"100.100.0.0/16", "Instance", "default/fw"}, active, ""},
        {{"100.64.0.0/9", "Blackhole", ""}, conflict, ""},
        // Services.
        {{"172.21.0.0/20", "Blackhole", ""}, conflict, "equals the system route 172.21.0.0/20 of the VPC's Services"},
        {{"172.21.8.0/24", "Blackhole", ""}, conflict, "is more specific than the system route 172.21.0.0/20"},
        {{"172.16.0.0/12", "Blackhole", ""}, active, ""},
        // Never routed.
        {{"127.0.0.0/8", "Blackhole", ""}, conflict, "lies in 127.0.0.0/8, which is never routed"},
        {{"169.254.1.0/24", "Blackhole", ""}, conflict, "lies in 169.254.0.0/16"},
        {{"239.1.0.0/16", "Blackhole", ""}, conflict, "lies in 224.0.0.0/4"},
        {{"::ffff:0:0/96", "Blackhole", ""}, conflict, ""},
        {{"fe80::/64", "Blackhole", ""}, conflict, "lies in fe80::/10"},
        // Next hops.
        {{"10.9.0.0/16", "VpcPeer", "peer-b"}, missing, "is not there"},
        {{"10.9.0.0/16", "NatGateway", "ngw-a"}, missing, "is not there"},
        {{"10.9.0.0/16", "HaVip", "x"}, conflict, ""},
        {{"10.9.0.0", "Blackhole", ""}, conflict, ""},
    };
    for (const Row& row : rows) {
        const auto judged = judge({row.wish});
        ASSERT_EQ(judged.size(), 1u);
        EXPECT_EQ(judged[0].state, row.state) << row.wish.destination << ": " << judged[0].message;
        EXPECT_EQ(judged[0].message.empty(), row.state == active);
        if (row.state == active) continue;
        EXPECT_TRUE(judged[0].message.starts_with("spec.routes[0].")) << judged[0].message;
        EXPECT_NE(judged[0].message.find(row.message), std::string::npos) << judged[0].message;
    }
}

TEST(RouteTable, the_first_of_two_equal_destinations_stands) {
    const auto judged = judge({{"10.9.0.0/16", "Blackhole", ""}, {"10.9.0.0/16", "VpcPeer", "peer-a"}});
    EXPECT_EQ(judged[0].state, RouteState::active);
    EXPECT_EQ(judged[1].state, RouteState::conflict);
    EXPECT_EQ(judged[1].message, "spec.routes[1].destination: 10.9.0.0/16: stands in the table already");
}

TEST(RouteTable, what_is_active_comes_back_from_the_status_as_it_was_judged) {
    const auto judged = judge({{"10.9.0.0/16", "VpcPeer", "peer-a"},
                               {"10.0.1.0/24", "Blackhole", ""},
                               {"::/0", "Instance", "default/fw"},
                               {"10.8.0.0/16", "VpcPeer", "gone"}});
    json::Value object = json::Object{};
    json::set(object, {"status", "routes"}, routes_status(judged));
    const auto active = active_routes(object);
    ASSERT_EQ(active.size(), 2u);
    EXPECT_EQ(active[0].destination, prefix("10.9.0.0/16"));
    EXPECT_EQ(active[0].hop.vni, 9u);
    EXPECT_EQ(active[1].type, HopType::instance);
    EXPECT_EQ(active[1].hop.via, MUST(net::Address::parse("fd00:1::4")));
}

TEST(RouteTable, of_a_status_that_somebody_wrote_by_hand_only_whole_routes_count) {
    const json::Value object = yaml(R"({status: {routes: [
        {destination: 10.9.0.0/16, type: VpcPeer, state: Active},
        {destination: 10.9.0.0/16, type: VpcPeer, state: Active, vni: 16777216},
        {destination: 10.8.0.0/16, type: Instance, state: Active, via: nowhere},
        {destination: nowhere, type: Blackhole, state: Active}, 7,
        {destination: 10.7.0.0/16, type: Blackhole, state: Active}]}})");
    const auto active = active_routes(object);
    ASSERT_EQ(active.size(), 1u);
    EXPECT_EQ(active[0].destination, prefix("10.7.0.0/16"));
}

TEST(RouteTable, a_vswitch_may_not_come_to_lie_on_a_route_of_its_vpc) {
    const json::Value table = yaml(R"({metadata: {name: vrt-mine}, spec: {vpc: v}, status: {routes: [
        {destination: 10.0.2.0/24, type: Blackhole, state: Active},
        {destination: 10.0.0.0/8, type: Blackhole, state: Active},
        {destination: 10.0.4.0/24, type: Blackhole, state: Conflict}]}})");
    const auto at = [&](std::string_view cidr, std::string vpc = "v") {
        VSwitch vswitch;
        vswitch.vpc = std::move(vpc);
        vswitch.cidr = prefix(cidr);
        return route_in_the_way(vswitch, table).value_or("");
    };
    EXPECT_EQ(at("10.0.2.0/24"), "spec.cidrBlock: 10.0.2.0/24: equals the route 10.0.2.0/24 of table vrt-mine");
    EXPECT_EQ(at("10.0.2.0/23"), "spec.cidrBlock: 10.0.2.0/23: contains the route 10.0.2.0/24 of table vrt-mine");
    EXPECT_EQ(at("10.0.2.0/25"), "") << "inside a route: the vSwitch is more specific and wins";
    EXPECT_EQ(at("10.0.4.0/24"), "") << "a route in conflict stands in nobody's way";
    EXPECT_EQ(at("10.0.2.0/24", "w"), "");
}

TEST(RouteTable, a_vswitch_uses_the_table_it_names_if_that_is_its_vpcs_and_has_a_number) {
    VSwitch vswitch;
    vswitch.vpc = "v";
    const json::Value mine = yaml("{metadata: {name: t}, spec: {vpc: v}, status: {number: 16777216}}");
    const json::Value unready = yaml("{metadata: {name: t}, spec: {vpc: v}}");
    const json::Value foreign = yaml("{metadata: {name: t}, spec: {vpc: w}, status: {number: 16777217}}");
    EXPECT_EQ(table_number(vswitch, vpc(), nullptr), 7u);
    vswitch.route_table = "t";
    EXPECT_EQ(table_number(vswitch, vpc(), &mine), 16777216u);
    EXPECT_EQ(table_number(vswitch, vpc(), nullptr), 7u);
    EXPECT_EQ(table_number(vswitch, vpc(), &unready), 7u);
    EXPECT_EQ(table_number(vswitch, vpc(), &foreign), 7u);
}

TEST(RouteTable, a_short_ipv6_prefix_takes_no_ipv4_address_in) {
    const net::Address v4 = net::Address::v4(10, 0, 0, 1);
    const auto parts = trie_prefixes(prefix("::/0"));
    EXPECT_EQ(parts.size(), 8u);
    for (const char* text : {"2001:db8::1", "fd00::1", "8000::", "100::1", "7fff::1"}) {
        const auto address = MUST(net::Address::parse(text));
        EXPECT_EQ(std::count_if(parts.begin(), parts.end(), [&](const net::Prefix& p) { return p.contains(address); }),
                  1)
            << text;
    }
    for (const net::Prefix& part : parts) EXPECT_FALSE(part.contains(v4)) << part.text();
    EXPECT_EQ(trie_prefixes(prefix("2000::/3")), std::vector{prefix("2000::/3")});
    EXPECT_EQ(trie_prefixes(prefix("0.0.0.0/0")), std::vector{prefix("0.0.0.0/0")});
}

TEST(Peering, joins_two_existing_vpcs_whose_addresses_do_not_overlap_once) {
    Vpc a = vpc("a"), b = vpc("b");
    b.blocks = {prefix("10.1.0.0/16")};
    b.ipv6_block = prefix("fd00:2::/56");
    const Peering peering{.name = "p", .created = "2", .vpc = "a", .peer = "b"};
    EXPECT_TRUE(check_peering(peering, &a, &b, {}));
    EXPECT_EQ(check_peering(peering, nullptr, &b, {}).error().message, "spec.vpc: VPC a does not exist");
    EXPECT_EQ(check_peering(peering, &a, nullptr, {}).error().message, "spec.peerVpc: VPC b does not exist");

    Vpc near = b;
    near.blocks.push_back(prefix("192.168.8.0/24"));
    EXPECT_EQ(check_peering(peering, &a, &near, {}).error().message,
              "spec.peerVpc: VPCs a and b: 192.168.0.0/20 overlaps 192.168.8.0/24");
    near = b;
    near.ipv6_block = a.ipv6_block;
    EXPECT_EQ(check_peering(peering, &a, &near, {}).error().code, Code::conflict);

    std::vector<Peering> others{{.name = "older", .created = "1", .vpc = "b", .peer = "a"}};
    EXPECT_EQ(check_peering(peering, &a, &b, others).error().code, Code::already_exists);
    others[0].created = "3";
    EXPECT_TRUE(check_peering(peering, &a, &b, others));
    others[0].is_activated = true;
    EXPECT_FALSE(check_peering(peering, &a, &b, others)) << "who carries packets stays";
    others[0].peer = "c";
    EXPECT_TRUE(check_peering(peering, &a, &b, others)) << "the other joins b and c, not a and b";
}

TEST(Peering, needs_two_vpcs_and_names_the_one_beyond) {
    EXPECT_EQ(parse_peering(yaml("{spec: {peerVpc: b}}")).error().message, "spec.vpc: Required value");
    EXPECT_EQ(parse_peering(yaml("{spec: {vpc: a, peerVpc: a}}")).error().message,
              "spec.peerVpc: a: must name another VPC");
    const Peering peering = MUST(parse_peering(yaml("{spec: {vpc: a, peerVpc: b}, status: {state: Activated}}")));
    EXPECT_TRUE(peering.is_activated);
    EXPECT_EQ(peering.beyond("a"), "b");
    EXPECT_EQ(peering.beyond("b"), "a");
    EXPECT_EQ(peering.beyond("c"), "");
}

}  // namespace
}  // namespace weft::cloud
