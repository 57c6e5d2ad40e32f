// Inside a VPC, and between VPCs that look the same.
//
//   red:  a 10.0.1.5   b 10.0.1.6   host 100.64.0.3        blue: a 10.0.1.5   b 10.0.1.6
#include "bpf/test/world.h"

namespace weft::test {
namespace {

struct TwoVpcs : testing::Test {
    TwoVpcs() {
        world.ranges(red);
        world.ranges(blue);
    }

    World world;
    Pod red_a = world.pod(red, "10.0.1.5", 0, "fd00::5");
    Pod red_b = world.pod(red, "10.0.1.6", 0, "fd00::6");
    Pod blue_a = world.pod(blue, "10.0.1.5", 0, "fd00::5");
    Pod blue_b = world.pod(blue, "10.0.1.6", 0, "fd00::6");
};

TEST_F(TwoVpcs, APacketReachesThePodOfItsOwnVpcUnchanged) {
    for (const auto& [from, to] : {std::pair(red_a, red_b), std::pair(blue_a, blue_b)}) {
        const Outcome out = world.leaves(from, from.to(to.address).udp(4000, 53).payload("question"));
        EXPECT_TRUE(out.reached(to)) << out;
        EXPECT_EQ(out.packet.source_mac, gateway_mac);
        EXPECT_EQ(out.packet.source, from.address);
        EXPECT_EQ(out.packet.destination, to.address);
        EXPECT_EQ(out.packet.payload.substr(0, 8), "question");
        EXPECT_TRUE(out.packet.checksums_ok);
    }
}

TEST_F(TwoVpcs, TheSameTupleInBothIsTwoConnections) {
    world.leaves(red_a, red_a.to(red_b.address).udp(4000, 53));
    EXPECT_TRUE(world.connection(red, Protocol::udp, red_a.address, 4000, red_b.address, 53));
    EXPECT_FALSE(world.connection(blue, Protocol::udp, red_a.address, 4000, red_b.address, 53));
    // The reply in the other VPC is no reply.
    const Outcome out = world.leaves(blue_b, blue_b.to(blue_a.address).udp(53, 4000));
    EXPECT_TRUE(out.reached(blue_a)) << out;
    EXPECT_EQ(world.connection(red, Protocol::udp, red_a.address, 4000, red_b.address, 53)->reply_packets, 0u);
}

TEST_F(TwoVpcs, APodThatExistsOnlyInTheOtherVpcIsUnreachable) {
    const Pod blue_c = world.pod(blue, "10.0.1.7");
    const Outcome out = world.leaves(red_a, red_a.to(blue_c.address).tcp(40000, 80, net::tcp_syn));
    EXPECT_EQ(out.action, dropped);
    EXPECT_EQ(out.reason, abi::DROP_NO_ENDPOINT) << out;
}

TEST_F(TwoVpcs, Ipv6ReachesToo) {
    const Outcome out = world.leaves(
        red_a, net::packet(red_a.mac, gateway_mac).ip(ip("fd00::5"), ip("fd00::6")).tcp(1, 2, net::tcp_syn));
    EXPECT_TRUE(out.reached(red_b)) << out;
    EXPECT_TRUE(out.packet.checksums_ok);
}

TEST_F(TwoVpcs, EchoAndItsReplyAreOneConnection) {
    EXPECT_TRUE(world.leaves(red_a, red_a.to(red_b.address).echo(true, 77)).reached(red_b));
    EXPECT_TRUE(world.leaves(red_b, red_b.to(red_a.address).echo(false, 77)).reached(red_a));
    const auto entry = world.connection(red, Protocol::icmp, red_a.address, 77, red_b.address, 77);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->state, abi::CT_ESTABLISHED);
    EXPECT_EQ(entry->original_packets, 1u);
    EXPECT_EQ(entry->reply_packets, 1u);
}

TEST_F(TwoVpcs, WhatTheVpcDoesNotHoldIsDroppedByName) {
    world.route(red, "10.0.99.0/24", abi::ROUTE_BLACKHOLE);
    const auto to = [&](std::string_view address) {
        return world.leaves(red_a, red_a.to(ip(address)).udp(1, 2)).reason;
    };
    EXPECT_EQ(to("10.0.1.99"), abi::DROP_NO_ENDPOINT);
    EXPECT_EQ(to("10.0.99.1"), abi::DROP_BLACKHOLE);
    EXPECT_EQ(to("172.21.3.4"), abi::DROP_NO_SERVICE);
    EXPECT_EQ(to("100.64.0.9"), abi::DROP_NO_ENDPOINT);
    EXPECT_EQ(to("8.8.8.8"), abi::DROP_NO_NAT);
}

TEST_F(TwoVpcs, NothingIsRememberedOfADroppedPacket) {
    world.leaves(red_a, red_a.to(ip("8.8.8.8")).udp(1, 2));
    EXPECT_TRUE(MUST(world.maps().ct_half_open->all()).empty());
}

TEST_F(TwoVpcs, TheHostIsAnEndpointOfItsVpc) {
    const Pod host = world.pod(red, "100.64.0.3", abi::ENDPOINT_HOST);
    EXPECT_TRUE(world.leaves(host, host.to(red_a.address).tcp(40000, 80, net::tcp_syn)).reached(red_a));
    EXPECT_TRUE(world.leaves(red_a, red_a.to(host.address).tcp(80, 40000, net::tcp_syn | net::tcp_ack)).reached(host));
    EXPECT_EQ(world.leaves(blue_a, blue_a.to(host.address).tcp(1, 2, net::tcp_syn)).reason, abi::DROP_NO_ENDPOINT);
}

TEST_F(TwoVpcs, TheApiServerBehindTheHostAnswersThePodThatAskedNotItsDouble) {
    const Pod host = world.pod(red, "100.64.0.3", abi::ENDPOINT_HOST);
    for (const uint32_t vpc : {red, blue}) {
        world.service(vpc, "172.21.0.1", 443, Protocol::tcp, vpc, {{1, red, host.address, 6443}});
    }
    const Address kubernetes = ip("172.21.0.1");
    // Scene 1: one after the other, from the same address and port; the host sees two ports.
    std::map<uint32_t, uint16_t> seen;
    for (const Pod* pod : {&blue_a, &red_a}) {
        const Outcome syn = world.leaves(*pod, pod->to(kubernetes).tcp(40000, 443, net::tcp_syn));
        ASSERT_TRUE(syn.reached(host)) << syn;
        EXPECT_TRUE(syn.packet.checksums_ok) << syn;
        EXPECT_EQ(syn.packet.source, pod->address);
        seen[pod->vpc] = syn.packet.tcp->source_port;
    }
    EXPECT_EQ(seen[red], 40000) << "in its own VPC it keeps its port";
    EXPECT_LT(seen[blue], 32768) << "below those that kernels choose, so that no double comes upon it later";
    // Scene 2: both talk on; each hears its own answers, from the Service, at its own port.
    for (const Pod* pod : {&red_a, &blue_a}) {
        const auto says = host.to(pod->address).tcp(6443, seen[pod->vpc], net::tcp_syn | net::tcp_ack);
        const Outcome answer = world.leaves(host, says);
        ASSERT_TRUE(answer.reached(*pod)) << answer;
        EXPECT_EQ(answer.packet.source, kubernetes);
        EXPECT_EQ(answer.packet.tcp->destination_port, 40000);
        EXPECT_TRUE(answer.packet.checksums_ok) << answer;
        const Outcome ack = world.leaves(*pod, pod->to(kubernetes).tcp(40000, 443, net::tcp_ack));
        ASSERT_TRUE(ack.reached(host)) << ack;
        EXPECT_EQ(ack.packet.tcp->source_port, seen[pod->vpc]);
        const auto entry = world.connection(red, Protocol::tcp, pod->address, seen[pod->vpc], host.address, 6443);
        ASSERT_TRUE(entry);
        EXPECT_EQ(entry->state, abi::CT_ESTABLISHED);
        EXPECT_EQ(entry->other_vpc, pod->vpc);
    }
    // Scene 3: an error about the changed packet speaks of what the pod had sent.
    const Outcome asked = world.leaves(blue_a, blue_a.to(kubernetes).tcp(40000, 443, net::tcp_ack));
    const Bytes head(asked.frame.begin() + 14, asked.frame.begin() + 14 + 40);
    const Outcome error = world.leaves(host, host.to(blue_a.address).icmp(3, 3).payload(head));
    ASSERT_TRUE(error.reached(blue_a)) << error;
    EXPECT_TRUE(error.packet.checksums_ok) << error;
    EXPECT_EQ(error.packet.icmp->about->tcp->source_port, 40000);
    EXPECT_EQ(error.packet.icmp->about->destination, kubernetes);
    // Scene 4: what is known of the one says nothing about the other.
    for (const auto& [key, entry] : MUST(world.maps().ct_established->all()))
        if (key.vpc == red && entry.other_vpc == blue) MUST(world.maps().ct_established->erase(key));
    EXPECT_TRUE(world.leaves(red_a, red_a.to(kubernetes).tcp(40000, 443, net::tcp_ack)).reached(host));
    EXPECT_EQ(world.leaves(blue_a, blue_a.to(kubernetes).tcp(40000, 443, net::tcp_ack)).reason, abi::DROP_MIDSTREAM);
}

// DP-13: a nodePort, or a public address, of another VPC is an outside address: nothing translates the source yet.
TEST_F(TwoVpcs, APublicAddressAndANodePortOfAnotherVpcAreRefusedByName) {
    world.node("198.18.1.1", "2001:db8:18::1");
    for (const uint32_t vpc : {uint32_t(VPC_OUTSIDE), blue}) {
        for (const auto& [address, pod] : {std::pair{"203.0.113.5", "10.0.1.6"}, {"198.18.1.1", "10.0.1.6"},
                                           {"2001:db8:203::5", "fd00::6"}, {"2001:db8:18::1", "fd00::6"}})
            world.service(vpc, address, 30080, Protocol::tcp, 70, {{70, blue, ip(pod), 8080}}, 0, blue);
    }
    for (const char* to : {"203.0.113.5", "198.18.1.1"}) {
        EXPECT_EQ(world.leaves(red_a, red_a.to(ip(to)).tcp(40000, 30080, net::tcp_syn)).reason, abi::DROP_NO_NAT);
        EXPECT_NE(world.leaves(blue_a, blue_a.to(ip(to)).tcp(40000, 30080, net::tcp_syn)).reason, abi::DROP_NO_NAT);
    }
    for (const char* to : {"2001:db8:203::5", "2001:db8:18::1"}) {
        const auto syn = net::packet(red_a.mac, gateway_mac).ip(ip("fd00::5"), ip(to)).tcp(40000, 30080, net::tcp_syn);
        EXPECT_EQ(world.leaves(red_a, syn).reason, abi::DROP_NO_NAT);
    }
}

TEST_F(TwoVpcs, AnotherPodTakesOverAnAddress) {
    EXPECT_TRUE(world.leaves(red_a, red_a.to(red_b.address).udp(4000, 53)).reached(red_b));
    world.remove(red_b);
    EXPECT_EQ(world.leaves(red_a, red_a.to(red_b.address).udp(4000, 53)).reason, abi::DROP_NO_ENDPOINT);
    const Pod heir = world.pod(red, "10.0.1.6");
    EXPECT_TRUE(world.leaves(red_a, red_a.to(heir.address).udp(4000, 53)).reached(heir));
}

TEST_F(TwoVpcs, AnIcmpErrorPassesOnlyForAConnectionWeKnow) {
    const Bytes question = red_a.to(red_b.address).udp(4000, 53).bytes();
    const Bytes head(question.begin() + 14, question.begin() + 14 + 28);
    const auto error = red_b.to(red_a.address).icmp(3, 3).payload(head);
    EXPECT_EQ(world.leaves(red_b, error).reason, abi::DROP_ICMP_UNRELATED);
    world.leaves(red_a, question);
    const Outcome out = world.leaves(red_b, error);
    EXPECT_TRUE(out.reached(red_a)) << out;
    EXPECT_TRUE(out.packet.checksums_ok) << out;
}

}  // namespace
}  // namespace weft::test
