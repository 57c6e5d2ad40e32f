// A packet arrives on the wire.
//
//   client 198.51.100.7 ── router ──(uplink)── node 198.18.1.1 ─┬─ red b 10.0.1.6   behind 203.0.113.5:80
//                                                               └─ red service endpoint 100.64.0.2, holds
//                                                               203.0.113.9:80
#include "bpf/test/world.h"

namespace weft::test {
namespace {

constexpr uint32_t service_id = 50;
constexpr uint32_t backend_b = 1;

struct Uplink : testing::Test {
    Uplink() {
        world.node("198.18.1.1");
        world.ranges(red);
        world.service(VPC_OUTSIDE, "203.0.113.5", 80, Protocol::tcp, service_id, {{backend_b, red, b.address, 8080}}, 0,
                      red);
        world.service(VPC_OUTSIDE, "203.0.113.5", 53, Protocol::udp, service_id + 1,
                      {{backend_b + 1, red, b.address, 5353}}, 0, red);
        world.service(VPC_OUTSIDE, "203.0.113.9", 80, Protocol::tcp, 0, {}, abi::FRONTEND_LOCAL, red);
        world.local_address(endpoint, "203.0.113.9");
    }

    net::PacketBuilder from(const Address& source, const Address& destination) {
        return net::packet(router_mac, uplink_mac).ip(source, destination);
    }

