#include <fmt/format.h>
#include <gtest/gtest.h>

#include "controller/pools.h"
#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;

std::string condition(const Object& object, std::string_view type) {
    const json::Value* const found = kube::find_condition(object, type);
    if (found == nullptr) return "none";
    return fmt::format("{} {}: {}", json::find_string(*found, {"status"}), json::find_string(*found, {"reason"}),
                       json::find_string(*found, {"message"}));
}

TEST(CloudObjects, a_vpc_gets_the_lowest_free_number_and_counts_its_vswitches) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(
        "{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-fixed}, spec: {cidrBlock: 10.0.0.0/16, vni: 2}}");
    cluster.api.seed("{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-x}, spec: {cidrBlock: 10.0.0.0/16}}");
    cluster.settle();
    const Object demo = cluster.one(kube::vpcs, "", "vpc-demo");
    EXPECT_EQ(demo.integer({"status", "vni"}), 1);
    EXPECT_EQ(demo.integer({"status", "vSwitchCount"}), 2);
    EXPECT_EQ(condition(demo, "Ready"), "True Ready: ");
    EXPECT_EQ(cluster.one(kube::vpcs, "", "vpc-fixed").integer({"status", "vni"}), 2);
    EXPECT_EQ(cluster.one(kube::vpcs, "", "vpc-x").integer({"status", "vni"}), 3);
}

TEST(CloudObjects, a_second_default_vpc_and_a_taken_number_are_not_accepted) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.settle();
    cluster.clock.advance(std::chrono::seconds(2));
    cluster.api.seed(
        "{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: a}, spec: {cidrBlock: 10.0.0.0/16, default: true}}");
    cluster.api.seed(
        "{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: b}, spec: {cidrBlock: 10.0.0.0/16, vni: 1}}");
    cluster.settle();
    EXPECT_EQ(condition(cluster.one(kube::vpcs, "", "a"), "Accepted"),
              "False DefaultConflict: spec.default: VPC vpc-demo is the default already");
    EXPECT_EQ(condition(cluster.one(kube::vpcs, "", "b"), "Accepted"),
              "False VNIConflict: spec.vni: 1: VPC vpc-demo has this number");
    EXPECT_EQ(condition(cluster.one(kube::vpcs, "", "vpc-demo"), "Accepted"), "True Accepted: ");
    EXPECT_EQ(cluster.events_on("b").front(), "VNIConflict: spec.vni: 1: VPC vpc-demo has this number");
}

TEST(CloudObjects, a_number_rests_seven_days_after_its_vpc_is_gone) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed("{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: gone}, spec: {cidrBlock: 10.9.0.0/16}}");
    cluster.settle();
    EXPECT_EQ(cluster.one(kube::vpcs, "", "gone").integer({"status", "vni"}), 1);  // by name before vpc-demo
    MUST(cluster.api.get(kube::vpcs, {"", "gone"}));
    ASSERT_TRUE(cluster.api.remove(kube::vpcs, {"", "gone"}));
    cluster.settle();
    EXPECT_FALSE(cluster.exists(kube::vpcs, "", "gone"));
    cluster.api.seed("{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: soon}, spec: {cidrBlock: 10.9.0.0/16}}");
    cluster.settle();
    EXPECT_EQ(cluster.one(kube::vpcs, "", "soon").integer({"status", "vni"}), 3);
    cluster.clock.advance(std::chrono::hours(8 * 24));
    cluster.api.seed("{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: later}, spec: {cidrBlock: 10.9.0.0/16}}");
    cluster.settle();
    EXPECT_EQ(cluster.one(kube::vpcs, "", "later").integer({"status", "vni"}), 1);
}

TEST(CloudObjects, a_vpc_in_use_stays_and_says_who_uses_it) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.settle();
    ASSERT_TRUE(cluster.api.remove(kube::vpcs, {"", "vpc-demo"}));
    cluster.settle();
    EXPECT_EQ(condition(cluster.one(kube::vpcs, "", "vpc-demo"), "Ready"),
              "False InUse: deletion waits: used by vSwitch vsw-zone-a, vSwitch vsw-zone-b");
    ASSERT_TRUE(cluster.api.remove(kube::vswitches, {"", "vsw-zone-a"}));
    ASSERT_TRUE(cluster.api.remove(kube::vswitches, {"", "vsw-zone-b"}));
    cluster.settle();
    EXPECT_FALSE(cluster.exists(kube::vpcs, "", "vpc-demo"));
}

TEST(CloudObjects, a_vswitch_outside_its_vpc_or_over_another_is_not_accepted) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.settle();
    cluster.clock.advance(std::chrono::seconds(2));
    cluster.api.seed(R"(
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: over},
  spec: {vpc: vpc-demo, zone: zone-a, cidrBlock: 10.0.1.128/25}}
