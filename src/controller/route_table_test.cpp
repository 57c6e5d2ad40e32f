// Route tables, peerings, and what a VPC and a vSwitch may be, over an API in a map (spec/acs.md §1).
#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;

std::string condition(const Object& object, std::string_view type) {
    const json::Value* const found = kube::find_condition(object, type);
    if (found == nullptr) return "";
    return fmt::format("{} {}: {}", json::find_string(*found, {"status"}), json::find_string(*found, {"reason"}),
                       json::find_string(*found, {"message"}));
}

struct RouteTables : testing::Test {
    RouteTables() {
        cluster.seed_world();
        apply(R"(
{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-far},
  spec: {cidrBlock: 10.9.0.0/16, serviceCIDR: 172.21.0.0/20}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: net, labels: {weft.dev/allow-forwarding: "true"}}}
)");
    }

    void apply(std::string_view yaml) {
        cluster.api.seed(yaml);
        cluster.settle();
    }
    Object table(std::string name) { return cluster.one(kube::route_tables, "", std::move(name)); }
    Object vpc(std::string name = "vpc-demo") { return cluster.one(kube::vpcs, "", std::move(name)); }
    Object vswitch(std::string name) { return cluster.one(kube::vswitches, "", std::move(name)); }
    void change(const kube::Resource& resource, std::string name, json::Path path, json::Value value,
                std::string ns = {}) {
        Object object = cluster.one(resource, std::move(ns), std::move(name));
        object.set(path, std::move(value));
        MUST(cluster.api.update(resource, object));
        cluster.settle();
    }
    void remove(const kube::Resource& resource, std::string name) {
        MUST(cluster.api.remove(resource, {"", std::move(name)}));
        cluster.settle();
    }
    // "destination state" of each route, with where it leads.
    std::string routes(std::string name) {
        std::string text;
        const Object object = table(std::move(name));
        for (const json::Value& route : object.array({"status", "routes"})) {
            text += fmt::format("{}{} {}", text.empty() ? "" : "; ", json::find_string(route, {"destination"}),
                                json::find_string(route, {"state"}));
            if (json::has(route, {"vni"})) text += fmt::format(" vni {}", json::find_int(route, {"vni"}));
            if (json::has(route, {"via"})) text += fmt::format(" via {}", json::find_string(route, {"via"}));
        }
        return text;
    }
    void add_table(std::string_view name, std::string_view routes, std::string_view vpc = "vpc-demo") {
        apply(fmt::format("{{apiVersion: weft.dev/v1, kind: RouteTable, metadata: {{name: {}}}, "
                          "spec: {{vpc: {}, routes: [{}]}}}}",
                          name, vpc, routes));
    }
    void add_peering() {
        apply("{apiVersion: weft.dev/v1, kind: VPCPeering, metadata: {name: peer}, "
              "spec: {vpc: vpc-demo, peerVpc: vpc-far}}");
    }

    TestCluster cluster;
};

TEST_F(RouteTables, every_vpc_has_a_system_table_with_its_own_number_that_cannot_be_deleted_before_it) {
    EXPECT_EQ(table("vrt-vpc-demo").integer({"status", "number"}), vpc().integer({"status", "vni"}));
    EXPECT_EQ(table("vrt-vpc-demo").string({"status", "type"}), "system");
    EXPECT_EQ(table("vrt-vpc-demo").annotation("weft.dev/system-table"), "true");
    EXPECT_EQ(table("vrt-vpc-demo").integer({"status", "vSwitchCount"}), 2);
    EXPECT_EQ(vswitch("vsw-zone-a").string({"status", "routeTable"}), "vrt-vpc-demo");
    remove(kube::route_tables, "vrt-vpc-far");
    EXPECT_EQ(condition(table("vrt-vpc-far"), "Ready"),
              "False InUse: deletion waits: it is the system table of VPC vpc-far and goes with it");
    remove(kube::vpcs, "vpc-far");
    EXPECT_FALSE(cluster.exists(kube::vpcs, "", "vpc-far"));
    EXPECT_FALSE(cluster.exists(kube::route_tables, "", "vrt-vpc-far"));
}

TEST_F(RouteTables, custom_tables_count_from_two_to_the_24th_and_are_nine_at_most) {
    for (int i = 0; i < 10; ++i) add_table(fmt::format("t{}", i), "");
    for (int i = 0; i < 9; ++i) EXPECT_EQ(table(fmt::format("t{}", i)).integer({"status", "number"}), (1 << 24) + i);
    EXPECT_FALSE(json::has(table("t9").body(), {"status", "number"}));
    EXPECT_EQ(condition(table("t9"), "Accepted"),
              "False LimitExceeded: spec.vpc: VPC vpc-demo has 9 custom tables, and may have no more");
    remove(kube::route_tables, "t3");
    EXPECT_EQ(table("t9").integer({"status", "number"}), (1 << 24) + 3);
}

