// What is IPv6's own: extension headers, fragments, ICMPv6 errors, hairpin, neighbours on the wire.
//
//   client fd00::5 ── Service [fd00:1::5]:53 ── b [fd00::6]:5353 ── (uplink) ── outside 2001:db8:7::7
//                                               behind [2001:db8:203::5]:80
#include "bpf/test/world.h"

namespace weft::test {
namespace {

constexpr uint8_t hop_by_hop = 0, routing = 43, destination_options = 60;
constexpr uint16_t more = 1;  // of a fragment header's offset field
const Bytes padding{0, 1, 4, 0, 0, 0, 0};  // eight bytes with the first, one PadN option

struct Ipv6 : testing::Test {
    Ipv6() {
        world.node("198.18.1.1", "2001:db8:18::1");
        world.ranges(red);
        world.service(red, "fd00:1::5", 53, Protocol::udp, 40, {{1, red, b6, 5353}});
        world.service(red, "fd00:1::5", 80, Protocol::tcp, 41, {{2, red, b6, 8080}});
        world.service(VPC_OUTSIDE, "2001:db8:203::5", 80, Protocol::tcp, 42, {{2, red, b6, 8080}}, 0, red);
        world.service(VPC_OUTSIDE, "2001:db8:203::5", 53, Protocol::udp, 43, {{1, red, b6, 5353}}, 0, red);
    }

    net::PacketBuilder says(const Pod& pod, const Address& source, const Address& destination) {
        return net::packet(pod.mac, gateway_mac).ip(source, destination);
    }
    net::PacketBuilder asks() { return says(client, client6, service); }
    net::PacketBuilder replies() { return says(b, b6, client6); }
    net::PacketBuilder comes(const Address& source, const Address& destination) {
        return net::packet(router_mac, uplink_mac).ip(source, destination);
    }
    Bytes ip_packet(const Outcome& out, size_t bytes) {
        return Bytes(out.frame.begin() + 14, out.frame.begin() + 14 + long(bytes));
    }

