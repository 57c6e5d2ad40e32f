#include <fmt/format.h>
#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;

std::string pod_yaml(std::string_view name, std::string_view labels, std::string_view annotations = "",
                     std::string_view ns = "default") {
    return fmt::format(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {}, namespace: {}, labels: {{{}}}, annotations: {{{}}}}}, "
        "spec: "
        "{{containers: []}}}}\n",
        name, ns, labels, annotations);
}

constexpr std::string_view profile = R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: acs-profile, namespace: kube-system}
data:
  vSwitchIds: vsw-zone-a,vsw-zone-b
  securityGroupId: sg-default
  selectors: |
    [{"name": "web-tier", "objectSelector": {"matchLabels": {"tier": "web"}},
      "effect": {"annotations": {"network.alibabacloud.com/security-group-ids": "sg-web", "team-note": "web"},
                 "labels": {"profiled": "yes"}}},
     {"name": "red-web", "namespaceSelector": {"matchLabels": {"plane": "red"}},
      "objectSelector": {"matchLabels": {"tier": "web"}}, "effect": {"labels": {"red": "yes"}}},
     {"effect": {"annotations": {"nameless": "yes"}}},
     {"name": "everyone", "effect": {"annotations": {"team-note": "everyone"}}}]
)";

TEST(PodProfile, effects_are_added_once_at_creation_and_replace_nothing) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(pod_yaml("old", "tier: web"));
    cluster.live();
    cluster.api.seed(profile);
    cluster.api.seed(pod_yaml("plain", ""));
    cluster.api.seed(pod_yaml("web", "tier: web"));
    cluster.api.seed(pod_yaml("stubborn", "tier: web", "network.alibabacloud.com/security-group-ids: sg-db"));
    cluster.live();
    const auto pod = [&](const char* name) { return cluster.one(kube::pods, "default", name); };
    constexpr std::string_view groups = "network.alibabacloud.com/security-group-ids";
    EXPECT_EQ(pod("plain").annotation("team-note"), "everyone");
    EXPECT_EQ(pod("plain").annotation(groups), "");
    EXPECT_EQ(pod("plain").annotation("nameless"), "");
    EXPECT_EQ(pod("web").annotation(groups), "sg-web");
    EXPECT_EQ(pod("web").annotation("team-note"), "web");
    EXPECT_EQ(pod("web").label("profiled"), "yes");
    EXPECT_EQ(pod("web").label("red"), "");
    EXPECT_EQ(pod("stubborn").annotation(groups), "sg-db");
    EXPECT_EQ(pod("stubborn").annotation("team-note"), "web");
    EXPECT_EQ(pod("stubborn").label("profiled"), "yes");
    EXPECT_EQ(pod("old").annotation("team-note"), "");
    EXPECT_EQ(pod("web").annotation("weft.dev/profiled"), "web-tier,everyone");
    const auto told = cluster.events_on("acs-profile");
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0], "InvalidSelectors: data.selectors: a selector without a name is not used");
}

TEST(PodProfile, a_pod_that_waits_keeps_what_was_decided_when_it_came) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(pod_yaml("waits", "tier: web", "network.alibabacloud.com/vswitch-ids: vsw-late"));
    cluster.live();
    cluster.api.seed(profile);
    cluster.api.seed(
        "{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-late}, spec: {vpc: vpc-demo, zone: zone-a, "
        "cidrBlock: 10.0.8.0/24}}");
    cluster.live();
    const Object pod = cluster.one(kube::pods, "default", "waits");
    EXPECT_EQ(pod.annotation("weft.dev/vswitch"), "vsw-late");
    EXPECT_EQ(pod.annotation("team-note"), "");
}

constexpr std::string_view networkings = R"(
apiVersion: network.alibabacloud.com/v1beta1
kind: PodNetworking
metadata: {name: edge}
spec:
  selector:
    podSelector: {matchLabels: {face: public}}
    namespaceSelector: {matchLabels: {plane: edge}}
  vSwitchOptions: [vsw-zone-b]
  securityGroupIDs: [sg-web]
---
apiVersion: network.alibabacloud.com/v1beta1
kind: PodNetworking
metadata: {name: broken}
spec:
  selector: {podSelector: {matchLabels: {face: nowhere}}}
  vSwitchOptions: [vsw-missing]
---
apiVersion: v1
kind: Namespace
metadata: {name: edge, labels: {plane: edge}}
)";

