#include "controller/hints.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weft::controller {
namespace {

using kube::Object;

Object service(std::string_view spec, std::string_view annotations = "{}") {
    return Object(MUST(json::parse_yaml(fmt::format("metadata: {{annotations: {}}}\nspec: {}", annotations, spec)))[0]);
}

// "a" in zone a, "A" there but not ready, "-" ready in no zone.
std::vector<EndpointGroup> endpoints(std::string_view letters) {
    EndpointGroup group;
    for (const char letter : letters) {
        const char zone = char(std::tolower(letter));
        json::Value endpoint = json::Object{{"nodeName", fmt::format("node-{}", zone)}};
        json::set(endpoint, {"conditions", "ready"}, zone == letter);
        if (letter != '-') json::set(endpoint, {"zone"}, json::Value(std::string(1, zone)));
        group.endpoints.push_back(std::move(endpoint));
    }
    return {group};
}

// The hinted zones in the same order; "." for none.
std::string hinted(const std::vector<EndpointGroup>& groups, std::string_view list = "forZones") {
    std::string text;
    for (const json::Value& endpoint : groups[0].endpoints) {
        const json::Array* places = json::find_array(endpoint, {"hints", list});
        text += places == nullptr ? '.' : json::find_string((*places)[0], {"name"}).back();
    }
    return text;
}

std::string hinted(std::string_view letters, HintRule rule, const ZoneCpu& cpu = {}) {
    auto groups = endpoints(letters);
    add_hints(groups, rule, cpu);
    return hinted(groups);
}

// EPS-15
TEST(Hints, EPS15_the_annotation_wins_over_the_field) {
    EXPECT_EQ(hint_rule(service("{}")), HintRule::none);
    EXPECT_EQ(hint_rule(service("{trafficDistribution: PreferClose}")), HintRule::same_zone);
    EXPECT_EQ(hint_rule(service("{trafficDistribution: PreferSameZone}")), HintRule::same_zone);
    EXPECT_EQ(hint_rule(service("{trafficDistribution: PreferSameNode}")), HintRule::same_node);
    EXPECT_EQ(hint_rule(service("{trafficDistribution: PreferSameNode}", "{service.kubernetes.io/topology-mode: Auto}")),
              HintRule::by_cpu);
    EXPECT_EQ(hint_rule(service("{}", "{service.kubernetes.io/topology-aware-hints: auto}")), HintRule::by_cpu);
    EXPECT_EQ(hint_rule(service("{trafficDistribution: PreferClose}", "{service.kubernetes.io/topology-mode: Disabled}")),
              HintRule::same_zone);
}

// EPS-15
TEST(Hints, EPS15_only_ready_endpoints_are_hinted_and_to_their_own_place) {
    EXPECT_EQ(hinted("aAb-", HintRule::same_zone), "a.b.");
    EXPECT_EQ(hinted("ab", HintRule::none), "..");
    auto groups = endpoints("aAb-");
    add_hints(groups, HintRule::same_node, {});
    EXPECT_EQ(hinted(groups), "a.b.");
    EXPECT_EQ(hinted(groups, "forNodes"), "a.b-");
}

// EPS-15
TEST(Hints, EPS15_by_cpu_no_zone_is_overloaded_by_more_than_a_fifth_or_there_are_no_hints) {
    const ZoneCpu even{{"a", 4}, {"b", 4}};
    EXPECT_EQ(hinted("abab", HintRule::by_cpu, even), "abab");
    EXPECT_EQ(hinted("aaaaab", HintRule::by_cpu, even), "aaabbb") << "each needs three of six (2.5)";
    EXPECT_EQ(hinted("aa", HintRule::by_cpu, even), "ab");
    EXPECT_EQ(hinted("aab", HintRule::by_cpu, even), "...") << "two of three for each: not possible";
    EXPECT_EQ(hinted("a", HintRule::by_cpu, even), ".") << "fewer endpoints than zones";
    EXPECT_EQ(hinted("ab-a", HintRule::by_cpu, even), "....") << "one stands in no zone";
    EXPECT_EQ(hinted("aabb", HintRule::by_cpu, {{"a", 4}}), "....") << "one zone only";
    EXPECT_EQ(hinted("aaab", HintRule::by_cpu, {{"a", 6}, {"b", 2}}), "aaab");
}

// EPS-15
TEST(Hints, EPS15_a_ready_node_in_no_zone_means_no_shares) {
    const auto node = [](std::string_view labels, std::string_view ready) {
        return std::make_shared<const Object>(MUST(json::parse_yaml(fmt::format(
            "metadata: {{labels: {}}}\nstatus: {{allocatable: {{cpu: 1500m}}, conditions: [{{type: Ready, status: '{}'}}]}}",
            labels, ready)))[0]);
    };
    const auto a = node("{topology.kubernetes.io/zone: a}", "True");
    EXPECT_EQ(zone_cpu({a, a}), (ZoneCpu{{"a", 3.0}}));
    EXPECT_EQ(zone_cpu({a, node("{}", "True")}), ZoneCpu{});
    EXPECT_EQ(zone_cpu({a, node("{}", "False")}), (ZoneCpu{{"a", 1.5}}));
}

}  // namespace
}  // namespace weft::controller
