// Two nodes: what crosses between them, and what must not. Each path with the offloads on and off, and with the tunnel's
// packets written and opened by the hooks, by the device, and by one at each end.
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <thread>

#include <fmt/format.h>

#include "bpf/test/two_nodes.h"
#include "kernel/sysctl.h"

namespace weft::test {
namespace {

struct Ways {
    const char* name;
    bool offloads;
    Tunnel n1, n2;
};

struct Overlay : testing::TestWithParam<Ways> {
    Overlay() {
        if (!GetParam().offloads) world.offloads_off();
        world.tunnel_by(world.n1, GetParam().n1);
        world.tunnel_by(world.n2, GetParam().n2);
        for (const auto reason : {abi::DROP_UNKNOWN_NODE, abi::DROP_SPOOFED_ADDRESS, abi::DROP_NEXT_HOP})
            drops_at_start[reason] = TwoNodes::drops(world.n2, abi::HOOK_TUNNEL_INGRESS, reason);
        drops_at_start[abi::DROP_OUTSIDE_SOURCE] =
            TwoNodes::drops(world.n2, abi::HOOK_UPLINK_INGRESS, abi::DROP_OUTSIDE_SOURCE);
    }

    // A whole exchange: connect, megabytes one way, an answer back.
    void exchange(const Place& client, const Address& to, uint16_t port, const Fd& listener, const Address& seen_as) {
        auto connected = client.connect(Protocol::tcp, to, port);
        ASSERT_TRUE(connected) << connected.error().message;
        const Fd theirs = MUST(accept_on(listener));
        EXPECT_EQ(peer_of(theirs), seen_as);
        pump(*connected, theirs);
        pump(theirs, *connected);
    }

    void pump(const Fd& from, const Fd& to) {
        constexpr size_t bytes = 1 << 20;
        std::string text(bytes, 0);
        for (size_t i = 0; i < bytes; ++i) text[i] = char('a' + i % 23);
        Status sent;
        std::thread sender([&] { sent = send_text(from, text); });
        const auto received = receive_text(to, bytes);
        sender.join();
        ASSERT_TRUE(sent) << sent.error().message;
        ASSERT_TRUE(received) << received.error().message;
        EXPECT_TRUE(*received == text);
    }

    // A datagram there and one back.
    void ask(const Place& client, const Address& to, uint16_t port, const Fd& server, const Address& seen_as) {
        const Fd mine = MUST(client.connect(Protocol::udp, to, port));
        for (int i = 0; i < 3; ++i) {
            ASSERT_TRUE(send_text(mine, "question"));
            Address from;
            const auto question = answer_datagram(server, "answer", &from);
            ASSERT_TRUE(question) << question.error().message;
            EXPECT_EQ(from, seen_as);
            const auto answer = receive_text(mine, 100);
            ASSERT_TRUE(answer) << answer.error().message;
            EXPECT_EQ(*answer, "answer");
        }
    }

    static void ipv6_on_the_wire(const Place& place, const char* link, const std::string& address) {
        // Anew, for a link-local address that need not be probed for first.
        for (const auto& [name, value] : {std::pair{"accept_dad", "0"}, {"disable_ipv6", "1"}, {"disable_ipv6", "0"}})
            MUST(kernel::set_sysctl(place.netns(), fmt::format("net/ipv6/conf/{}/{}", link, name), value));
        ip_command("-n " + place.name() + " addr add " + address + "/64 dev " + link + " nodad");
    }

    void route_red();
    void peer_red_and_blue(bool v6);

    // Counters outlive a world: they are compared with what they were when the test began.
    void wait_for_drop(const TwoNodes::Node& n, abi::drop_reason reason, abi::hook hook = abi::HOOK_TUNNEL_INGRESS) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        const uint64_t first = drops_at_start[reason];
        while (TwoNodes::drops(n, hook, reason) == first && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        EXPECT_GT(TwoNodes::drops(n, hook, reason), first) << abi::drop_reason_name(reason);
    }

