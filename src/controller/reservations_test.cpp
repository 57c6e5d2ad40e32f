// Who may hold back an address of a vSwitch: PodENIs, and pods that we gave it to; never an annotation by itself.
#include "controller/reservations.h"

#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;

struct Reservations : testing::Test {
    Reservations() {
        cluster.seed_world();
        cluster.api.seed(R"(
{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-blue}, spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: blue, annotations: {weft.dev/vpc: vpc-blue, weft.dev/dns-namespace: default}}}
)");
        cluster.settle();
    }

    // Its author wrote by hand what binding writes.
    void add_pod(std::string_view ns, std::string_view name, std::string_view address, std::string_view spec) {
        cluster.api.seed(fmt::format("{{apiVersion: v1, kind: Pod, metadata: {{name: {}, namespace: {}, annotations: "
                                     "{{weft.dev/vswitch: vsw-zone-a, weft.dev/address: {}}}}}, spec: {{{}}}}}",
                                     name, ns, address, spec));
        cluster.live();
    }

    // "address pod@node", of vsw-zone-a.
    std::string reserved() {
        std::string text;
        const auto vswitch = MUST(cloud::parse_vswitch(cluster.one(kube::vswitches, "", "vsw-zone-a").body()));
        for (const cloud::Reservation& reservation : reservations_of(*cluster.world, vswitch))
            text += fmt::format("{} {}@{};", reservation.address.text(), reservation.pod, reservation.node);
        return text;
    }

    Object pod(std::string_view name) { return cluster.one(kube::pods, "default", std::string(name)); }

    TestCluster cluster;
};

TEST_F(Reservations, a_pod_of_another_vpc_withholds_nothing) {
    add_pod("blue", "thief", "10.0.1.77", "nodeName: node-1, containers: []");
    EXPECT_EQ(reserved(), "");
    EXPECT_EQ(cluster.one(kube::vswitches, "", "vsw-zone-a").integer({"status", "availableIPCount"}), 252);
    cluster.api.seed("{apiVersion: v1, kind: Pod, metadata: {name: vip, namespace: default, annotations: "
                     "{k8s.aliyun.com/eci-private-ip-address: 10.0.1.77}}, spec: {containers: []}}");
    cluster.live();
    EXPECT_EQ(pod("vip").string({"status", "podIP"}), "10.0.1.77");
    EXPECT_TRUE(reserved().starts_with("10.0.1.77 default/vip@node-")) << reserved();
}

TEST_F(Reservations, a_pod_that_is_bound_nowhere_withholds_nothing) {
    add_pod("default", "dreamer", "10.0.1.78", "schedulerName: other, containers: []");
    EXPECT_EQ(reserved(), "");
    EXPECT_EQ(cluster.one(kube::vswitches, "", "vsw-zone-a").integer({"status", "availableIPCount"}), 252);
}

TEST_F(Reservations, an_address_that_no_pod_may_have_is_not_withheld) {
    add_pod("default", "edge", "10.0.1.0", "nodeName: node-1, containers: []");
    EXPECT_EQ(reserved(), "");
    EXPECT_EQ(cluster.one(kube::vswitches, "", "vsw-zone-a").integer({"status", "availableIPCount"}), 252);
}

TEST_F(Reservations, binding_takes_away_an_address_that_it_did_not_reserve) {
    for (const auto& [name, spec] : {std::pair("free", "containers: []"), {"here", "nodeName: node-1, containers: []"}}) {
        cluster.api.seed(fmt::format("{{apiVersion: v1, kind: Pod, metadata: {{name: {}, namespace: default, "
                                     "annotations: {{weft.dev/address: 10.0.1.0}}}}, spec: {{{}}}}}",
                                     name, spec));
        cluster.live();
        EXPECT_EQ(pod(name).annotation("weft.dev/address"), "") << name;
        EXPECT_FALSE(pod(name).annotation("weft.dev/vswitch").empty()) << name;
        EXPECT_FALSE(pod(name).string({"status", "podIP"}).empty()) << name;
    }
    EXPECT_EQ(reserved(), "");
}

}  // namespace
}  // namespace weft::controller
