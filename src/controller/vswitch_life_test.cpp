// A vSwitch from its making to its end: where it may lie, when it may go, and what it says before it runs dry.
// (spec/acs.md §1.1, §1.2)
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;
using std::chrono::minutes;
using std::chrono::seconds;

class VSwitchLife : public ::testing::Test {
protected:
    VSwitchLife() {
        cluster.seed_world();
        cluster.settle();
    }

    void make(std::string_view name, std::string_view cidr, std::string_view vpc = "vpc-demo") {
        cluster.api.seed(fmt::format("{{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {{name: {}}}, spec: {{vpc: {}, "
                                     "zone: zone-a, cidrBlock: {}}}}}",
                                     name, vpc, cidr));
        cluster.settle();
    }

    void make_pod(std::string_view name, std::string_view vswitch) {
        Object pod = Object::of(kube::pods, {"default", std::string(name)});
        pod.set_annotation("network.alibabacloud.com/vswitch-ids", vswitch);
        pod.set({"spec", "containers"}, json::Array{});
        MUST(cluster.api.create(kube::pods, pod));
    }

    // Merged into vpc-demo's spec.
    void change_vpc(std::string_view field, json::Value value) {
        MUST(cluster.api.patch(kube::vpcs, {"", "vpc-demo"}, kube::PatchType::merge,
                               json::Object{{"spec", json::Object{{field, std::move(value)}}}}));
        cluster.settle();
    }

    std::string condition(const std::string& name, std::string_view type, const kube::Resource& kind = kube::vswitches) {
        const Object object = cluster.one(kind, "", name);
        const json::Value* const found = kube::find_condition(object, type);
        if (found == nullptr) return "none";
        return fmt::format("{} {}: {}", json::find_string(*found, {"status"}), json::find_string(*found, {"reason"}),
                           json::find_string(*found, {"message"}));
    }

    TestCluster cluster;
};

TEST_F(VSwitchLife, it_may_be_cut_from_a_secondary_block_and_from_nowhere_else) {
    change_vpc("secondaryCidrBlocks", json::Array{"172.30.0.0/16"});
    make("vsw-second", "172.30.7.0/24");
    make("vsw-nowhere", "172.31.7.0/24");
    EXPECT_EQ(condition("vsw-second", "Accepted"), "True Accepted: ");
    EXPECT_EQ(condition("vsw-nowhere", "Accepted"),
              "False Invalid: spec.cidrBlock: 172.31.7.0/24: lies in no block of VPC vpc-demo");
    make_pod("p", "vsw-second");
    cluster.live();
    EXPECT_EQ(cluster.one(kube::pods, "default", "p").string({"status", "podIP"}), "172.30.7.1");
}

TEST_F(VSwitchLife, a_vpc_has_a_hundred_and_fifty_and_no_more) {
    for (int i = 0; i < 149; ++i)  // there are two
        cluster.api.seed(fmt::format("{{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {{name: many-{:03}}}, spec: {{vpc: "
                                     "vpc-demo, zone: zone-a, cidrBlock: 10.0.{}.0/29}}}}",
                                     i, i + 50));
    cluster.settle();
    int accepted = 0;
    std::string refused;
    for (const Object& vswitch : cluster.all(kube::vswitches)) {
        if (kube::condition_is(vswitch, "Accepted", "True")) ++accepted;
        else refused = vswitch.name();
    }
    EXPECT_EQ(accepted, 150);
    EXPECT_EQ(condition(refused, "Accepted"),
              "False QuotaExceeded: spec.vpc: VPC vpc-demo has 150 vSwitches, and may have no more");
}

TEST_F(VSwitchLife, one_that_holds_a_pod_stays_and_says_so_and_goes_with_its_last_one) {
    make_pod("p", "vsw-zone-a");
    cluster.live();
    ASSERT_TRUE(cluster.api.remove(kube::vswitches, {"", "vsw-zone-a"}));
    cluster.live();
    ASSERT_TRUE(cluster.exists(kube::vswitches, "", "vsw-zone-a"));
    EXPECT_EQ(condition("vsw-zone-a", "Ready"), "False InUse: deletion waits: used by pod default/p");
    make_pod("late", "vsw-zone-a");
    cluster.live();
    EXPECT_EQ(cluster.one(kube::pods, "default", "late").string({"spec", "nodeName"}), "") << "it is on its way out";
    ASSERT_TRUE(cluster.api.remove(kube::pods, {"default", "p"}));
    cluster.live();
    cluster.live();
    EXPECT_FALSE(cluster.exists(kube::vswitches, "", "vsw-zone-a"));
    for (const Object& block : cluster.all(kube::address_blocks))
        EXPECT_NE(block.string({"spec", "vSwitch"}), "vsw-zone-a") << block.name();
}