    TwoNodes world;
    std::map<abi::drop_reason, uint64_t> drops_at_start;  // of n2
    Address a = ip("10.0.1.5"), b = ip("10.0.2.6"), a6 = ip("fd00::1:5"), b6 = ip("fd00::2:6");
    Address client = ip("198.51.100.7"), balancer = ip("203.0.113.5");
};

TEST_P(Overlay, PodsOfOneVpcReachEachOtherInBothFamilies) {
    exchange(world.red_a, b, 8080, world.red_b.listen(Protocol::tcp, b, 8080), a);
    exchange(world.red_a, b6, 8080, world.red_b.listen(Protocol::tcp, b6, 8080), a6);
    ask(world.red_b, a, 53, world.red_a.listen(Protocol::udp, a, 53), b);
    ask(world.red_b, a6, 53, world.red_a.listen(Protocol::udp, a6, 53), b6);
}

TEST_P(Overlay, BothNodesRememberTheConnection) {
    ask(world.red_a, b, 53, world.red_b.listen(Protocol::udp, b, 53), a);
    for (auto* n : {&world.n1, &world.n2}) {
        size_t rows = 0;
        for (const auto& [key, entry] : MUST(n->table.maps().ct_established->all())) {
            EXPECT_EQ(key.vpc, red);
            EXPECT_EQ(entry.original_packets, 3u);
            EXPECT_EQ(entry.reply_packets, 3u);
            ++rows;
        }
        EXPECT_EQ(rows, 1u);
    }
}

TEST_P(Overlay, VpcsWithTheSameAddressesNeverMeet) {
    const Fd in_blue = world.blue_b.listen(Protocol::udp, b, 53);
    const Fd in_red = world.red_b.listen(Protocol::udp, b, 53);
    const Fd mine = MUST(world.red_a.connect(Protocol::udp, b, 53));
    ASSERT_TRUE(send_text(mine, "red"));
    EXPECT_EQ(MUST(answer_datagram(in_red, "answer")), "red");
    char byte;
    EXPECT_LT(::recv(in_blue.get(), &byte, 1, MSG_DONTWAIT), 0);
}

TEST_P(Overlay, AServiceReachesABackendOnTheOtherNode) {
    world.n1.table.service(red, "172.21.0.5", 80, Protocol::tcp, 1, {{1, red, b, 8080}});
    world.n1.table.service(red, "172.21.0.5", 53, Protocol::udp, 2, {{2, red, b, 5353}});
    exchange(world.red_a, ip("172.21.0.5"), 80, world.red_b.listen(Protocol::tcp, b, 8080), a);
    ask(world.red_a, ip("172.21.0.5"), 53, world.red_b.listen(Protocol::udp, b, 5353), a);
}

TEST_P(Overlay, TheNodesOwnProgramsReachPodsOfTheOther) {
    exchange(world.n1.place, b, 8080, world.red_b.listen(Protocol::tcp, b, 8080), ip("100.64.0.3"));
}

TEST_P(Overlay, AClientOutsideReachesABackendOnTheOtherNodeAndIsAnsweredFromThere) {
    for (auto* n : {&world.n1, &world.n2}) {
        n->table.service(VPC_OUTSIDE, "203.0.113.5", 80, Protocol::tcp, 1, {{1, red, b, 8080}}, 0, red);
        n->table.service(VPC_OUTSIDE, "203.0.113.5", 53, Protocol::udp, 2, {{2, red, b, 5353}}, 0, red);
    }
    world.n2.table.announce("203.0.113.5", false);
    const Fd listener = world.red_b.listen(Protocol::tcp, b, 8080);
    exchange(world.outside, balancer, 80, listener, client);
    ask(world.outside, balancer, 53, world.red_b.listen(Protocol::udp, b, 5353), client);
    uint64_t replies_seen_by_first = 0;
    size_t established_there = 0;
    for (const auto& [key, entry] : MUST(world.n1.table.maps().ct_established->all())) {
        replies_seen_by_first += entry.reply_packets;
        ++established_there;
    }
    EXPECT_EQ(replies_seen_by_first, 0u);
    EXPECT_GT(established_there, 0u) << "remembered for as long as the connection lives, though no reply comes by";
}

TEST_P(Overlay, AnIpv6ClientOutsideReachesABackendOnTheOtherNodeToo) {
    const Address client6 = ip("2001:db8:18::9"), balancer6 = ip("2001:db8:203::5");
    for (const auto& [place, link, address] : {std::tuple{&world.outside, "eth0", "2001:db8:18::9"},
                                               {&world.n1.place, "uplink", "2001:db8:18::1"},
                                               {&world.n2.place, "uplink", "2001:db8:18::2"}})
        ipv6_on_the_wire(*place, link, address);
    ip_command("-n " + world.outside.name() + " -6 route add 2001:db8:203::/64 dev eth0");
    for (const auto& [n, address] : {std::pair{&world.n1, "2001:db8:18::1"}, {&world.n2, "2001:db8:18::2"}}) {
        abi::node row = MUST(n->table.maps().node->lookup(0)).value();
        row.v6 = abi::to_abi(ip(address));
        MUST(n->table.maps().node->put(0, row));
        n->table.service(VPC_OUTSIDE, "2001:db8:203::5", 80, Protocol::tcp, 1, {{1, red, b6, 8080}}, 0, red);
        n->table.service(VPC_OUTSIDE, "2001:db8:203::5", 53, Protocol::udp, 2, {{2, red, b6, 5353}}, 0, red);
    }
    world.n2.table.announce("2001:db8:203::5", false);
    exchange(world.outside, balancer6, 80, world.red_b.listen(Protocol::tcp, b6, 8080), client6);
    ask(world.outside, balancer6, 53, world.red_b.listen(Protocol::udp, b6, 5353), client6);
}

TEST_P(Overlay, ABackendsNodeThatHasLostTheConnectionTellsTheClientOutside) {
    world.n1.table.service(VPC_OUTSIDE, "203.0.113.5", 80, Protocol::tcp, 1, {{1, red, b, 8080}}, 0, red);
    const Fd listener = world.red_b.listen(Protocol::tcp, b, 8080);
    const Fd mine = MUST(world.outside.connect(Protocol::tcp, balancer, 80));
    const Fd theirs = MUST(accept_on(listener));
    pump(mine, theirs);
    auto& maps = world.n2.table.maps();
    for (auto* map : {maps.ct_established.get(), maps.ct_half_open.get()})
        for (const auto& [key, entry] : MUST(map->all())) MUST(map->erase(key));
    const Status sent = send_text(mine, "anybody there?");  // fails if a segment sent again was answered before
    char byte;
    const bool was_reset = !sent || (::recv(mine.get(), &byte, 1, 0) < 0 && errno == ECONNRESET);
    EXPECT_TRUE(was_reset);
}

TEST_P(Overlay, ANodePortOfOneNodeReachesAPodOfTheOther) {
    world.n1.table.service(VPC_OUTSIDE, "198.18.1.1", 30080, Protocol::tcp, 1, {{1, red, b, 8080}}, 0, red);
    MUST(world.n1.table.maps().frontends->erase(abi::frontend_address_key(VPC_OUTSIDE, ip("198.18.1.1"))));
    const Fd listener = world.red_b.listen(Protocol::tcp, b, 8080);
    exchange(world.outside, ip("198.18.1.1"), 30080, listener, ip("198.18.0.1"));
}

// red_a and blue_b under addresses of their own: peered VPCs do not overlap.
void Overlay::peer_red_and_blue(bool v6) {
    const char* const ranges[] = {v6 ? "fd00:8::/64" : "10.8.0.0/16", v6 ? "fd00:9::/64" : "10.9.0.0/16"};
    for (auto* n : {&world.n1, &world.n2}) {
        world.peer(*n, red, ranges[1], blue);
        world.peer(*n, blue, ranges[0], red);
        n->table.route(red, ranges[0], abi::ROUTE_LOCAL);
        n->table.route(blue, ranges[1], abi::ROUTE_LOCAL);
    }
    for (const auto& [n, place, pod, address, old] :
         {std::tuple(&world.n1, &world.red_a, &world.red_a_pod, v6 ? "fd00:8::5" : "10.8.0.5", v6 ? a6 : a),
          std::tuple(&world.n2, &world.blue_b, &world.blue_b_pod, v6 ? "fd00:9::6" : "10.9.0.6", v6 ? b6 : b)}) {
        const std::string eth0 = v6 ? "/128 dev eth0" : "/32 dev eth0";
        ip_command("-n " + place->name() + " addr add " + address + eth0 + (v6 ? " nodad" : ""));
        ip_command("-n " + place->name() + " addr del " + old.text() + eth0);
        abi::endpoint row = MUST(n->table.maps().endpoint->lookup(pod->id)).value();
        (v6 ? row.v6 : row.v4) = abi::to_abi(ip(address));
        MUST(n->table.maps().endpoint->put(pod->id, row));
        n->table.local_address(*pod, address);
    }
    world.locate(world.n1, blue, v6 ? "fd00:9::/124" : "10.9.0.0/28");
    world.locate(world.n2, red, v6 ? "fd00:8::/124" : "10.8.0.0/28");
}

TEST_P(Overlay, APeeringLeadsIntoTheOtherVpcUntilItIsTakenAway) {
    for (const bool v6 : {false, true}) {
        SCOPED_TRACE(v6 ? "IPv6" : "IPv4");
        peer_red_and_blue(v6);
        const Address far = ip(v6 ? "fd00:9::6" : "10.9.0.6");
        const Fd listener = world.blue_b.listen(Protocol::tcp, far, 8080);
        const Fd mine = MUST(world.red_a.connect(Protocol::tcp, far, 8080));
        const Fd theirs = MUST(accept_on(listener));
        EXPECT_EQ(peer_of(theirs), ip(v6 ? "fd00:8::5" : "10.8.0.5"));
        pump(mine, theirs);
        for (const auto& [n, vpc] : {std::pair{&world.n1, red}, {&world.n2, blue}}) {
            const auto rows = MUST(n->table.maps().ct_established->all());
            ASSERT_EQ(rows.size(), v6 ? 2u : 1u);
            for (const auto& [key, row] : rows) EXPECT_EQ(key.vpc, vpc) << "each side keeps its own";
        }
        drops_at_start[abi::DROP_NO_NAT] = TwoNodes::drops(world.n1, abi::HOOK_POD_EGRESS, abi::DROP_NO_NAT);
        world.unpeer(world.n1, red, v6 ? "fd00:9::/64" : "10.9.0.0/16");
        ASSERT_TRUE(send_text(mine, "after"));
        wait_for_drop(world.n1, abi::DROP_NO_NAT, abi::HOOK_POD_EGRESS);
        char byte;
        EXPECT_LT(::recv(theirs.get(), &byte, 1, MSG_DONTWAIT), 0) << "a living connection ends with its route";
    }
}

TEST_P(Overlay, ARouteLeadsToANextHopOnTheOtherNodeOnlyIfThatMayForward) {
    const Address beyond = ip("192.168.50.1");
    MUST(world.n1.table.maps().routes->put(abi::route_key_of(red, net::Prefix::of(beyond, 24)),
                                           {abi::ROUTE_ENDPOINT, 0, abi::to_abi(b)}));
    ip_command("-n " + world.red_b.name() + " link set lo up");
    ip_command("-n " + world.red_b.name() + " addr add 192.168.50.1/32 dev lo");
    const Fd server = world.red_b.listen(Protocol::udp, beyond, 53);
    const Fd mine = MUST(world.red_a.connect(Protocol::udp, beyond, 53));
    ASSERT_TRUE(send_text(mine, "refused"));
    wait_for_drop(world.n2, abi::DROP_NEXT_HOP);
    abi::endpoint row = MUST(world.n2.table.maps().endpoint->lookup(world.red_b_pod.id)).value();
    row.flags = abi::ENDPOINT_FORWARDS;
    MUST(world.n2.table.maps().endpoint->put(world.red_b_pod.id, row));
    ask(world.red_a, beyond, 53, server, a);
}

TEST_P(Overlay, ANeighboursAddressIsBelievedFromItsOwnNodeOnly) {
    MUST(world.n2.table.maps().locations->erase(
        abi::location_key_of(LOCATION_EVERY_VPC, net::Prefix::host(ip("100.64.0.3")))));
    const Fd server = world.red_b.listen(Protocol::udp, b, 53);
    const Fd mine = MUST(world.n1.place.connect(Protocol::udp, b, 53));
    ASSERT_TRUE(send_text(mine, "lie"));
    wait_for_drop(world.n2, abi::DROP_SPOOFED_ADDRESS);
}

// The fabric routes red's pods: each node knows the next hop to the other in both families, and its own pods on the wire.
void Overlay::route_red() {
    for (const auto& [place, link, address] : {std::tuple{&world.n1.place, "uplink", "2001:db8:18::1"},
                                               {&world.n2.place, "uplink", "2001:db8:18::2"}})
        ipv6_on_the_wire(*place, link, address);
    for (const auto& [n, the_other, hop6, pod, v6] :
         {std::tuple(&world.n1, &world.n2, "2001:db8:18::2", &world.red_a_pod, a6),
          std::tuple(&world.n2, &world.n1, "2001:db8:18::1", &world.red_b_pod, b6)}) {
        auto& maps = n->table.maps();
        MUST(maps.nodes->put(other | NODE_WAY_V4, {abi::to_abi(the_other->underlay), wire_mtu, abi::NODE_ROUTED}));
        MUST(maps.nodes->put(other | NODE_WAY_V6, {abi::to_abi(ip(hop6)), wire_mtu, abi::NODE_ROUTED}));
        for (const auto& [prefix, way] : {std::pair{n == &world.n1 ? "10.0.2.0/28" : "10.0.1.0/28", NODE_WAY_V4},
                                          {n == &world.n1 ? "fd00::2:0/124" : "fd00::1:0/124", NODE_WAY_V6}})
            MUST(maps.locations->put(abi::location_key_of(red, MUST(net::Prefix::parse(prefix))), other | way));
        MUST(maps.endpoints->put(abi::endpoint_key_of(VPC_OUTSIDE, pod->address), pod->id));
        MUST(maps.endpoints->put(abi::endpoint_key_of(VPC_OUTSIDE, v6), pod->id));
    }
}

TEST_P(Overlay, WhereTheFabricRoutesPodsNothingIsWrapped) {
    route_red();
    for (const auto* n : {&world.n1, &world.n2}) ip_command("-n " + n->place.name() + " link set dev weft_tunnel down");
    exchange(world.red_a, b, 8080, world.red_b.listen(Protocol::tcp, b, 8080), a);
    exchange(world.red_b, a6, 8080, world.red_a.listen(Protocol::tcp, a6, 8080), b6);
    world.n1.table.service(red, "172.21.0.5", 80, Protocol::tcp, 1, {{1, red, b, 8080}});
    exchange(world.red_a, ip("172.21.0.5"), 80, world.red_b.listen(Protocol::tcp, b, 8080), a);
    // Whoever looks for a pod on the wire finds its node, and is let in by nothing but that VPC's own pods.
    const Fd server = world.red_b.listen(Protocol::udp, b, 53);
    ip_command("-n " + world.outside.name() + " route add 10.0.2.0/28 dev eth0");
    const Fd stranger = MUST(world.outside.connect(Protocol::udp, b, 53));
    ASSERT_TRUE(send_text(stranger, "let me in"));
    wait_for_drop(world.n2, abi::DROP_OUTSIDE_SOURCE, abi::HOOK_UPLINK_INGRESS);
}

TEST_P(Overlay, WhereTheFabricRoutesPodsTheTunnelTakesWhatThePacketDoesNotSay) {
    route_red();
    exchange(world.n1.place, b, 8080, world.red_b.listen(Protocol::tcp, b, 8080), ip("100.64.0.3"));
    // A datagram cut by its sender for a wider wire than the other node's: cut again outside.
    MUST(world.n1.table.maps().nodes->put(
        other | NODE_WAY_V4, {abi::to_abi(world.n2.underlay), inner_mtu - 100, abi::NODE_ROUTED}));
    const Fd server = world.red_b.listen(Protocol::udp, b, 53);
    const Fd mine = MUST(world.red_a.connect(Protocol::udp, b, 53));
    const int never = IP_PMTUDISC_DONT;
    ASSERT_EQ(::setsockopt(mine.get(), IPPROTO_IP, IP_MTU_DISCOVER, &never, sizeof never), 0);
    ASSERT_TRUE(send_text(mine, std::string(2048, 'x')));
    EXPECT_EQ(MUST(answer_datagram(server, "all of it")).size(), 2048u);
    EXPECT_EQ(MUST(receive_text(mine, 100)), "all of it");
}

TEST_P(Overlay, AFrameFromAnAddressThatIsNoNodesIsNotBelieved) {
    const Fd server = world.red_b.listen(Protocol::udp, b, 53);
    // The inner frame as a node of ours would make it, in a VXLAN header for VNI 7.
    const Mac as_ours{{TUNNEL_MARK, abi::FRAME_PLAIN, 0, 0, 7, 0}};
    const net::Bytes inner = net::packet(as_ours, Mac{}).ip(a, b).udp(4000, 53).payload("in").bytes();
    std::string datagram("\x08\0\0\0\0\0\x07\0", 8);
    datagram.append(inner.begin(), inner.end());
    const Fd liar = MUST(world.outside.connect(Protocol::udp, world.n2.underlay, TUNNEL_PORT));
    ASSERT_TRUE(send_text(liar, datagram));
    wait_for_drop(world.n2, abi::DROP_UNKNOWN_NODE);
    char byte;
    EXPECT_LT(::recv(server.get(), &byte, 1, MSG_DONTWAIT), 0);
}

TEST_P(Overlay, WhatDoesNotFitTheWayIsToldToTheSenderAndSentSmaller) {
    uint64_t told = TwoNodes::drops(world.n1, abi::HOOK_POD_EGRESS, abi::DROP_TOO_BIG);
    for (const auto& to : {b, b6}) {
        const Fd listener = world.red_b.listen(Protocol::tcp, to, 8080);
        const Fd mine = MUST(world.red_a.connect(Protocol::tcp, to, 8080));
        const Fd theirs = MUST(accept_on(listener));
        world.reach(world.n1, world.n2, 1300);  // narrower than when the two agreed
        pump(mine, theirs);
        pump(theirs, mine);
        const uint64_t now = TwoNodes::drops(world.n1, abi::HOOK_POD_EGRESS, abi::DROP_TOO_BIG);
        EXPECT_GT(now, told) << to.text();
        told = now;
        world.reach(world.n1, world.n2);
    }
}

TEST_P(Overlay, AConnectionOverANarrowWayIsNeverTooBig) {
    world.reach(world.n1, world.n2, 1300);
    const uint64_t before = TwoNodes::drops(world.n1, abi::HOOK_POD_EGRESS, abi::DROP_TOO_BIG);
    for (const auto& [from, to] : {std::pair{a, b}, {a6, b6}}) {
        const Fd listener = world.red_b.listen(Protocol::tcp, to, 8080);
        exchange(world.red_a, to, 8080, listener, from);
        const Fd back = world.red_a.listen(Protocol::tcp, from, 8081);
        exchange(world.red_b, from, 8081, back, to);  // the SYN is lowered where it arrives
    }
    EXPECT_EQ(TwoNodes::drops(world.n1, abi::HOOK_POD_EGRESS, abi::DROP_TOO_BIG), before);
}

TEST_P(Overlay, TheDeviceIsLeftOutWhereTheHooksDoItsWork) {
    const auto expect_by_whom = [&](bool v4) {
        for (const auto& [n, whose] : {std::pair{&world.n1, GetParam().n1}, {&world.n2, GetParam().n2}}) {
            const uint64_t packets = TwoNodes::packets_by_device(*n);
            EXPECT_TRUE(whose == Tunnel::device ? packets > 0 : packets == 0 || !(v4 || hooks_open_ipv6())) << packets;
        }
    };
    exchange(world.red_a, b, 8080, world.red_b.listen(Protocol::tcp, b, 8080), a);
    expect_by_whom(true);
    exchange(world.red_a, b6, 8080, world.red_b.listen(Protocol::tcp, b6, 8080), a6);
    expect_by_whom(false);
}

// Joined by their sender (UDP_SEGMENT), cut by the receiver, who never asked for joined ones.
TEST_P(Overlay, DatagramsThatTravelAsOneArriveEachByItself) {
    constexpr int one = 1000, all = 4;
    for (const Address& to : {b, b6}) {
        const Fd server = world.red_b.listen(Protocol::udp, to, 53);
        const Fd mine = MUST(world.red_a.connect(Protocol::udp, to, 53));
        ASSERT_EQ(::setsockopt(mine.get(), IPPROTO_UDP, UDP_SEGMENT, &one, sizeof one), 0);
        std::string text;
        for (int i = 0; i < all; ++i) text.append(one, char('a' + i));
        const Status joined = send_text(mine, text);
        if (!joined && !GetParam().offloads) continue;  // EIO: the pod's own kernel, 6.1, joins for none that must sum by itself
        ASSERT_TRUE(joined) << joined.error().message;
        for (int i = 0; i < all; ++i) EXPECT_EQ(MUST(answer_datagram(server, "")), std::string(one, char('a' + i)));
    }
}

// There: written by a pod; back: opened on n2, forwarded by a pod of it, and sent on over the same wire.
TEST_P(Overlay, WhatCameByTheTunnelGoesBackByItWhenAPodForwardsIt) {
    Place red_c("redc");
    const Address beyond = ip("192.168.50.1");
    Pod pod_c = world.wire_pod(world.n1, red_c, red, "10.0.1.7", "fd00::1:7", 5);
    ip_command("-n " + red_c.name() + " addr add 192.168.50.1/32 dev eth0");
    constexpr uint32_t table_of_b = 77;
    const net::Prefix range = net::Prefix::of(beyond, 24);
    MUST(world.n1.table.maps().routes->put(abi::route_key_of(red, range), {abi::ROUTE_ENDPOINT, 0, abi::to_abi(b)}));
    MUST(world.n2.table.maps().routes->put(abi::route_key_of(table_of_b, range),
                                           {abi::ROUTE_ENDPOINT, 0, abi::to_abi(ip("10.0.1.7"))}));
    for (const auto& [n, id, route_table] :
         {std::tuple{&world.n1, pod_c.id, red}, {&world.n2, world.red_b_pod.id, table_of_b}}) {
        abi::endpoint row = MUST(n->table.maps().endpoint->lookup(id)).value();
        row.flags = abi::ENDPOINT_FORWARDS;
        row.route_table = route_table;
        MUST(n->table.maps().endpoint->put(id, row));
    }
    MUST(kernel::set_sysctl(world.red_b.netns(), "net/ipv4/ip_forward", "1"));
    exchange(world.red_a, beyond, 8080, red_c.listen(Protocol::tcp, beyond, 8080), a);
}

constexpr Tunnel hooks = Tunnel::hooks, device = Tunnel::device;
INSTANTIATE_TEST_SUITE_P(Offloads, Overlay,
                         testing::Values(Ways{"on", true, hooks, hooks}, Ways{"off", false, hooks, hooks},
                                         Ways{"on_by_device", true, device, device},
                                         Ways{"off_by_device", false, device, device},
                                         Ways{"on_by_one_each", true, hooks, device},
                                         Ways{"off_by_one_each", false, device, hooks}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace weft::test