TEST_F(RouteTables, a_vswitch_is_bound_to_one_table_and_a_bound_table_stays) {
    add_table("mine", "");
    add_table("theirs", "", "vpc-far");
    change(kube::vswitches, "vsw-zone-a", {"spec", "routeTable"}, "mine");
    EXPECT_EQ(vswitch("vsw-zone-a").string({"status", "routeTable"}), "mine");
    EXPECT_EQ(table("mine").integer({"status", "vSwitchCount"}), 1);
    EXPECT_EQ(table("vrt-vpc-demo").integer({"status", "vSwitchCount"}), 1);
    remove(kube::route_tables, "mine");
    EXPECT_EQ(condition(table("mine"), "Ready"), "False InUse: deletion waits: bound to vSwitch vsw-zone-a");
    remove(kube::vswitches, "vsw-zone-a");
    EXPECT_EQ(condition(vswitch("vsw-zone-a"), "Ready"),
              "False InUse: deletion waits: used by route table mine, to which spec.routeTable binds it");
    change(kube::vswitches, "vsw-zone-a", {"spec", "routeTable"}, "vrt-vpc-demo");
    EXPECT_FALSE(cluster.exists(kube::route_tables, "", "mine"));
    EXPECT_FALSE(cluster.exists(kube::vswitches, "", "vsw-zone-a"));

    change(kube::vswitches, "vsw-zone-b", {"spec", "routeTable"}, "theirs");
    EXPECT_EQ(vswitch("vsw-zone-b").string({"status", "routeTable"}), "vrt-vpc-demo");
    EXPECT_EQ(condition(vswitch("vsw-zone-b"), "RouteTableBound"),
              "False RouteTableNotBound: spec.routeTable: RouteTable theirs is another VPC's: the system table is "
              "used");
}

TEST_F(RouteTables, a_table_with_routes_is_not_deleted) {
    add_table("mine", "{destination: 198.51.100.0/24, nextHop: {type: Blackhole}}");
    remove(kube::route_tables, "mine");
    EXPECT_EQ(condition(table("mine"), "Ready"), "False InUse: deletion waits: it holds 1 custom routes");
    EXPECT_EQ(routes("mine"), "198.51.100.0/24 Active") << "it carries packets until it goes";
    change(kube::route_tables, "mine", {"spec", "routes"}, json::Array{});
    EXPECT_FALSE(cluster.exists(kube::route_tables, "", "mine"));
}

TEST_F(RouteTables, a_route_over_a_peering_is_active_while_the_peering_is) {
    add_table("mine", "{destination: 10.9.0.0/16, nextHop: {type: VpcPeer, id: peer}}");
    EXPECT_EQ(routes("mine"), "10.9.0.0/16 NextHopMissing");
    EXPECT_EQ(condition(table("mine"), "Ready"),
              "False RoutesNotActive: spec.routes[0].nextHop.id: peer: VPCPeering peer does not exist");
    add_peering();
    const auto far = vpc("vpc-far").integer({"status", "vni"});
    EXPECT_EQ(routes("mine"), fmt::format("10.9.0.0/16 Active vni {}", far));
    EXPECT_EQ(cluster.one(kube::vpc_peerings, "", "peer").string({"status", "state"}), "Activated");
    EXPECT_EQ(cluster.one(kube::vpc_peerings, "", "peer").integer({"status", "routeCount"}), 1);
    EXPECT_EQ(cluster.one(kube::vpc_peerings, "", "peer").integer({"status", "peerRouteCount"}), 0);
    // Of a third VPC it is not the peering, whatever its table says.
    apply("{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-third}, "
          "spec: {cidrBlock: 10.8.0.0/16, serviceCIDR: 172.21.0.0/20}}");
    add_table("third", "{destination: 10.9.0.0/16, nextHop: {type: VpcPeer, id: peer}}", "vpc-third");
    EXPECT_EQ(routes("third"), "10.9.0.0/16 NextHopMissing");
    remove(kube::vpcs, "vpc-far");
    EXPECT_EQ(condition(vpc("vpc-far"), "Ready"), "False InUse: deletion waits: used by peering peer");
    remove(kube::vpc_peerings, "peer");
    EXPECT_FALSE(cluster.exists(kube::vpc_peerings, "", "peer"));
    EXPECT_EQ(routes("mine"), "10.9.0.0/16 NextHopMissing");
    EXPECT_FALSE(cluster.exists(kube::vpcs, "", "vpc-far"));
}

