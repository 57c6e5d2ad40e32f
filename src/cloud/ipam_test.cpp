#include "cloud/ipam.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weft::cloud {
namespace {

VSwitch vswitch(std::string_view cidr) {
    VSwitch v;
    v.name = "vsw";
    v.vpc = "v";
    v.zone = "zone-a";
    v.cidr = MUST(net::Prefix::parse(cidr));
    return v;
}

net::Address ip(std::string_view text) {
    return MUST(net::Address::parse(text));
}

// The lowest `used` addresses of it are given to pods.
Block block(const VSwitch& v, std::string_view cidr, std::string node, uint32_t used, bool leaving = false) {
    Block b;
    b.cidr = MUST(net::Prefix::parse(cidr));
    b.name = block_name(v.name, b.cidr);
    b.node = std::move(node);
    b.leaving = leaving;
    const AddressRange range = usable_addresses(v.cidr, b.cidr);
    b.usable = uint32_t(range.count);
    for (uint32_t i = 0; i < used; ++i) b.allocated.push_back(range.first.plus(i));
    return b;
}

std::string text(const LeasePlan& plan) {
    std::string out;
    for (const auto& lease : plan.leases)
        out += fmt::format("{}={}{}{} ", lease.node, lease.cidr.text(), lease.pod.empty() ? "" : ":", lease.pod);
    for (const auto& name : plan.take_back) out += fmt::format("back:{} ", name);
    for (const auto& [name, addresses] : plan.withhold) {
        out += fmt::format("{}-", name);
        for (const net::Address& address : addresses) out += fmt::format("{},", address.text());
        out += " ";
    }
    for (const auto& node : plan.short_nodes) out += fmt::format("short:{} ", node);
    return out;
}

TEST(Ipam, a_block_is_named_for_its_vswitch_and_first_address) {
    EXPECT_EQ(block_name("vsw-zone-a", MUST(net::Prefix::parse("10.0.1.16/28"))), "vsw-zone-a-10-0-1-16");
    // A single address out of that block must not be called like it.
    EXPECT_EQ(block_name("vsw-zone-a", MUST(net::Prefix::parse("10.0.1.16/32"))), "vsw-zone-a-10-0-1-16-32");
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
    EXPECT_EQ(text(plan_leases(tiny, singles, {})), "back:vsw-10-0-9-1-32 ");
    EXPECT_EQ(text(plan_leases(tiny, singles, std::vector<Need>{{"n1", 1}})), "");

    const VSwitch v = vswitch("10.0.1.0/26");
    const std::vector<Block> blocks = {block(v, "10.0.1.0/28", "n1", 0), block(v, "10.0.1.16/28", "n1", 3),
                                       block(v, "10.0.1.32/28", "n2", 16), block(v, "10.0.1.48/28", "n2", 13)};
    EXPECT_EQ(text(plan_leases(v, blocks, {})), "");
    EXPECT_EQ(text(plan_leases(v, blocks, std::vector<Need>{{"n2", 1}})), "back:vsw-10-0-1-0 short:n2 ");
    EXPECT_EQ(capacity_on_node(v, blocks, {}, "n3"), 28u);
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
            std::find_if(blocks.begin(), blocks.end(), [&](const Block& b) { return b.node == node && b.free() > 0; });
        if (room == blocks.end()) continue;
        for (const AddressRange range = usable_addresses(v.cidr, room->cidr);
             const uint64_t i : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}) {
            if (i >= range.count || room->is_taken(range.first.plus(i))) continue;
            room->allocated.push_back(range.first.plus(i));
            break;
        }
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
    EXPECT_EQ(b.allocated.size(), 1u);
    EXPECT_EQ(b.cooling.size(), 1u);
    EXPECT_EQ(b.free(), 13u);
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

TEST(Ipam, when_only_parts_of_blocks_are_free_single_addresses_are_withheld_and_lent_once_the_agent_knows) {
    const VSwitch v = vswitch("10.0.1.0/26");
    std::vector<Block> blocks = {block(v, "10.0.1.0/28", "n1", 14), block(v, "10.0.1.16/28", "n1", 14),
                                 block(v, "10.0.1.32/28", "n2", 16), block(v, "10.0.1.48/28", "n2", 13)};
    EXPECT_EQ(capacity_on_node(v, blocks, {}, "n3"), 3u);
    const std::vector<Need> needs = {{"n3", 2}};
    EXPECT_EQ(text(plan_leases(v, blocks, needs)), "vsw-10-0-1-0-10.0.1.15, vsw-10-0-1-16-10.0.1.31, short:n3 ");
    blocks[0].withheld = {ip("10.0.1.15")};
    blocks[1].withheld = {ip("10.0.1.31")};
    blocks[0].acknowledged = blocks[1].acknowledged = false;
    EXPECT_EQ(text(plan_leases(v, blocks, needs)), "short:n3 ") << "the agent may have given them away";
    blocks[0].acknowledged = true;
    EXPECT_EQ(text(plan_leases(v, blocks, needs)), "n3=10.0.1.15/32 short:n3 ");
    blocks[1].acknowledged = true;
    blocks[1].allocated.push_back(ip("10.0.1.31"));  // it had
    EXPECT_EQ(text(plan_leases(v, blocks, needs)), "n3=10.0.1.15/32 vsw-10-0-1-16-10.0.1.31,10.0.1.30, short:n3 ");
    EXPECT_EQ(text(plan_leases(v, blocks, {})), "vsw-10-0-1-0- vsw-10-0-1-16- ") << "nobody is short any more";
    for (Block& b : blocks) b.reachable = false;
    EXPECT_EQ(capacity_on_node(v, blocks, {}, "n3"), 1u) << "a node that does not answer gives nothing back";
}

TEST(Ipam, a_block_that_leaves_while_pods_use_it_strands_nothing) {
    const VSwitch v = vswitch("10.0.1.0/28");
    Block b = block(v, "10.0.1.0/28", "n1", 2, true);
    const VSwitch wide = vswitch("10.0.1.0/26");
    b = block(wide, "10.0.1.0/28", "n1", 13, true);
    const std::vector<Block> others = {block(wide, "10.0.1.16/28", "n1", 16), block(wide, "10.0.1.32/28", "n2", 16),
                                       block(wide, "10.0.1.48/28", "n2", 13)};
    std::vector<Block> blocks = others;
    blocks.push_back(b);
    EXPECT_EQ(text(plan_leases(wide, blocks, std::vector<Need>{{"n2", 1}})), "short:n2 ");
    blocks.back().surrendered = true;
    EXPECT_EQ(text(plan_leases(wide, blocks, std::vector<Need>{{"n2", 1}})), "n2=10.0.1.14/32 ");
}

TEST(Ipam, a_reserved_address_is_lent_alone_to_the_node_of_its_pod_and_to_nobody_else) {
    const VSwitch v = vswitch("10.0.1.0/24");
    const Reservation kept{ip("10.0.1.1"), "shop/ledger-0", ""};
    Reservation bound = kept;
    bound.node = "n1";
    const std::vector<Reservation> only_kept = {kept}, its = {bound};
    EXPECT_EQ(text(plan_leases(v, {}, {}, only_kept)), "");
    EXPECT_EQ(text(plan_leases(v, {}, {}, its)), "n1=10.0.1.1/32:shop/ledger-0 ");
    EXPECT_EQ(text(plan_leases(v, {}, std::vector<Need>{{"n2", 1}}, only_kept)), "n2=10.0.1.16/28 ");
    EXPECT_EQ(counts(v, {}, only_kept).available, 251u);

    Block single = block(v, "10.0.1.1/32", "n1", 0);
    single.pod = "shop/ledger-0";
    const std::vector<Block> lent = {single};
    EXPECT_EQ(single.free(), 0u);
    EXPECT_EQ(text(plan_leases(v, lent, {}, its)), "");
    EXPECT_EQ(text(plan_leases(v, lent, {}, only_kept)), "") << "the next pod of the name may come back here";
    EXPECT_EQ(text(plan_leases(v, lent, {}, {})), "back:vsw-10-0-1-1-32 ");
    bound.node = "n2";
    EXPECT_EQ(text(plan_leases(v, lent, {}, std::vector<Reservation>{bound})), "back:vsw-10-0-1-1-32 ");

    // Chosen out of the middle of a block in use.
    std::vector<Block> blocks = {block(v, "10.0.1.0/28", "n1", 5)};
    const std::vector<Reservation> chosen = {{ip("10.0.1.9"), "shop/vip", "n2"}};
    EXPECT_EQ(text(plan_leases(v, blocks, {}, chosen)), "vsw-10-0-1-0-10.0.1.9, ");
    blocks[0].withheld = {ip("10.0.1.9")};
    EXPECT_EQ(text(plan_leases(v, blocks, {}, chosen)), "n2=10.0.1.9/32:shop/vip ");
}

TEST(Ipam, addresses_for_reservations_to_come_are_loosened) {
    const VSwitch v = vswitch("10.0.1.0/27");
    const std::vector<Block> blocks = {block(v, "10.0.1.1/32", "n1", 1), block(v, "10.0.1.16/28", "n1", 11)};
    EXPECT_EQ(text(plan_leases(v, blocks, {}, {}, 1)), "") << "some are loose";
    const VSwitch full = vswitch("10.0.1.0/28");
    const std::vector<Block> all = {block(full, "10.0.1.0/28", "n1", 3)};
    EXPECT_EQ(text(plan_leases(full, all, {}, {}, 1)), "vsw-10-0-1-0-10.0.1.12, ");
}

TEST(Ipam, public_addresses_are_given_lowest_first) {
    const std::vector<net::Prefix> pool = {MUST(net::Prefix::parse("203.0.113.64/31"))};
    EXPECT_EQ(lowest_free(pool, {})->text(), "203.0.113.64");
    EXPECT_EQ(lowest_free(pool, {net::Address::v4(203, 0, 113, 64)})->text(), "203.0.113.65");
    EXPECT_EQ(lowest_free(pool, {net::Address::v4(203, 0, 113, 64), net::Address::v4(203, 0, 113, 65)}), std::nullopt);
}

}  // namespace
}  // namespace weft::cloud
