#include "agent/vpcs.h"

#include "agent/conntrack_sweep.h"
#include "agent/host.h"
#include "kernel/bpf_map_fake.h"

namespace weft::agent {
namespace {

net::Address ip(const char* text) { return MUST(net::Address::parse(text)); }

net::Prefix prefix(const char* text) { return MUST(net::Prefix::parse(text)); }

cloud::Vpc vpc(uint32_t vni, bool is_default = false) {
    cloud::Vpc vpc;
    vpc.vni = vni;
    vpc.is_default = is_default;
    vpc.blocks = {prefix("10.0.0.0/16"), prefix("192.168.0.0/20")};
    vpc.service_cidr = prefix("172.21.0.0/20");
    return vpc;
}

TEST(Vpcs, routes_tell_the_vpcs_own_addresses_from_everything_else) {
    const auto routes = desired_routes(vpc(7));
    EXPECT_EQ(routes.size(), 4u);
    EXPECT_EQ(routes.at(abi::route_key_of(7, prefix("10.0.0.0/16"))).kind, uint32_t(abi::ROUTE_LOCAL));
    EXPECT_EQ(routes.at(abi::route_key_of(7, prefix("100.64.0.0/10"))).kind, uint32_t(abi::ROUTE_LOCAL));
    EXPECT_EQ(routes.at(abi::route_key_of(7, prefix("172.21.0.0/20"))).kind, uint32_t(abi::ROUTE_SERVICES));
}

TEST(Vpcs, an_ingress_address_is_ours_outside_on_its_two_ports) {
    const auto status =
        json::parse(R"({"status":{"ingressAddresses":{"b":"203.0.113.9","a":"203.0.113.9","c":"x","d":7}}})");
    const auto addresses = ingress_addresses(*status);
    ASSERT_EQ(addresses, std::vector<net::Address>{ip("203.0.113.9")});
    const auto rows = desired_local_frontends(7, addresses);
    EXPECT_EQ(rows.size(), 3u);
    EXPECT_EQ(rows.at(abi::frontend_address_key(0, addresses[0])).flags,
              uint32_t(abi::FRONTEND_ADDRESS | abi::FRONTEND_LOCAL));
    for (const uint16_t port : {80, 443})
        EXPECT_EQ(rows.at(abi::frontend_key_of(0, addresses[0], port, net::Protocol::tcp)).vpc, 7u);
}

TEST(EndpointRows, are_written_whole_changed_in_place_and_removed_whole) {
    kernel::NodeMaps maps = kernel::fake_node_maps();
    Tables tables(maps);
    Endpoint endpoint{.id = 3,
                      .vpc = 7,
                      .ifindex = 12,
                      .netns_cookie = 99,
                      .v4 = ip("100.64.0.2"),
                      .local_addresses = {ip("172.21.0.10"), ip("203.0.113.9")},
                      .mac = {},
                      .flags = abi::ENDPOINT_SERVICE};
    ASSERT_TRUE(put_endpoint(tables, endpoint).has_value());
    EXPECT_EQ(tables.endpoints.rows().size(), 3u);
    EXPECT_EQ(*tables.netns.find(99), 3u);
    EXPECT_EQ(find_endpoint(tables, abi::ENDPOINT_SERVICE, 7), 3u);
    EXPECT_EQ(find_endpoint(tables, abi::ENDPOINT_SERVICE, 8), 0u);
    const uint64_t writes = maps.writes();
    ASSERT_TRUE(put_endpoint(tables, endpoint).has_value());
    EXPECT_EQ(maps.writes(), writes) << "the same again writes nothing";
    endpoint.local_addresses = {ip("172.21.0.10")};
    endpoint.ifindex = 13;
    ASSERT_TRUE(put_endpoint(tables, endpoint).has_value());
    EXPECT_EQ(tables.endpoints.rows().size(), 2u);
    EXPECT_EQ(tables.attachments.find(12), nullptr);
    ASSERT_TRUE(remove_endpoint(tables, 3).has_value());
    EXPECT_TRUE(tables.endpoint.rows().empty() && tables.endpoints.rows().empty() && tables.netns.rows().empty() &&
                tables.attachments.rows().empty());
}

TEST(EndpointRows, ids_are_the_lowest_free_one_and_never_a_reserved_one) {
    kernel::NodeMaps maps = kernel::fake_node_maps();
    Tables tables(maps);
    ASSERT_TRUE(put_endpoint(tables, {.id = 1, .vpc = 7, .v4 = ip("10.0.0.1"), .mac = {}}).has_value());
    EXPECT_EQ(free_endpoint_id(tables, {2}).value(), 3u);
    std::set<uint32_t> all;
    for (uint32_t id = 1; id < ENDPOINTS_MAX; ++id) all.insert(id);
    EXPECT_EQ(free_endpoint_id(tables, all).error().code, Code::exhausted);
}

TEST(Host, reaches_every_vpcs_blocks_once_and_the_default_vpcs_services) {
    const auto prefixes = desired_host_prefixes({vpc(7, true), vpc(8)});
    EXPECT_EQ(prefixes, (std::vector<net::Prefix>{prefix("10.0.0.0/16"), prefix("100.64.0.0/10"),
                                                  prefix("172.21.0.0/20"), prefix("192.168.0.0/20")}));
}

TEST(Tables, a_failed_write_does_not_make_the_copy_lie) {
    kernel::FakeMap<__u32, __u32> map;
    Table<__u32, __u32> table(map);
    ASSERT_TRUE(table.put(1, 1).has_value());
    map.failure = Error{Code::exhausted, "full"};
    EXPECT_FALSE(table.put_all({{1, 2}, {2, 2}}).has_value());
    EXPECT_EQ(*table.find(1), 1u);
    EXPECT_EQ(table.find(2), nullptr);
    EXPECT_FALSE(table.erase(1).has_value());
    EXPECT_EQ(*table.find(1), 1u);
}

TEST(ConntrackSweep, takes_the_expired_and_leaves_the_living) {
    kernel::FakeMap<abi::ct_key, abi::ct_entry> map;
    const auto put = [&](uint16_t port, uint8_t protocol, uint8_t state, uint32_t last_seen_s) {
        abi::ct_key key{};
        key.low_port = port;
        key.protocol = protocol;
        abi::ct_entry entry{};
        entry.state = state;
        entry.last_seen_s = last_seen_s;
        map.entries[key] = entry;
    };
    constexpr uint64_t now = 100000;
    put(1, 6, abi::CT_ESTABLISHED, now - CT_TCP_ESTABLISHED_S);      // just alive
    put(2, 6, abi::CT_ESTABLISHED, now - CT_TCP_ESTABLISHED_S - 1);  // just gone
    put(3, 6, abi::CT_CLOSING, now - CT_TCP_CLOSING_S - 1);
    put(4, 17, abi::CT_ESTABLISHED, now - CT_UDP_S);
    put(5, 17, abi::CT_HALF_OPEN, now - CT_HALF_OPEN_S - 1);
    put(6, 1, abi::CT_ESTABLISHED, now + 1);  // stamped after the sweep began
    const auto swept = sweep(map, now);
    EXPECT_EQ(swept->expired, 3u);
    EXPECT_EQ(swept->left, 3u);
    std::set<int> left;
    for (const auto& [key, entry] : map.entries) left.insert(key.low_port);
    EXPECT_EQ(left, (std::set<int>{1, 4, 6}));
}

TEST(ConntrackSweep, counts_anew_what_each_endpoint_holds) {
    kernel::FakeMap<abi::ct_key, abi::ct_entry> map;
    for (uint16_t port = 1; port <= 5; ++port) {
        abi::ct_key key{};
        key.low_port = port;
        key.protocol = 6;
        abi::ct_entry entry{};
        entry.state = abi::CT_ESTABLISHED;
        entry.owner = port <= 3 ? 11 : 12;
        entry.last_seen_s = port == 1 ? 1 : 100000;
        map.entries[key] = entry;
    }
    kernel::FakeMap<uint32_t, __s64> held;
    held.entries = {{11, 90}, {12, 2}, {13, 7}};
    EXPECT_TRUE(recount(held, sweep(map, 100000)->held).has_value());
    EXPECT_EQ(held.entries, (std::map<uint32_t, __s64>{{11, 2}, {12, 2}, {13, 0}}));
    EXPECT_EQ(held.writes(), 2u) << "what is right already is left to the data plane";
}

}  // namespace
}  // namespace weft::agent