    World world;
    Pod b = world.pod(red, "10.0.1.6");
    Pod endpoint = world.pod(red, "100.64.0.2", abi::ENDPOINT_SERVICE);
    Address client = ip("198.51.100.7");
    Address balancer = ip("203.0.113.5");
    Address ingress = ip("203.0.113.9");
};

TEST_F(Uplink, PublicAddressesAreAnsweredByArpWithTheUplinksMac) {
    const Mac broadcast{{255, 255, 255, 255, 255, 255}};
    const auto who_has = [&](const Address& address) {
        return world.arrives(net::packet(router_mac, broadcast).arp(1, router_mac, client, address));
    };
    const Outcome out = who_has(balancer);
    EXPECT_EQ(out.action, sent) << out;
    EXPECT_EQ(out.packet.arp->operation, 2);
    EXPECT_EQ(out.packet.arp->sender, balancer);
    EXPECT_EQ(out.packet.arp->sender_mac, uplink_mac);
    EXPECT_EQ(out.packet.destination_mac, router_mac);
    EXPECT_EQ(who_has(ip("198.18.1.1")).action, passed);
    EXPECT_EQ(who_has(ip("203.0.113.6")).action, passed);
}

TEST_F(Uplink, AnAddressThatAnotherNodeAnnouncesIsNotAnsweredButServed) {
    world.announce("203.0.113.5", false);
    const Mac broadcast{{255, 255, 255, 255, 255, 255}};
    EXPECT_EQ(world.arrives(net::packet(router_mac, broadcast).arp(1, router_mac, client, balancer)).action, passed);
    EXPECT_TRUE(world.arrives(from(client, balancer).tcp(40000, 80, net::tcp_syn)).reached(b));
    EXPECT_EQ(world.arrives(net::packet(router_mac, broadcast).arp(1, router_mac, client, ingress)).action, sent);
}

TEST_F(Uplink, WhatIsForTheNodeItselfPasses) {
    EXPECT_EQ(world.arrives(from(client, ip("198.18.1.1")).tcp(40000, 22, net::tcp_syn)).action, passed);
    EXPECT_EQ(world.arrives(from(client, ip("198.18.1.1")).protocol(47).payload(std::string(40, 'x'))).action, passed);
    EXPECT_EQ(world.arrives(from(ip("fe80::9"), ip("ff02::1")).icmp(134, 0).payload(Bytes(16))).action, passed);
}

TEST_F(Uplink, AClientReachesThePodWithItsOwnAddressAndHearsTheBalancer) {
    const Outcome syn = world.arrives(from(client, balancer).tcp(40000, 80, net::tcp_syn));
    ASSERT_TRUE(syn.reached(b)) << syn;
    EXPECT_EQ(syn.packet.source, client);
    EXPECT_EQ(syn.packet.destination, b.address);
    EXPECT_EQ(syn.packet.tcp->destination_port, 8080);
    EXPECT_TRUE(syn.packet.checksums_ok) << syn;

    const Outcome answer = world.leaves(b, b.to(client).tcp(8080, 40000, net::tcp_syn | net::tcp_ack));
    EXPECT_EQ(answer.action, sent) << answer;
    EXPECT_EQ(answer.reason, std::nullopt);
    EXPECT_EQ(answer.packet.source, balancer);
    EXPECT_EQ(answer.packet.tcp->source_port, 80);
    EXPECT_EQ(answer.packet.destination, client);
    EXPECT_TRUE(answer.packet.checksums_ok) << answer;

    EXPECT_TRUE(world.arrives(from(client, balancer).tcp(40000, 80, net::tcp_ack)).reached(b));
    const auto entry = world.connection(red, Protocol::tcp, client, 40000, b.address, 8080);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->state, abi::CT_ESTABLISHED);
    EXPECT_TRUE(entry->flags & abi::CT_FROM_OUTSIDE);
}

TEST_F(Uplink, WithoutAnUplinkAReplyIsDroppedByName) {
    ASSERT_TRUE(world.arrives(from(client, balancer).udp(4000, 53)).reached(b));
    MUST(world.maps().node->put(0, {}));
    EXPECT_EQ(world.leaves(b, b.to(client).udp(5353, 4000)).reason, abi::DROP_KERNEL);
}

TEST_F(Uplink, UdpGoesTheSameWay) {
    ASSERT_TRUE(world.arrives(from(client, balancer).udp(4000, 53)).reached(b));
    const Outcome answer = world.leaves(b, b.to(client).udp(5353, 4000));
    EXPECT_EQ(answer.action, sent) << answer;
    EXPECT_EQ(answer.packet.source, balancer);
    EXPECT_EQ(answer.packet.udp->source_port, 53);
}

TEST_F(Uplink, ALocalAddressIsHandedToTheServiceEndpointAndItsRepliesLeave) {
    const Outcome syn = world.arrives(from(client, ingress).tcp(40000, 80, net::tcp_syn));
    ASSERT_TRUE(syn.reached(endpoint)) << syn;
    EXPECT_EQ(syn.packet.destination, ingress);
    const auto reply =
        net::packet(endpoint.mac, gateway_mac).ip(ingress, client).tcp(80, 40000, net::tcp_syn | net::tcp_ack);
    const Outcome answer = world.leaves(endpoint, reply);
    EXPECT_EQ(answer.action, sent) << answer;
    EXPECT_EQ(answer.reason, std::nullopt) << answer;
    EXPECT_EQ(answer.packet.source, ingress);
}

TEST_F(Uplink, APodCannotSpeakToTheOutsideUnasked) {
    EXPECT_EQ(world.leaves(b, b.to(client).tcp(8080, 40001, net::tcp_syn)).reason, abi::DROP_NO_NAT);
    EXPECT_EQ(world.leaves(b, b.to(client).tcp(8080, 40000, net::tcp_ack)).reason, abi::DROP_NO_NAT);
}

TEST_F(Uplink, NothingElseComesInFromOutside) {
    const auto syn_to = [&](std::string_view address) {
        return world.arrives(from(client, ip(address)).tcp(40000, 80, net::tcp_syn));
    };
    for (const char* address : {"10.0.1.6", "172.21.0.1", "100.64.0.2", "203.0.113.6"}) {
        const Outcome out = syn_to(address);
        EXPECT_EQ(out.action, dropped) << out;
        EXPECT_EQ(out.reason, abi::DROP_NOT_OURS) << out;
    }
}

TEST_F(Uplink, UnlistedPortsAreRefusedAtOnce) {
    for (const Address& address : {balancer, ingress}) {
        const Outcome tcp = world.arrives(from(client, address).tcp(40000, 81, net::tcp_syn));
        EXPECT_EQ(tcp.reason, abi::DROP_UNLISTED_PORT) << tcp;
        EXPECT_EQ(tcp.action, sent);
        EXPECT_EQ(tcp.packet.tcp->flags, net::tcp_rst | net::tcp_ack);
        EXPECT_EQ(tcp.packet.destination_mac, router_mac);
        EXPECT_TRUE(tcp.packet.checksums_ok);
        const Outcome udp = world.arrives(from(client, address).udp(4000, 81));
        EXPECT_EQ(udp.reason, abi::DROP_UNLISTED_PORT) << udp;
        EXPECT_EQ(udp.packet.icmp->type, 3);
        const Outcome ping = world.arrives(from(client, address).echo(true, 1));
        EXPECT_EQ(ping.reason, abi::DROP_UNLISTED_PORT) << ping;
        EXPECT_EQ(ping.action, dropped);
    }
}

TEST_F(Uplink, WithoutEndpointsAClientIsRefusedAtOnce) {
    world.service(VPC_OUTSIDE, "203.0.113.5", 80, Protocol::tcp, service_id, {}, 0, red);
    const Outcome out = world.arrives(from(client, balancer).tcp(40000, 80, net::tcp_syn));
    EXPECT_EQ(out.reason, abi::DROP_NO_BACKEND) << out;
    EXPECT_EQ(out.packet.tcp->flags, net::tcp_rst | net::tcp_ack);
}

TEST_F(Uplink, WhoIsInsideDoesNotDependOnWhereRoutesLead) {
    const auto put = [&](const char* prefix, abi::route_kind kind, uint32_t target) {
        abi::route row{};
        row.kind = kind;
        row.target = target;
        MUST(world.maps().routes->put(abi::route_key_of(red, MUST(net::Prefix::parse(prefix))), row));
    };
    put("0.0.0.0/0", abi::ROUTE_ENDPOINT, 0);
    put("198.51.0.0/16", abi::ROUTE_PEERING, blue);
    put("10.0.200.0/24", abi::ROUTE_BLACKHOLE, red);  // the VPC's own
    const Outcome outside = world.arrives(from(client, balancer).tcp(40000, 80, net::tcp_syn));
    EXPECT_NE(outside.reason, abi::DROP_OUTSIDE_SOURCE) << outside;
    const Outcome inside = world.arrives(from(ip("10.0.200.9"), balancer).tcp(40000, 80, net::tcp_syn));
    EXPECT_EQ(inside.reason, abi::DROP_OUTSIDE_SOURCE) << inside;
}

TEST_F(Uplink, TheOutsideCannotClaimToBeInside) {
    for (const char* source : {"10.0.1.7", "10.0.200.1", "172.21.0.10", "100.64.0.2", "100.100.2.136", "224.0.0.1"}) {
        const Outcome out = world.arrives(from(ip(source), balancer).tcp(40000, 80, net::tcp_syn));
        EXPECT_EQ(out.action, dropped) << out;
        EXPECT_EQ(out.reason, abi::DROP_OUTSIDE_SOURCE) << out;
    }
}

TEST_F(Uplink, AMidStreamPacketAfterTheEntryWasLostIsReset) {
    const Outcome out = world.arrives(from(client, balancer).tcp(40000, 80, net::tcp_ack, 10, 20));
    EXPECT_EQ(out.reason, abi::DROP_MIDSTREAM) << out;
    EXPECT_EQ(out.packet.tcp->flags, net::tcp_rst);
}

TEST_F(Uplink, ARoutersErrorAboutAReplyReachesThePodTranslated) {
    ASSERT_TRUE(world.arrives(from(client, balancer).udp(4000, 53)).reached(b));
    const Outcome answer = world.leaves(b, b.to(client).udp(5353, 4000));
    const Bytes head(answer.frame.begin() + 14, answer.frame.begin() + 14 + 28);
    const Address router = ip("198.18.0.1");
    const Outcome out = world.arrives(from(router, balancer).icmp(3, 1).payload(head));
    ASSERT_TRUE(out.reached(b)) << out;
    EXPECT_TRUE(out.packet.checksums_ok) << out;
    EXPECT_EQ(out.packet.source, router);
    EXPECT_EQ(out.packet.destination, b.address);
    EXPECT_EQ(out.packet.icmp->about->source, b.address);
    EXPECT_EQ(out.packet.icmp->about->udp->source_port, 5353);
    EXPECT_EQ(world.arrives(from(router, ingress).icmp(3, 1).payload(head)).reason, abi::DROP_MALFORMED);
}

TEST_F(Uplink, ForeignFramesAreDroppedByName) {
    EXPECT_EQ(world.arrives(from(client, balancer).udp(1, 2).ethertype(0x88cc)).reason, abi::DROP_NOT_IP);
    EXPECT_EQ(world.arrives(from(client, balancer).udp(1, 53).fragment(0x0010)).reason, abi::DROP_FRAGMENT);
    EXPECT_EQ(world.arrives(from(client, balancer).protocol(47).payload(std::string(40, 'x'))).reason,
              abi::DROP_PROTOCOL);
    EXPECT_EQ(world.arrives(from(client, balancer).udp(1, 53).ip_length(2000)).reason, abi::DROP_MALFORMED);
}

TEST_F(Uplink, APodReachesThePublicAddressOfItsOwnVpc) {
    const Pod a = world.pod(red, "10.0.1.5");
    world.service(red, "203.0.113.5", 80, Protocol::tcp, service_id, {{backend_b, red, b.address, 8080}});
    EXPECT_TRUE(world.leaves(a, a.to(balancer).tcp(40000, 80, net::tcp_syn)).reached(b));
    EXPECT_TRUE(world.leaves(a, a.to(ingress).tcp(40000, 80, net::tcp_syn)).reached(endpoint));
    // For another VPC it is an outside address like any other.
    world.ranges(blue);
    const Pod stranger = world.pod(blue, "10.0.1.5");
    EXPECT_EQ(world.leaves(stranger, stranger.to(balancer).tcp(40000, 80, net::tcp_syn)).reason, abi::DROP_NO_NAT);
}

TEST_F(Uplink, AClientPortReachesOneBackendByTwoAddressesUnderTwoPorts) {
    world.service(VPC_OUTSIDE, "203.0.113.7", 80, Protocol::tcp, service_id, {{backend_b, red, b.address, 8080}}, 0,
                  red);
    ASSERT_TRUE(world.arrives(from(client, balancer).tcp(40000, 80, net::tcp_syn)).reached(b));
    const Outcome second = world.arrives(from(client, ip("203.0.113.7")).tcp(40000, 80, net::tcp_syn));
    ASSERT_TRUE(second.reached(b)) << second;
    const uint16_t seen = second.packet.tcp->source_port;
    EXPECT_NE(seen, 40000);
    const Outcome answer = world.leaves(b, b.to(client).tcp(8080, seen, net::tcp_syn | net::tcp_ack));
    EXPECT_EQ(answer.packet.source, ip("203.0.113.7")) << answer;
    EXPECT_EQ(answer.packet.tcp->destination_port, 40000);
    EXPECT_TRUE(world.arrives(from(client, ip("203.0.113.7")).tcp(40001, 80, net::tcp_syn)).reached(b));
    world.leaves(b, b.to(client).tcp(8080, seen, net::tcp_rst));
    world.leaves(b, b.to(client).tcp(8080, 40000, net::tcp_rst));
    EXPECT_TRUE(world.arrives(from(client, ip("203.0.113.7")).tcp(40000, 80, net::tcp_syn)).reached(b));
    // The first one's late packet belongs to nobody.
    EXPECT_EQ(world.arrives(from(client, balancer).tcp(40000, 80, net::tcp_ack)).reason, abi::DROP_MIDSTREAM);
}

}  // namespace
}  // namespace weft::test
