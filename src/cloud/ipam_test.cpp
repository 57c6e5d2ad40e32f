#include "cloud/ipam.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weft::cloud {
namespace {

VSwitch vswitch(std::string_view cidr) { return {"vsw", "", "v", "zone-a", MUST(net::Prefix::parse(cidr))}; }

Block block(const VSwitch& v, std::string_view cidr, std::string node, uint32_t used, bool leaving = false) {
    Block b;
    b.cidr = MUST(net::Prefix::parse(cidr));
    b.name = block_name(v.name, b.cidr.address);
    b.node = std::move(node);
    b.used = used;
    b.leaving = leaving;
    b.free = leaving ? 0 : uint32_t(usable_addresses(v.cidr, b.cidr).count) - used;
    return b;
}

std::string text(const LeasePlan& plan) {
    std::string out;
    for (const auto& lease : plan.leases) out += fmt::format("{}={} ", lease.node, lease.cidr.text());
    for (const auto& name : plan.take_back) out += fmt::format("back:{} ", name);
    for (const auto& node : plan.short_nodes) out += fmt::format("short:{} ", node);
    return out;
}

TEST(Ipam, a_block_is_named_for_its_vswitch_and_first_address) {
    EXPECT_EQ(block_name("vsw-zone-a", net::Address::v4(10, 0, 1, 16)), "vsw-zone-a-10-0-1-16");
}

TEST(Ipam, a_node_whose_free_addresses_fall_below_waiting_plus_four_is_lent_the_lowest_block) {
    const VSwitch v = vswitch("10.0.1.0/24");
    struct Row {
        std::vector<Block> blocks;
        std::vector<Need> needs;
        std::string_view plan;
    };
    const std::vector<Row> rows = {
        {{}, {}, ""},
        {{}, {{"n1", 0}}, ""},
        {{}, {{"n1", 1}}, "n1=10.0.1.0/28 "},
        {{}, {{"n1", 1}, {"n2", 1}}, "n1=10.0.1.0/28 n2=10.0.1.16/28 "},
        {{}, {{"n1", 20}}, "n1=10.0.1.0/28 n1=10.0.1.16/28 "},
        {{block(v, "10.0.1.0/28", "n1", 11)}, {}, ""},  // 4 free, none waits
        {{block(v, "10.0.1.0/28", "n1", 11)}, {{"n1", 1}}, "n1=10.0.1.16/28 "},
        {{block(v, "10.0.1.0/28", "n1", 12)}, {}, "n1=10.0.1.16/28 "},  // ahead of need
        {{block(v, "10.0.1.16/28", "n1", 0)}, {{"n2", 1}}, "n2=10.0.1.0/28 "},
        {{block(v, "10.0.1.0/28", "n1", 0, true)}, {{"n1", 1}}, "n1=10.0.1.16/28 "},  // a leaving block serves nobody
    };
    for (const Row& row : rows) EXPECT_EQ(text(plan_leases(v, row.blocks, row.needs)), row.plan);
}

TEST(Ipam, a_small_vswitch_is_lent_address_by_address_and_says_when_it_is_short) {
    const VSwitch v = vswitch("10.0.9.0/29");
    EXPECT_EQ(text(plan_leases(v, {}, std::vector<Need>{{"n1", 2}, {"n2", 1}})),
              "n1=10.0.9.1/32 n1=10.0.9.2/32 n2=10.0.9.3/32 ");
    const std::vector<Block> blocks = {block(v, "10.0.9.1/32", "n1", 1), block(v, "10.0.9.2/32", "n1", 1),
                                       block(v, "10.0.9.3/32", "n2", 1)};
    EXPECT_EQ(text(plan_leases(v, blocks, std::vector<Need>{{"n2", 2}})), "n2=10.0.9.4/32 short:n2 ");
    EXPECT_EQ(counts(v, blocks).total, 4u);
    EXPECT_EQ(counts(v, blocks).available, 1u);
    EXPECT_EQ(capacity_on_node(v, blocks, {}, "n3"), 1u);
    EXPECT_EQ(capacity_on_node(v, blocks, std::vector<Need>{{"n2", 1}}, "n3"), 0u);
}

TEST(Ipam, a_single_address_goes_back_as_soon_as_it_is_empty_and_a_block_when_another_node_is_short) {
    const VSwitch tiny = vswitch("10.0.9.0/29");
    const std::vector<Block> singles = {block(tiny, "10.0.9.1/32", "n1", 0), block(tiny, "10.0.9.2/32", "n1", 1)};
    EXPECT_EQ(text(plan_leases(tiny, singles, {})), "back:vsw-10-0-9-1 ");
    EXPECT_EQ(text(plan_leases(tiny, singles, std::vector<Need>{{"n1", 1}})), "");

    const VSwitch v = vswitch("10.0.1.0/26");
    const std::vector<Block> blocks = {block(v, "10.0.1.0/28", "n1", 0), block(v, "10.0.1.16/28", "n1", 3),
                                       block(v, "10.0.1.32/28", "n2", 16), block(v, "10.0.1.48/28", "n2", 13)};
    EXPECT_EQ(text(plan_leases(v, blocks, {})), "");
    EXPECT_EQ(text(plan_leases(v, blocks, std::vector<Need>{{"n2", 1}})), "back:vsw-10-0-1-0 short:n2 ");
    EXPECT_EQ(capacity_on_node(v, blocks, {}, "n3"), 15u);
    EXPECT_EQ(capacity_on_node(v, blocks, {}, "n1"), 28u);
}

TEST(Ipam, the_last_free_block_is_lent_address_by_address) {
    const VSwitch v = vswitch("10.0.1.0/26");
    const std::vector<Block> blocks = {block(v, "10.0.1.0/28", "n1", 15), block(v, "10.0.1.16/28", "n1", 16),
                                       block(v, "10.0.1.32/28", "n2", 16)};
    EXPECT_EQ(text(plan_leases(v, blocks, std::vector<Need>{{"n2", 2}, {"n3", 1}})),
              "n2=10.0.1.48/32 n2=10.0.1.49/32 n3=10.0.1.50/32 ");
}

TEST(Ipam, an_address_in_use_is_never_lent_again) {
    const VSwitch v = vswitch("10.0.1.0/25");
    std::vector<Block> blocks;
    std::set<net::Address> seen;
    for (int round = 0; round < 200; ++round) {
        const std::string node = fmt::format("n{}", round % 3);
        const LeasePlan plan = plan_leases(v, blocks, std::vector<Need>{{node, 1}});
        for (const auto& lease : plan.leases) {
            const AddressRange range = usable_addresses(v.cidr, lease.cidr);
            for (uint64_t i = 0; i < range.count; ++i) ASSERT_TRUE(seen.insert(range.first.plus(i)).second);
            blocks.push_back(block(v, lease.cidr.text(), lease.node, 0));
        }
        const auto room =
            std::find_if(blocks.begin(), blocks.end(), [&](const Block& b) { return b.node == node && b.free > 0; });
        if (room == blocks.end()) continue;
        ++room->used;
        --room->free;
    }
    EXPECT_EQ(counts(v, blocks).available, 0u);  // every usable address found its pod: nothing was stranded
    EXPECT_EQ(seen.size(), counts(v, blocks).total);
}

TEST(Ipam, a_block_reads_its_use_from_status) {
    const VSwitch v = vswitch("10.0.1.0/24");
    const json::Value object =
        MUST(json::parse(R"({"metadata": {"name": "b"}, "spec": {"node": "n1", "cidr": "10.0.1.0/28"},
        "status": {"allocations": [{"address": "10.0.1.1"}], "cooling": [{"address": "10.0.1.2"}]}})"));
    const Block b = MUST(parse_block(object, v));
    EXPECT_EQ(b.used, 1u);
    EXPECT_EQ(b.cooling, 1u);
    EXPECT_EQ(b.free, 13u);
    EXPECT_FALSE(b.is_empty());
}

TEST(Ipam, a_block_is_handed_back_when_its_agent_says_that_nothing_of_it_is_free_or_used) {
    const std::pair<std::string_view, bool> rows[] = {
        {R"({"metadata": {}, "status": {"free": 0, "used": 0}})", false},
        {R"({"metadata": {"deletionTimestamp": "t"}})", false},
        {R"({"metadata": {"deletionTimestamp": "t"}, "status": {"free": 16, "used": 0}})", false},
        {R"({"metadata": {"deletionTimestamp": "t"}, "status": {"free": 0, "used": 1}})", false},
        {R"({"metadata": {"deletionTimestamp": "t"}, "status": {"free": 0, "used": 0, "cooling": [{}]}})", false},
        {R"({"metadata": {"deletionTimestamp": "t"}, "status": {"free": 0, "used": 0, "cooling": []}})", true},
    };
    for (const auto& [object, expected] : rows)
        EXPECT_EQ(is_handed_back(MUST(json::parse(object))), expected) << object;
}

TEST(Ipam, public_addresses_are_given_lowest_first) {
    const std::vector<net::Prefix> pool = {MUST(net::Prefix::parse("203.0.113.64/31"))};
    EXPECT_EQ(lowest_free(pool, {})->text(), "203.0.113.64");
    EXPECT_EQ(lowest_free(pool, {net::Address::v4(203, 0, 113, 64)})->text(), "203.0.113.65");
    EXPECT_EQ(lowest_free(pool, {net::Address::v4(203, 0, 113, 64), net::Address::v4(203, 0, 113, 65)}), std::nullopt);
}

}  // namespace
}  // namespace weft::cloud