---
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: outside},
  spec: {vpc: vpc-demo, zone: zone-a, cidrBlock: 10.1.0.0/24}}
---
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: lost},
  spec: {vpc: none, zone: zone-a, cidrBlock: 10.1.0.0/24}}
)");
    cluster.settle();
    EXPECT_EQ(condition(cluster.one(kube::vswitches, "", "over"), "Accepted"),
              "False CIDRConflict: spec.cidrBlock: 10.0.1.128/25: overlaps 10.0.1.0/24 of vSwitch vsw-zone-a");
    EXPECT_EQ(condition(cluster.one(kube::vswitches, "", "outside"), "Accepted"),
              "False Invalid: spec.cidrBlock: 10.1.0.0/24: lies in no block of VPC vpc-demo");
    EXPECT_EQ(condition(cluster.one(kube::vswitches, "", "lost"), "Accepted"),
              "False VPCNotFound: spec.vpc: VPC none does not exist");
    const Object good = cluster.one(kube::vswitches, "", "vsw-zone-a");
    EXPECT_EQ(good.integer({"status", "totalIPCount"}), 252);
    EXPECT_EQ(good.integer({"status", "availableIPCount"}), 252);
}

TEST(CloudObjects, vswitches_get_the_lowest_free_ipv6_block_of_their_vpc_and_keep_it) {
    TestCluster cluster;
    cluster.seed_world();
    const auto block = [&](std::string name) {
        return std::string(cluster.one(kube::vswitches, "", std::move(name)).string({"status", "ipv6CidrBlock"}));
    };
    const auto vswitch = [&](std::string_view name, std::string_view cidr, std::string_view wish) {
        cluster.api.seed(fmt::format("{{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {{name: {}}}, spec: {{vpc: "
                                     "vpc-demo, zone: zone-a, cidrBlock: {}, ipv6CidrBlock: '{}'}}}}",
                                     name, cidr, wish));
    };
    cluster.settle();
    EXPECT_EQ(block("vsw-zone-a"), "") << "its VPC has none";
    vswitch("asks-too-early", "10.0.7.0/24", "fd00:10:0:7::/64");
    cluster.settle();
    EXPECT_EQ(condition(cluster.one(kube::vswitches, "", "asks-too-early"), "Accepted"),
              "False Invalid: spec.ipv6CidrBlock: fd00:10:0:7::/64: lies not in the IPv6 block of VPC vpc-demo");

    Object vpc = cluster.one(kube::vpcs, "", "vpc-demo");
    vpc.set({"spec", "ipv6CidrBlock"}, "fd00:10::/56");
    MUST(cluster.api.update(kube::vpcs, vpc));
    vswitch("wishes", "10.0.3.0/24", "fd00:10:0:ff::/64");
    cluster.settle();
    EXPECT_EQ(std::set({block("vsw-zone-a"), block("vsw-zone-b")}),
              std::set<std::string>({"fd00:10::/64", "fd00:10:0:1::/64"}));
    EXPECT_EQ(block("wishes"), "fd00:10:0:ff::/64");
    EXPECT_EQ(block("asks-too-early"), "fd00:10:0:7::/64");
    vswitch("wishes-the-same", "10.0.4.0/24", "fd00:10:0:ff::/64");
    vswitch("wishes-elsewhere", "10.0.5.0/24", "fd00:11::/64");
    cluster.settle();
    for (const auto& [name, reason] : {std::pair("wishes-the-same", "CIDRConflict"), {"wishes-elsewhere", "Invalid"}}) {
        const std::string refused = condition(cluster.one(kube::vswitches, "", name), "Accepted");
        EXPECT_TRUE(refused.starts_with(fmt::format("False {}: spec.ipv6CidrBlock: ", reason))) << name << ": " << refused;
        EXPECT_EQ(block(name), "");
    }
}

TEST(CloudObjects, a_security_group_says_that_it_is_not_enforced) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(
        "{apiVersion: weft.dev/v1, kind: SecurityGroup, metadata: {name: sg}, spec: {vpc: vpc-demo, type: basic}}");
    cluster.settle();
    const Object group = cluster.one(kube::security_groups, "", "sg");
    EXPECT_TRUE(condition(group, "Programmed").starts_with("False NotEnforced: "));
    EXPECT_EQ(condition(group, "Accepted"), "True Accepted: ");
}

