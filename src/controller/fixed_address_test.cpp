#include <fmt/format.h>
#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;

constexpr std::string_view ledger = R"(
apiVersion: network.alibabacloud.com/v1beta1
kind: PodNetworking
metadata: {name: ledger}
spec:
  allocationType: {type: Fixed, releaseStrategy: TTL, releaseAfter: 5m0s}
  selector: {podSelector: {matchLabels: {app: ledger}}}
  vSwitchOptions: [vsw-zone-a]
  securityGroupIDs: [sg-default]
)";

// Elastic: its pods' addresses are for no name.
constexpr std::string_view passing = R"(
apiVersion: network.alibabacloud.com/v1beta1
kind: PodNetworking
metadata: {name: passing}
spec: {selector: {podSelector: {matchLabels: {app: passing}}}, vSwitchOptions: [vsw-zone-a]}
)";

std::string pod_yaml(std::string_view name, std::string_view annotations = "",
                     std::string_view labels = "app: ledger") {
    return fmt::format(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {}, namespace: default, labels: {{{}}}, annotations: {{{}}}}}, "
        "spec: {{containers: []}}}}\n",
        name, labels, annotations);
}

class FixedAddress : public ::testing::Test {
protected:
    FixedAddress() {
        cluster.seed_world();
        cluster.api.seed(ledger);
        cluster.settle();
    }

    std::string address_of(const std::string& pod) {
        return std::string(cluster.one(kube::pods, "default", pod).string({"status", "podIP"}));
    }

    Object eni(const std::string& name) { return cluster.one(kube::pod_enis, "default", name); }

    int64_t available(const std::string& vswitch = "vsw-zone-a") {
        return cluster.one(kube::vswitches, "", vswitch).integer({"status", "availableIPCount"});
    }

    void remove_pod(const std::string& name) {
        (void)cluster.api.remove(kube::pods, {"default", name});
        cluster.live();
    }

    TestCluster cluster;
};

TEST_F(FixedAddress, a_vswitch_that_keeps_an_address_waits_for_its_deletion_and_names_it) {
    cluster.api.seed(pod_yaml("ledger-0"));
    cluster.live();
    remove_pod("ledger-0");
    ASSERT_TRUE(cluster.api.remove(kube::vswitches, {"", "vsw-zone-a"}));
    cluster.live();
    ASSERT_TRUE(cluster.exists(kube::vswitches, "", "vsw-zone-a"));
    const Object vswitch = cluster.one(kube::vswitches, "", "vsw-zone-a");
    const json::Value* const ready = kube::find_condition(vswitch, "Ready");
    ASSERT_NE(ready, nullptr);
    EXPECT_NE(json::find_string(*ready, {"message"}).find("address 10.0.1.1, kept for pod default/ledger-0"),
              std::string_view::npos)
        << json::find_string(*ready, {"message"});
}

TEST_F(FixedAddress, the_next_pod_of_the_name_gets_the_same_address_and_the_record_says_so) {
    cluster.api.seed(pod_yaml("ledger-0"));
    cluster.api.seed(pod_yaml("ledger-1"));
    cluster.live();
    const std::string first = address_of("ledger-0"), second = address_of("ledger-1");
    EXPECT_EQ(first, "10.0.1.1");
    EXPECT_EQ(second, "10.0.1.2");
    EXPECT_EQ(eni("ledger-0").string({"status", "phase"}), "Bind");
    const json::Value allocation = eni("ledger-0").array({"spec", "allocations"})[0];
    EXPECT_EQ(json::find_string(allocation, {"ipv4"}), first);
    EXPECT_EQ(json::find_string(allocation, {"allocationType", "type"}), "Fixed");
    EXPECT_EQ(json::find_string(allocation, {"eni", "vSwitchID"}), "vsw-zone-a");
    EXPECT_EQ(available(), 250);

    remove_pod("ledger-0");
    EXPECT_EQ(eni("ledger-0").string({"status", "phase"}), "Unbind");
    EXPECT_FALSE(eni("ledger-0").string({"status", "podLastSeen"}).empty());
    EXPECT_EQ(available(), 250) << "kept is in use";
    for (int i = 0; i < 3; ++i) cluster.api.seed(pod_yaml(fmt::format("other-{}", i), "", "app: other"));
    cluster.live();
    for (int i = 0; i < 3; ++i) EXPECT_NE(address_of(fmt::format("other-{}", i)), first);

    cluster.api.seed(pod_yaml("ledger-0"));
    cluster.live();
    EXPECT_EQ(address_of("ledger-0"), first);
    EXPECT_EQ(address_of("ledger-1"), second);
    EXPECT_EQ(eni("ledger-0").string({"status", "phase"}), "Bind");
}

