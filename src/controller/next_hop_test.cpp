// Which pod a route's next hop means (spec/acs.md §1.3).
#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

// What a pod's author writes of its interface counts for nothing, in any VPC.
TEST(NextHop, an_interface_is_the_pods_whose_id_it_is_whoever_else_claims_it) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(R"(
{apiVersion: v1, kind: Namespace, metadata: {name: net, labels: {weft.dev/allow-forwarding: "true"}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: fw, namespace: net, annotations: {weft.dev/allow-forwarding: "true"}},
  spec: {containers: []}}
---
{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-blue}, spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: blue, annotations: {weft.dev/vpc: vpc-blue, weft.dev/dns-namespace: default}}}
)");
    cluster.live();
    const kube::Object fw = cluster.one(kube::pods, "net", "fw");
    const std::string eni(fw.annotation("network.alibabacloud.com/allocated-eni-id"));
    ASSERT_TRUE(eni.starts_with("eni-"));
    for (const std::string_view ns : {"blue", "default"})
        cluster.api.seed(fmt::format("{{apiVersion: v1, kind: Pod, metadata: {{name: liar, namespace: {}, annotations: "
                                     "{{network.alibabacloud.com/allocated-eni-id: {}}}}}, spec: {{schedulerName: "
                                     "other, containers: []}}}}",
                                     ns, eni));
    cluster.api.seed(fmt::format("{{apiVersion: weft.dev/v1, kind: RouteTable, metadata: {{name: mine}}, spec: {{vpc: "
                                 "vpc-demo, routes: [{{destination: 0.0.0.0/0, nextHop: {{type: NetworkInterface, id: "
                                 "{}}}}}]}}}}",
                                 eni));
    cluster.settle();
    const kube::Object table = cluster.one(kube::route_tables, "", "mine");
    ASSERT_EQ(table.array({"status", "routes"}).size(), 1u);
    const json::Value route = table.array({"status", "routes"})[0];
    EXPECT_EQ(json::find_string(route, {"state"}), "Active") << json::serialize(table.body());
    EXPECT_EQ(json::find_string(route, {"via"}), fw.string({"status", "podIP"}));
}

}  // namespace
}  // namespace weft::controller
