// The MSS option of SYN and SYN-ACK: lowered to what the way carries, else as it came.
//
//   a 10.0.1.5 fd00::5 ─┬─ node, uplink 1500 ──(tunnel)── 10.0.2.6 fd00::2:6
//   b 10.0.1.6 fd00::6 ─┘  203.0.113.5, 2001:db8:203::5 ── client outside
#include "bpf/test/world.h"

namespace weft::test {
namespace {

constexpr uint8_t nop = 1;
constexpr size_t ethernet = 14;

Bytes mss_option(uint16_t mss) {
    return {2, 4, uint8_t(mss >> 8), uint8_t(mss)};
}

size_t tcp_offset(const Bytes& frame) {
    return ethernet + (frame[12] == 0x86 ? 40 : 20);
}

// The segment's payload declared as options.
Bytes with_options(net::PacketBuilder packet, const Bytes& options) {
    Bytes frame = packet.payload(options).bytes();
    const size_t tcp = tcp_offset(frame);
    const auto step = uint8_t(options.size() / 4 << 4);
    frame[tcp + 12] = uint8_t(frame[tcp + 12] + step);
    uint32_t sum = uint16_t(~(frame[tcp + 16] << 8 | frame[tcp + 17])) + (uint32_t(step) << 8);
    sum = (sum & 0xffff) + (sum >> 16);
    frame[tcp + 16] = uint8_t(~sum >> 8);
    frame[tcp + 17] = uint8_t(~sum);
    return frame;
}

Bytes options_of(const Outcome& out) {
    const size_t tcp = tcp_offset(out.frame);
    return Bytes(out.frame.begin() + long(tcp) + 20, out.frame.begin() + long(tcp) + (out.frame[tcp + 12] >> 4) * 4);
}

struct Clamp : testing::Test {
    Clamp() {
        world.node("198.18.1.1", "2001:db8:18::1");
        uplink(1500);
        world.ranges(red);
        world.service(VPC_OUTSIDE, "203.0.113.5", 80, Protocol::tcp, 40, {{1, red, ip("10.0.1.6"), 8080}}, 0, red);
        world.service(VPC_OUTSIDE, "2001:db8:203::5", 80, Protocol::tcp, 41, {{2, red, ip("fd00::6"), 8080}}, 0, red);
        way(1450);
        for (const char* there : {"10.0.2.6/32", "fd00::2:6/128"})
            MUST(world.maps().locations->put(abi::location_key_of(red, MUST(net::Prefix::parse(there))), 1));
    }

    void uplink(uint32_t mtu) {
        abi::node row = MUST(world.maps().node->lookup(0)).value();
        row.uplink_mtu = mtu;
        row.tunnel_ifindex = row.uplink_ifindex;
        MUST(world.maps().node->put(0, row));
    }

    void way(uint32_t mtu) { MUST(world.maps().nodes->put(1, {abi::to_abi(ip("198.18.1.2")), mtu, 0})); }

    // What becomes of the options of a SYN to the other node.
    Bytes crosses(const Address& from, const Address& to, const Bytes& options) {
        const auto syn = net::packet(a.mac, gateway_mac).ip(from, to).tcp(port++, 80, net::tcp_syn);
        const Outcome out = world.leaves(a, with_options(syn, options));
        EXPECT_EQ(out.action, sent) << out;
        EXPECT_FALSE(out.reason) << out;
        EXPECT_TRUE(out.packet.checksums_ok) << out;
        return options_of(out);
    }

