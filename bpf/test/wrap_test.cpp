// The tunnel's outer headers, written by pod_egress and opened by uplink_ingress, and what is left to the device.
//
//   a 10.0.1.5 fd00::5 ── 198.18.1.1 ══ VNI 7 ══ 198.18.1.2 ── 10.0.2.6 fd00::2:6
#include <cstring>

#include "bpf/test/world.h"

namespace weft::test {
namespace {

constexpr size_t ethernet = 14, outer_ip = 20, outer_udp = 8, vxlan = 8, opened = TUNNEL_OVERHEAD;
constexpr size_t tos_at = ethernet + 1, fragment_at = ethernet + 6, udp_at = ethernet + outer_ip;
constexpr size_t checksum_at = udp_at + 6, vxlan_at = udp_at + outer_udp, inner_at = vxlan_at + vxlan;
constexpr uint8_t not_ect = 0, ect_1 = 1, ect_0 = 2, ce = 3;

void set_ip_checksum(Bytes& frame) {
    uint8_t* const ip_header = frame.data() + ethernet;
    ip_header[10] = ip_header[11] = 0;
    uint32_t sum = 0;
    for (size_t i = 0; i < outer_ip; i += 2) sum += uint32_t(ip_header[i] << 8 | ip_header[i + 1]);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    ip_header[10] = uint8_t(~sum >> 8);
    ip_header[11] = uint8_t(~sum);
}

struct Wrap : testing::Test {
    Wrap() {
        world.node("198.18.1.1");
        abi::node row = MUST(world.maps().node->lookup(0)).value();
        row.tunnel_ifindex = row.uplink_ifindex;
        row.flags = abi::NODE_WRAPS;
        MUST(world.maps().node->put(0, row));
        world.ranges(red);
        reach(abi::NODE_ON_LINK);
        for (const char* there : {"10.0.2.6/32", "fd00::2:6/128"})
            MUST(world.maps().locations->put(abi::location_key_of(red, MUST(net::Prefix::parse(there))), 1));
        MUST(world.maps().locations->put(abi::location_key_of(VPC_OUTSIDE, net::Prefix::host(ip("198.18.1.2"))), 1));
    }

    void reach(uint32_t flags, uint32_t mtu = 1450) {
        MUST(world.maps().nodes->put(1, {abi::to_abi(ip("198.18.1.2")), mtu, flags}));
    }

    // A frame as the other node sends it.
    static Bytes framed(const Bytes& inner, uint32_t vni = red) {
        Bytes data{8, 0, 0, 0, uint8_t(vni >> 16), uint8_t(vni >> 8), uint8_t(vni), 0};
        data.insert(data.end(), inner.begin(), inner.end());
        return net::packet(router_mac, uplink_mac)
            .ip(ip("198.18.1.2"), ip("198.18.1.1"))
            .udp(50000, TUNNEL_PORT)
            .no_udp_checksum()
            .payload(data)
            .bytes();
    }
    net::PacketBuilder inner(const Address& from, const Address& to) const {
        return net::packet(Mac{{TUNNEL_MARK, abi::FRAME_PLAIN, 0, 0, uint8_t(red), 0}}, Mac{}).ip(from, to);
    }
    Bytes question() const { return inner(there, a.address).udp(4000, 53).payload("what is it?").bytes(); }

    void expect_left_to_the_kernel(const Bytes& frame) {
        const Outcome out = world.arrives(frame);
        EXPECT_EQ(out.action, passed) << out;
        EXPECT_EQ(out.reason, std::nullopt) << out;
        EXPECT_TRUE(out.frame == frame) << "and as it came: " << out;
    }