// acs/05, fact 2, however soon the next one comes.
TEST_F(FixedAddress, between_two_pods_of_a_name_the_record_is_unbound) {
    cluster.api.seed(pod_yaml("ledger-0"));
    cluster.live();
    const std::string since = MUST(cluster.api.list(kube::pod_enis)).resource_version;
    ASSERT_TRUE(cluster.api.remove(
        kube::pods, {"default", "ledger-0"}, {.uid = {}, .propagation_policy = {}, .grace_period_s = 0}));
    cluster.api.seed(pod_yaml("ledger-0"));
    cluster.live();
    std::stop_source at_once;
    at_once.request_stop();
    std::string phases;
    ASSERT_TRUE(cluster.api.watch(kube::pod_enis, {}, since, at_once.get_token(), [&](kube::WatchEvent&& event) {
        const std::string phase(event.object.string({"status", "phase"}));
        if (!phase.empty() && !phases.ends_with(phase)) phases += " " + phase;
        return true;
    }));
    EXPECT_EQ(phases, " Unbind Binding Bind");
    EXPECT_EQ(eni("ledger-0").string({"status", "podUID"}), cluster.one(kube::pods, "default", "ledger-0").uid());
    EXPECT_EQ(eni("ledger-0").find({"status", "kept"}), nullptr);
}

TEST_F(FixedAddress, an_elastic_record_is_its_pods_own_even_if_the_next_one_of_the_name_comes_at_once) {
    cluster.api.seed(passing);
    cluster.settle();
    cluster.api.seed(pod_yaml("web-0", "", "app: passing"));
    cluster.live();
    const std::string first(eni("web-0").uid());
    ASSERT_TRUE(cluster.api.remove(
        kube::pods, {"default", "web-0"}, {.uid = {}, .propagation_policy = {}, .grace_period_s = 0}));
    cluster.api.seed(pod_yaml("web-0", "", "app: passing"));
    cluster.live();
    EXPECT_NE(eni("web-0").uid(), first);
    EXPECT_EQ(json::find_string(eni("web-0").array({"spec", "allocations"})[0], {"ipv4"}), address_of("web-0"));
    EXPECT_EQ(eni("web-0").string({"status", "phase"}), "Bind");
}

TEST_F(FixedAddress, after_releaseAfter_the_record_goes_and_the_address_is_free_again) {
    cluster.api.seed(pod_yaml("ledger-0"));
    cluster.live();
    remove_pod("ledger-0");
    cluster.clock.advance(std::chrono::minutes(4));
    cluster.live();
    EXPECT_TRUE(cluster.exists(kube::pod_enis, "default", "ledger-0"));
    EXPECT_EQ(available(), 251);
    cluster.clock.advance(std::chrono::minutes(1));
    cluster.live();
    EXPECT_FALSE(cluster.exists(kube::pod_enis, "default", "ledger-0"));
    EXPECT_EQ(available(), 252);
    EXPECT_TRUE(cluster.all(kube::address_blocks).empty());
}

TEST_F(FixedAddress, a_restart_of_the_controller_changes_nothing_and_the_clock_goes_on) {
    cluster.api.seed(pod_yaml("ledger-0"));
    cluster.live();
    remove_pod("ledger-0");
    cluster.restart();
    cluster.settle();
    EXPECT_EQ(cluster.client->writes, 0);
    cluster.clock.advance(std::chrono::minutes(5));
    cluster.settle();
    EXPECT_FALSE(cluster.exists(kube::pod_enis, "default", "ledger-0"));
}

TEST_F(FixedAddress, a_pod_without_a_lasting_name_never_uses_a_fixed_PodNetworking) {
    cluster.api.seed(
        "{apiVersion: v1, kind: Pod, metadata: {name: loose-x, namespace: default, labels: {app: ledger}, "
        "ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: loose, uid: u, controller: true}]}, spec: "
        "{containers: []}}");
    cluster.api.seed(
        "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: loose, namespace: default, uid: u}, spec: {replicas: "
        "1, selector: {matchLabels: {app: ledger}}}}");
    cluster.settle();
    const Object pod = cluster.one(kube::pods, "default", "loose-x");
    EXPECT_EQ(pod.annotation("k8s.aliyun.com/pod-networking"), "");
    EXPECT_EQ(pod.annotation("weft.dev/address"), "");
    EXPECT_FALSE(pod.string({"spec", "nodeName"}).empty());
}

