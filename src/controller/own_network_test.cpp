// The network that a pod asks for itself (spec/acs.md §3.4): k8s.aliyun.com/pod-networks, pod-networks-request, pod-networking.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;

constexpr std::string_view networkings = R"(
apiVersion: network.alibabacloud.com/v1beta1
kind: PodNetworking
metadata: {name: asked}
spec: {vSwitchOptions: [vsw-zone-b], securityGroupIDs: [sg-asked]}
---
apiVersion: network.alibabacloud.com/v1beta1
kind: PodNetworking
metadata: {name: selects}
spec: {selector: {podSelector: {matchLabels: {app: a}}}, vSwitchOptions: [vsw-zone-a], securityGroupIDs: [sg-selects]}
---
apiVersion: network.alibabacloud.com/v1beta1
kind: PodNetworking
metadata: {name: keeps}
spec: {allocationType: {type: Fixed, releaseStrategy: Never}, vSwitchOptions: [vsw-zone-a]}
)";

class OwnNetwork : public ::testing::Test {
protected:
    OwnNetwork() {
        cluster.seed_world();
        cluster.api.seed(networkings);
        cluster.settle();
    }

    Object pod(const std::string& name) { return cluster.one(kube::pods, "default", name); }

    void make(std::string_view name, std::string_view annotation, std::string_view value) {
        Object object = Object::of(kube::pods, {"default", std::string(name)});
        object.set_label("app", "a");
        object.set_annotation(annotation, value);
        object.set({"spec", "containers"}, json::Array{});
        MUST(cluster.api.create(kube::pods, object));
        cluster.live();
    }

    TestCluster cluster;
};

constexpr std::string_view spelled_out = "k8s.aliyun.com/pod-networks";
constexpr std::string_view request = "k8s.aliyun.com/pod-networks-request";
constexpr std::string_view networking = "k8s.aliyun.com/pod-networking";

TEST_F(OwnNetwork, spelled_out_it_comes_before_the_PodNetworking_that_would_select_the_pod) {
    make("own", spelled_out, R"({"podNetworks":[{"vSwitchOptions":["vsw-zone-b"],"securityGroupIDs":["sg-own"]}]})");
    const Object own = pod("own");
    EXPECT_TRUE(own.string({"status", "podIP"}).starts_with("10.0.2.")) << own.string({"status", "podIP"});
    EXPECT_EQ(own.annotation(networking), "");
    EXPECT_EQ(own.annotation("network.alibabacloud.com/security-group-ids"), "sg-own");
    EXPECT_EQ(own.annotation("weft.dev/profiled"), "pod-networks");
    const Object eni = cluster.one(kube::pod_enis, "default", "own");
    EXPECT_EQ(json::serialize(eni.array({"spec", "allocations"})[0].at("eni").at("securityGroupIDs")), R"(["sg-own"])");
}

TEST_F(OwnNetwork, spelled_out_as_fixed_the_address_is_kept_for_the_name) {
    make("own", spelled_out,
         R"({"podNetworks":[{"vSwitchOptions":["vsw-zone-b"],"allocationType":{"type":"Fixed","releaseStrategy":"Never"}}]})");
    const std::string address(pod("own").string({"status", "podIP"}));
    ASSERT_FALSE(address.empty());
    ASSERT_TRUE(cluster.api.remove(kube::pods, {"default", "own"}));
    cluster.live();
    for (int day = 0; day < 30; ++day) {
        cluster.clock.advance(std::chrono::hours(24));
        cluster.settle();
    }
    EXPECT_EQ(cluster.one(kube::pod_enis, "default", "own").string({"status", "phase"}), "Unbind") << "Never";
    cluster.renew_leases();
    make("other", "network.alibabacloud.com/vswitch-ids", "vsw-zone-b");
    EXPECT_NE(pod("other").string({"status", "podIP"}), address);
    make("own", spelled_out,
         R"({"podNetworks":[{"vSwitchOptions":["vsw-zone-b"],"allocationType":{"type":"Fixed","releaseStrategy":"Never"}}]})");
    EXPECT_EQ(pod("own").string({"status", "podIP"}), address) << ::testing::PrintToString(cluster.events_on("own"));
}