// Issue 5: the condition comes before the vSwitch runs dry, by the pace at which it is used.
TEST_F(VSwitchLife, it_says_that_it_will_run_dry_before_it_does_and_takes_it_back_when_the_pace_ceases) {
    make("vsw-64", "10.0.8.0/26");
    EXPECT_EQ(condition("vsw-64", "AddressesAvailable"), "True Enough: ");
    int made = 0;
    for (int round = 0; round < 8; ++round) {
        for (int i = 0; i < 2; ++i) make_pod(fmt::format("p-{}", made++), "vsw-64");
        cluster.renew_leases();
        cluster.live();
        cluster.clock.advance(seconds(10));
    }
    const Object low = cluster.one(kube::vswitches, "", "vsw-64");
    EXPECT_GT(low.integer({"status", "availableIPCount"}), 40);
    const std::string said = condition("vsw-64", "AddressesAvailable");
    EXPECT_TRUE(said.starts_with("False RunningLow: ")) << said;
    EXPECT_NE(said.find("at the pace of the last minutes for about "), std::string::npos) << said;
    int told = 0;
    for (const std::string& event : cluster.events_on("vsw-64")) told += event.starts_with("VSwitchRunningLow: ");
    EXPECT_EQ(told, 1);
    cluster.restart();
    cluster.settle();
    EXPECT_TRUE(condition("vsw-64", "AddressesAvailable").starts_with("False RunningLow: "))
        << "who has just started knows no pace, and takes nothing back";
    for (int i = 0; i < 25; ++i) {
        cluster.clock.advance(minutes(1));
        cluster.settle();
    }
    EXPECT_EQ(condition("vsw-64", "AddressesAvailable"), "True Enough: ");
    while (made < 60) make_pod(fmt::format("p-{}", made++), "vsw-64");
    for (int i = 0; i < 4; ++i) {
        cluster.renew_leases();
        cluster.live();
        cluster.clock.advance(seconds(10));
    }
    EXPECT_EQ(condition("vsw-64", "AddressesAvailable"), "False Exhausted: 0 of 60 addresses are left");
    told = 0;
    for (const std::string& event : cluster.events_on("vsw-64")) told += event.starts_with("VSwitchExhausted: ");
    EXPECT_EQ(told, 1) << "also of one that was low before";
}

TEST_F(VSwitchLife, in_a_vpc_without_a_number_it_is_not_accepted) {
    cluster.api.seed("{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-late}, spec: {cidrBlock: 10.9.0.0/16, vni: 1}}");
    cluster.settle();
    ASSERT_EQ(cluster.one(kube::vpcs, "", "vpc-late").integer({"status", "vni"}), 0) << "vpc-demo has it";
    make("vsw-late", "10.9.1.0/24", "vpc-late");
    EXPECT_EQ(condition("vsw-late", "Accepted"), "False VPCNotReady: spec.vpc: VPC vpc-late has no number yet");
    MUST(cluster.api.patch(kube::vpcs, {"", "vpc-late"}, kube::PatchType::merge,
                           json::Object{{"spec", json::Object{{"vni", json::Value(int64_t(500))}}}}));
    cluster.settle();
    EXPECT_EQ(condition("vsw-late", "Accepted"), "True Accepted: ");
    EXPECT_EQ(condition("vsw-late", "Ready"), "True Ready: ");
}

constexpr std::string_view left_outside = "1 addresses of 172.30.7.0/24 (vSwitch vsw-second) are in use and would lie outside";

