// Pods whose addresses the fabric routes, packet by packet: what the uplink answers for them, whom it believes, and
// what leaves as it is.
//
//   a 10.0.1.5 fd00::5 ── node 198.18.1.1, 2001:db8:18::1 ═══ routed ═══ 10.0.2.0/28 fd00::2:0/124 (node 1)
#include "bpf/test/world.h"

namespace weft::test {
namespace {

struct Routed : testing::Test {
    Routed() {
        world.node("198.18.1.1", "2001:db8:18::1");
        abi::node row = MUST(world.maps().node->lookup(0)).value();
        row.uplink_mtu = 1500;
        row.tunnel_ifindex = row.uplink_ifindex;
        MUST(world.maps().node->put(0, row));
        world.ranges(red);
        auto& maps = world.maps();
        MUST(maps.nodes->put(1, {abi::to_abi(ip("198.18.1.2")), 1450, 0}));
        way(1500);
        locate("10.0.2.0/28", 1 | NODE_WAY_V4);
        locate("fd00::2:0/124", 1 | NODE_WAY_V6);
        for (const Address& address : {a4, a6})
            MUST(maps.endpoints->put(abi::endpoint_key_of(VPC_OUTSIDE, address), a.id));
    }

    void way(uint32_t mtu) {
        MUST(world.maps().nodes->put(1 | NODE_WAY_V4, {abi::to_abi(ip("198.18.1.2")), mtu, abi::NODE_ROUTED}));
        MUST(world.maps().nodes->put(1 | NODE_WAY_V6, {abi::to_abi(ip("2001:db8:18::2")), mtu, abi::NODE_ROUTED}));
    }

    void locate(std::string_view prefix, uint32_t node) {
        MUST(world.maps().locations->put(abi::location_key_of(red, MUST(net::Prefix::parse(prefix))), node));
    }

    static net::PacketBuilder from(const Address& source, const Address& destination) {
        return net::packet(router_mac, uplink_mac).ip(source, destination);
    }

    World world;
    Pod a = world.pod(red, "10.0.1.5", 0, "fd00::5");
    Address a4 = ip("10.0.1.5"), a6 = ip("fd00::5"), there4 = ip("10.0.2.6"), there6 = ip("fd00::2:6");
    Address router4 = ip("198.18.0.1"), router6 = ip("2001:db8:18::99");
};

TEST_F(Routed, TheUplinkAnswersArpForThePodAndForNoOther) {
    const Mac broadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    const Outcome out = world.arrives(net::packet(router_mac, broadcast).arp(1, router_mac, router4, a4));
    EXPECT_EQ(out.action, sent) << out;
    ASSERT_TRUE(out.packet.arp);
    EXPECT_EQ(out.packet.arp->sender_mac, uplink_mac);
    EXPECT_EQ(world.arrives(net::packet(router_mac, broadcast).arp(1, router_mac, router4, ip("10.0.1.6"))).action,
              passed);
}

TEST_F(Routed, APodOfAnotherNodeIsBelievedAndKnown) {
    for (const auto& [here, there] : {std::pair{a4, there4}, {a6, there6}}) {
        const Outcome in = world.arrives(from(there, here).udp(4000, 53).payload("question"));
        EXPECT_TRUE(in.reached(a)) << in;
        EXPECT_TRUE(world.connection(red, Protocol::udp, there, 4000, here, 53));
        const Outcome out =
            world.leaves(a, net::packet(a.mac, gateway_mac).ip(here, there).udp(53, 4000).payload("answer"));
        EXPECT_EQ(out.action, sent) << out;
        EXPECT_FALSE(out.reason) << out;
    }
}

TEST_F(Routed, NobodyElseOnTheWireIsBelieved) {
    locate("10.0.3.0/28", 1);  // reached by the tunnel only
    for (const auto& [source, here] : {std::pair{router4, a4},
                                       {router6, a6},
                                       {ip("10.0.3.7"), a4},
                                       {ip("10.0.1.6"), a4},
                                       {ip("100.64.0.5"), a4},
                                       {ip("fd77:6566:7400::6440:5"), a6}}) {
        const Outcome out = world.arrives(from(source, here).udp(4000, 53).payload("x"));
        EXPECT_EQ(out.reason, abi::DROP_OUTSIDE_SOURCE) << source.text() << out;
    }
    EXPECT_EQ(world.arrives(from(router4, a4).icmp(8, 0).payload("ping")).reason, abi::DROP_OUTSIDE_SOURCE);
    EXPECT_EQ(world.arrives(from(router6, a6).icmp(128, 0).payload("ping")).reason, abi::DROP_OUTSIDE_SOURCE);
}

TEST_F(Routed, ARouterOfTheFabricMaySpeakOfAPacketOfThePodsOwn) {
    for (const auto& [here, there, router, type, code] :
         {std::tuple{a4, there4, router4, 3, 4}, {a6, there6, router6, 2, 0}}) {
        const auto sent_packet = net::packet(a.mac, gateway_mac).ip(here, there).udp(5353, 53).payload("too much");
        const auto strange = net::packet(a.mac, gateway_mac).ip(here, there).udp(5354, 53).payload("too much");
        ASSERT_EQ(world.leaves(a, sent_packet).action, sent);
        const auto head = [](const net::PacketBuilder& packet) {
            const Bytes frame = packet.bytes();
            return Bytes(frame.begin() + 14, frame.end());
        };
        const Outcome in =
            world.arrives(from(router, here).icmp(uint8_t(type), uint8_t(code), 1400).payload(head(sent_packet)));
        EXPECT_TRUE(in.reached(a)) << in;
        EXPECT_EQ(in.packet.source, router);
        EXPECT_EQ(
            world.arrives(from(router, here).icmp(uint8_t(type), uint8_t(code), 1400).payload(head(strange))).reason,
            abi::DROP_ICMP_UNRELATED);
    }
}

TEST_F(Routed, WhatIsTooBigForTheWayIsToldByItsMtuAndNotByTheTunnels) {
    way(1400);
    for (const auto& [here, there, headers] : {std::tuple{a4, there4, 28}, {a6, there6, 48}}) {
        const auto packet = [&](int bytes) {
            return net::packet(a.mac, gateway_mac)
                .ip(here, there)
                .udp(4000, 53)
                .payload(Bytes(size_t(bytes - headers)));
        };
        EXPECT_FALSE(world.leaves(a, packet(1400)).reason);
        EXPECT_EQ(world.leaves(a, packet(1401)).reason, abi::DROP_TOO_BIG);
    }
    way(1000);  // no way of IPv6 carries less than 1280
    const auto six = [&](size_t bytes) {
        return net::packet(a.mac, gateway_mac).ip(a6, there6).udp(4000, 53).payload(Bytes(bytes - 48));
    };
    EXPECT_FALSE(world.leaves(a, six(1280)).reason);
    EXPECT_EQ(world.leaves(a, six(1281)).reason, abi::DROP_TOO_BIG);
}

}  // namespace
}  // namespace weft::test
