#include "cli/network.h"

#include <gtest/gtest.h>

namespace weft::cli {
namespace {

std::vector<kube::Object> objects(std::string_view text) {
    std::vector<kube::Object> all;
    for (json::Value& document : MUST(json::parse_yaml(text))) all.emplace_back(std::move(document));
    return all;
}

NetworkFacts facts() {
    NetworkFacts facts;
    facts.vpcs = objects(R"(
{metadata: {name: v}, spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20, default: true},
  status: {vni: 7, cidrBlocks: [10.0.0.0/16], usedIPCount: 3, totalIPCount: 252,
  conditions: [{type: Ready, status: "True", reason: Ready}]}}
)");
    facts.vswitches = objects(R"(
{metadata: {name: vsw-a}, spec: {vpc: v, zone: z, cidrBlock: 10.0.1.0/24}, status: {routeTable: vrt-v, usedIPCount: 3,
  availableIPCount: 249, conditions: [{type: Accepted, status: "True"}, {type: Ready, status: "True"}]}}
---
{metadata: {name: vsw-other}, spec: {vpc: w, zone: z, cidrBlock: 10.0.1.0/24}}
)");
    facts.route_tables = objects(R"(
{metadata: {name: vrt-v}, spec: {vpc: v}, status: {number: 7, type: system, routeCount: 2, activeCount: 1, routes: [
  {destination: 10.9.0.0/16, type: VpcPeer, id: peer, vni: 9, state: Active},
  {destination: 10.0.1.9/32, type: Blackhole, state: Conflict, message: inside}],
  conditions: [{type: Ready, status: "False", reason: RoutesNotActive}]}}
)");
    facts.peerings = objects("{metadata: {name: peer}, spec: {vpc: w, peerVpc: v}, "
                             "status: {state: Activated, routeCount: 5, peerRouteCount: 1}}");
    facts.namespaces = objects("{metadata: {name: default}}\n---\n"
                               "{metadata: {name: blue, annotations: {weft.dev/vpc: w}}}");
    return facts;
}

TEST(Network, a_vpc_is_shown_with_what_is_in_it_and_nothing_of_another) {
    const json::Value view = MUST(vpc_view(facts(), "v"));
    EXPECT_EQ(json::find_string(view, {"state"}), "Ready");
    EXPECT_EQ(json::find_strings(view, {"namespaces"}), std::vector<std::string>{"default"});
    ASSERT_EQ(json::find_array(view, {"vSwitches"})->size(), 1u);
    EXPECT_EQ(json::find_string((*json::find_array(view, {"vSwitches"}))[0], {"routeTable"}), "vrt-v");
    EXPECT_EQ(json::find_string((*json::find_array(view, {"routeTables"}))[0], {"state"}), "RoutesNotActive");
    const json::Value& peering = (*json::find_array(view, {"peerings"}))[0];
    EXPECT_EQ(json::find_string(peering, {"peer"}), "w");
    EXPECT_EQ(json::find_int(peering, {"routes"}), 1) << "seen from this side";
    EXPECT_EQ(vpc_view(facts(), "x").error().code, Code::not_found);
}

TEST(Network, routes_are_shown_in_the_order_of_lookup_with_the_system_routes_among_them) {
    const json::Value view = MUST(route_view(facts(), "vrt-v"));
    std::string text;
    for (const json::Value& route : *json::find_array(view, {"routes"}))
        text += std::string(json::find_string(route, {"destination"})) + " " +
                std::string(json::find_string(route, {"nextHop"})) + ", " +
                std::string(json::find_string(route, {"origin"})) + ", " +
                std::string(json::find_string(route, {"state"})) + "\n";
    EXPECT_EQ(text, "10.0.1.9/32 Blackhole, custom, Conflict\n"
                    "10.0.1.0/24 Local, vSwitch vsw-a, Active\n"
                    "172.21.0.0/20 Local, Services, Active\n"
                    "10.0.0.0/16 Local, VPC, Active\n"
                    "10.9.0.0/16 VpcPeer peer (VPC number 9), custom, Active\n"
                    "100.64.0.0/10 Local, cloud services, Active\n");
    EXPECT_EQ(route_view(facts(), "x").error().code, Code::not_found);
}

}  // namespace
}  // namespace weft::cli