TEST_F(OwnNetwork, a_PodNetworking_asked_for_by_name_needs_no_selector_and_comes_before_one_that_selects) {
    make("by-request", request, R"([{"network":"asked","interfaceName":"eth0","defaultRoute":true}])");
    make("by-name", networking, "asked");
    for (const char* name : {"by-request", "by-name"}) {
        EXPECT_TRUE(pod(name).string({"status", "podIP"}).starts_with("10.0.2.")) << name;
        EXPECT_EQ(pod(name).annotation("network.alibabacloud.com/security-group-ids"), "sg-asked") << name;
        EXPECT_EQ(pod(name).annotation("k8s.aliyun.com/pod-eni"), "true") << name;
    }
    EXPECT_EQ(pod("by-request").annotation(networking), "");
}

TEST_F(OwnNetwork, one_that_is_not_there_is_waited_for_and_named) {
    make("early", request, R"([{"network":"late"}])");
    EXPECT_EQ(pod("early").string({"spec", "nodeName"}), "");
    EXPECT_TRUE(cluster.was_told("early", "PodNetworkingNotFound: PodNetworking late does not exist"));
    cluster.api.seed("{apiVersion: network.alibabacloud.com/v1beta1, kind: PodNetworking, metadata: {name: late}, spec: "
                     "{vSwitchOptions: [vsw-nowhere]}}");
    cluster.renew_leases();
    cluster.clock.advance(std::chrono::seconds(5));
    cluster.live();
    EXPECT_TRUE(cluster.was_told("early", "PodNetworkingNotReady: PodNetworking late: spec.vSwitchOptions: vSwitch vsw-nowhere"));
    MUST(cluster.api.patch(kube::pod_networkings, {"", "late"}, kube::PatchType::merge,
                           json::Object{{"spec", json::Object{{"vSwitchOptions", json::Array{"vsw-zone-b"}}}}}));
    cluster.clock.advance(std::chrono::seconds(5));
    cluster.live();
    EXPECT_TRUE(pod("early").string({"status", "podIP"}).starts_with("10.0.2."));
}

TEST_F(OwnNetwork, two_of_the_three_together_and_a_fixed_one_for_a_passing_name_are_refused) {
    Object both = Object::of(kube::pods, {"default", "both"});
    both.set_annotation(spelled_out, R"({"podNetworks":[{}]})");
    both.set_annotation(networking, "asked");
    both.set({"spec", "containers"}, json::Array{});
    MUST(cluster.api.create(kube::pods, both));
    // Each with its ReplicaSet beside it, which is content with it.
    const auto make_passing = [&](const std::string& name, std::string_view annotation, std::string_view value) {
        cluster.api.seed(fmt::format("{{apiVersion: apps/v1, kind: ReplicaSet, metadata: {{name: {0}, namespace: default, uid: "
                                     "u-{0}}}, spec: {{replicas: 1, selector: {{matchLabels: {{app: {0}}}}}}}}}",
                                     name));
        Object object = Object::of(kube::pods, {"default", name});
        object.set_label("app", name);
        object.set_annotation(annotation, value);
        object.set({"metadata", "ownerReferences"},
                   json::Array{json::Object{{"apiVersion", "apps/v1"}, {"kind", "ReplicaSet"}, {"name", name},
                                            {"uid", "u-" + name}, {"controller", true}}});
        object.set({"spec", "containers"}, json::Array{});
        MUST(cluster.api.create(kube::pods, object));
    };
    make_passing("passing", networking, "keeps");
    make_passing("passing-too", spelled_out,
                 R"({"podNetworks":[{"allocationType":{"type":"Fixed","releaseStrategy":"Never"}}]})");
    cluster.live();
    for (const char* name : {"both", "passing", "passing-too"})
        EXPECT_EQ(pod(name).string({"spec", "nodeName"}), "") << name;
    EXPECT_TRUE(cluster.was_told("both", "InvalidPodNetworks: metadata.annotations: only one of"));
    EXPECT_TRUE(cluster.was_told("passing", "PodNetworkingNotReady: PodNetworking keeps: it keeps addresses for names"));
    EXPECT_TRUE(cluster.was_told("passing-too", "InvalidPodNetworks: metadata.annotations[k8s.aliyun.com/pod-networks]: type Fixed"));
}

}  // namespace
}  // namespace weft::controller