TEST_F(FixedAddress, a_full_vswitch_gives_a_fixed_address_out_of_a_block_in_use) {
    cluster.api.seed(
        "{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-64}, spec: {vpc: vpc-demo, zone: zone-a, "
        "cidrBlock: 10.0.8.0/26}}");
    cluster.settle();
    const std::string on_it = "network.alibabacloud.com/vswitch-ids: vsw-64";
    // 60 addresses: all but three in use, and those are two nodes' own.
    for (int i = 0; i < 57; ++i) {
        cluster.api.seed(pod_yaml(fmt::format("crowd-{}", i), on_it, "app: crowd"));
        if (i % 8 == 7) cluster.live();
    }
    cluster.live();
    EXPECT_EQ(available("vsw-64"), 3);
    EXPECT_TRUE(kube::condition_is(cluster.one(kube::vswitches, "", "vsw-64"), "AddressesAvailable", "False"));
    for (int i = 0; i < 3; ++i)
        cluster.api.seed(pod_yaml(fmt::format("fix-{}", i), on_it + ", k8s.aliyun.com/eci-fixed-ip: 'true'", "app: f"));
    for (int i = 0; i < 4; ++i) {
        cluster.live();
        cluster.clock.advance(std::chrono::seconds(5));
    }
    std::set<std::string> seen;
    for (const Object& pod : cluster.all(kube::pods)) {
        EXPECT_FALSE(pod.string({"status", "podIP"}).empty()) << pod.name();
        EXPECT_TRUE(seen.insert(std::string(pod.string({"status", "podIP"}))).second) << pod.name();
    }
    EXPECT_EQ(available("vsw-64"), 0);
    EXPECT_EQ(eni("fix-0").array({"spec", "allocations"})[0].at("allocationType").at("releaseAfter"), "48h0m0s");
    cluster.api.seed(pod_yaml("late", on_it + ", k8s.aliyun.com/eci-fixed-ip: 'true'", "app: f"));
    cluster.live();
    EXPECT_TRUE(cluster.was_told("late", "VSwitchExhausted: no free address in vSwitch vsw-64"));
}

TEST_F(FixedAddress, a_chosen_address_is_given_when_it_is_free_and_refused_by_name_when_not) {
    const auto chosen = [](std::string_view address) {
        return fmt::format("k8s.aliyun.com/eci-private-ip-address: {}", address);
    };
    cluster.api.seed(pod_yaml("common", "network.alibabacloud.com/vswitch-ids: vsw-zone-a", "app: x"));
    cluster.live();
    cluster.api.seed(pod_yaml("vip", chosen("10.0.1.9"), "app: x"));  // inside the block that common's node has
    cluster.live();
    EXPECT_EQ(address_of("vip"), "10.0.1.9");
    cluster.api.seed(pod_yaml("twin", chosen("10.0.1.9"), "app: x"));
    cluster.api.seed(pod_yaml("wanting", chosen(address_of("common")), "app: x"));
    cluster.api.seed(pod_yaml("edge", chosen("10.0.1.254"), "app: x"));
    cluster.api.seed(pod_yaml("far", chosen("10.9.9.9"), "app: x"));
    cluster.live();
    EXPECT_TRUE(cluster.was_told("twin",
                         "AddressNotAvailable: metadata.annotations[k8s.aliyun.com/eci-private-ip-address]: "
                         "10.0.1.9 is kept for pod default/vip"));
    EXPECT_TRUE(cluster.was_told("wanting", "is in use"));
    EXPECT_TRUE(cluster.was_told("edge", "not an address that a pod of vSwitch vsw-zone-a may have"));
    EXPECT_TRUE(cluster.was_told("far", "10.9.9.9 lies in none of the pod's vSwitches"));
    remove_pod("vip");
    cluster.clock.advance(std::chrono::seconds(10));
    cluster.live();
    cluster.live();
    EXPECT_EQ(address_of("twin"), "10.0.1.9");
}

TEST_F(FixedAddress, a_record_deleted_by_hand_gives_the_address_up_or_comes_back_with_its_pod) {
    cluster.api.seed(pod_yaml("ledger-0"));
    cluster.live();
    (void)cluster.api.remove(kube::pod_enis, {"default", "ledger-0"});
    cluster.live();
    EXPECT_EQ(json::find_string(eni("ledger-0").array({"spec", "allocations"})[0], {"allocationType", "type"}),
              "Fixed");
    remove_pod("ledger-0");
    (void)cluster.api.remove(kube::pod_enis, {"default", "ledger-0"});
    cluster.live();
    EXPECT_EQ(available(), 252);
}

