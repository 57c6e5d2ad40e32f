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
    ASSERT_TRUE(world.leaves(blue_a, blue_a.to(kubernetes).tcp(40000, 443, net::tcp_syn)).reached(host));
    const Outcome answer = world.leaves(host, host.to(blue_a.address).tcp(6443, 40000, net::tcp_syn | net::tcp_ack));
    ASSERT_TRUE(answer.reached(blue_a)) << answer;
    EXPECT_EQ(answer.packet.source, kubernetes);
    EXPECT_TRUE(world.leaves(blue_a, blue_a.to(kubernetes).tcp(40000, 443, net::tcp_ack)).reached(host));
    // The double may not use the same port meanwhile: the host could not tell them apart.
    EXPECT_EQ(world.leaves(red_a, red_a.to(kubernetes).tcp(40000, 443, net::tcp_syn)).reason, abi::DROP_TUPLE_TAKEN);
    EXPECT_EQ(world.leaves(red_a, red_a.to(host.address).tcp(40000, 6443, net::tcp_syn)).reason, abi::DROP_TUPLE_TAKEN);
    EXPECT_TRUE(world.leaves(red_a, red_a.to(kubernetes).tcp(40001, 443, net::tcp_syn)).reached(host));
    EXPECT_TRUE(
        world.leaves(host, host.to(red_a.address).tcp(6443, 40001, net::tcp_syn | net::tcp_ack)).reached(red_a));
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