TEST_F(VSwitchLife, its_vpc_keeps_the_secondary_block_while_an_address_is_kept_there_or_waited_for) {
    change_vpc("secondaryCidrBlocks", json::Array{"172.30.0.0/16"});
    make("vsw-second", "172.30.7.0/24");
    const auto pod = [&](std::string_view name, std::string_view annotation) {
        cluster.api.seed(fmt::format("{{apiVersion: v1, kind: Pod, metadata: {{name: {}, namespace: default, annotations: "
                                     "{{network.alibabacloud.com/vswitch-ids: vsw-second, {}}}}}, spec: {{containers: []}}}}",
                                     name, annotation));
        cluster.settle();
    };
    const auto shrink = [&] {
        change_vpc("secondaryCidrBlocks", json::Array{});
        return condition("vpc-demo", "Accepted", kube::vpcs);
    };
    const std::string refused = fmt::format("False AddressInUse: spec.secondaryCidrBlocks: {}", left_outside);
    pod("waits", "k8s.aliyun.com/eci-private-ip-address: 172.30.7.9");
    ASSERT_EQ(cluster.one(kube::pods, "default", "waits").annotation("weft.dev/address"), "172.30.7.9");
    EXPECT_EQ(shrink(), refused) << "no node has given it its address yet";
    ASSERT_TRUE(cluster.api.remove(kube::pods, {"default", "waits"}));
    cluster.live();
    EXPECT_EQ(condition("vpc-demo", "Accepted", kube::vpcs), "True Accepted: ");
    EXPECT_TRUE(condition("vsw-second", "Accepted").starts_with("False Invalid: spec.cidrBlock: ")) << "it lies outside now";

    change_vpc("secondaryCidrBlocks", json::Array{"172.30.0.0/16"});
    pod("kept", "k8s.aliyun.com/eci-fixed-ip: 'true', k8s.aliyun.com/eci-fixed-ip-retain-hour: '1'");
    cluster.live();
    ASSERT_TRUE(cluster.api.remove(kube::pods, {"default", "kept"}));
    cluster.live();
    ASSERT_EQ(cluster.one(kube::pod_enis, "default", "kept").string({"status", "phase"}), "Unbind");
    EXPECT_EQ(shrink(), refused) << "its time runs";
    EXPECT_EQ(json::serialize(json::Value(cluster.one(kube::vpcs, "", "vpc-demo").array({"status", "cidrBlocks"}))),
              R"(["10.0.0.0/16","172.30.0.0/16"])");
    cluster.clock.advance(minutes(61));
    cluster.live();
    EXPECT_FALSE(cluster.exists(kube::pod_enis, "default", "kept"));
    EXPECT_EQ(condition("vpc-demo", "Accepted", kube::vpcs), "True Accepted: ");
}

TEST_F(VSwitchLife, its_vpc_names_the_entry_that_left_an_address_in_use_outside) {
    change_vpc("secondaryCidrBlocks", json::Array{"172.29.0.0/16", "172.30.0.0/16"});
    make("vsw-second", "172.30.7.0/24");
    make_pod("p", "vsw-second");
    cluster.live();
    ASSERT_EQ(cluster.one(kube::pods, "default", "p").string({"status", "podIP"}), "172.30.7.1");
    const auto expect_field = [&](std::string_view field) {
        EXPECT_EQ(condition("vpc-demo", "Accepted", kube::vpcs),
                  fmt::format("False AddressInUse: {}: {}", field, left_outside));
    };
    change_vpc("secondaryCidrBlocks", json::Array{"172.29.0.0/16"});
    expect_field("spec.secondaryCidrBlocks");
    change_vpc("secondaryCidrBlocks", json::Array{"172.29.0.0/16", "172.30.0.0/22"});
    expect_field("spec.secondaryCidrBlocks[1]");
    change_vpc("secondaryCidrBlocks", json::Array{"172.30.128.0/17"});
    expect_field("spec.secondaryCidrBlocks[0]");
    change_vpc("secondaryCidrBlocks", json::Array{"172.30.0.0/20"});
    EXPECT_EQ(condition("vpc-demo", "Accepted", kube::vpcs), "True Accepted: ");
}