// As of a StatefulSet whose pods are Fixed no more.
TEST_F(FixedAddress, a_pod_of_the_name_with_another_address_keeps_nothing_and_the_time_runs) {
    cluster.api.seed(pod_yaml("ledger-0"));
    cluster.live();
    const std::string first = address_of("ledger-0");
    ASSERT_TRUE(cluster.api.remove(
        kube::pods, {"default", "ledger-0"}, {.uid = {}, .propagation_policy = {}, .grace_period_s = 0}));
    cluster.api.seed(pod_yaml("ledger-0", "network.alibabacloud.com/vswitch-ids: vsw-zone-a", "app: elastic"));
    cluster.live();
    ASSERT_FALSE(address_of("ledger-0").empty());
    EXPECT_NE(address_of("ledger-0"), first);
    EXPECT_EQ(eni("ledger-0").string({"status", "phase"}), "Unbind");
    EXPECT_EQ(available(), 250) << "its own, and the one that is kept";
    for (int i = 0; i < 4; ++i) {
        cluster.clock.advance(std::chrono::minutes(1));
        cluster.renew_leases();
    }
    EXPECT_EQ(eni("ledger-0").string({"status", "phase"}), "Unbind");
    cluster.clock.advance(std::chrono::minutes(1));
    cluster.renew_leases();
    cluster.live();
    EXPECT_FALSE(cluster.exists(kube::pod_enis, "default", "ledger-0"));
    EXPECT_TRUE(cluster.exists(kube::pods, "default", "ledger-0"));
    EXPECT_EQ(available(), 251);
}

TEST_F(FixedAddress, the_time_counts_from_when_no_pod_of_the_name_waited_any_more) {
    cluster.api.seed(pod_yaml("ledger-0"));
    cluster.live();
    remove_pod("ledger-0");
    cluster.clock.advance(std::chrono::minutes(4));
    cluster.api.seed(
        "{apiVersion: v1, kind: Pod, metadata: {name: ledger-0, namespace: default, labels: {app: ledger}}, spec: "
        "{nodeSelector: {disk: none}, containers: []}}");
    cluster.live();
    cluster.clock.advance(std::chrono::minutes(10));
    cluster.live();
    remove_pod("ledger-0");
    cluster.clock.advance(std::chrono::minutes(4));
    cluster.live();
    EXPECT_TRUE(cluster.exists(kube::pod_enis, "default", "ledger-0"));
    cluster.clock.advance(std::chrono::minutes(1));
    cluster.live();
    EXPECT_FALSE(cluster.exists(kube::pod_enis, "default", "ledger-0"));
}

// What a PodNetworking says today is not what a pod that runs has.
TEST_F(FixedAddress, a_record_that_comes_back_keeps_only_an_address_that_was_reserved) {
    cluster.api.seed(passing);
    cluster.settle();
    cluster.api.seed(pod_yaml("web-0", "", "app: passing"));
    cluster.live();
    Object networking = cluster.one(kube::pod_networkings, "", "passing");
    networking.set({"spec", "allocationType"}, json::Object{{"type", "Fixed"}, {"releaseStrategy", "Never"}});
    MUST(cluster.api.update(kube::pod_networkings, networking));
    (void)cluster.api.remove(kube::pod_enis, {"default", "web-0"});
    cluster.live();
    EXPECT_EQ(json::find_string(eni("web-0").array({"spec", "allocations"})[0], {"allocationType", "type"}),
              "Elastic");
    EXPECT_EQ(eni("web-0").string({"status", "phase"}), "Bind");
}

// spec/acs.md §3.5: for a StatefulSet.
TEST_F(FixedAddress, a_pod_whose_name_does_not_last_keeps_no_address_and_is_told_so) {
    cluster.api.seed(
        "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web, namespace: default, uid: u}, spec: {replicas: "
        "1, selector: {matchLabels: {app: web}}}}\n---\n"
        "{apiVersion: v1, kind: Pod, metadata: {name: web-x, namespace: default, labels: {app: web}, annotations: "
        "{k8s.aliyun.com/eci-fixed-ip: 'true'}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web, "
        "uid: u, controller: true}]}, spec: {containers: []}}");
    cluster.live();
    const Object pod = cluster.one(kube::pods, "default", "web-x");
    EXPECT_FALSE(pod.string({"status", "podIP"}).empty());
    EXPECT_EQ(pod.annotation("weft.dev/address"), "");
    EXPECT_FALSE(cluster.exists(kube::pod_enis, "default", "web-x"));
    EXPECT_TRUE(cluster.was_told("web-x", "AddressNotKept: metadata.annotations[k8s.aliyun.com/eci-fixed-ip]: "));
}

}  // namespace
}  // namespace weft::controller