    World world;
    Pod a = world.pod(red, "10.0.1.5", 0, "fd00::5");
    Pod b = world.pod(red, "10.0.1.6", 0, "fd00::6");
    Address a4 = ip("10.0.1.5"), a6 = ip("fd00::5"), there4 = ip("10.0.2.6"), there6 = ip("fd00::2:6");
    uint16_t port = 40000;
};

TEST_F(Clamp, ASynToAnotherNodeAsksForWhatTheWayCarries) {
    for (const unsigned mtu : {1280u, 1300u, 1450u}) {
        way(mtu);
        EXPECT_EQ(crosses(a4, there4, mss_option(8960)), mss_option(uint16_t(mtu - 40)));
        EXPECT_EQ(crosses(a6, there6, mss_option(8940)), mss_option(uint16_t(mtu - 60)));
    }
    way(9000);  // no more than the uplink of this node
    EXPECT_EQ(crosses(a4, there4, mss_option(8960)), mss_option(1410));
    uplink(9050);
    EXPECT_EQ(crosses(a4, there4, mss_option(9960)), mss_option(8960));
}

TEST_F(Clamp, ASmallOrAbsentOptionStaysAsItIs) {
    way(1300);
    EXPECT_EQ(crosses(a4, there4, mss_option(1260)), mss_option(1260));
    EXPECT_EQ(crosses(a6, there6, mss_option(536)), mss_option(536));
    EXPECT_EQ(crosses(a4, there4, {}), Bytes{});
    const Bytes others{3, 3, 7, nop, 4, 2, nop, nop};
    EXPECT_EQ(crosses(a4, there4, others), others);
    const Bytes after_end{0, 2, 4, 0x23, 0, 0, 0, 0};
    EXPECT_EQ(crosses(a4, there4, after_end), after_end);
}

TEST_F(Clamp, TheOptionIsFoundBehindOthersAlsoAtAnOddPlace) {
    way(1300);
    const Bytes odd{nop, 2, 4, 0x23, 0x00, nop, nop, nop}, odd_lowered{nop, 2, 4, 0x04, 0xec, nop, nop, nop};
    EXPECT_EQ(crosses(a4, there4, odd), odd_lowered);
    const Bytes behind{4, 2, 3, 3, 7, nop, 2, 4, 0x23, 0x00, nop, nop};
    const Bytes behind_lowered{4, 2, 3, 3, 7, nop, 2, 4, 0x04, 0xd8, nop, nop};
    EXPECT_EQ(crosses(a6, there6, behind), behind_lowered);
}

TEST_F(Clamp, OptionsThatMakeNoSenseAreLeftAlone) {
    way(1300);
    for (const Bytes& options : {Bytes{2, 3, 0x23, 0}, Bytes{9, 0, 2, 4}, Bytes{9, 255, 2, 4, 0x23, 0, nop, nop},
                                 Bytes{9, 1, 2, 4, 0x23, 0, nop, nop}, Bytes{nop, nop, 2, 4}}) {
        EXPECT_EQ(crosses(a4, there4, options), options);
        EXPECT_EQ(crosses(a6, there6, options), options);
    }
}

TEST_F(Clamp, OnlyAHandshakeIsTouched) {
    way(1300);
    crosses(a4, there4, mss_option(1000));
    const auto later = net::packet(a.mac, gateway_mac).ip(a4, there4).tcp(uint16_t(port - 1), 80, net::tcp_ack);
    EXPECT_EQ(options_of(world.leaves(a, with_options(later, mss_option(8960)))), mss_option(8960));
    const auto here = net::packet(a.mac, gateway_mac).ip(a4, ip("10.0.1.6")).tcp(port, 80, net::tcp_syn);
    const Outcome out = world.leaves(a, with_options(here, mss_option(8960)));
    EXPECT_TRUE(out.reached(b)) << out;
    EXPECT_EQ(options_of(out), mss_option(8960)) << "between pods of one node";
}

TEST_F(Clamp, AClientOutsideAndItsPodHearOfThePodsMtu) {
    for (const auto& [client, balancer, pod, headers] :
         {std::tuple{ip("198.51.100.7"), ip("203.0.113.5"), ip("10.0.1.6"), 40},
          std::tuple{ip("2001:db8:7::7"), ip("2001:db8:203::5"), ip("fd00::6"), 60}}) {
        const Bytes lowered = mss_option(uint16_t(1450 - headers));
        const auto syn = net::packet(router_mac, uplink_mac).ip(client, balancer).tcp(4000, 80, net::tcp_syn);
        const Outcome in = world.arrives(with_options(syn, mss_option(8900)));
        ASSERT_TRUE(in.reached(b)) << in;
        EXPECT_TRUE(in.packet.checksums_ok) << in;
        EXPECT_EQ(options_of(in), lowered);
        const auto answer =
            net::packet(b.mac, gateway_mac).ip(pod, client).tcp(8080, 4000, net::tcp_syn | net::tcp_ack);
        const Outcome out = world.leaves(b, with_options(answer, mss_option(8900)));
        EXPECT_EQ(out.action, sent) << out;
        EXPECT_EQ(out.packet.source, balancer);
        EXPECT_TRUE(out.packet.checksums_ok) << out;
        EXPECT_EQ(options_of(out), lowered);
    }
}

TEST_F(Clamp, WhatIsHandedOverGoesOnAsItCame) {
    way(1300);
    world.service(VPC_OUTSIDE, "203.0.113.5", 80, Protocol::tcp, 40, {{1, red, there4, 8080}}, 0, red);
    const auto syn =
        net::packet(router_mac, uplink_mac).ip(ip("198.51.100.7"), ip("203.0.113.5")).tcp(4000, 80, net::tcp_syn);
    const Outcome out = world.arrives(with_options(syn, mss_option(8900)));
    EXPECT_EQ(out.action, sent) << out;
    EXPECT_EQ(options_of(out), mss_option(8900));
}

}  // namespace
}  // namespace weft::test
