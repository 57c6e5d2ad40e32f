#include <fmt/format.h>
#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;

std::string pod_yaml(std::string_view name, std::string_view vswitches = {}, std::string_view spec = "containers: []") {
    const std::string annotations =
        vswitches.empty() ? ""
                          : fmt::format(", annotations: {{network.alibabacloud.com/vswitch-ids: \"{}\"}}", vswitches);
    return fmt::format("{{apiVersion: v1, kind: Pod, metadata: {{name: {}, namespace: default{}}}, spec: {{{}}}}}\n",
                       name, annotations, spec);
}

TEST(PodPlacement, a_pod_is_bound_with_its_vswitch_in_one_patch_and_told_what_the_cloud_did) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.settle();
    cluster.api.seed(pod_yaml("placed", "vsw-zone-b"));
    cluster.live();
    const Object pod = cluster.one(kube::pods, "default", "placed");
    EXPECT_EQ(pod.string({"spec", "nodeName"}), "node-3");
    EXPECT_EQ(pod.annotation("weft.dev/vswitch"), "vsw-zone-b");
    EXPECT_EQ(pod.string({"status", "podIP"}), "10.0.2.1");
    EXPECT_TRUE(kube::condition_is(pod, "PodScheduled", "True"));
    EXPECT_EQ(pod.annotation("network.alibabacloud.com/vswitch-id"), "vsw-zone-b");
    EXPECT_EQ(pod.annotation("network.alibabacloud.com/vpc-id"), "vpc-demo");
    EXPECT_TRUE(pod.annotation("network.alibabacloud.com/allocated-eni-id").starts_with("eni-"));
    EXPECT_EQ(pod.annotation("topology.kubernetes.io/zone"), "zone-b");
    EXPECT_EQ(pod.annotation("topology.kubernetes.io/region"), "cn-local");
    EXPECT_EQ(cluster.one(kube::vswitches, "", "vsw-zone-b").integer({"status", "availableIPCount"}), 251);
}

TEST(PodPlacement, pods_spread_over_the_nodes_of_the_zone) {
    TestCluster cluster;
    cluster.seed_world();
    for (int i = 0; i < 4; ++i) cluster.api.seed(pod_yaml(fmt::format("p{}", i), "vsw-zone-a"));
    cluster.live();
    std::map<std::string, int> nodes;
    for (const Object& pod : cluster.all(kube::pods)) ++nodes[std::string(pod.string({"spec", "nodeName"}))];
    EXPECT_EQ(nodes, (std::map<std::string, int>{{"node-1", 2}, {"node-2", 2}}));
}

TEST(PodPlacement, a_pod_that_names_its_node_gets_a_vswitch_of_that_nodes_zone) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.settle();
    cluster.api.seed(pod_yaml("here", "vsw-zone-a,vsw-zone-b", "nodeName: node-3, containers: []"));
    cluster.live();
    const Object pod = cluster.one(kube::pods, "default", "here");
    EXPECT_EQ(pod.string({"spec", "nodeName"}), "node-3");
    EXPECT_EQ(pod.annotation("weft.dev/vswitch"), "vsw-zone-b");
    EXPECT_EQ(pod.string({"status", "podIP"}), "10.0.2.1");
}

TEST(PodPlacement, pods_that_avoid_each_other_stand_on_different_nodes_or_wait) {
    TestCluster cluster;
    cluster.seed_world();
    for (int i = 0; i < 3; ++i)
        cluster.api.seed(fmt::format(R"(
apiVersion: v1
kind: Pod
metadata: {{name: p{}, namespace: default, labels: {{app: db}}, annotations: {{network.alibabacloud.com/vswitch-ids: vsw-zone-a}}}}
spec:
  containers: []
  affinity:
    podAntiAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
      - {{topologyKey: kubernetes.io/hostname, labelSelector: {{matchLabels: {{app: db}}}}}}
)",
                                     i));
    cluster.live();
    std::multiset<std::string> nodes;
    for (const Object& pod : cluster.all(kube::pods)) nodes.emplace(pod.string({"spec", "nodeName"}));
    EXPECT_EQ(nodes, (std::multiset<std::string>{"", "node-1", "node-2"}));
}

TEST(PodPlacement, what_keeps_a_pod_pending_is_said_on_the_pod) {
    struct Row {
        std::string_view vswitches, spec, event;
    };
    const std::string field = "metadata.annotations[network.alibabacloud.com/vswitch-ids]: ";
    const std::vector<std::pair<Row, std::string>> rows = {
        {{"none", "containers: []", ""}, "VSwitchNotFound: " + field + "vSwitch none does not exist"},
        {{"vsw-x", "containers: []", ""},
         "VPCMismatch: " + field + "vSwitch vsw-x belongs to VPC vpc-x, the pod to VPC vpc-demo"},
        {{"vsw-zone-b", "nodeSelector: {disk: fast}, containers: []", ""},
         "FailedScheduling: 0/3 nodes are available: 3 not matching spec.nodeSelector"},
        {{"vsw-empty-zone", "containers: []", ""},
         "FailedScheduling: 0/3 nodes are available: 3 outside zone zone-q of vSwitch vsw-empty-zone"},
    };
    for (const auto& [row, expected] : rows) {
        TestCluster cluster;
        cluster.seed_world();
        cluster.api.seed(R"(
{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-x}, spec: {cidrBlock: 10.0.0.0/16}}
---
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-x},
  spec: {vpc: vpc-x, zone: zone-a, cidrBlock: 10.0.1.0/24}}