    World world;
    Pod client = world.pod(red, "10.0.1.5", 0, "fd00::5");
    Pod b = world.pod(red, "10.0.1.6", 0, "fd00::6");
    Address client6 = ip("fd00::5");
    Address b6 = ip("fd00::6");
    Address service = ip("fd00:1::5");
    Address outside = ip("2001:db8:7::7");
    Address balancer = ip("2001:db8:203::5");
};

TEST_F(Ipv6, OptionsBeforeTheTransportArePassedOver) {
    const Outcome asked =
        world.leaves(client, asks().extension(hop_by_hop, padding).extension(destination_options, padding).udp(4000, 53));
    ASSERT_TRUE(asked.reached(b)) << asked;
    EXPECT_EQ(asked.packet.destination, b6);
    EXPECT_EQ(asked.packet.udp->destination_port, 5353);
    EXPECT_TRUE(asked.packet.checksums_ok) << asked;
}

TEST_F(Ipv6, TooManyExtensionHeadersOrOneThatLeadsElsewhereAreDroppedByName) {
    auto many = asks().udp(4000, 53);
    for (int i = 0; i <= IPV6_EXTENSIONS_MAX; ++i) many.extension(destination_options, padding);
    EXPECT_EQ(world.leaves(client, many).reason, abi::DROP_PROTOCOL);
    EXPECT_EQ(world.leaves(client, asks().extension(routing, padding).udp(4000, 53)).reason, abi::DROP_PROTOCOL);
    Bytes huge = padding;
    huge[0] = 200;  // longer than the packet
    EXPECT_EQ(world.leaves(client, asks().extension(hop_by_hop, huge).udp(4000, 53)).reason, abi::DROP_PROTOCOL);
    huge[0] = 10;
    EXPECT_EQ(world.leaves(client, asks().extension(hop_by_hop, huge).udp(4000, 53)).reason, abi::DROP_MALFORMED);
}

// DP-22
TEST_F(Ipv6, ThePiecesOfADatagramFollowTheFirst) {
    const auto later = asks().protocol(17).ipv6_fragment(0x0100).payload(std::string(100, 'y'));
    EXPECT_EQ(world.leaves(client, later).reason, abi::DROP_FRAGMENT);
    const Outcome first = world.leaves(client, asks().udp(4000, 53).ipv6_fragment(more).payload(std::string(248, 'x')));
    ASSERT_TRUE(first.reached(b)) << first;
    EXPECT_EQ(first.packet.udp->destination_port, 5353);
    EXPECT_TRUE(first.packet.checksums_ok) << first;
    const Outcome second = world.leaves(client, later);
    ASSERT_TRUE(second.reached(b)) << second;
    EXPECT_EQ(second.packet.destination, b6);
    EXPECT_EQ(second.packet.payload, std::string(100, 'y'));
    // One that would overwrite the header that the first showed, and one of another datagram.
    EXPECT_EQ(world.leaves(client, asks().protocol(17).ipv6_fragment(0x0008).payload("zzzzzzzz")).reason,
              abi::DROP_FRAGMENT);
    EXPECT_EQ(world.leaves(client, asks().protocol(17).ipv6_fragment(0x0100, 0x10001).payload("zzzzzzzz")).reason,
              abi::DROP_FRAGMENT);
}

TEST_F(Ipv6, AFragmentThatIsTheWholeDatagramIsNone) {
    const Outcome asked = world.leaves(client, asks().udp(4000, 53).ipv6_fragment(0).payload("question"));
    ASSERT_TRUE(asked.reached(b)) << asked;
    EXPECT_TRUE(asked.packet.checksums_ok) << asked;
    EXPECT_TRUE(MUST(world.maps().fragments->all()).empty());
}

TEST_F(Ipv6, AFirstPieceThatHidesItsTransportIsDropped) {
    EXPECT_EQ(world.leaves(client, asks().ipv6_fragment(more).extension(destination_options, padding).udp(4000, 53)).reason,
              abi::DROP_FRAGMENT);
    EXPECT_EQ(world.leaves(client, asks().ipv6_fragment(0).ipv6_fragment(more).udp(4000, 53)).reason, abi::DROP_FRAGMENT);
}

// DP-21
TEST_F(Ipv6, ErrorsAreTranslatedWithThePacketInside) {
    const Outcome asked = world.leaves(client, asks().udp(4000, 53).payload("question"));
    ASSERT_TRUE(asked.reached(b)) << asked;
    const Outcome out = world.leaves(b, replies().icmp(1, 4).payload(ip_packet(asked, 48)));
    ASSERT_TRUE(out.reached(client)) << out;
    EXPECT_TRUE(out.packet.checksums_ok) << out;
    EXPECT_EQ(out.packet.source, service);
    EXPECT_EQ(out.packet.icmp->about->source, client6);
    EXPECT_EQ(out.packet.icmp->about->destination, service);
    EXPECT_EQ(out.packet.icmp->about->udp->source_port, 4000);
    EXPECT_EQ(out.packet.icmp->about->udp->destination_port, 53);
    // And about a reply.
    const Outcome answered = world.leaves(b, replies().udp(5353, 4000).payload("answer"));
    const Outcome back = world.leaves(client, asks().icmp(1, 4).payload(ip_packet(answered, 48)));
    ASSERT_TRUE(back.reached(b)) << back;
    EXPECT_TRUE(back.packet.checksums_ok) << back;
    EXPECT_EQ(back.packet.icmp->about->source, b6);
    EXPECT_EQ(back.packet.icmp->about->udp->source_port, 5353);
}

// DP-21
TEST_F(Ipv6, ARoutersPacketTooBigReachesThePodThatSentTheReply) {
    ASSERT_TRUE(world.arrives(comes(outside, balancer).tcp(40000, 80, net::tcp_syn)).reached(b));
    const Outcome answer = world.leaves(b, says(b, b6, outside).tcp(8080, 40000, net::tcp_syn | net::tcp_ack));
    EXPECT_EQ(answer.action, sent) << answer;
    EXPECT_EQ(answer.packet.source, balancer);
    EXPECT_TRUE(answer.packet.checksums_ok) << answer;
    const Address router = ip("2001:db8:18::9");
    for (const auto& [type, rest] : {std::pair<uint8_t, uint32_t>{2, 1280}, {3, 0}, {1, 0}}) {
        const Outcome out = world.arrives(comes(router, balancer).icmp(type, 0, rest).payload(ip_packet(answer, 60)));
        ASSERT_TRUE(out.reached(b)) << out;
        EXPECT_TRUE(out.packet.checksums_ok) << out;
        EXPECT_EQ(out.packet.source, router);
        EXPECT_EQ(out.packet.destination, b6);
        EXPECT_EQ(out.packet.icmp->type, type);
        EXPECT_EQ(out.packet.icmp->about->source, b6);
        EXPECT_EQ(out.packet.icmp->about->tcp->source_port, 8080);
    }
    EXPECT_EQ(world.arrives(comes(router, balancer).icmp(2, 0, 1280).payload(Bytes(48))).reason, abi::DROP_MALFORMED);
}

// DP-12
TEST_F(Ipv6, ThePodThatIsItsOwnBackendSeesTheGateway) {
    const Outcome asked = world.leaves(b, says(b, b6, service).udp(4000, 53).payload("question"));
    ASSERT_TRUE(asked.reached(b)) << asked;
    EXPECT_EQ(asked.packet.source, ip("fd77:6566:7400::a9fe:101"));
    EXPECT_TRUE(asked.packet.checksums_ok) << asked;
    const Outcome answered = world.leaves(b, says(b, b6, asked.packet.source).udp(5353, 4000));
    ASSERT_TRUE(answered.reached(b)) << answered;
    EXPECT_EQ(answered.packet.source, service);
    EXPECT_EQ(answered.packet.destination, b6);
    EXPECT_TRUE(answered.packet.checksums_ok) << answered;
}

TEST_F(Ipv6, PingOpensAConnectionThatTheAnswerEstablishes) {
    ASSERT_TRUE(world.leaves(client, says(client, client6, b6).echo(true, 77)).reached(b));
    ASSERT_TRUE(world.leaves(b, replies().echo(false, 77)).reached(client));
    const auto entry = world.connection(red, Protocol::icmpv6, client6, 77, b6, 77);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->state, abi::CT_ESTABLISHED);
}

TEST_F(Ipv6, WhatTheVpcDoesNotHoldIsDroppedByName) {
    const auto to = [&](std::string_view address) {
        return world.leaves(client, says(client, client6, ip(address)).udp(1, 2)).reason;
    };
    EXPECT_EQ(to("fd00::99"), abi::DROP_NO_ENDPOINT);
    EXPECT_EQ(to("fd00:1::99"), abi::DROP_NO_SERVICE);
    EXPECT_EQ(to("fd77:6566:7400::6440:9"), abi::DROP_NO_ENDPOINT);
    EXPECT_EQ(to("2001:db8::1"), abi::DROP_NO_NAT);
    EXPECT_EQ(to("ff02::1"), abi::DROP_MULTICAST);
    // Every kernel reports the groups it listens to.
    const auto report = says(client, ip("fe80::5"), ip("ff02::16")).extension(hop_by_hop, padding).icmp(143, 0).payload(Bytes(24));
    EXPECT_EQ(world.leaves(client, report).reason, abi::DROP_ANNOUNCEMENT);
}

Bytes solicitation(const Mac& from, const Address& source, const Address& to, const Address& target) {
    Bytes body(target.bytes.begin(), target.bytes.end());
    body.insert(body.end(), {1, 1});
    body.insert(body.end(), from.bytes.begin(), from.bytes.end());
    return net::packet(from, uplink_mac).ip(source, to).icmp(135, 0).payload(body).bytes();
}

TEST_F(Ipv6, AnnouncedPublicAddressesAreAnsweredOnTheWireWithTheUplinksMac) {
    const Address router = ip("fe80::9");
    for (const Address& to : {ip("ff02::1:ff00:5"), balancer}) {  // looked for, and looked after
        const Outcome out = world.arrives(solicitation(router_mac, router, to, balancer));
        ASSERT_EQ(out.action, sent) << out;
        EXPECT_EQ(out.packet.icmp->type, 136);
        EXPECT_TRUE(out.packet.checksums_ok) << out;
        EXPECT_EQ(out.packet.source, balancer);
        EXPECT_EQ(out.packet.destination, router);
        EXPECT_EQ(out.packet.destination_mac, router_mac);
        EXPECT_EQ(out.packet.payload.substr(18, 6), std::string(uplink_mac.bytes.begin(), uplink_mac.bytes.end()));
    }
    // The node's own addresses, others' and duplicate address detection are the kernel's business.
    EXPECT_EQ(world.arrives(solicitation(router_mac, router, ip("ff02::1:ff00:1"), ip("2001:db8:18::1"))).action, passed);
    EXPECT_EQ(world.arrives(solicitation(router_mac, router, ip("ff02::1:ff00:6"), ip("2001:db8:203::6"))).action, passed);
    EXPECT_EQ(world.arrives(solicitation(router_mac, ip("::"), ip("ff02::1:ff00:5"), balancer)).action, passed);
    // From beyond a router nothing is believed.
    Bytes far = solicitation(router_mac, router, ip("ff02::1:ff00:5"), balancer);
    far[14 + 7] = 254;
    EXPECT_EQ(world.arrives(far).action, passed);
    world.announce("2001:db8:203::5", false);
    EXPECT_EQ(world.arrives(solicitation(router_mac, router, ip("ff02::1:ff00:5"), balancer)).action, passed);
}

// DP-4
TEST_F(Ipv6, FromOutsideUnlistedPortsAndServicesWithoutEndpointsAreRefusedAtOnce) {
    const Outcome tcp = world.arrives(comes(outside, balancer).tcp(40000, 81, net::tcp_syn));
    EXPECT_EQ(tcp.reason, abi::DROP_UNLISTED_PORT) << tcp;
    EXPECT_EQ(tcp.packet.tcp->flags, net::tcp_rst | net::tcp_ack);
    EXPECT_TRUE(tcp.packet.checksums_ok) << tcp;
    world.service(VPC_OUTSIDE, "2001:db8:203::5", 53, Protocol::udp, 43, {}, 0, red);
    const Outcome udp = world.arrives(comes(outside, balancer).udp(4000, 53).payload("question"));
    EXPECT_EQ(udp.reason, abi::DROP_NO_BACKEND) << udp;
    EXPECT_EQ(udp.packet.icmp->type, 1);
    EXPECT_EQ(udp.packet.icmp->code, 4);
    EXPECT_TRUE(udp.packet.checksums_ok) << udp;
}

TEST_F(Ipv6, TheOutsideCannotClaimToBeInside) {
    for (const char* source : {"fd00::7", "fd00:1::5", "fd77:6566:7400::6440:2", "fd77:6566:7400::a9fe:101", "ff02::1"}) {
        const Outcome out = world.arrives(comes(ip(source), balancer).tcp(40000, 80, net::tcp_syn));
        EXPECT_EQ(out.action, dropped) << out;
        EXPECT_EQ(out.reason, abi::DROP_OUTSIDE_SOURCE) << out;
    }
}

// DP-13
TEST_F(Ipv6, ANodePortIsReachedAtTheNodesAddress) {
    MUST(world.maps().frontends->put(abi::frontend_key_of(VPC_OUTSIDE, ip("2001:db8:18::1"), 30080, Protocol::tcp),
                                     {41, 1, 0, red, 0}));
    const Outcome syn = world.arrives(comes(outside, ip("2001:db8:18::1")).tcp(40000, 30080, net::tcp_syn));
    ASSERT_TRUE(syn.reached(b)) << syn;
    EXPECT_TRUE(syn.packet.checksums_ok) << syn;
    EXPECT_EQ(world.arrives(comes(outside, ip("2001:db8:18::1")).tcp(40000, 22, net::tcp_syn)).action, passed);
}

}  // namespace
}  // namespace weft::test
