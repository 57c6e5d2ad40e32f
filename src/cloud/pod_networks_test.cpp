#include "cloud/pod_networks.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weft::cloud {
namespace {

constexpr std::string_view spelled_out = "k8s.aliyun.com/pod-networks";
constexpr std::string_view request = "k8s.aliyun.com/pod-networks-request";
constexpr std::string_view networking = "k8s.aliyun.com/pod-networking";

json::Value pod(std::initializer_list<std::pair<std::string_view, std::string_view>> annotations) {
    json::Object given;
    for (const auto& [name, value] : annotations) given[name] = value;
    return json::Object{{"metadata", json::Object{{"annotations", std::move(given)}}}};
}

std::string refusal(const json::Value& pod) {
    const auto own = own_network(pod);
    return own ? "accepted" : std::string(own.error().message);
}

TEST(PodNetworks, a_pod_without_any_of_the_three_asks_for_nothing) {
    EXPECT_FALSE(own_network(pod({}))->is_there());
}

TEST(PodNetworks, a_network_spelled_out_is_read_as_a_PodNetworkings_spec) {
    const auto own = own_network(pod({{spelled_out, R"({"podNetworks":[{"interface":"eth0","vSwitchOptions":["a","b"],
        "securityGroupIDs":["sg-1"],"vSwitchSelectOptions":{"vSwitchSelectionPolicy":"most"},
        "allocationType":{"type":"Fixed","releaseStrategy":"TTL","releaseAfter":"7m0s"}}]})"}}));
    ASSERT_TRUE(own) << own.error().message;
    ASSERT_TRUE(own->spelled_out);
    EXPECT_EQ(own->spelled_out->vswitches, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(own->spelled_out->security_groups, (std::vector<std::string>{"sg-1"}));
    EXPECT_EQ(own->spelled_out->policy, SelectionPolicy::most);
    EXPECT_EQ(own->spelled_out->allocation, (AllocationType{true, false, std::chrono::minutes(7)}));
}

TEST(PodNetworks, a_PodNetworking_is_asked_for_by_name_in_two_ways) {
    EXPECT_EQ(own_network(pod({{request, R"([{"network":"edge","interfaceName":"eth0","defaultRoute":true}])"}}))->named,
              "edge");
    EXPECT_EQ(own_network(pod({{networking, "edge"}}))->named, "edge");
}

TEST(PodNetworks, what_cannot_be_is_refused_by_the_name_of_its_annotation) {
    EXPECT_EQ(refusal(pod({{spelled_out, R"({"podNetworks":[{}]})"}, {networking, "edge"}})),
              "metadata.annotations: only one of k8s.aliyun.com/pod-networks, k8s.aliyun.com/pod-networks-request and "
              "k8s.aliyun.com/pod-networking may be given");
    EXPECT_EQ(refusal(pod({{spelled_out, R"({"podNetworks":[{},{}]})"}})),
              "metadata.annotations[k8s.aliyun.com/pod-networks]: names 2 networks; a pod has one interface here");
    EXPECT_EQ(refusal(pod({{spelled_out, R"({"podNetworks":[{"interface":"net1"}]})"}})),
              "metadata.annotations[k8s.aliyun.com/pod-networks]: interface: net1: a pod's interface is eth0 here");
    EXPECT_EQ(refusal(pod({{spelled_out, R"({"podNetworks":[{"allocationType":{"type":"Fixed","releaseStrategy":"TTL"}}]})"}})),
              "metadata.annotations[k8s.aliyun.com/pod-networks]: podNetworks[0].allocationType: invalid releaseAfter ");
    for (const std::string_view text : {"", "true", "{}", "[", R"({"podNetworks":{}})", R"({"podNetworks":[]})"}) {
        if (text.empty()) continue;
        EXPECT_TRUE(refusal(pod({{spelled_out, text}})).starts_with("metadata.annotations[k8s.aliyun.com/pod-networks]: "))
            << text;
        EXPECT_TRUE(
            refusal(pod({{request, text}})).starts_with("metadata.annotations[k8s.aliyun.com/pod-networks-request]: "))
            << text;
    }
    EXPECT_EQ(refusal(pod({{request, R"([{"interfaceName":"eth0"}])"}})),
              "metadata.annotations[k8s.aliyun.com/pod-networks-request]: [0].network: Required value");
}

TEST(PodNetworks, a_pod_that_is_left_alone_asks_for_nothing) {
    json::Value left = pod({{networking, "edge"}});
    json::set(left, {"metadata", "labels", "k8s.aliyun.com/ignore-by-terway"}, json::Value("true"));
    EXPECT_FALSE(own_network(left)->is_there());
}

}  // namespace
}  // namespace weft::cloud
