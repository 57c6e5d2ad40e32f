// Typed maps over the real kernel, and the fake that stands for them.
#include "bpf/test/world.h"
#include "kernel/bpf_map_fake.h"

namespace weft::test {
namespace {

using Slots = kernel::Map<abi::slot_key, uint32_t>;

std::vector<Slots::Entry> many_slots(uint32_t count) {
    std::vector<Slots::Entry> entries;
    for (uint32_t i = 0; i < count; ++i) entries.emplace_back(abi::slot_key{1, i}, i * 3);
    return entries;
}

// What both must do.
void behaves(Slots& slots) {
    constexpr uint32_t count = 10000;  // several batches
    const uint64_t before = slots.writes();
    ASSERT_TRUE(slots.put_all(many_slots(count)));
    EXPECT_EQ(slots.writes() - before, count);
    EXPECT_EQ(MUST(slots.lookup({1, 77})), 77u * 3);
    EXPECT_EQ(MUST(slots.lookup({2, 77})), std::nullopt);
    EXPECT_EQ(MUST(slots.all()).size(), count);

    // Every third is erased; then all, of which a third is not there any more: that is success, and the rest goes.
    std::vector<abi::slot_key> third;
    std::vector<abi::slot_key> all;
    for (uint32_t i = 0; i < count; ++i) {
        all.push_back({1, i});
        if (i % 3 == 0) third.push_back({1, i});
    }
    ASSERT_TRUE(slots.erase_all(third));
    EXPECT_EQ(MUST(slots.all()).size(), count - third.size());
    ASSERT_TRUE(slots.erase_all(all));
    EXPECT_TRUE(MUST(slots.all()).empty());
    EXPECT_TRUE(slots.erase({1, 1}));
    EXPECT_TRUE(slots.put_all({}));
    EXPECT_TRUE(slots.erase_all({}));
}

TEST(Maps, TheKernelsPutsListsAndErasesInBatches) {
    World world;
    behaves(*world.maps().slots);
}

TEST(Maps, TheFakeHasTheSameManners) {
    kernel::NodeMaps maps = kernel::fake_node_maps();
    behaves(*maps.slots);
    kernel::FakeMap<uint32_t, uint32_t> small(1);
    EXPECT_TRUE(small.put(1, 1));
    EXPECT_TRUE(small.put(1, 2));
    const Status full = small.put(2, 2);
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, Code::exhausted);
}

TEST(Maps, RoutesAreListedAndErasedByPrefix) {
    World world;
    world.ranges(red);
    auto& routes = *world.maps().routes;
    const size_t all = MUST(routes.all()).size();
    EXPECT_TRUE(routes.erase(abi::route_key_of(red, MUST(net::Prefix::parse("10.0.0.0/16")))));
    EXPECT_TRUE(routes.erase(abi::route_key_of(red, MUST(net::Prefix::parse("10.0.0.0/16")))));
    EXPECT_EQ(MUST(routes.all()).size(), all - 1);
}

TEST(Maps, ADeltaIsAppliedAndAnEmptyOneWritesNothing) {
    World world;
    auto& backends = *world.maps().backends;
    const abi::backend row{red, abi::to_abi(ip("10.0.1.6")), abi::to_abi_port(80), 6, 0};
    const std::map<uint32_t, abi::backend> want{{1, row}, {2, row}};
    ASSERT_TRUE(backends.apply(diff(MUST(backends.all()), want)));
    EXPECT_TRUE(MUST(backends.all()) == want);
    const uint64_t before = backends.writes();
    ASSERT_TRUE(backends.apply(diff(MUST(backends.all()), want)));
    EXPECT_EQ(backends.writes(), before);
    ASSERT_TRUE(backends.apply(diff(MUST(backends.all()), {})));
    EXPECT_TRUE(MUST(backends.all()).empty());
}

TEST(Maps, AddressesAndPortsKeepTheirShape) {
    const abi::ip_addr address = abi::to_abi(ip("10.0.1.6"));
    EXPECT_EQ(abi::from_abi(address), ip("10.0.1.6"));
    EXPECT_EQ(abi::from_abi_port(abi::to_abi_port(443)), 443);
    EXPECT_EQ(abi::route_key_of(7, MUST(net::Prefix::parse("10.0.0.0/16"))).prefix_bits, 32u + 96 + 16);
}

}  // namespace
}  // namespace weft::test