TEST(CloudObjects, nodes_get_different_neighbour_addresses_lowest_first) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.settle();
    EXPECT_EQ(cluster.one(kube::nodes, "", "node-1").annotation("weft.dev/service-address"), "100.64.0.2");
    EXPECT_EQ(cluster.one(kube::nodes, "", "node-1").annotation("weft.dev/host-address"), "100.64.0.3");
    EXPECT_EQ(cluster.one(kube::nodes, "", "node-3").annotation("weft.dev/service-address"), "100.64.0.6");
    ASSERT_TRUE(cluster.api.remove(kube::nodes, {"", "node-2"}));
    cluster.api.seed("{apiVersion: v1, kind: Node, metadata: {name: node-4}}");
    cluster.settle();
    EXPECT_EQ(cluster.one(kube::nodes, "", "node-4").annotation("weft.dev/service-address"), "100.64.0.4");
}

TEST(CloudObjects, a_node_that_stops_renewing_becomes_unknown_and_its_pods_not_ready_until_it_renews) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {containers: []}}");
    cluster.live();
    const std::string node(cluster.one(kube::pods, "default", "p").string({"spec", "nodeName"}));
    ASSERT_TRUE(is_ready(cluster.one(kube::pods, "default", "p")));
    cluster.clock.advance(std::chrono::seconds(41));
    cluster.settle();
    EXPECT_TRUE(condition(cluster.one(kube::nodes, "", node), "Ready").starts_with("Unknown NodeStatusUnknown"));
    EXPECT_TRUE(condition(cluster.one(kube::pods, "default", "p"), "Ready").starts_with("False NodeNotReady"));
    Object lease = cluster.one(kube::leases, "kube-node-lease", node);
    lease.set({"spec", "renewTime"}, "2");
    MUST(cluster.api.update(kube::leases, lease));
    cluster.settle();
    EXPECT_TRUE(is_ready(cluster.one(kube::nodes, "", node)));
}

TEST(CloudObjects, pods_of_a_node_that_is_gone_are_cleared_and_its_blocks_come_back) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {containers: []}}");
    cluster.live();
    const std::string node(cluster.one(kube::pods, "default", "p").string({"spec", "nodeName"}));
    EXPECT_EQ(cluster.all(kube::address_blocks).size(), 1u);
    ASSERT_TRUE(cluster.api.remove(kube::nodes, {"", node}));
    cluster.settle();
    EXPECT_FALSE(cluster.exists(kube::pods, "default", "p"));
    EXPECT_TRUE(cluster.all(kube::address_blocks).empty());
}

TEST(CloudObjects, the_first_ingress_of_our_class_gives_its_vpc_an_address_that_all_its_ingresses_show) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.settle();
    EXPECT_FALSE(json::has(cluster.one(kube::vpcs, "", "vpc-demo").body(), {"status", "ingressAddresses"}));
    cluster.api.seed(R"(
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: shop, namespace: default},
  spec: {ingressClassName: weft}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: other, namespace: default},
  spec: {ingressClassName: nginx}}
)");
    cluster.settle();
    EXPECT_EQ(cluster.one(kube::vpcs, "", "vpc-demo").string({"status", "ingressAddresses", "weft.dev/ingress"}),
              "203.0.113.64");
    const json::Array shown =
        cluster.one(kube::ingresses, "default", "shop").array({"status", "loadBalancer", "ingress"});
    ASSERT_EQ(shown.size(), 1u);
    EXPECT_EQ(json::find_string(shown[0], {"ip"}), "203.0.113.64");
    EXPECT_TRUE(cluster.one(kube::ingresses, "default", "other").array({"status", "loadBalancer", "ingress"}).empty());

    Object moved = cluster.one(kube::ingresses, "default", "shop");
    moved.set({"spec", "ingressClassName"}, "nginx");
    MUST(cluster.api.update(kube::ingresses, moved));
    cluster.settle();
    EXPECT_TRUE(cluster.one(kube::ingresses, "default", "shop").array({"status", "loadBalancer", "ingress"}).empty());
}

TEST(CloudObjects, the_reserved_services_stand_in_the_default_vpc_and_kubernetes_leads_to_every_nodes_host) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.settle();
    EXPECT_EQ(cluster.one(kube::services, "default", "kubernetes").string({"spec", "clusterIP"}), "172.21.0.1");
    EXPECT_EQ(cluster.one(kube::services, "kube-system", "kube-dns").string({"spec", "clusterIP"}), "172.21.0.10");
    const Object slice = cluster.one(kube::endpoint_slices, "default", "kubernetes");
    ASSERT_EQ(slice.array({"endpoints"}).size(), 3u);
    EXPECT_EQ(json::find_strings(slice.array({"endpoints"})[0], {"addresses"}), std::vector<std::string>{"100.64.0.3"});
    EXPECT_EQ(json::find_string(slice.array({"endpoints"})[0], {"nodeName"}), "node-1");
}

}  // namespace
}  // namespace weft::controller
