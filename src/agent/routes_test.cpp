#include "agent/routes.h"

#include <unistd.h>

#include "agent/endpoint_rows.h"
#include "kernel/bpf_map_fake.h"
#include "kube/fake_client.h"

namespace weft::agent {
namespace {

net::Prefix prefix(const char* text) { return MUST(net::Prefix::parse(text)); }

cloud::Vpc vpc() {
    cloud::Vpc vpc;
    vpc.name = "v";
    vpc.vni = 7;
    vpc.blocks = {prefix("10.0.0.0/16"), prefix("192.168.0.0/20")};
    vpc.service_cidr = prefix("172.21.0.0/20");
    return vpc;
}

std::vector<cloud::VSwitch> vswitches() {
    cloud::VSwitch vswitch;
    vswitch.vpc = "v";
    vswitch.cidr = prefix("10.0.1.0/24");
    return {vswitch};
}

TEST(Routes, a_table_tells_the_vpcs_own_addresses_from_everything_else) {
    const auto rows = desired_table(7, vpc(), vswitches(), {});
    EXPECT_EQ(rows.size(), 5u);
    for (const char* local : {"10.0.0.0/16", "10.0.1.0/24", "192.168.0.0/20", "100.64.0.0/10"})
        EXPECT_EQ(rows.at(abi::route_key_of(7, prefix(local))).kind, uint32_t(abi::ROUTE_LOCAL)) << local;
    EXPECT_EQ(rows.at(abi::route_key_of(7, prefix("172.21.0.0/20"))).kind, uint32_t(abi::ROUTE_SERVICES));
}

TEST(Routes, active_routes_become_rows_that_say_where_they_lead_and_whether_the_address_is_the_vpcs_own) {
    const net::Address firewall = MUST(net::Address::parse("10.0.1.4"));
    const std::vector<cloud::ActiveRoute> routes = {
        {prefix("10.9.0.0/16"), cloud::HopType::vpc_peer, "p", {.vni = 9, .via = std::nullopt}},
        {prefix("0.0.0.0/0"), cloud::HopType::instance, "default/fw", {.vni = 0, .via = firewall}},
        {prefix("10.0.0.0/16"), cloud::HopType::blackhole, "", {}},
        {prefix("10.0.200.0/24"), cloud::HopType::network_interface, "eni-1", {.vni = 0, .via = firewall}},
        {prefix("::/0"), cloud::HopType::blackhole, "", {}},
        {prefix("198.51.100.0/24"), cloud::HopType::nat_gateway, "ngw", {}},
    };
    const uint32_t table = cloud::custom_table_first;
    const auto rows = desired_table(table, vpc(), vswitches(), routes);
    const auto row = [&](const char* text) { return rows.at(abi::route_key_of(table, prefix(text))); };
    EXPECT_EQ(row("10.9.0.0/16").kind, uint32_t(abi::ROUTE_PEERING));
    EXPECT_EQ(row("10.9.0.0/16").target, 9u);
    EXPECT_EQ(row("0.0.0.0/0").kind, uint32_t(abi::ROUTE_ENDPOINT));
    EXPECT_EQ(row("0.0.0.0/0").via, abi::to_abi(firewall));
    EXPECT_EQ(row("0.0.0.0/0").target, 0u);
    EXPECT_EQ(row("10.0.0.0/16").kind, uint32_t(abi::ROUTE_BLACKHOLE)) << "a whole block may be pointed elsewhere";
    EXPECT_EQ(row("10.0.0.0/16").target, 7u) << "and is still the VPC's own";
    EXPECT_EQ(row("10.0.200.0/24").target, 7u);
    EXPECT_EQ(row("10.0.1.0/24").kind, uint32_t(abi::ROUTE_LOCAL));
    EXPECT_EQ(row("8000::/1").kind, uint32_t(abi::ROUTE_BLACKHOLE));
    EXPECT_FALSE(rows.contains(abi::route_key_of(table, prefix("::/0")))) << "it would take IPv4 in";
    EXPECT_FALSE(rows.contains(abi::route_key_of(table, prefix("198.51.100.0/24")))) << "the place of NAT is kept";
}

AllocationLog open_log(const std::string& path) { return MUST(AllocationLog::open(path, "boot-1")); }

// The API in a map, one node, a log in a folder of its own.
struct RoutesOnANode : testing::Test {
    RoutesOnANode() {
        api.seed(R"(
{apiVersion: v1, kind: Namespace, metadata: {name: default}}
---
{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: v}, spec: {cidrBlock: 10.0.0.0/16, default: true},
  status: {vni: 7}}
---
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-a}, spec: {vpc: v, zone: z, cidrBlock: 10.0.1.0/24},
  status: {conditions: [{type: Accepted, status: "True"}]}}
---
{apiVersion: weft.dev/v1, kind: RouteTable, metadata: {name: mine}, spec: {vpc: v}, status: {number: 16777216,
  routes: [{destination: 198.51.100.0/24, type: Blackhole, state: Active}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: fw, namespace: default, uid: u1,
  annotations: {weft.dev/allow-forwarding: "true"}}, spec: {nodeName: n1, containers: []}}
)");
        Allocation allocation;
        allocation.key = {"c1", "eth0"};
        allocation.pod_namespace = "default";
        allocation.pod_name = "fw";
        allocation.pod_uid = "u1";
        allocation.netns = "/run/netns/x";
        allocation.vpc = "v";
        allocation.vswitch = "vsw-a";
        allocation.block = "b";
        allocation.vni = 7;
        allocation.address = MUST(net::Address::parse("10.0.1.4"));
        allocation.endpoint_id = 3;
        allocation.host_link = "wp1";
        EXPECT_TRUE(log.reserve(allocation).has_value());
        EXPECT_TRUE(put_endpoint(tables, {.id = 3, .vpc = 7, .v4 = allocation.address, .mac = {}}).has_value());
        brain->run_until_idle();
        look();
    }
    ~RoutesOnANode() override { ::unlink(path.c_str()); }

