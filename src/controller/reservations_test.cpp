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

    // Without an address of its own; the nodes do not look at it.
    void bind_pod(std::string_view ns, std::string_view name, std::string_view spec) {
        cluster.api.seed(fmt::format("{{apiVersion: v1, kind: Pod, metadata: {{name: {}, namespace: {}, annotations: "
                                     "{{weft.dev/vswitch: vsw-zone-a}}}}, spec: {{{}}}}}",
                                     name, ns, spec));
        cluster.settle();
    }

    cloud::VSwitch vswitch() {
        return MUST(cloud::parse_vswitch(cluster.one(kube::vswitches, "", "vsw-zone-a").body()));
    }

    // "status reason: message"
    std::string condition(const kube::Resource& resource, std::string name, std::string_view type) {
        const Object object = cluster.one(resource, "", std::move(name));
        const json::Value* const found = kube::find_condition(object, type);
        if (found == nullptr) return "none";
        return fmt::format("{} {}: {}", json::find_string(*found, {"status"}), json::find_string(*found, {"reason"}),
                           json::find_string(*found, {"message"}));
    }

    void move_vpc() {  // vsw-zone-a comes to lie outside
        MUST(cluster.api.patch(kube::vpcs, {"", "vpc-demo"}, kube::PatchType::merge,
                               json::Object{{"spec", json::Object{{"cidrBlock", "10.0.2.0/23"}}}}));
        cluster.settle();
    }

    // "address pod@node", of vsw-zone-a.
    std::string reserved() {
        std::string text;
        for (const cloud::Reservation& reservation : reservations_of(*cluster.world, vswitch()))
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

TEST_F(Reservations, a_pod_of_another_vpc_is_lent_nothing_and_holds_no_vswitch_and_no_block) {
    bind_pod("blue", "thief", "nodeName: node-1, containers: []");
    EXPECT_TRUE(cluster.world->needs_of(vswitch()).empty());
    EXPECT_TRUE(cluster.all(kube::address_blocks).empty());
    move_vpc();
    EXPECT_EQ(condition(kube::vpcs, "vpc-demo", "Accepted"), "True Accepted: ");
    ASSERT_TRUE(cluster.api.remove(kube::vswitches, {"", "vsw-zone-a"}));
    cluster.settle();
    EXPECT_FALSE(cluster.exists(kube::vswitches, "", "vsw-zone-a"));
}

TEST_F(Reservations, a_pod_that_is_bound_nowhere_holds_no_vswitch) {
    bind_pod("default", "dreamer", "schedulerName: other, containers: []");
    ASSERT_TRUE(cluster.api.remove(kube::vswitches, {"", "vsw-zone-a"}));
    cluster.settle();
    EXPECT_FALSE(cluster.exists(kube::vswitches, "", "vsw-zone-a"));
}

TEST_F(Reservations, a_pod_that_waits_for_its_address_holds_the_vswitch_until_it_fails) {
    bind_pod("default", "waits", "nodeName: node-1, containers: []");
    EXPECT_EQ(cluster.world->needs_of(vswitch()).size(), 1u);
    move_vpc();
    EXPECT_EQ(condition(kube::vpcs, "vpc-demo", "Accepted"),
              "False AddressInUse: spec.cidrBlock: 1 addresses of 10.0.1.0/24 (vSwitch vsw-zone-a) are in use and would lie "
              "outside");
    ASSERT_TRUE(cluster.api.remove(kube::vswitches, {"", "vsw-zone-a"}));
    cluster.settle();
    EXPECT_EQ(condition(kube::vswitches, "vsw-zone-a", "Ready"), "False InUse: deletion waits: used by pod default/waits");
    Object failed = pod("waits");
    failed.set({"status", "phase"}, "Failed");
    MUST(cluster.api.update_status(kube::pods, failed));
    cluster.settle();
    EXPECT_EQ(condition(kube::vswitches, "vsw-zone-a", "Ready"),
              "False Releasing: deletion waits: nodes hand their blocks back");
    cluster.live();
    EXPECT_FALSE(cluster.exists(kube::vswitches, "", "vsw-zone-a"));
}

// First come, first served, whatever its name; its own VPC's pods may claim by hand what nobody has.
TEST_F(Reservations, a_chosen_address_is_his_who_came_first_and_is_not_taken_by_who_claims_it_later) {
    cluster.api.seed("{apiVersion: v1, kind: Pod, metadata: {name: vip, namespace: default, annotations: "
                     "{k8s.aliyun.com/eci-private-ip-address: 10.0.1.77}}, spec: {containers: []}}");
    cluster.live();
    ASSERT_EQ(pod("vip").string({"status", "podIP"}), "10.0.1.77");
    const std::string had = reserved();
    add_pod("default", "a-thief", "10.0.1.77", "nodeName: node-1, containers: []");
    EXPECT_EQ(reserved(), had);
    EXPECT_EQ(pod("a-thief").string({"status", "podIP"}), "");
    EXPECT_FALSE(cluster.one(kube::address_blocks, "", "vsw-zone-a-10-0-1-77-32").deleting());
    ASSERT_TRUE(cluster.api.remove(kube::pods, {"default", "vip"}));
    cluster.live();
    cluster.live();
    EXPECT_EQ(reserved(), "10.0.1.77 default/a-thief@node-1;");
}

TEST_F(Reservations, of_two_that_claim_an_address_that_nobody_is_lent_yet_the_older_has_it) {
    const std::string_view claim = "{{apiVersion: v1, kind: Pod, metadata: {{name: {}, namespace: default, annotations: "
                                   "{{weft.dev/vswitch: vsw-zone-a, weft.dev/address: 10.0.1.77}}}}, "
                                   "spec: {{nodeName: {}, containers: []}}}}";
    cluster.api.seed(fmt::format(fmt::runtime(claim), "older", "node-2"));
    cluster.clock.advance(std::chrono::seconds(2));
    cluster.api.seed(fmt::format(fmt::runtime(claim), "a-younger", "node-1"));
    cluster.settle();
    EXPECT_EQ(reserved(), "10.0.1.77 default/older@node-2;");
}

TEST_F(Reservations, an_address_kept_for_a_name_is_not_withheld_from_it_by_another_pod_that_claims_it) {
    const std::string_view ledger = "{apiVersion: v1, kind: Pod, metadata: {name: ledger-0, namespace: default, annotations: "
                                    "{k8s.aliyun.com/eci-fixed-ip: 'true'}}, spec: {containers: []}}";
    cluster.api.seed(ledger);
    cluster.live();
    const std::string address(pod("ledger-0").string({"status", "podIP"}));
    ASSERT_FALSE(address.empty());
    add_pod("default", "a-thief", address, "nodeName: node-1, containers: []");  // while it lives
    EXPECT_TRUE(reserved().starts_with(address + " default/ledger-0@node-")) << reserved();
    ASSERT_TRUE(cluster.api.remove(kube::pods, {"default", "ledger-0"}));
    cluster.live();
    add_pod("default", "b-thief", address, "nodeName: node-2, containers: []");  // while none does
    EXPECT_EQ(reserved(), address + " default/ledger-0@;");
    cluster.api.seed(ledger);
    cluster.live();
    EXPECT_EQ(pod("ledger-0").string({"status", "podIP"}), address);
    for (const char* thief : {"a-thief", "b-thief"}) EXPECT_EQ(pod(thief).string({"status", "podIP"}), "") << thief;
}

}  // namespace
}  // namespace weft::controller