TEST(PodProfile, a_PodNetworking_is_used_when_both_selectors_match_and_it_is_ready) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(networkings);
    cluster.api.seed(pod_yaml("inside", "face: public", "", "edge"));
    cluster.api.seed(pod_yaml("unlabelled", "", "", "edge"));
    cluster.api.seed(pod_yaml("outside", "face: public"));
    cluster.api.seed(pod_yaml("nowhere", "face: nowhere"));
    cluster.live();
    const Object inside = cluster.one(kube::pods, "edge", "inside");
    EXPECT_TRUE(inside.string({"status", "podIP"}).starts_with("10.0.2."));
    EXPECT_EQ(inside.annotation("k8s.aliyun.com/pod-networking"), "edge");
    EXPECT_EQ(inside.annotation("k8s.aliyun.com/pod-eni"), "true");
    EXPECT_EQ(inside.annotation("network.alibabacloud.com/security-group-ids"), "sg-web");
    for (const auto& [ns, name] : {std::pair("edge", "unlabelled"), {"default", "outside"}, {"default", "nowhere"}})
        EXPECT_EQ(cluster.one(kube::pods, ns, name).annotation("k8s.aliyun.com/pod-networking"), "") << name;

    const Object edge = cluster.one(kube::pod_networkings, "", "edge");
    EXPECT_EQ(edge.string({"status", "status"}), "Ready");
    EXPECT_EQ(json::serialize(edge.array({"status", "vSwitches"})), R"([{"id":"vsw-zone-b","zone":"zone-b"}])");
    EXPECT_EQ(cluster.events_on("edge")[0], "SyncPodNetworkingSucceed: Synced");
    const Object broken = cluster.one(kube::pod_networkings, "", "broken");
    EXPECT_EQ(broken.string({"status", "status"}), "Fail");
    EXPECT_EQ(cluster.events_on("broken")[0],
              "SyncPodNetworkingFailed: " + std::string(broken.string({"status", "message"})));
    EXPECT_NE(broken.string({"status", "message"}).find("vsw-missing"), std::string::npos);
    EXPECT_EQ(cluster.one(kube::pod_enis, "edge", "inside").string({"status", "phase"}), "Bind");

    // The missing one appears: found at the next look.
    cluster.api.seed(
        "{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-missing}, spec: {vpc: vpc-demo, zone: zone-a, "
        "cidrBlock: 10.0.8.0/24}}");
    cluster.live();
    EXPECT_EQ(cluster.one(kube::pod_networkings, "", "broken").string({"status", "status"}), "Ready");

    // An elastic record goes with its pod.
    (void)cluster.api.remove(kube::pods, {"edge", "inside"});
    cluster.live();
    EXPECT_FALSE(cluster.exists(kube::pod_enis, "edge", "inside"));
}

TEST(PodProfile, the_selection_policy_orders_the_vswitches) {
    for (const auto& [policy, first] : {std::pair("ordered", "vsw-zone-b"), {"most", "vsw-big"}}) {
        TestCluster cluster;
        cluster.seed_world();
        cluster.api.seed(
            "{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-big}, spec: {vpc: vpc-demo, zone: zone-a, "
            "cidrBlock: 10.0.16.0/20}}");
        cluster.api.seed(fmt::format(
            "{{apiVersion: network.alibabacloud.com/v1beta1, kind: PodNetworking, metadata: {{name: p}}, spec: "
            "{{selector: "
            "{{podSelector: {{matchLabels: {{a: b}}}}}}, vSwitchOptions: [vsw-zone-b, vsw-big], vSwitchSelectOptions: "
            "{{vSwitchSelectionPolicy: {}}}}}}}",
            policy));
        cluster.settle();
        cluster.api.seed(pod_yaml("p", "a: b"));
        cluster.live();
        EXPECT_EQ(cluster.one(kube::pods, "default", "p").annotation("weft.dev/vswitch"), first) << policy;
    }
}

TEST(PodProfile, the_random_policy_uses_every_vswitch_and_a_full_one_is_passed_over_under_each_policy) {
    for (const std::string_view policy : {"ordered", "random", "most"}) {
        TestCluster cluster;
        cluster.seed_world();
        cluster.api.seed(
            "{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-tiny}, spec: {vpc: vpc-demo, zone: zone-a, "
            "cidrBlock: 10.0.9.0/29}}");
        cluster.api.seed(fmt::format(
            "{{apiVersion: network.alibabacloud.com/v1beta1, kind: PodNetworking, metadata: {{name: p}}, spec: "
            "{{selector: "
            "{{podSelector: {{matchLabels: {{a: b}}}}}}, vSwitchOptions: [vsw-tiny, vsw-zone-a], vSwitchSelectOptions: "
            "{{vSwitchSelectionPolicy: {}}}}}}}",
            policy));
        cluster.settle();
        for (int i = 0; i < 24; ++i) cluster.api.seed(pod_yaml(fmt::format("p-{}", i), "a: b"));
        cluster.live();
        int tiny = 0, running = 0;
        for (const Object& pod : cluster.all(kube::pods)) {
            tiny += pod.annotation("weft.dev/vswitch") == "vsw-tiny";
            running += !pod.string({"status", "podIP"}).empty();
        }
        EXPECT_EQ(running, 24) << policy;
        EXPECT_EQ(tiny, policy == "most" ? 0 : 4) << policy;
    }
}

}  // namespace
}  // namespace weft::controller
