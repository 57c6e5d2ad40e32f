// VPCs without overlay: whose addresses may be spoken on the wire.
#include <fmt/format.h>
#include <gtest/gtest.h>

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

struct Fabric : testing::Test {
    Fabric() {
        cluster.seed_world();
        cluster.settle();
    }

    // Created a second later than the one before it.
    void vpc(const std::string& name, const std::string& spec) {
        cluster.clock.advance(std::chrono::seconds(1));
        cluster.api.seed(
            fmt::format("{{apiVersion: weft.dev/v1, kind: VPC, metadata: {{name: {}}}, spec: {{{}}}}}", name, spec));
        cluster.settle();
    }

    void node(const std::string& address) {
        cluster.api.seed(
            fmt::format("{{apiVersion: v1, kind: Node, metadata: {{name: n9}}, status: {{addresses: [{{type: "
                        "InternalIP, address: {}}}]}}}}",
                        address));
    }

    std::string accepted(const std::string& name) { return condition(cluster.one(kube::vpcs, "", name), "Accepted"); }

    TestCluster cluster;
};

TEST_F(Fabric, a_second_routed_vpc_with_the_same_addresses_is_refused_by_name) {
    vpc("one", "cidrBlock: 10.8.0.0/16, encapsulation: None");
    vpc("overlay", "cidrBlock: 10.8.0.0/16");
    vpc("two", "cidrBlock: 10.9.0.0/16, secondaryCidrBlocks: [10.8.128.0/17], encapsulation: None");
    EXPECT_EQ(accepted("one"), "True Accepted: ");
    EXPECT_EQ(accepted("overlay"), "True Accepted: ");
    EXPECT_EQ(accepted("two"),
              "False FabricConflict: spec.secondaryCidrBlocks[0]: 10.8.128.0/17: overlaps 10.8.0.0/16 of VPC one, and "
              "without "
              "overlay both would be spoken on one wire");
    EXPECT_EQ(cluster.one(kube::vpcs, "", "two").integer({"status", "vni"}), 0) << "no node programs it";
    ASSERT_TRUE(cluster.api.remove(kube::vpcs, {"", "one"}));
    cluster.settle();
    EXPECT_EQ(accepted("two"), "True Accepted: ");
}

TEST_F(Fabric, one_in_effect_grows_into_nobody) {
    vpc("one", "cidrBlock: 10.8.0.0/16, encapsulation: None");
    vpc("two", "cidrBlock: 10.9.0.0/16, encapsulation: None");
    Object grown = cluster.one(kube::vpcs, "", "one");
    grown.set({"spec", "secondaryCidrBlocks"}, json::Array{"10.9.0.0/24"});
    MUST(cluster.api.update(kube::vpcs, grown));
    cluster.settle();
    EXPECT_NE(accepted("one").find("False FabricConflict: spec.secondaryCidrBlocks[0]: 10.9.0.0/24: overlaps"),
              std::string::npos)
        << accepted("one");
    EXPECT_EQ(condition(cluster.one(kube::vpcs, "", "one"), "Ready").substr(0, 4), "True") << "what was accepted stays";
    EXPECT_EQ(accepted("two"), "True Accepted: ");
}

TEST_F(Fabric, the_wires_own_addresses_are_no_vpcs) {
    node("10.8.0.9");
    cluster.api.seed(
        "{apiVersion: weft.dev/v1, kind: AddressPool, metadata: {name: public}, spec: {cidrs: [10.9.1.0/28]}}");
    vpc("on-node", "cidrBlock: 10.8.0.0/16, encapsulation: None");
    vpc("on-pool", "cidrBlock: 10.9.0.0/16, encapsulation: None");
    EXPECT_EQ(accepted("on-node"),
              "False FabricConflict: spec.cidrBlock: 10.8.0.0/16: 10.8.0.9 is node n9's own address on the wire");
    EXPECT_NE(accepted("on-pool").find("10.9.0.0/16: overlaps 10.9.1.0/28 of address pool public"), std::string::npos)
        << accepted("on-pool");
}

TEST_F(Fabric, what_takes_the_tunnel_all_the_same_is_said) {
    vpc("four", "cidrBlock: 10.8.0.0/16, encapsulation: None");
    EXPECT_EQ(condition(cluster.one(kube::vpcs, "", "four"), "Programmed"), "True Routed: ");
    node("198.18.1.9");
    vpc("six", "cidrBlock: 10.9.0.0/16, ipv6CidrBlock: 'fd00:9::/56', encapsulation: None");
    const std::string said = condition(cluster.one(kube::vpcs, "", "six"), "Programmed");
    EXPECT_EQ(said.substr(0, 20), "False IPv6ByTunnel: ");
    EXPECT_NE(said.find("n9"), std::string::npos) << said;
}

TEST_F(Fabric, an_encapsulation_that_is_none_is_named) {
    vpc("odd", "cidrBlock: 10.8.0.0/16, encapsulation: Geneve");
    EXPECT_EQ(accepted("odd"), "False Invalid: spec.encapsulation: Geneve: must be VXLAN or None");
}

}  // namespace
}  // namespace weft::controller