---
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-empty-zone},
  spec: {vpc: vpc-demo, zone: zone-q, cidrBlock: 10.0.7.0/24}}
)");
        cluster.settle();
        cluster.api.seed(pod_yaml("p", row.vswitches, row.spec));
        cluster.live();
        const Object pod = cluster.one(kube::pods, "default", "p");
        EXPECT_TRUE(pod.string({"spec", "nodeName"}).empty());
        EXPECT_TRUE(kube::condition_is(pod, "PodScheduled", "False"));
        const auto events = cluster.events_on("p");
        EXPECT_NE(std::find(events.begin(), events.end(), expected), events.end())
            << expected << "\nhave: " << fmt::format("{}", fmt::join(events, "\n"));
    }
}

TEST(PodPlacement, a_pod_that_waits_is_told_once_why_however_often_it_is_looked_at) {
    constexpr int waiting = 700;
    TestCluster cluster;
    cluster.seed_world();
    cluster.settle();
    for (int i = 0; i < waiting; ++i) cluster.api.seed(pod_yaml(fmt::format("p{}", i), "none"));
    cluster.settle();
    const auto told = [&] {
        std::pair<size_t, int64_t> events;  // Events, and how often all of them together were raised
        for (const Object& event : cluster.all(kube::events)) {
            const std::string_view reason = event.string({"reason"});
            if (reason != "FailedScheduling" && reason != "VSwitchNotFound") continue;
            ++events.first;
            events.second += event.integer({"count"});
        }
        return events;
    };
    const std::pair<size_t, int64_t> once = {2 * waiting, 2 * waiting};  // FailedScheduling, and the reason itself
    EXPECT_EQ(told(), once);
    for (int i = 0; i < 10; ++i) {
        cluster.renew_leases();
        cluster.clock.advance(std::chrono::seconds(5));
        cluster.settle();
    }
    EXPECT_EQ(told(), once);
    cluster.restart();
    cluster.settle();
    EXPECT_EQ(told(), once) << "its condition says it already";
    Object pod = cluster.one(kube::pods, "default", "p7");
    pod.set_annotation("network.alibabacloud.com/vswitch-ids", "gone");
    MUST(cluster.api.update(kube::pods, pod));
    cluster.settle();
    EXPECT_TRUE(cluster.was_told("p7", "vSwitch gone does not exist"));
    EXPECT_EQ(told(), (std::pair<size_t, int64_t>{2 * waiting + 2, 2 * waiting + 2}));
}

TEST(PodPlacement, a_tiny_vswitch_runs_out_the_next_one_serves_and_scaling_down_gives_it_back) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(
        "{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-tiny}, spec: {vpc: vpc-demo, zone: zone-a, "
        "cidrBlock: 10.0.9.0/29}}");
    cluster.settle();
    for (int i = 0; i < 6; ++i) cluster.api.seed(pod_yaml(fmt::format("p{}", i), "vsw-tiny,vsw-zone-a"));
    cluster.live();
    std::set<std::string> tiny;
    for (const Object& pod : cluster.all(kube::pods)) {
        ASSERT_FALSE(pod.string({"status", "podIP"}).empty()) << pod.name();
        if (pod.string({"status", "podIP"}).starts_with("10.0.9."))
            tiny.insert(std::string(pod.string({"status", "podIP"})));
    }
    EXPECT_EQ(tiny, (std::set<std::string>{"10.0.9.1", "10.0.9.2", "10.0.9.3", "10.0.9.4"}));
    EXPECT_EQ(cluster.one(kube::vswitches, "", "vsw-tiny").integer({"status", "availableIPCount"}), 0);

    cluster.api.seed(pod_yaml("late", "vsw-tiny"));
    cluster.live();
    const auto events = cluster.events_on("late");
    EXPECT_NE(std::find(events.begin(), events.end(), "VSwitchExhausted: no free address in vSwitch vsw-tiny"),
              events.end());

    for (const Object& pod : cluster.all(kube::pods)) (void)cluster.api.remove(kube::pods, pod.key());
    cluster.live();
    EXPECT_EQ(cluster.one(kube::vswitches, "", "vsw-tiny").integer({"status", "availableIPCount"}), 4);
    for (const Object& block : cluster.all(kube::address_blocks))
        EXPECT_NE(block.string({"spec", "vSwitch"}), "vsw-tiny");
}

TEST(PodPlacement, acs_profile_names_the_default_vswitches) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: acs-profile, namespace: kube-system}, data: {vSwitchIds: "
        "vsw-zone-b}}");
    cluster.api.seed(pod_yaml("defaulted"));
    cluster.live();
    EXPECT_EQ(cluster.one(kube::pods, "default", "defaulted").annotation("weft.dev/vswitch"), "vsw-zone-b");
}

TEST(PodPlacement, two_vpcs_with_the_same_blocks_serve_their_own_namespaces) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(R"(
{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-blue},
  spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20}}
---
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-blue-a},
  spec: {vpc: vpc-blue, zone: zone-a, cidrBlock: 10.0.1.0/24}}
---
apiVersion: v1
kind: Namespace
metadata: {name: blue, annotations: {weft.dev/vpc: vpc-blue, weft.dev/dns-namespace: default}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: blue}, spec: {containers: []}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {containers: []}}
)");
    cluster.live();
    EXPECT_EQ(cluster.one(kube::pods, "blue", "p").annotation("network.alibabacloud.com/vpc-id"), "vpc-blue");
    EXPECT_EQ(cluster.one(kube::pods, "default", "p").annotation("network.alibabacloud.com/vpc-id"), "vpc-demo");
    EXPECT_EQ(cluster.one(kube::pods, "blue", "p").string({"status", "podIP"}),
              cluster.one(kube::pods, "default", "p").string({"status", "podIP"}));
}

}  // namespace
}  // namespace weft::controller