TEST_F(RouteTables, a_peering_of_vpcs_that_overlap_is_rejected_by_name) {
    apply(R"(
{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-twin},
  spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20}}
---
{apiVersion: weft.dev/v1, kind: VPCPeering, metadata: {name: twins}, spec: {vpc: vpc-demo, peerVpc: vpc-twin}}
)");
    const Object twins = cluster.one(kube::vpc_peerings, "", "twins");
    EXPECT_EQ(twins.string({"status", "state"}), "Rejected");
    EXPECT_EQ(condition(twins, "Accepted"),
              "False CIDROverlap: spec.peerVpc: VPCs vpc-demo and vpc-twin: 10.0.0.0/16 overlaps 10.0.0.0/16");
}

TEST_F(RouteTables, a_pod_is_a_next_hop_while_it_may_forward_and_has_an_address) {
    apply("{apiVersion: v1, kind: Pod, metadata: {name: fw, namespace: net}, spec: {containers: []}}");
    cluster.live();
    add_table("mine", "{destination: 0.0.0.0/0, nextHop: {type: Instance, id: net/fw}}");
    EXPECT_EQ(routes("mine"), "0.0.0.0/0 NextHopMissing");
    change(kube::pods, "fw", {"metadata", "annotations", "weft.dev/allow-forwarding"}, "true", "net");
    const std::string address(cluster.one(kube::pods, "net", "fw").string({"status", "podIP"}));
    const std::string eni(cluster.one(kube::pods, "net", "fw").annotation("network.alibabacloud.com/allocated-eni-id"));
    EXPECT_EQ(routes("mine"), "0.0.0.0/0 Active via " + address);
    add_table("by-interface", "{destination: 0.0.0.0/0, nextHop: {type: NetworkInterface, id: " + eni + "}}");
    EXPECT_EQ(routes("by-interface"), "0.0.0.0/0 Active via " + address);
    add_table("by-name", "{destination: 0.0.0.0/0, nextHop: {type: Instance, id: fw}}");
    EXPECT_EQ(routes("by-name"), "0.0.0.0/0 Active via " + address);
    apply("{apiVersion: v1, kind: Pod, metadata: {name: fw, namespace: default}, spec: {containers: []}}");
    EXPECT_EQ(routes("by-name"), "0.0.0.0/0 NextHopMissing") << "two pods of the VPC have this name";
    EXPECT_EQ(routes("mine"), "0.0.0.0/0 Active via " + address);
    change(kube::namespaces, "net", {"metadata", "labels"}, json::Object{});
    EXPECT_EQ(routes("mine"), "0.0.0.0/0 NextHopMissing");
    const auto events = cluster.events_on("fw");
    EXPECT_TRUE(std::any_of(events.begin(), events.end(), [](const std::string& event) {
        return event.starts_with("ForwardingNotAllowed: metadata.annotations[weft.dev/allow-forwarding]: its ");
    }));
}

TEST_F(RouteTables, of_a_vswitch_and_a_route_the_one_that_was_there_first_stays) {
    add_table("mine", "{destination: 10.0.3.0/24, nextHop: {type: Blackhole}}");
    apply("{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: late}, "
          "spec: {vpc: vpc-demo, zone: zone-a, cidrBlock: 10.0.3.0/24}}");
    EXPECT_EQ(condition(vswitch("late"), "Accepted"),
              "False RouteConflict: spec.cidrBlock: 10.0.3.0/24: equals the route 10.0.3.0/24 of table mine");
    change(kube::route_tables, "mine", {"spec", "routes"}, json::Array{});
    EXPECT_EQ(condition(vswitch("late"), "Accepted"), "True Accepted: ");
    change(kube::route_tables, "mine", {"spec", "routes"},
           json::Array{json::Object{{"destination", "10.0.3.0/24"}, {"nextHop", json::Object{{"type", "Blackhole"}}}}});
    EXPECT_EQ(routes("mine"), "10.0.3.0/24 Conflict");
    EXPECT_EQ(condition(vswitch("late"), "Accepted"), "True Accepted: ");
}

