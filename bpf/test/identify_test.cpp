// What a pod may say, and who it may claim to be.
//
//   pod a 10.0.1.5 ──eth0── pod_egress        answers ARP and ND itself; drops every other claim by name
#include "bpf/test/world.h"

namespace weft::test {
namespace {

constexpr uint16_t arp_request = 1;
constexpr uint16_t arp_reply = 2;

struct PodSays : testing::Test {
    PodSays() { world.ranges(red); }

    World world;
    Pod a = world.pod(red, "10.0.1.5", 0, "fd00::5");
    Pod b = world.pod(red, "10.0.1.6", 0, "fd00::6");
    Mac broadcast{{255, 255, 255, 255, 255, 255}};
};

TEST_F(PodSays, WhoHasIsAnsweredInPlaceWithTheGatewaysMac) {
    for (const char* asked : {"169.254.1.1", "10.0.1.6", "8.8.8.8"}) {
        const Outcome out =
            world.leaves(a, net::packet(a.mac, broadcast).arp(arp_request, a.mac, a.address, ip(asked)));
        EXPECT_EQ(out.action, sent) << out;
        EXPECT_EQ(out.reason, std::nullopt) << out;
        ASSERT_TRUE(out.packet.arp);
        EXPECT_EQ(out.packet.arp->operation, arp_reply);
        EXPECT_EQ(out.packet.arp->sender, ip(asked));
        EXPECT_EQ(out.packet.arp->sender_mac, gateway_mac);
        EXPECT_EQ(out.packet.arp->target, a.address);
        EXPECT_EQ(out.packet.arp->target_mac, a.mac);
        EXPECT_EQ(out.packet.destination_mac, a.mac);
    }
}

TEST_F(PodSays, AProbeForItsOwnAddressOrFromNoneGetsNoAnswer) {
    const Outcome own = world.leaves(a, net::packet(a.mac, broadcast).arp(arp_request, a.mac, a.address, a.address));
    EXPECT_EQ(own.reason, abi::DROP_ARP) << own;
    const Outcome probe =
        world.leaves(a, net::packet(a.mac, broadcast).arp(arp_request, a.mac, ip("0.0.0.0"), a.address));
    EXPECT_EQ(probe.reason, abi::DROP_ARP) << probe;
}

TEST_F(PodSays, ArpThatClaimsToBeAnotherOrAnswersIsDropped) {
    const Outcome claim =
        world.leaves(a, net::packet(a.mac, broadcast).arp(arp_request, a.mac, b.address, ip("10.0.1.9")));
    EXPECT_EQ(claim.reason, abi::DROP_SPOOFED_ADDRESS) << claim;
    const Outcome mac =
        world.leaves(a, net::packet(a.mac, broadcast).arp(arp_request, b.mac, a.address, ip("10.0.1.9")));
    EXPECT_EQ(mac.reason, abi::DROP_SPOOFED_MAC) << mac;
    const Outcome answer = world.leaves(a, net::packet(a.mac, b.mac).arp(arp_reply, a.mac, a.address, b.address));
    EXPECT_EQ(answer.reason, abi::DROP_ARP) << answer;
}

Bytes solicitation(const Pod& from, const Address& source, const Address& target) {
    Bytes body(target.bytes.begin(), target.bytes.end());
    body.insert(body.end(), {1, 1});
    body.insert(body.end(), from.mac.bytes.begin(), from.mac.bytes.end());
    return net::packet(from.mac, gateway_mac).ip(source, ip("ff02::1:ff00:1")).icmp(135, 0).payload(body).bytes();
}

TEST_F(PodSays, NeighbourSolicitationIsAnsweredInPlace) {
    const Outcome out = world.leaves(a, solicitation(a, ip("fd00::5"), ip("fe80::1")));
    EXPECT_EQ(out.action, sent) << out;
    ASSERT_TRUE(out.packet.icmp) << out;
    EXPECT_EQ(out.packet.icmp->type, 136);
    EXPECT_TRUE(out.packet.checksums_ok) << out;
    EXPECT_EQ(out.packet.source, ip("fe80::1"));
    EXPECT_EQ(out.packet.destination, ip("fd00::5"));
    EXPECT_EQ(out.packet.ttl, 255);
    const std::string mac(gateway_mac.bytes.begin(), gateway_mac.bytes.end());
    EXPECT_EQ(out.packet.payload.substr(18, 6), mac);
}

TEST_F(PodSays, DuplicateAddressDetectionGetsNoAnswer) {
    const Pod only_v4 = world.pod(red, "10.0.1.7");
    EXPECT_EQ(world.leaves(only_v4, solicitation(only_v4, ip("::"), ip("fe80::1234"))).reason, abi::DROP_NEIGHBOUR);
    EXPECT_EQ(world.leaves(only_v4, net::packet(only_v4.mac, gateway_mac).ip(ip("::"), ip("fd00::6")).udp(1, 2)).reason,
              abi::DROP_SPOOFED_ADDRESS);
    EXPECT_EQ(world.leaves(a, solicitation(a, ip("::"), ip("fd00::5"))).reason, abi::DROP_NEIGHBOUR);
    EXPECT_EQ(world.leaves(a, solicitation(a, ip("fd00::5"), ip("fd00::5"))).reason, abi::DROP_NEIGHBOUR);
}

TEST_F(PodSays, WhatOnlyRoutersAndServersSayIsDroppedByName) {
    const auto icmpv6 = [&](uint8_t type) {
        return world.leaves(
            a, net::packet(a.mac, gateway_mac).ip(ip("fd00::5"), ip("ff02::1")).icmp(type, 0).payload(Bytes(16)));
    };
    EXPECT_EQ(icmpv6(134).reason, abi::DROP_ROUTER_DISCOVERY);
    EXPECT_EQ(icmpv6(136).reason, abi::DROP_NEIGHBOUR);
    EXPECT_EQ(icmpv6(137).reason, abi::DROP_ROUTER_DISCOVERY);
    const auto dhcp =
        net::packet(a.mac, broadcast).ip(ip("0.0.0.0"), ip("255.255.255.255")).udp(68, 67).payload("discover");
    EXPECT_EQ(world.leaves(a, dhcp).reason, abi::DROP_DHCP);
    EXPECT_EQ(world.leaves(a, a.to(ip("224.0.0.251")).udp(5353, 5353)).reason, abi::DROP_MULTICAST);
    EXPECT_EQ(world.leaves(a, a.to(ip("255.255.255.255")).udp(1, 2)).reason, abi::DROP_MULTICAST);
}

// Nothing is lost with these, and nobody need look: they have a name of their own.
TEST_F(PodSays, WhatEveryKernelAnnouncesUnaskedIsNotCountedAmongTheLosses) {
    const auto search = net::packet(a.mac, gateway_mac).ip(ip("fd00::5"), ip("ff02::2")).icmp(133, 0).payload(Bytes(16));
    EXPECT_EQ(world.leaves(a, search).reason, abi::DROP_ANNOUNCEMENT);
    for (const uint8_t listener : {uint8_t(131), uint8_t(132), uint8_t(143)}) {
        const auto report = net::packet(a.mac, gateway_mac)
                                .ip(ip("fe80::5"), ip("ff02::16"))
                                .extension(0, {0, 5, 2, 0, 0, 1, 0})
                                .icmp(listener, 0)
                                .payload(Bytes(24));
        EXPECT_EQ(world.leaves(a, report).reason, abi::DROP_ANNOUNCEMENT);
    }
    const auto igmp = net::packet(a.mac, gateway_mac).ip(a.address, ip("224.0.0.22")).protocol(2).payload(Bytes(16));
    EXPECT_EQ(world.leaves(a, igmp).reason, abi::DROP_ANNOUNCEMENT);
}

TEST_F(PodSays, NobodySpeaksForAnother) {
    EXPECT_EQ(world.leaves(a, net::packet(a.mac, gateway_mac).ip(b.address, b.address).udp(1, 2)).reason,
              abi::DROP_SPOOFED_ADDRESS);
    EXPECT_EQ(world.leaves(a, net::packet(b.mac, gateway_mac).ip(a.address, b.address).udp(1, 2)).reason,
              abi::DROP_SPOOFED_MAC);
    EXPECT_EQ(world.leaves(a, net::packet(a.mac, gateway_mac).ip(ip("fd00::6"), ip("fd00::6")).udp(1, 2)).reason,
              abi::DROP_SPOOFED_ADDRESS);
    EXPECT_EQ(world.leaves(a, net::packet(a.mac, gateway_mac).ip(ip("100.64.0.2"), b.address).udp(1, 2)).reason,
              abi::DROP_SPOOFED_ADDRESS);
}

TEST_F(PodSays, AServiceEndpointSpeaksFromTheAddressesThatAreItsOwn) {
    const Pod endpoint = world.pod(red, "100.64.0.2", abi::ENDPOINT_SERVICE);
    world.local_address(endpoint, "172.21.0.10");
    const auto from = [&](std::string_view source) {
        return world.leaves(endpoint, net::packet(endpoint.mac, gateway_mac).ip(ip(source), a.address).udp(53, 4000));
    };
    EXPECT_TRUE(from("100.64.0.2").reached(a));
    EXPECT_TRUE(from("172.21.0.10").reached(a));
    EXPECT_EQ(from("172.21.0.11").reason, abi::DROP_SPOOFED_ADDRESS);
    EXPECT_EQ(from("10.0.1.6").reason, abi::DROP_SPOOFED_ADDRESS);
}

TEST_F(PodSays, AnUnknownInterfaceSaysNothing) {
    Pod nobody = a;
    nobody.ifindex = b.ifindex;
    world.remove(b);
    EXPECT_EQ(world.leaves(nobody, a.to(b.address).udp(1, 2)).reason, abi::DROP_UNKNOWN_ENDPOINT);
}

TEST_F(PodSays, MalformedAndForeignPacketsAreDroppedByName) {
    const auto udp = [&] { return a.to(b.address).udp(1, 2).payload(std::string(40, 'x')); };
    EXPECT_EQ(world.leaves(a, udp().ethertype(0x88cc)).reason, abi::DROP_NOT_IP);
    EXPECT_EQ(world.leaves(a, udp().ip_length(2000)).reason, abi::DROP_MALFORMED);
    EXPECT_EQ(world.leaves(a, udp().ip_length(19)).reason, abi::DROP_MALFORMED);
    EXPECT_EQ(world.leaves(a, udp().ip_length(26)).reason, abi::DROP_MALFORMED);
    EXPECT_EQ(world.leaves(a, udp().fragment(0x0010)).reason, abi::DROP_FRAGMENT);
    EXPECT_EQ(world.leaves(a, a.to(b.address).protocol(47).payload(std::string(40, 'x'))).reason, abi::DROP_PROTOCOL);
    EXPECT_EQ(world.leaves(a, a.to(b.address).icmp(13, 0).payload(std::string(40, 'x'))).reason, abi::DROP_PROTOCOL);
    Bytes options = udp().bytes();
    options[14] = 0x44;  // a header of 16 bytes
    EXPECT_EQ(world.leaves(a, options).reason, abi::DROP_MALFORMED);
}

}  // namespace
}  // namespace weft::test
