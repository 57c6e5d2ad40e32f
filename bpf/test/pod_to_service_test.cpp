// A pod speaks to a Service: translated, answered, moved, refused.
//
//   client 10.0.1.5 ── Service 172.21.0.5:53 ──┬── b 10.0.1.6:5353
//                                              └── c 10.0.1.7:5353
#include <set>

#include "bpf/test/world.h"

namespace weft::test {
namespace {

constexpr uint32_t service_id = 40;
constexpr uint32_t backend_b = 1;
constexpr uint32_t backend_c = 2;

struct PodToService : testing::Test {
    PodToService() {
        world.ranges(red);
        use({b});
    }

    uint32_t backend_of(const Pod& pod) const {
        return pod.id == b.id ? backend_b : pod.id == c.id ? backend_c : 10 + pod.id;
    }
    void use(const std::vector<Pod>& pods, Protocol protocol = Protocol::udp) {
        std::vector<Target> targets;
        for (const Pod& pod : pods) targets.push_back({backend_of(pod), red, pod.address, 5353});
        world.service(red, "172.21.0.5", 53, protocol, service_id, targets);
    }

    net::PacketBuilder question(uint16_t from = 4000) { return client.to(service).udp(from, 53).payload("question"); }

    World world;
    Pod client = world.pod(red, "10.0.1.5");
    Pod b = world.pod(red, "10.0.1.6");
    Pod c = world.pod(red, "10.0.1.7");
    Address service = ip("172.21.0.5");
};

TEST_F(PodToService, QuestionAndAnswerOverUdp) {
    // Scene 1: the question reaches b, as if it had been sent there.
    const Outcome asked = world.leaves(client, question());
    ASSERT_TRUE(asked.reached(b)) << asked;
    EXPECT_EQ(asked.packet.source, client.address);
    EXPECT_EQ(asked.packet.destination, b.address);
    EXPECT_EQ(asked.packet.udp->destination_port, 5353);
    EXPECT_TRUE(asked.packet.checksums_ok) << asked;
    // Scene 2: b answers whom it saw; the client sees the Service answer.
    const auto answer = b.to(asked.packet.source).udp(5353, asked.packet.udp->source_port).payload("answer");
    const Outcome answered = world.leaves(b, answer);
    ASSERT_TRUE(answered.reached(client)) << answered;
    EXPECT_EQ(answered.packet.source, service);
    EXPECT_EQ(answered.packet.udp->source_port, 53);
    EXPECT_EQ(answered.packet.udp->destination_port, 4000);
    EXPECT_TRUE(answered.packet.checksums_ok) << answered;
    // Scene 3: the connection is established, counted once each way, and goes on.
    const auto entry = world.connection(red, Protocol::udp, client.address, 4000, b.address, 5353);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->state, abi::CT_ESTABLISHED);
    EXPECT_EQ(entry->original_packets, 1u);
    EXPECT_EQ(entry->reply_packets, 1u);
    EXPECT_TRUE(world.leaves(client, question()).reached(b));
    EXPECT_TRUE(MUST(world.maps().ct_half_open->all()).empty());
}

TEST_F(PodToService, AUdpPacketWithoutChecksumStaysWithout) {
    const Outcome asked = world.leaves(client, question().no_udp_checksum());
    ASSERT_TRUE(asked.reached(b)) << asked;
    EXPECT_EQ(asked.frame[14 + 20 + 6], 0);
    EXPECT_EQ(asked.frame[14 + 20 + 7], 0);
}

TEST_F(PodToService, OverTcpTheWholeHandshakeGoesTheSameWay) {
    use({b}, Protocol::tcp);
    const auto says = [&](uint8_t flags) { return world.leaves(client, client.to(service).tcp(40000, 53, flags)); };
    const auto replies = [&](uint8_t flags) { return world.leaves(b, b.to(client.address).tcp(5353, 40000, flags)); };
    const auto state = [&] {
        return world.connection(red, Protocol::tcp, client.address, 40000, b.address, 5353)->state;
    };

    const Outcome syn = says(net::tcp_syn);
    ASSERT_TRUE(syn.reached(b)) << syn;
    EXPECT_EQ(syn.packet.tcp->destination_port, 5353);
    EXPECT_EQ(state(), abi::CT_HALF_OPEN);
    const Outcome syn_ack = replies(net::tcp_syn | net::tcp_ack);
    ASSERT_TRUE(syn_ack.reached(client)) << syn_ack;
    EXPECT_EQ(syn_ack.packet.source, service);
    EXPECT_EQ(syn_ack.packet.tcp->source_port, 53);
    EXPECT_TRUE(syn_ack.packet.checksums_ok) << syn_ack;
    EXPECT_EQ(state(), abi::CT_HALF_OPEN);
    EXPECT_TRUE(says(net::tcp_ack).reached(b));
    EXPECT_EQ(state(), abi::CT_ESTABLISHED);
    EXPECT_TRUE(says(net::tcp_ack | net::tcp_fin).reached(b));
    EXPECT_EQ(state(), abi::CT_ESTABLISHED);
    EXPECT_TRUE(replies(net::tcp_ack | net::tcp_fin).reached(client));
    EXPECT_EQ(state(), abi::CT_CLOSING);
    EXPECT_TRUE(says(net::tcp_ack).reached(b));
}

TEST_F(PodToService, ATcpConnectionOutlivesItsBackendInTheServiceAUdpFlowMoves) {
    use({b}, Protocol::tcp);
    ASSERT_TRUE(world.leaves(client, client.to(service).tcp(40000, 53, net::tcp_syn)).reached(b));
    ASSERT_TRUE(world.leaves(client, question()).reached(b));
    use({c}, Protocol::tcp);
    use({c}, Protocol::udp);
    world.remove_backend(backend_b);
    EXPECT_TRUE(world.leaves(client, client.to(service).tcp(40000, 53, net::tcp_ack)).reached(b));
    EXPECT_TRUE(world.leaves(client, question()).reached(c));
    // A new SYN of the same port does not go to the one that left.
    EXPECT_TRUE(world.leaves(client, client.to(service).tcp(40000, 53, net::tcp_syn)).reached(c));
}

// DP-26: evenly over four, each within a fifth; one that leaves takes only its own along.
TEST_F(PodToService, ConnectionsSpreadOverTheBackends) {
    const std::vector<Pod> pods = {b, c, world.pod(red, "10.0.1.8"), world.pod(red, "10.0.1.9")};
    use(pods);
    constexpr int connections = 4000;
    std::vector<int> went(connections, -1);
    std::vector<int> count(pods.size(), 0);
    for (int i = 0; i < connections; ++i) {
        const Outcome out = world.leaves(client, question(uint16_t(10000 + i)));
        for (size_t p = 0; p < pods.size(); ++p)
            if (out.reached(pods[p])) went[size_t(i)] = int(p);
        ASSERT_GE(went[size_t(i)], 0) << out;
        ++count[size_t(went[size_t(i)])];
    }
    for (const int n : count) {
        EXPECT_GT(n, connections / 4 * 8 / 10);
        EXPECT_LT(n, connections / 4 * 12 / 10);
    }
    use({b, c, pods[2]});
    world.remove_backend(backend_of(pods[3]));
    for (int i = connections - 1000; i < connections; ++i) {
        const Outcome out = world.leaves(client, question(uint16_t(10000 + i)));
        const bool stays = went[size_t(i)] != 3 && out.reached(pods[size_t(went[size_t(i)])]);
        EXPECT_TRUE(stays || went[size_t(i)] == 3) << "flow " << i << " moved";
        EXPECT_FALSE(out.reached(pods[3]));
    }
}

TEST_F(PodToService, ThePodThatIsItsOwnBackendSeesTheGateway) {
    const Outcome asked = world.leaves(b, b.to(service).udp(4000, 53).payload("question"));
    ASSERT_TRUE(asked.reached(b)) << asked;
    EXPECT_EQ(asked.packet.source, ip("169.254.1.1"));
    EXPECT_EQ(asked.packet.destination, b.address);
    EXPECT_TRUE(asked.packet.checksums_ok) << asked;
    const Outcome answered = world.leaves(b, b.to(asked.packet.source).udp(5353, 4000));
    ASSERT_TRUE(answered.reached(b)) << answered;
    EXPECT_EQ(answered.packet.source, service);
    EXPECT_EQ(answered.packet.udp->source_port, 53);
    EXPECT_EQ(answered.packet.destination, b.address);
    EXPECT_EQ(answered.packet.udp->destination_port, 4000);
    EXPECT_TRUE(answered.packet.checksums_ok) << answered;
}

TEST_F(PodToService, WithoutEndpointsTcpGetsAnRstAtOnce) {
    use({}, Protocol::tcp);
    const Outcome out = world.leaves(client, client.to(service).tcp(40000, 53, net::tcp_syn, 77).payload("early data"));
    EXPECT_EQ(out.action, sent);
    EXPECT_EQ(out.reason, abi::DROP_NO_BACKEND) << out;
    ASSERT_TRUE(out.packet.tcp) << out;
    EXPECT_EQ(out.packet.destination_mac, client.mac);
    EXPECT_EQ(out.packet.source, service);
    EXPECT_EQ(out.packet.destination, client.address);
    EXPECT_EQ(out.packet.tcp->source_port, 53);
    EXPECT_EQ(out.packet.tcp->destination_port, 40000);
    EXPECT_EQ(out.packet.tcp->flags, net::tcp_rst | net::tcp_ack);
    EXPECT_EQ(out.packet.tcp->ack, 77u + 1 + 10);
    EXPECT_EQ(out.packet.ip_bytes, 40u);
    EXPECT_TRUE(out.packet.checksums_ok) << out;
}

TEST_F(PodToService, WithoutEndpointsUdpGetsPortUnreachableAtOnce) {
    use({});
    const Outcome out = world.leaves(client, question());
    EXPECT_EQ(out.action, sent);
    EXPECT_EQ(out.reason, abi::DROP_NO_BACKEND) << out;
    ASSERT_TRUE(out.packet.icmp) << out;
    EXPECT_EQ(out.packet.icmp->type, 3);
    EXPECT_EQ(out.packet.icmp->code, 3);
    EXPECT_EQ(out.packet.destination_mac, client.mac);
    EXPECT_EQ(out.packet.source, service);
    EXPECT_EQ(out.packet.destination, client.address);
    EXPECT_TRUE(out.packet.checksums_ok) << out;
    ASSERT_NE(out.packet.icmp->about, nullptr);
    EXPECT_EQ(out.packet.icmp->about->destination, service);
    EXPECT_EQ(out.packet.icmp->about->udp->source_port, 4000);
    EXPECT_EQ(out.packet.icmp->about->udp->destination_port, 53);
    // DP-20: nothing is remembered of it: the same flow goes on as soon as there is an endpoint.
    use({b});
    EXPECT_TRUE(world.leaves(client, question()).reached(b));
}

TEST_F(PodToService, AServiceWhoseRowsAreJustGoingIsNoBackend) {
    MUST(world.maps().slots->erase({service_id, 0}));
    EXPECT_EQ(world.leaves(client, question()).reason, abi::DROP_NO_BACKEND);
}

TEST_F(PodToService, AnUnlistedPortIsRefusedAndPingIsNotAnswered) {
    EXPECT_EQ(world.leaves(client, client.to(service).tcp(40000, 54, net::tcp_syn)).packet.tcp->flags,
              net::tcp_rst | net::tcp_ack);
    const Outcome udp = world.leaves(client, client.to(service).udp(4000, 54));
    EXPECT_EQ(udp.reason, abi::DROP_UNLISTED_PORT) << udp;
    EXPECT_EQ(udp.action, sent);
    const Outcome ping = world.leaves(client, client.to(service).echo(true, 1));
    EXPECT_EQ(ping.reason, abi::DROP_UNLISTED_PORT) << ping;
    EXPECT_EQ(ping.action, dropped);
}

TEST_F(PodToService, MidStreamTcpThatNobodyRemembersGetsAnRst) {
    use({b}, Protocol::tcp);
    const Outcome out = world.leaves(client, client.to(service).tcp(40000, 53, net::tcp_ack, 500, 900));
    EXPECT_EQ(out.reason, abi::DROP_MIDSTREAM) << out;
    EXPECT_EQ(out.packet.tcp->flags, net::tcp_rst);
    EXPECT_EQ(out.packet.tcp->seq, 900u);
    EXPECT_TRUE(out.packet.checksums_ok) << out;
    // An RST is not answered by another.
    const Outcome reset = world.leaves(client, client.to(service).tcp(40000, 53, net::tcp_rst, 500));
    EXPECT_EQ(reset.reason, abi::DROP_MIDSTREAM);
    EXPECT_EQ(reset.action, dropped);
    // Untranslated, it is asked like a new connection.
    EXPECT_TRUE(world.leaves(client, client.to(b.address).tcp(40000, 5353, net::tcp_ack)).reached(b));
}

TEST_F(PodToService, OnePortThatSpeaksByTheServiceCannotSpeakToItsBackendDirectly) {
    ASSERT_TRUE(world.leaves(client, question()).reached(b));
    EXPECT_EQ(world.leaves(client, client.to(b.address).udp(4000, 5353)).reason, abi::DROP_TUPLE_TAKEN);
}

TEST_F(PodToService, APortThatSpeaksToTheBackendDirectlyReachesItByTheServiceUnderAnotherPort) {
    ASSERT_TRUE(world.leaves(client, client.to(b.address).udp(4001, 5353)).reached(b));
    // With another backend to go to, the Service finds it, and the port stays.
    use({b, c});
    const Outcome elsewhere = world.leaves(client, question(4001));
    ASSERT_TRUE(elsewhere.reached(c)) << elsewhere;
    EXPECT_EQ(elsewhere.packet.udp->source_port, 4001);
    world.age(CT_UDP_S + 1);
    ASSERT_TRUE(world.leaves(client, client.to(b.address).udp(4001, 5353)).reached(b));
    // With none, b sees another port, and the client nothing of it.
    use({b});
    const Outcome asked = world.leaves(client, question(4001));
    ASSERT_TRUE(asked.reached(b)) << asked;
    const uint16_t seen = asked.packet.udp->source_port;
    EXPECT_NE(seen, 4001);
    EXPECT_TRUE(asked.packet.checksums_ok) << asked;
    const Outcome answered = world.leaves(b, b.to(client.address).udp(5353, seen));
    ASSERT_TRUE(answered.reached(client)) << answered;
    EXPECT_EQ(answered.packet.source, service);
    EXPECT_EQ(answered.packet.udp->destination_port, 4001);
    EXPECT_TRUE(answered.packet.checksums_ok) << answered;
    EXPECT_EQ(world.leaves(client, question(4001)).packet.udp->source_port, seen);
    const Outcome direct = world.leaves(b, b.to(client.address).udp(5353, 4001));
    ASSERT_TRUE(direct.reached(client)) << direct;
    EXPECT_EQ(direct.packet.source, b.address);
    // Later pieces of a datagram follow, though they have no port to change.
    ASSERT_TRUE(world.leaves(client, question(4001).fragment(0x2000).payload(std::string(64, 'x'))).reached(b));
    EXPECT_TRUE(world.leaves(client, client.to(service).protocol(17).fragment(9).payload(std::string(64, 'y'))).reached(b));
}

TEST_F(PodToService, APortWhoseServiceConnectionIsClosedMaySpeakToTheBackendDirectly) {
    use({b}, Protocol::tcp);
    // Scene 1: a connection by the Service, ended by a reset.
    world.leaves(client, client.to(service).tcp(4000, 53, net::tcp_syn));
    world.leaves(b, b.to(client.address).tcp(5353, 4000, net::tcp_syn | net::tcp_ack));
    ASSERT_TRUE(world.leaves(client, client.to(service).tcp(4000, 53, net::tcp_ack)).reached(b));
    EXPECT_EQ(world.leaves(client, client.to(b.address).tcp(4000, 5353, net::tcp_syn)).reason, abi::DROP_TUPLE_TAKEN);
    world.leaves(client, client.to(service).tcp(4000, 53, net::tcp_rst | net::tcp_ack));
    // Scene 2: the same port, straight to the backend: a connection of its own, answered by the backend's own address.
    ASSERT_TRUE(world.leaves(client, client.to(b.address).tcp(4000, 5353, net::tcp_syn)).reached(b));
    const Outcome answered = world.leaves(b, b.to(client.address).tcp(5353, 4000, net::tcp_syn | net::tcp_ack));
    ASSERT_TRUE(answered.reached(client)) << answered;
    EXPECT_EQ(answered.packet.source, b.address);
    EXPECT_TRUE(world.leaves(client, client.to(b.address).tcp(4000, 5353, net::tcp_ack)).reached(b));
    // Scene 3: and back to the Service once that one is closed too.
    world.leaves(client, client.to(b.address).tcp(4000, 5353, net::tcp_rst | net::tcp_ack));
    EXPECT_TRUE(world.leaves(client, client.to(service).tcp(4000, 53, net::tcp_syn)).reached(b));
}

TEST_F(PodToService, ALocalAddressIsDeliveredUntranslated) {
    const Pod endpoint = world.pod(red, "100.64.0.2", abi::ENDPOINT_SERVICE);
    world.local_address(endpoint, "172.21.0.10");
    world.service(red, "172.21.0.10", 53, Protocol::udp, 41, {}, abi::FRONTEND_LOCAL);
    const Outcome asked = world.leaves(client, client.to(ip("172.21.0.10")).udp(4000, 53));
    ASSERT_TRUE(asked.reached(endpoint)) << asked;
    EXPECT_EQ(asked.packet.destination, ip("172.21.0.10"));
    const auto answer = net::packet(endpoint.mac, gateway_mac).ip(ip("172.21.0.10"), client.address).udp(53, 4000);
    EXPECT_TRUE(world.leaves(endpoint, answer).reached(client));
    // Its other ports are the endpoint's own kernel's business.
    EXPECT_TRUE(world.leaves(client, client.to(ip("172.21.0.10")).tcp(4000, 99, net::tcp_syn)).reached(endpoint));
}

TEST_F(PodToService, AnErrorAboutATranslatedPacketIsTranslatedBack) {
    const Outcome asked = world.leaves(client, question());
    const Bytes head(asked.frame.begin() + 14, asked.frame.begin() + 14 + 28);
    const Outcome out = world.leaves(b, b.to(client.address).icmp(3, 3).payload(head));
    ASSERT_TRUE(out.reached(client)) << out;
    EXPECT_TRUE(out.packet.checksums_ok) << out;
    EXPECT_EQ(out.packet.source, service);
    ASSERT_NE(out.packet.icmp->about, nullptr);
    EXPECT_TRUE(out.packet.icmp->about->checksums_ok);
    EXPECT_EQ(out.packet.icmp->about->source, client.address);
    EXPECT_EQ(out.packet.icmp->about->destination, service);
    EXPECT_EQ(out.packet.icmp->about->udp->source_port, 4000);
    EXPECT_EQ(out.packet.icmp->about->udp->destination_port, 53);
}

TEST_F(PodToService, AnErrorAboutAReplyIsTranslatedToo) {
    world.leaves(client, question());
    const Outcome answered = world.leaves(b, b.to(client.address).udp(5353, 4000));
    const Bytes head(answered.frame.begin() + 14, answered.frame.begin() + 14 + 28);
    const Outcome out = world.leaves(client, client.to(service).icmp(3, 3).payload(head));
    ASSERT_TRUE(out.reached(b)) << out;
    EXPECT_TRUE(out.packet.checksums_ok) << out;
    EXPECT_EQ(out.packet.destination, b.address);
    EXPECT_EQ(out.packet.icmp->about->source, b.address);
    EXPECT_EQ(out.packet.icmp->about->udp->source_port, 5353);
}

TEST_F(PodToService, ThePiecesOfADatagramFollowTheFirst) {
    // Scene 1: a later piece alone goes nowhere.
    const auto later = client.to(service).protocol(17).payload(std::string(100, 'y')).fragment(0x0010);
    EXPECT_EQ(world.leaves(client, later).reason, abi::DROP_FRAGMENT);
    // Scene 2: the first piece is translated, checksum and all (it is of the whole datagram, so only its change is ours).
    const Outcome first = world.leaves(client, question().payload(std::string(100, 'x')).fragment(0x2000));
    ASSERT_TRUE(first.reached(b)) << first;
    EXPECT_EQ(first.packet.udp->destination_port, 5353);
    EXPECT_TRUE(first.packet.checksums_ok) << first;
    // Scene 3: the later one gets the address, and no port is written into its payload.
    const Outcome second = world.leaves(client, later);
    ASSERT_TRUE(second.reached(b)) << second;
    EXPECT_EQ(std::string(second.frame.begin() + 30, second.frame.begin() + 34), std::string("\x0a\x00\x01\x06", 4));
    EXPECT_EQ(std::string(second.frame.begin() + 34, second.frame.begin() + 134), std::string(100, 'y'));
    // Scene 4: a piece that would overwrite the header is refused.
    EXPECT_EQ(world.leaves(client, client.to(service).protocol(17).payload("zzzz").fragment(0x0001)).reason,
              abi::DROP_FRAGMENT);
}

TEST_F(PodToService, Ipv6IsTranslatedAndRefusedTheSameWay) {
    const Pod six = world.pod(red, "10.0.1.8", 0, "fd00::8");
    const Pod seven = world.pod(red, "10.0.1.9", 0, "fd00::9");
    const Address service6 = ip("fd00:1::5");
    world.service(red, "fd00:1::5", 53, Protocol::udp, 60, {{30, red, ip("fd00::9"), 5353}});
    world.service(red, "fd00:1::5", 80, Protocol::tcp, 61, {});
    const auto from = [](const Pod& pod, std::string_view source, const Address& to) {
        return net::packet(pod.mac, gateway_mac).ip(ip(source), to);
    };
    const Outcome asked = world.leaves(six, from(six, "fd00::8", service6).udp(4000, 53).payload("question"));
    ASSERT_TRUE(asked.reached(seven)) << asked;
    EXPECT_EQ(asked.packet.destination, ip("fd00::9"));
    EXPECT_TRUE(asked.packet.checksums_ok) << asked;
    const Outcome answered =
        world.leaves(seven, from(seven, "fd00::9", ip("fd00::8")).udp(5353, 4000).payload("answer"));
    ASSERT_TRUE(answered.reached(six)) << answered;
    EXPECT_EQ(answered.packet.source, service6);
    EXPECT_TRUE(answered.packet.checksums_ok) << answered;

    const Outcome reset = world.leaves(six, from(six, "fd00::8", service6).tcp(40000, 80, net::tcp_syn));
    EXPECT_EQ(reset.reason, abi::DROP_NO_BACKEND) << reset;
    EXPECT_EQ(reset.packet.tcp->flags, net::tcp_rst | net::tcp_ack);
    EXPECT_TRUE(reset.packet.checksums_ok) << reset;
    const Outcome unreachable = world.leaves(six, from(six, "fd00::8", service6).udp(4000, 99).payload("question"));
    EXPECT_EQ(unreachable.reason, abi::DROP_UNLISTED_PORT) << unreachable;
    ASSERT_TRUE(unreachable.packet.icmp) << unreachable;
    EXPECT_EQ(unreachable.packet.icmp->type, 1);
    EXPECT_EQ(unreachable.packet.icmp->code, 4);
    EXPECT_EQ(unreachable.packet.icmp->about->udp->destination_port, 99);
    EXPECT_TRUE(unreachable.packet.checksums_ok) << unreachable;
}

TEST_F(PodToService, TheSameServiceInTheOtherVpcLeadsToItsOwnPods) {
    world.ranges(blue);
    const Pod blue_client = world.pod(blue, "10.0.1.5");
    const Pod blue_b = world.pod(blue, "10.0.1.6");
    world.service(blue, "172.21.0.5", 53, Protocol::udp, 90, {{20, blue, blue_b.address, 5353}});
    EXPECT_TRUE(world.leaves(client, question()).reached(b));
    EXPECT_TRUE(world.leaves(blue_client, blue_client.to(service).udp(4000, 53)).reached(blue_b));
    EXPECT_TRUE(world.leaves(blue_b, blue_b.to(blue_client.address).udp(5353, 4000)).reached(blue_client));
    EXPECT_TRUE(world.leaves(b, b.to(client.address).udp(5353, 4000)).reached(client));
}

}  // namespace
}  // namespace weft::test