TEST_F(RouteTables, a_vpc_grows_and_shrinks_while_every_address_in_use_stays_inside_and_no_peer_overlaps) {
    apply("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {containers: []}}");
    cluster.live();
    const auto blocks = [&] { return json::serialize(json::Value(vpc().array({"status", "cidrBlocks"}))); };
    EXPECT_EQ(blocks(), R"(["10.0.0.0/16"])");
    change(kube::vpcs, "vpc-demo", {"spec", "cidrBlock"}, "10.1.0.0/16");
    EXPECT_TRUE(condition(vpc(), "Accepted")
                    .starts_with("False AddressInUse: spec.cidrBlock: 1 addresses of 10.0.1.0/24"));
    EXPECT_EQ(blocks(), R"(["10.0.0.0/16"])") << "what was accepted stays in effect";
    change(kube::vpcs, "vpc-demo", {"spec", "cidrBlock"}, "10.0.0.0/18");
    EXPECT_EQ(blocks(), R"(["10.0.0.0/18"])");
    add_peering();
    change(kube::vpcs, "vpc-demo", {"spec", "secondaryCidrBlocks"}, json::Array{"10.9.128.0/24"});
    EXPECT_EQ(condition(vpc(), "Accepted"),
              "False PeeringOverlap: spec.secondaryCidrBlocks[0]: 10.9.128.0/24 overlaps 10.9.0.0/16 of VPC vpc-far, with "
              "which peering peer joins it");
    EXPECT_EQ(blocks(), R"(["10.0.0.0/18"])");
    change(kube::vpcs, "vpc-demo", {"spec", "secondaryCidrBlocks"}, json::Array{"192.168.0.0/24"});
    EXPECT_EQ(blocks(), R"(["10.0.0.0/18","192.168.0.0/24"])");
    EXPECT_TRUE(condition(vpc(), "Accepted").starts_with("True"));
}

TEST_F(RouteTables, an_ipv6_block_that_a_peer_has_is_not_taken_into_effect_and_the_peering_lives_on) {
    add_peering();
    change(kube::vpcs, "vpc-far", {"spec", "ipv6CidrBlock"}, "fd00:50::/56");
    EXPECT_EQ(vpc("vpc-far").string({"status", "ipv6CidrBlock"}), "fd00:50::/56");
    change(kube::vpcs, "vpc-demo", {"spec", "ipv6CidrBlock"}, "fd00:50::/56");
    EXPECT_EQ(condition(vpc(), "Accepted"),
              "False PeeringOverlap: spec.ipv6CidrBlock: fd00:50::/56 overlaps fd00:50::/56 of VPC vpc-far, with which peering "
              "peer joins it; delete the peering, or make the VPC anew");
    EXPECT_EQ(vpc().string({"status", "ipv6CidrBlock"}), "");
    EXPECT_EQ(cluster.one(kube::vpc_peerings, "", "peer").string({"status", "state"}), "Activated");
    remove(kube::vpc_peerings, "peer");  // the API lets nobody change the block
    EXPECT_EQ(vpc().string({"status", "ipv6CidrBlock"}), "fd00:50::/56");
}

TEST_F(RouteTables, a_vpc_whose_status_is_lost_gets_the_number_that_its_nodes_use) {
    const auto vni = vpc().integer({"status", "vni"});
    apply(fmt::format("{{apiVersion: weft.dev/v1, kind: AddressBlock, metadata: {{name: lost}}, spec: {{vpc: vpc-lost, "
                      "vSwitch: x, cidr: 10.0.1.0/28, node: node-1}}, status: {{vni: {}}}}}",
                      vni + 40));
    apply("{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-lost}, "
          "spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20}}");
    EXPECT_EQ(vpc("vpc-lost").integer({"status", "vni"}), vni + 40);
    apply(fmt::format("{{apiVersion: weft.dev/v1, kind: AddressBlock, metadata: {{name: gone}}, spec: {{vpc: vpc-gone, "
                      "vSwitch: x, cidr: 10.0.1.0/28, node: node-1}}, status: {{vni: {}}}}}",
                      vni + 50));
    apply(fmt::format("{{apiVersion: weft.dev/v1, kind: VPC, metadata: {{name: vpc-taker}}, spec: {{cidrBlock: "
                      "10.0.0.0/16, serviceCIDR: 172.21.0.0/20, vni: {}}}}}",
                      vni + 50));
    EXPECT_EQ(condition(vpc("vpc-taker"), "Accepted"),
              fmt::format("False VNIConflict: spec.vni: {}: nodes still use this number for VPC vpc-gone", vni + 50));
    EXPECT_EQ(vpc("vpc-taker").integer({"status", "vni"}), 0);
}

}  // namespace
}  // namespace weft::controller
