#include "net/packet_builder.h"

#include <gtest/gtest.h>

namespace weft::net {
namespace {

const Mac mac_a{{2, 0, 0, 0, 0, 1}};
const Mac mac_b{{2, 0, 0, 0, 0, 2}};
const Address v4_a = Address::v4(10, 0, 1, 5);
const Address v4_b = Address::v4(10, 0, 1, 6);

TEST(PacketBuilder, WhatIsBuiltReadsBackWithGoodChecksums) {
    const auto tcp =
        MUST(read_packet(packet(mac_a, mac_b).ip(v4_a, v4_b).tcp(40000, 80, tcp_syn, 7).payload("hello").bytes()));
    EXPECT_TRUE(tcp.checksums_ok) << tcp.text();
    EXPECT_EQ(tcp.source_mac, mac_a);
    EXPECT_EQ(tcp.destination, v4_b);
    EXPECT_EQ(tcp.tcp->destination_port, 80);
    EXPECT_EQ(tcp.tcp->seq, 7u);
    EXPECT_EQ(tcp.tcp->flags, tcp_syn);
    EXPECT_EQ(tcp.payload, "hello");

    const auto udp = MUST(read_packet(packet(mac_a, mac_b)
                                          .ip(MUST(Address::parse("fd00::5")), MUST(Address::parse("fd00::6")))
                                          .udp(53, 54)
                                          .payload("odd")
                                          .bytes()));
    EXPECT_TRUE(udp.checksums_ok) << udp.text();
    EXPECT_EQ(udp.udp->source_port, 53);

    const auto echo = MUST(read_packet(packet(mac_a, mac_b).ip(v4_a, v4_b).echo(true, 77).bytes()));
    EXPECT_TRUE(echo.checksums_ok);
    EXPECT_EQ(echo.icmp->id, 77);

    const auto arp = MUST(read_packet(packet(mac_a, mac_b).arp(1, mac_a, v4_a, v4_b).bytes()));
    EXPECT_EQ(arp.arp->target, v4_b);
}

TEST(PacketBuilder, AChangedByteIsABadChecksum) {
    Bytes frame = packet(mac_a, mac_b).ip(v4_a, v4_b).udp(1, 2).payload("hello, world, hello, world").bytes();
    frame.back() ^= 1;
    EXPECT_FALSE(MUST(read_packet(frame)).checksums_ok);
}

TEST(PacketBuilder, ACutFrameIsAnError) {
    const Bytes frame = packet(mac_a, mac_b).ip(v4_a, v4_b).udp(1, 2).payload(std::string(100, 'x')).bytes();
    for (const size_t bytes : {0, 13, 20, 33, 38, 60}) {
        EXPECT_FALSE(read_packet(std::span(frame).first(bytes))) << bytes;
    }
}

TEST(PacketBuilder, AnErrorShowsThePacketInside) {
    const Bytes inner = packet(mac_a, mac_b).ip(v4_a, v4_b).udp(4000, 53).bytes();
    const Bytes head(inner.begin() + 14, inner.begin() + 14 + 28);
    const auto error = MUST(read_packet(packet(mac_b, mac_a).ip(v4_b, v4_a).icmp(3, 3).payload(head).bytes()));
    ASSERT_NE(error.icmp->about, nullptr);
    EXPECT_EQ(error.icmp->about->udp->destination_port, 53);
    EXPECT_TRUE(error.checksums_ok);
}

}  // namespace
}  // namespace weft::net