TEST_F(VSwitchLife, on_its_way_out_it_lends_nothing_but_what_a_bound_pod_waits_for) {
    make_pod("p", "vsw-zone-a");
    cluster.api.seed("{apiVersion: v1, kind: Pod, metadata: {name: vip, namespace: default, annotations: "
                     "{k8s.aliyun.com/eci-private-ip-address: 10.0.1.99}}, spec: {containers: []}}");
    cluster.live();
    make_pod("bound", "vsw-zone-a");
    cluster.settle();
    ASSERT_TRUE(cluster.api.remove(kube::vswitches, {"", "vsw-zone-a"}));
    cluster.live();
    EXPECT_NE(cluster.one(kube::pods, "default", "bound").string({"status", "podIP"}), "") << "bound before";
    std::set<std::string> lent;
    for (const Object& block : cluster.all(kube::address_blocks)) {
        lent.emplace(block.name());
        if (block.string({"spec", "pod", "name"}).empty()) MUST(cluster.api.remove(kube::address_blocks, block.key()));
    }
    cluster.live();  // the nodes have no spare addresses any more
    for (const Object& block : cluster.all(kube::address_blocks))
        EXPECT_TRUE(lent.contains(std::string(block.name()))) << block.name();
    EXPECT_EQ(condition("vsw-zone-a", "Ready"), "False InUse: deletion waits: used by pod default/p, pod default/bound, pod "
                                                "default/vip");
}

// Somebody took the finalizer off a VPC in use, and made it anew.
TEST_F(VSwitchLife, of_a_vpc_made_anew_under_its_name_it_is_ready_once_that_has_a_number) {
    cluster.api.seed("{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-other}, spec: {cidrBlock: 10.9.0.0/16, vni: 7}}");
    cluster.settle();
    const auto tear_out = [&] {
        ASSERT_TRUE(cluster.api.remove(kube::vpcs, {"", "vpc-demo"}));
        Object vpc = cluster.one(kube::vpcs, "", "vpc-demo");
        vpc.set({"metadata", "finalizers"}, json::Array{});
        MUST(cluster.api.update(kube::vpcs, vpc));
        ASSERT_FALSE(cluster.exists(kube::vpcs, "", "vpc-demo"));
    };
    const auto make_anew = [&](int number) {
        cluster.api.seed(fmt::format("{{apiVersion: weft.dev/v1, kind: VPC, metadata: {{name: vpc-demo}}, spec: {{cidrBlock: "
                                     "10.0.0.0/16, serviceCIDR: 172.21.0.0/20, default: true, vni: {}}}}}",
                                     number));
        cluster.settle();
    };
    tear_out();
    make_anew(7);  // so quickly that nobody saw it go, and with a number that it cannot have
    EXPECT_EQ(condition("vpc-demo", "Accepted", kube::vpcs), "False VNIConflict: spec.vni: 7: VPC vpc-other has this number");
    EXPECT_EQ(condition("vsw-zone-a", "Accepted"), "True Accepted: ");
    EXPECT_EQ(condition("vsw-zone-a", "Ready"), "False VPCNotReady: spec.vpc: VPC vpc-demo has no number yet");
    change_vpc("vni", json::Value(int64_t(500)));
    EXPECT_EQ(condition("vsw-zone-a", "Ready"), "True Ready: ");
    EXPECT_EQ(cluster.one(kube::route_tables, "", "vrt-vpc-demo").integer({"status", "number"}), 500);

    tear_out();
    cluster.settle();
    EXPECT_EQ(condition("vsw-zone-a", "Accepted"), "False VPCNotFound: spec.vpc: VPC vpc-demo does not exist");
    make_anew(7);
    EXPECT_EQ(condition("vsw-zone-a", "Accepted"), "False VPCNotReady: spec.vpc: VPC vpc-demo has no number yet");
    change_vpc("vni", json::Value(int64_t(501)));
    EXPECT_EQ(condition("vsw-zone-a", "Accepted"), "True Accepted: ");
    EXPECT_EQ(condition("vsw-zone-a", "Ready"), "True Ready: ");
    EXPECT_EQ(cluster.one(kube::route_tables, "", "vrt-vpc-demo").integer({"status", "number"}), 501);
    make_pod("p", "vsw-zone-a");
    cluster.live();
    EXPECT_EQ(cluster.one(kube::pods, "default", "p").string({"status", "podIP"}), "10.0.1.1");
}

}  // namespace
}  // namespace weft::controller
