// Two VPCs that each have a route into the other, on one node.
//
//   red a 10.0.1.5 fd00::5 ── peering ── blue c 10.9.0.6 fd00:9::6
#include "bpf/test/world.h"

namespace weft::test {
namespace {

struct Peering : testing::Test {
    Peering() {
        world.ranges(red);
        world.route(blue, "10.9.0.0/16", abi::ROUTE_LOCAL);
        world.route(blue, "fd00:9::/64", abi::ROUTE_LOCAL);
        for (const char* range : {"10.9.0.0/16", "fd00:9::/64"}) peer(red, range, blue);
        for (const char* range : {"10.0.0.0/16", "fd00::/64"}) peer(blue, range, red);
    }

    void peer(uint32_t table, const char* range, uint32_t into) {
        MUST(world.maps().routes->put(abi::route_key_of(table, MUST(net::Prefix::parse(range))),
                                      {abi::ROUTE_PEERING, into, {}}));
    }

    void unpeer(uint32_t table, const char* range) {
        MUST(world.maps().routes->erase(abi::route_key_of(table, MUST(net::Prefix::parse(range)))));
    }

    Outcome says(const Pod& pod, const Address& from, const Address& to, uint16_t port, uint16_t to_port,
                 uint8_t flags) {
        return world.leaves(pod, net::packet(pod.mac, gateway_mac).ip(from, to).tcp(port, to_port, flags));
    }

    World world;
    Pod a = world.pod(red, "10.0.1.5", 0, "fd00::5");
    Pod c = world.pod(blue, "10.9.0.6", 0, "fd00:9::6");
};

TEST_F(Peering, PodsOfOneNodeReachEachOtherAndEachSideRemembers) {
    for (const auto& [mine, theirs] : {std::pair{ip("10.0.1.5"), ip("10.9.0.6")}, {ip("fd00::5"), ip("fd00:9::6")}}) {
        const Outcome syn = says(a, mine, theirs, 4000, 80, net::tcp_syn);
        ASSERT_TRUE(syn.reached(c)) << syn;
        EXPECT_EQ(syn.packet.source, mine);
        const Outcome answer = says(c, theirs, mine, 80, 4000, net::tcp_syn | net::tcp_ack);
        ASSERT_TRUE(answer.reached(a)) << answer;
        EXPECT_TRUE(says(a, mine, theirs, 4000, 80, net::tcp_ack).reached(c));
        for (const uint32_t vpc : {red, blue}) {
            const auto entry = world.connection(vpc, Protocol::tcp, mine, 4000, theirs, 80);
            ASSERT_TRUE(entry) << vpc;
            EXPECT_EQ(entry->state, abi::CT_ESTABLISHED) << vpc;
        }
    }
}

TEST_F(Peering, ALivingConnectionEndsWithTheRouteOfEitherSide) {
    const Address mine = ip("10.0.1.5"), theirs = ip("10.9.0.6");
    ASSERT_TRUE(says(a, mine, theirs, 4000, 80, net::tcp_syn).reached(c));
    ASSERT_TRUE(says(c, theirs, mine, 80, 4000, net::tcp_syn | net::tcp_ack).reached(a));
    unpeer(blue, "10.0.0.0/16");
    EXPECT_EQ(says(c, theirs, mine, 80, 4000, net::tcp_ack).reason, abi::DROP_NO_NAT);
    EXPECT_TRUE(says(a, mine, theirs, 4000, 80, net::tcp_ack).reached(c));
    unpeer(red, "10.9.0.0/16");
    EXPECT_EQ(says(a, mine, theirs, 4000, 80, net::tcp_ack).reason, abi::DROP_NO_NAT);
}

TEST_F(Peering, TheOtherVpcsOwnPeeringsLeadNoFurther) {
    constexpr uint32_t green = 9;
    const Pod g = world.pod(green, "10.20.1.5");
    world.route(green, "10.20.0.0/16", abi::ROUTE_LOCAL);
    peer(blue, "10.20.0.0/16", green);
    EXPECT_EQ(says(a, ip("10.0.1.5"), g.address, 4000, 80, net::tcp_syn).reason, abi::DROP_NO_NAT);
    peer(red, "10.20.0.0/16", blue);  // red believes that blue has it
    const Outcome out = says(a, ip("10.0.1.5"), g.address, 4001, 80, net::tcp_syn);
    EXPECT_EQ(out.action, dropped) << out;
    EXPECT_EQ(out.reason, abi::DROP_NO_ENDPOINT) << out;
}

}  // namespace
}  // namespace weft::test