    void look() {
        brain->run_until_idle();
        EXPECT_EQ(routes.reconcile({"", "v"}).kind, kube::Outcome::Kind::done);
        EXPECT_TRUE(routes.follow().has_value());
    }

    void change(const kube::Resource& resource, std::string name, json::Path path, json::Value value,
                std::string ns = {}) {
        kube::Object object = MUST(api.get(resource, {std::move(ns), std::move(name)}));
        object.set(path, std::move(value));
        MUST(api.update(resource, object));
        look();
    }

    const abi::endpoint& row() { return *tables.endpoint.find(3); }
    bool forwards() { return (row().flags & abi::ENDPOINT_FORWARDS) != 0; }
    const abi::route* route(uint32_t table, const char* text) {
        return tables.routes.find(abi::route_key_of(table, prefix(text)));
    }

    std::string path = "/tmp/weft-routes-test-" + std::to_string(::getpid()) + ".log";
    FakeClock clock;
    kube::FakeClient api{clock};
    std::unique_ptr<kube::Brain> brain = kube::Brain::create(api, clock);
    kernel::NodeMaps maps = kernel::fake_node_maps();
    Tables tables{maps};
    AllocationLog log = open_log(path);
    View view{*brain, "n1"};
    Routes routes{view, tables, log};
};

TEST_F(RoutesOnANode, a_running_pod_follows_the_binding_of_its_vswitch_and_back) {
    EXPECT_EQ(row().route_table, 7u);
    EXPECT_NE(route(7, "10.0.1.0/24"), nullptr);
    EXPECT_NE(route(16777216, "198.51.100.0/24"), nullptr);
    change(kube::vswitches, "vsw-a", {"spec", "routeTable"}, "mine");
    EXPECT_EQ(row().route_table, 16777216u);
    change(kube::vswitches, "vsw-a", {"spec", "routeTable"}, "elsewhere");
    EXPECT_EQ(row().route_table, 7u) << "a table that is not there does not bind";
    const uint64_t writes = maps.writes();
    look();
    EXPECT_EQ(maps.writes(), writes) << "the same again writes nothing";
}

TEST_F(RoutesOnANode, rows_of_a_table_that_is_gone_go_even_after_a_restart) {
    ASSERT_TRUE(tables.routes.put(abi::route_key_of(16777299, prefix("10.9.0.0/16")), {}).has_value());
    ASSERT_TRUE(routes.adopt().has_value());
    EXPECT_EQ(route(16777299, "10.9.0.0/16"), nullptr);
    EXPECT_NE(route(16777216, "10.0.1.0/24"), nullptr);
    MUST(api.remove(kube::route_tables, {"", "mine"}));
    look();
    EXPECT_EQ(route(16777216, "10.0.1.0/24"), nullptr);
    MUST(api.remove(kube::vpcs, {"", "v"}));
    brain->run_until_idle();
    EXPECT_EQ(routes.reconcile({"", "v"}).kind, kube::Outcome::Kind::done);
    EXPECT_TRUE(tables.routes.rows().empty());
}

TEST_F(RoutesOnANode, a_table_number_that_another_vpc_has_now_is_that_vpcs_whoever_is_looked_at_first) {
    MUST(api.remove(kube::route_tables, {"", "mine"}));
    api.seed(R"(
{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: w}, spec: {cidrBlock: 10.0.0.0/16}, status: {vni: 8}}
---
{apiVersion: weft.dev/v1, kind: RouteTable, metadata: {name: theirs}, spec: {vpc: w}, status: {number: 16777216,
  routes: [{destination: 203.0.113.0/24, type: Blackhole, state: Active}]}}
)");
    brain->run_until_idle();
    for (const char* name : {"w", "v"}) EXPECT_EQ(routes.reconcile({"", name}).kind, kube::Outcome::Kind::done);
    EXPECT_NE(route(16777216, "203.0.113.0/24"), nullptr);
    EXPECT_EQ(route(16777216, "198.51.100.0/24"), nullptr);
    EXPECT_NE(route(7, "10.0.1.0/24"), nullptr);
}

TEST_F(RoutesOnANode, a_vpc_that_is_not_legible_keeps_its_rows) {
    const auto before = tables.routes.rows();
    change(kube::vpcs, "v", {"spec", "cidrBlock"}, "nonsense");
    EXPECT_TRUE(routes.adopt().has_value());
    EXPECT_EQ(tables.routes.rows(), before);
    EXPECT_EQ(row().route_table, 7u);
}

TEST_F(RoutesOnANode, a_pod_forwards_while_it_asks_and_its_namespace_allows_it) {
    EXPECT_FALSE(forwards()) << "the administrator has said nothing";
    change(kube::namespaces, "default", {"metadata", "labels", "weft.dev/allow-forwarding"}, "true");
    EXPECT_TRUE(forwards());
    change(kube::pods, "fw", {"metadata", "annotations", "weft.dev/allow-forwarding"}, "false", "default");
    EXPECT_FALSE(forwards());
}

}  // namespace
}  // namespace weft::agent