    World world;
    Pod a = world.pod(red, "10.0.1.5", 0, "fd00::5");
    Address there = ip("10.0.2.6"), a6 = ip("fd00::5"), there6 = ip("fd00::2:6");
};

TEST_F(Wrap, AFrameOfAnotherNodeIsOpenedAtTheWire) {
    const Bytes sent_there = question();
    const Outcome out = world.arrives(framed(sent_there));
    EXPECT_TRUE(out.reached(a)) << out;
    EXPECT_EQ(out.packet.payload, "what is it?");
    EXPECT_EQ(out.packet.source_mac, gateway_mac);
    EXPECT_TRUE(std::equal(out.frame.begin() + ethernet, out.frame.end(), sent_there.begin() + ethernet,
                           sent_there.end()));
    EXPECT_TRUE(world.connection(red, Protocol::udp, there, 4000, a.address, 53));
}

TEST_F(Wrap, DropsOfWhatWasInsideAreTheTunnels) {
    const Outcome out = world.arrives(framed(inner(there, ip("10.0.1.99")).udp(4000, 53).bytes()));
    EXPECT_EQ(out.reason, abi::DROP_NO_ENDPOINT) << out;
    EXPECT_EQ(out.hook, abi::HOOK_TUNNEL_INGRESS);
    const Outcome cut = world.arrives(framed(inner(there, a.address).ip_length(2000).udp(1, 2).bytes()));
    EXPECT_EQ(cut.reason, abi::DROP_MALFORMED) << cut;
}

TEST_F(Wrap, WhatIsUnusualIsTheKernelsToOpen) {
    const Bytes plain = framed(question());
    struct Change {
        const char* what;
        size_t at;
        uint8_t value;
    };
    for (const auto& [what, at, value] :
         {Change{"a UDP checksum", checksum_at, 1}, {"more fragments", fragment_at, 0x20},
          {"a later fragment", fragment_at + 1, 8}, {"another port", udp_at + 2, 0x11},
          {"a VXLAN header without VNI", vxlan_at, 0}, {"one with other flags", vxlan_at, 0x0c},
          {"another ethertype", inner_at + 12, 0x80}, {"not UDP", ethernet + 9, 6},
          {"a length of UDP that is another", udp_at + 5, 1}, {"a reserved byte that is not 0", vxlan_at + 7, 1},
          {"not our mark", inner_at + 6, 2}, {"for a next hop", inner_at + 7, abi::FRAME_VIA},
          {"handed over", inner_at + 7, abi::FRAME_HAND_OVER}}) {
        SCOPED_TRACE(what);
        Bytes frame = plain;
        frame[at] = value;
        set_ip_checksum(frame);
        expect_left_to_the_kernel(frame);
    }
    Bytes wrong = plain;
    wrong[ethernet + 10] ^= 1;
    expect_left_to_the_kernel(wrong);
    Bytes longer = plain;  // than it is
    longer[ethernet + 2] = 0x40;
    set_ip_checksum(longer);
    EXPECT_EQ(world.arrives(longer).reason, abi::DROP_MALFORMED);
    Bytes shorter = plain;  // what is inside would lie beyond it
    --shorter[ethernet + 3];
    set_ip_checksum(shorter);
    expect_left_to_the_kernel(shorter);
    Bytes anothers = plain;  // which a switch floods
    anothers[5] ^= 1;
    expect_left_to_the_kernel(anothers);
    Bytes with_options = plain;
    with_options[ethernet] = 0x46;
    expect_left_to_the_kernel(with_options);
}

TEST_F(Wrap, AFrameFromNoNodeOfOursIsNotOpened) {
    MUST(world.maps().locations->erase(abi::location_key_of(VPC_OUTSIDE, net::Prefix::host(ip("198.18.1.2")))));
    expect_left_to_the_kernel(framed(question()));
}

TEST_F(Wrap, NothingIsOpenedOrWrittenWhereIpsecHasASay) {
    abi::node row = MUST(world.maps().node->lookup(0)).value();
    row.flags = 0;
    MUST(world.maps().node->put(0, row));
    expect_left_to_the_kernel(framed(question()));
    const Bytes packet = a.to(there).udp(4000, 53).bytes();
    EXPECT_EQ(world.leaves(a, packet).frame.size(), packet.size()) << "nor written, whatever is known of the way";
}

// RFC 6040 §4.2: what is marked outside is marked inside, or dropped where the inside cannot say so.
TEST_F(Wrap, ACongestionMarkOfTheWireReachesThePod) {
    for (const uint8_t outside : {not_ect, ect_1, ect_0, ce})
        for (const uint8_t inside : {not_ect, ect_1, ect_0, ce}) {
            SCOPED_TRACE(testing::Message() << int(outside) << " outside, " << int(inside) << " inside");
            Bytes packet = question();
            packet[tos_at] = inside;
            set_ip_checksum(packet);
            Bytes frame = framed(packet);
            frame[tos_at] = outside;
            set_ip_checksum(frame);
            const Outcome out = world.arrives(frame);
            if (outside == ce && inside == not_ect) {
                EXPECT_EQ(out.reason, abi::DROP_FRAME) << out;
                continue;
            }
            ASSERT_TRUE(out.reached(a)) << out;
            EXPECT_EQ(out.frame[tos_at], outside == ce ? ce : inside);
            EXPECT_TRUE(out.packet.checksums_ok) << out;
        }
}

TEST_F(Wrap, APodsPacketLeavesInAFrameOfOurOwn) {
    const Bytes packet = a.to(there).udp(4000, 53).payload("what is it?").bytes();
    const Outcome out = world.leaves(a, packet);
    ASSERT_EQ(out.action, sent) << out;
    ASSERT_EQ(out.frame.size(), packet.size() + opened);
    EXPECT_TRUE(out.packet.checksums_ok) << out;
    EXPECT_EQ(out.packet.source, ip("198.18.1.1"));
    EXPECT_EQ(out.packet.destination, ip("198.18.1.2"));
    EXPECT_EQ(out.packet.ttl, 64);
    ASSERT_TRUE(out.packet.udp) << out;
    EXPECT_EQ(out.packet.udp->destination_port, TUNNEL_PORT);
    EXPECT_GE(out.packet.udp->source_port, 0xc000) << "RFC 7348 §5";
    EXPECT_EQ(out.frame[checksum_at] | out.frame[checksum_at + 1], 0);
    const uint8_t header[] = {8, 0, 0, 0, 0, 0, uint8_t(red), 0};
    EXPECT_EQ(std::memcmp(out.frame.data() + vxlan_at, header, sizeof header), 0);
    const Bytes macs{0, 0, 0, 0, 0, 0, TUNNEL_MARK, abi::FRAME_PLAIN, 0, 0, uint8_t(red), 0, 8, 0};
    EXPECT_TRUE(std::equal(macs.begin(), macs.end(), out.frame.begin() + inner_at));
    EXPECT_TRUE(std::equal(packet.begin() + ethernet, packet.end(), out.frame.begin() + inner_at + ethernet));
}

TEST_F(Wrap, WhatOneNodeWritesTheOtherOpens) {
    for (const bool v4 : {true, false}) {
        const Outcome out = world.leaves(
            a, (v4 ? a.to(there) : net::packet(a.mac, gateway_mac).ip(a6, there6)).tcp(4000, 80, net::tcp_syn));
        ASSERT_EQ(out.action, sent) << out;
        // Turned round, without and within, it comes from the other node; the neighbour's table writes what is in front.
        Bytes frame = out.frame;
        const auto turn = [&frame](size_t source_at, size_t bytes) {
            const auto source = frame.begin() + long(source_at);
            std::swap_ranges(source, source + long(bytes), source + long(bytes));
        };
        turn(ethernet + 12, 4);
        v4 ? turn(inner_at + ethernet + 12, 4) : turn(inner_at + ethernet + 8, 16);
        std::copy_n(uplink_mac.bytes.begin(), 6, frame.begin());
        if (!v4 && !hooks_open_ipv6()) {
            expect_left_to_the_kernel(frame);
            continue;
        }
        const Outcome in = world.arrives(frame);
        EXPECT_TRUE(in.reached(a)) << in;
        EXPECT_EQ(in.packet.destination, v4 ? a.address : a6);
    }
}

TEST_F(Wrap, CongestionInsideIsSaidOutsideButNoMark) {
    for (const auto& [inside, outside] : {std::pair{not_ect, not_ect}, {ect_1, ect_1}, {ect_0, ect_0}, {ce, ect_0}}) {
        Bytes packet = a.to(there).udp(4000, 53).bytes();
        packet[tos_at] = inside;
        set_ip_checksum(packet);
        const Outcome out = world.leaves(a, packet);
        ASSERT_EQ(out.action, sent) << out;
        EXPECT_EQ(out.frame[tos_at], outside);
        EXPECT_EQ(out.frame[inner_at + tos_at], inside);
        Bytes packet6 = net::packet(a.mac, gateway_mac).ip(a6, there6).udp(4000, 53).bytes();
        packet6[tos_at] = uint8_t(packet6[tos_at] | inside << 4);
        EXPECT_EQ(world.leaves(a, packet6).frame[tos_at], outside);
    }
}

// The device's: only the addresses of the pod's own frame are written.
TEST_F(Wrap, WaysOverARouterAndWhatIsToBeCutAreTheDevices) {
    const auto large = a.to(there).fragment(0).udp(4000, 53).payload(std::string(1000, 'x')).bytes();
    reach(0);
    EXPECT_EQ(world.leaves(a, large).frame.size(), large.size());
    reach(abi::NODE_ON_LINK, 900);
    EXPECT_EQ(world.leaves(a, large).frame.size(), large.size());
    const Bytes large6 = net::packet(a.mac, gateway_mac).ip(a6, there6).udp(4000, 53).payload(std::string(1000, 'x')).bytes();
    EXPECT_EQ(world.leaves(a, large6).frame.size(), large6.size()) << "every way carries 1280 bytes of IPv6";
    reach(abi::NODE_ON_LINK);
    EXPECT_EQ(world.leaves(a, large).frame.size(), large.size() + opened);
    EXPECT_EQ(world.leaves(a, large6).frame.size(), large6.size() + opened);
}

}  // namespace
}  // namespace weft::test
