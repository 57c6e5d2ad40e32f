#include "agent/vpcs.h"

#include "agent/conntrack_sweep.h"
#include "agent/host.h"
#include "agent/interface_ipv6.h"
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

TEST(Vpcs, a_quota_of_connections_is_what_the_annotation_says_or_nothing) {
    const auto limits = [](const char* text) {
        return desired_limits(*json::parse(R"({"metadata":{"annotations":{"weft.dev/conntrack-quota":")" +
                                           std::string(text) + R"("}}})"));
    };
    EXPECT_EQ(limits("5000")->ct_quota, 5000u);
    for (const char* bad : {"", "0", "many", "-1", "5k", "99999999999"}) EXPECT_FALSE(limits(bad)) << bad;
    EXPECT_FALSE(desired_limits(*json::parse("{}")));
}

TEST(EndpointRows, both_families_lead_to_the_endpoint_and_change_together) {
    kernel::NodeMaps maps = kernel::fake_node_maps();
    Tables tables(maps);
    Endpoint endpoint{.id = 3, .vpc = 7, .ifindex = 12, .v4 = ip("10.0.1.5"), .v6 = ip("fd00:10::105"), .mac = {}};
    ASSERT_TRUE(put_endpoint(tables, endpoint).has_value());
    EXPECT_EQ(tables.endpoint.find(3)->v6, abi::to_abi(ip("fd00:10::105")));
    for (const char* address : {"10.0.1.5", "fd00:10::105"})
        EXPECT_EQ(*tables.endpoints.find(abi::endpoint_key_of(7, ip(address))), 3u) << address;
    endpoint.v6.reset();
    ASSERT_TRUE(put_endpoint(tables, endpoint).has_value());
    EXPECT_EQ(tables.endpoints.rows().size(), 1u);
}

TEST(Host, routes_ipv6_only_where_a_vpc_has_it_and_speaks_from_its_neighbour_address) {
    EXPECT_EQ(neighbour_ipv6(ip("100.64.0.3")), ip("fd77:6566:7400::6440:3"));
    EXPECT_EQ(neighbours_ipv6(), prefix("fd77:6566:7400::/96"));
    cloud::Vpc home = vpc(7, true);
    home.ipv6_block = prefix("fd00:10::/56");
    home.ipv6_service_cidr = prefix("fd00:1::/112");
    const auto prefixes = desired_host_prefixes({home, vpc(8)});
    for (const char* want : {"fd00:10::/56", "fd00:1::/112", "fd77:6566:7400::/96"})
        EXPECT_EQ(std::count(prefixes.begin(), prefixes.end(), prefix(want)), 1) << want;
    EXPECT_EQ(desired_node({.ifindex = 2, .address = ip("198.18.1.1"), .mac = {}}, 1).v6, abi::ip_addr{});
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

TEST(ConntrackSweep, a_translated_connection_is_one_of_the_endpoints_and_two_rows_of_the_vpcs) {
    kernel::FakeMap<abi::ct_key, abi::ct_entry> map;
    for (const uint8_t flags : {abi::CT_TRANSLATION_ROW, abi::CT_TRANSLATED}) {
        abi::ct_key key{};
        key.low_port = flags;
        key.protocol = 17;
        abi::ct_entry entry{};
        entry.state = abi::CT_ESTABLISHED;
        entry.flags = flags;
        entry.owner = 11;
        entry.owner_vpc = 7;
        entry.last_seen_s = 100000;
        map.entries[key] = entry;
    }
    const auto swept = sweep(map, 100000);
    EXPECT_EQ(swept->held, (std::map<uint32_t, int64_t>{{11, 1}}));
    EXPECT_EQ(swept->vpc_held, (std::map<uint32_t, int64_t>{{7, 2}}));
    kernel::FakeMap<uint32_t, __s64> held;  // a hash has no row until somebody wrote one
    EXPECT_TRUE(recount(held, swept->vpc_held).has_value());
    EXPECT_EQ(held.entries, (std::map<uint32_t, __s64>{{7, 2}}));
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
