// What a Service asks of its clients and its node: nodePorts, Local policies, source ranges, session affinity.
//
//   client 198.51.100.7 ── router ──(uplink)── node 198.18.1.1:30080 ──┬── b 10.0.1.6:8080
//                                            pod a 10.0.1.5 ───────────┴── c 10.0.1.7:8080
#include <set>

#include "bpf/test/world.h"

namespace weft::test {
namespace {

constexpr uint32_t service_id = 70;

struct ServiceRules : testing::Test {
    ServiceRules() {
        world.node("198.18.1.1");
        world.ranges(red);
    }

    net::PacketBuilder from(const Address& source, const Address& destination) {
        return net::packet(router_mac, uplink_mac).ip(source, destination);
    }
    Outcome syn(const Address& source, const Address& to, uint16_t port, uint16_t source_port = 40000) {
        return world.arrives(from(source, to).tcp(source_port, port, net::tcp_syn));
    }

    // A port of an address, without the row of port 0.
    void frontend(uint32_t vpc, const Address& address, uint16_t port, Protocol protocol, abi::frontend row) {
        row.vpc = red;
        MUST(world.maps().frontends->put(abi::frontend_key_of(vpc, address, port, protocol), row));
    }
    void backends(uint32_t service, const std::vector<Pod>& pods, Protocol protocol = Protocol::tcp) {
        for (uint32_t slot = 0; slot < pods.size(); ++slot) {
            const uint32_t id = service * 10 + pods[slot].id;
            MUST(world.maps().backends->put(
                id, {red, abi::to_abi(pods[slot].address), abi::to_abi_port(8080), uint8_t(protocol), 0}));
            MUST(world.maps().slots->put({service, slot}, id));
        }
    }
    void open_to(uint32_t service, std::string_view range) {
        const net::Prefix prefix = MUST(net::Prefix::parse(range));
        MUST(world.maps().source_ranges->put(
            {uint32_t(SOURCE_RANGE_BITS + prefix.bits128), service, abi::to_abi(prefix.address)}, prefix.bits128));
    }

    World world;
    Pod a = world.pod(red, "10.0.1.5");
    Pod b = world.pod(red, "10.0.1.6");
    Pod c = world.pod(red, "10.0.1.7");
    Address node = ip("198.18.1.1");
    Address client = ip("198.51.100.7");
    Address balancer = ip("203.0.113.5");
};

TEST_F(ServiceRules, DP13_ANodePortIsReachedFromOutsideAndTheNodeAnswers) {
    backends(service_id, {b});
    frontend(VPC_OUTSIDE, node, 30080, Protocol::tcp, {service_id, 1, 0, 0, 0});
    const Outcome asked = syn(client, node, 30080);
    ASSERT_TRUE(asked.reached(b)) << asked;
    EXPECT_EQ(asked.packet.source, client);
    EXPECT_EQ(asked.packet.tcp->destination_port, 8080);
    EXPECT_TRUE(asked.packet.checksums_ok) << asked;
    const Outcome answer = world.leaves(b, b.to(client).tcp(8080, 40000, net::tcp_syn | net::tcp_ack));
    EXPECT_EQ(answer.action, sent) << answer;
    EXPECT_EQ(answer.reason, std::nullopt) << answer;
    EXPECT_EQ(answer.packet.source, node);
    EXPECT_EQ(answer.packet.tcp->source_port, 30080);
    EXPECT_TRUE(answer.packet.checksums_ok) << answer;
    EXPECT_TRUE(world.arrives(from(client, node).tcp(40000, 30080, net::tcp_ack)).reached(b));
}

TEST_F(ServiceRules, TheNodesOtherPortsStayTheNodesOwn) {
    backends(service_id, {b});
    frontend(VPC_OUTSIDE, node, 30080, Protocol::tcp, {service_id, 1, 0, 0, 0});
    EXPECT_EQ(syn(client, node, 22).action, passed);
    EXPECT_EQ(syn(client, node, 30081).action, passed);
    EXPECT_EQ(world.arrives(from(client, node).udp(4000, 30080)).action, passed) << "another protocol";
    EXPECT_EQ(world.arrives(from(client, node).echo(true, 30080)).action, passed);
    EXPECT_EQ(world.arrives(from(client, node).protocol(47).payload(std::string(40, 'x'))).action, passed);
    EXPECT_EQ(world.arrives(from(client, node).udp(1, 53).ip_length(2000)).action, dropped) << "as before";
}

TEST_F(ServiceRules, TheNodePortsPiecesAndErrorsFollowTheirConnection) {
    backends(service_id, {b}, Protocol::udp);
    frontend(VPC_OUTSIDE, node, 30053, Protocol::udp, {service_id, 1, 0, 0, 0});
    const auto later = from(client, node).protocol(17).payload(std::string(100, 'y')).fragment(0x0010);
    EXPECT_EQ(world.arrives(later).action, passed) << "the node's own, as far as anybody knows";
    const auto first = from(client, node).udp(4000, 30053).payload(std::string(100, 'x')).fragment(0x2000);
    ASSERT_TRUE(world.arrives(first).reached(b));
    EXPECT_TRUE(world.arrives(later).reached(b));
    const Outcome answer = world.leaves(b, b.to(client).udp(8080, 4000));
    ASSERT_EQ(answer.packet.source, node);
    const Bytes head(answer.frame.begin() + 14, answer.frame.begin() + 14 + 28);
    const Outcome error = world.arrives(from(ip("198.18.0.1"), node).icmp(3, 1).payload(head));
    ASSERT_TRUE(error.reached(b)) << error;
    EXPECT_EQ(error.packet.icmp->about->source, b.address);
    EXPECT_EQ(error.packet.icmp->about->udp->source_port, 8080);
}

TEST_F(ServiceRules, ANodePortBelievesNoInsideSourceFromOutside) {
    backends(service_id, {b});
    frontend(VPC_OUTSIDE, node, 30080, Protocol::tcp, {service_id, 1, 0, 0, 0});
    for (const char* source : {"10.0.1.7", "172.21.0.10", "100.64.0.2"})
        EXPECT_EQ(syn(ip(source), node, 30080).reason, abi::DROP_OUTSIDE_SOURCE) << source;
}

TEST_F(ServiceRules, APodReachesANodePortOfItsVpcAndNoOther) {
    backends(service_id, {b});
    frontend(red, node, 30080, Protocol::tcp, {service_id, 1, 0, 0, 0});
    ASSERT_TRUE(world.leaves(a, a.to(node).tcp(40000, 30080, net::tcp_syn)).reached(b));
    const Outcome answer = world.leaves(b, b.to(a.address).tcp(8080, 40000, net::tcp_syn | net::tcp_ack));
    ASSERT_TRUE(answer.reached(a)) << answer;
    EXPECT_EQ(answer.packet.source, node);
    EXPECT_EQ(answer.packet.tcp->source_port, 30080);
    EXPECT_EQ(world.leaves(a, a.to(node).tcp(40000, 22, net::tcp_syn)).reason, abi::DROP_NO_NAT);
    world.ranges(blue);
    const Pod stranger = world.pod(blue, "10.0.1.5");
    EXPECT_EQ(world.leaves(stranger, stranger.to(node).tcp(40000, 30080, net::tcp_syn)).reason, abi::DROP_NO_NAT);
}

TEST_F(ServiceRules, DP4_WithEndpointsOnOtherNodesOnlyItIsDroppedNotRefused) {
    frontend(VPC_OUTSIDE, node, 30080, Protocol::tcp, {service_id, 0, abi::FRONTEND_NONE_HERE, 0, 0});
    const Outcome out = syn(client, node, 30080);
    EXPECT_EQ(out.action, dropped) << out;
    EXPECT_EQ(out.reason, abi::DROP_NO_LOCAL_BACKEND);
    frontend(VPC_OUTSIDE, node, 30080, Protocol::tcp, {service_id, 0, 0, 0, 0});
    const Outcome refused = syn(client, node, 30080);
    EXPECT_EQ(refused.reason, abi::DROP_NO_BACKEND);
    EXPECT_EQ(refused.packet.tcp->flags, net::tcp_rst | net::tcp_ack);
    EXPECT_EQ(refused.packet.source, node);
}

TEST_F(ServiceRules, DP16_OnlySourceRangesComeInAndNoneMeansNobody) {
    backends(service_id, {b});
    for (const uint32_t vpc : {VPC_OUTSIDE, red})
        frontend(vpc, balancer, 80, Protocol::tcp, {service_id, 1, abi::FRONTEND_SOURCE_RANGES, 0, 0});
    MUST(world.maps().frontends->put(abi::frontend_address_key(VPC_OUTSIDE, balancer),
                                     {0, 0, abi::FRONTEND_ADDRESS, red, 0}));
    EXPECT_EQ(syn(client, balancer, 80).reason, abi::DROP_SOURCE_RANGE) << "fail closed";
    open_to(service_id, "198.51.100.0/24");
    ASSERT_TRUE(syn(client, balancer, 80).reached(b));
    EXPECT_EQ(syn(ip("198.51.101.7"), balancer, 80).reason, abi::DROP_SOURCE_RANGE);
    EXPECT_EQ(syn(ip("198.51.101.7"), balancer, 80).action, dropped);
    // Another Service's ranges are none of this one's, and a wide IPv6 range is not about IPv4.
    open_to(service_id + 1, "192.0.2.0/24");
    open_to(service_id, "::/0");
    EXPECT_EQ(syn(ip("192.0.2.7"), balancer, 80).reason, abi::DROP_SOURCE_RANGE);
    // A pod is a source like any other; the host is exempt.
    EXPECT_EQ(world.leaves(a, a.to(balancer).tcp(40000, 80, net::tcp_syn)).reason, abi::DROP_SOURCE_RANGE);
    open_to(service_id, "10.0.1.5/32");
    EXPECT_TRUE(world.leaves(a, a.to(balancer).tcp(40000, 80, net::tcp_syn)).reached(b));
    const Pod host = world.pod(red, "100.64.0.3", abi::ENDPOINT_HOST);
    EXPECT_TRUE(world.leaves(host, host.to(balancer).tcp(40000, 80, net::tcp_syn)).reached(b));
    // What was let in before the range went goes on.
    MUST(world.maps().source_ranges->erase({SOURCE_RANGE_BITS + 96 + 24, service_id, abi::to_abi(ip("198.51.100.0"))}));
    EXPECT_TRUE(world.arrives(from(client, balancer).tcp(40000, 80, net::tcp_ack)).reached(b));
    EXPECT_EQ(syn(client, balancer, 80, 40001).reason, abi::DROP_SOURCE_RANGE);
}

struct Affinity : ServiceRules {
    Affinity() {
        backends(service_id, {b, c});
        frontend(red, service, 80, Protocol::tcp, {service_id, 2, 0, 0, seconds});
        frontend(red, node, 30080, Protocol::tcp, {service_id, 2, 0, 0, seconds});
    }

    const Pod& goes(const Pod& from, uint16_t port, const Address& to, uint16_t to_port = 80) {
        const Outcome out = world.leaves(from, from.to(to).tcp(port, to_port, net::tcp_syn));
        EXPECT_TRUE(out.reached(b) || out.reached(c)) << out;
        return out.reached(b) ? b : c;
    }
    void age_affinity(uint32_t by) {
        for (auto [key, entry] : MUST(world.maps().affinity->all())) {
            entry.seen_s -= by;
            MUST(world.maps().affinity->put(key, entry));
        }
    }

    static constexpr uint32_t seconds = 60;
    Address service = ip("172.21.0.5");
};

TEST_F(Affinity, DP18_AClientGoesWhereItWentByWhicheverAddressOfTheService) {
    const Pod& home = goes(a, 40000, service);
    for (uint16_t port = 40001; port < 40020; ++port) EXPECT_EQ(goes(a, port, service).id, home.id);
    for (uint16_t port = 40020; port < 40040; ++port) EXPECT_EQ(goes(a, port, node, 30080).id, home.id);
    // Other clients choose for themselves.
    int with_b = 0;
    for (uint32_t i = 0; i < 40; ++i) {
        const std::string other = "10.0.2." + std::to_string(i + 1);
        world.local_address(a, other);
        abi::endpoint row = *MUST(world.maps().endpoint->lookup(a.id));
        row.v4 = abi::to_abi(ip(other));
        MUST(world.maps().endpoint->put(a.id, row));
        const Outcome out =
            world.leaves(a, net::packet(a.mac, gateway_mac).ip(ip(other), service).tcp(50000, 80, net::tcp_syn));
        with_b += out.reached(b);
    }
    EXPECT_GT(with_b, 4);
    EXPECT_LT(with_b, 36);
}

TEST_F(Affinity, DP18_ItEndsWithTheTimeoutSinceTheLastConnection) {
    std::set<uint32_t> seen;
    for (uint16_t i = 0; i < 40; ++i) {
        age_affinity(seconds - 1);  // each connection makes it young again
        seen.insert(goes(a, uint16_t(41000 + i), service).id);
    }
    EXPECT_EQ(seen.size(), 1u);
    for (uint16_t i = 0; i < 40; ++i) {
        age_affinity(seconds + 2);
        seen.insert(goes(a, uint16_t(42000 + i), service).id);
    }
    EXPECT_EQ(seen.size(), 2u);
}

TEST_F(Affinity, DP18_ThePacketsOfALivingConnectionKeepTheClientKnown) {
    const Pod home = goes(a, 40000, service);
    for (uint16_t i = 0; i < 20; ++i) {
        age_affinity(seconds - 1);
        world.age(2);  // packets of one second count once
        ASSERT_EQ(goes(a, 40000, service).id, home.id);
        age_affinity(seconds - 1);
        EXPECT_EQ(goes(a, uint16_t(43000 + i), service).id, home.id);
    }
}

TEST_F(Affinity, DP18_AnEndpointThatLeftIsChosenAnewAndAnIdUsedAgainIsNoFriend) {
    const Pod home = goes(a, 40000, service);
    const Pod other = home.id == b.id ? c : b;
    const uint32_t id = service_id * 10 + home.id;
    // The list is the other one's alone; the id comes back as somebody else's backend.
    const Pod d = world.pod(red, "10.0.1.8");
    MUST(world.maps().slots->put({service_id, 0}, service_id * 10 + other.id));
    MUST(world.maps().slots->put({service_id, 1}, service_id * 10 + other.id));
    MUST(world.maps().backends->put(id, {red, abi::to_abi(d.address), abi::to_abi_port(9999), 6, 0}));
    for (uint16_t port = 40001; port < 40010; ++port) EXPECT_EQ(goes(a, port, service).id, other.id);
    // It stays where it went to now, also when the old one comes back.
    MUST(world.maps().backends->put(id, {red, abi::to_abi(home.address), abi::to_abi_port(8080), 6, 0}));
    MUST(world.maps().slots->put({service_id, 0}, id));
    for (uint16_t port = 40010; port < 40030; ++port) EXPECT_EQ(goes(a, port, service).id, other.id);
}

// DP-20: a backend that left the list but serves keeps its row with protocol 0 (agent/services.h): its flows stay, new
// ones and clients that are remembered go elsewhere.
TEST_F(Affinity, DP20_AFlowStaysWithABackendThatServesWhileItEndsAndTheClientGoesElsewhere) {
    const uint32_t udp = service_id + 1;
    backends(udp, {b}, Protocol::udp);
    frontend(red, service, 53, Protocol::udp, {udp, 1, 0, 0, seconds});
    const auto asks = [&](uint16_t port) { return world.leaves(a, a.to(service).udp(port, 53).payload("question")); };
    ASSERT_TRUE(asks(40000).reached(b));
    const uint32_t id = udp * 10 + b.id;
    MUST(world.maps().backends->put(udp * 10 + c.id, {red, abi::to_abi(c.address), abi::to_abi_port(8080), uint8_t(Protocol::udp), 0}));
    MUST(world.maps().slots->put({udp, 0}, udp * 10 + c.id));
    MUST(world.maps().backends->put(id, {red, abi::to_abi(b.address), abi::to_abi_port(8080), 0, 0}));
    EXPECT_TRUE(asks(40000).reached(b)) << "the flow it has";
    for (uint16_t port = 40001; port < 40010; ++port) EXPECT_TRUE(asks(port).reached(c)) << "DP-18: a new one, for all that is remembered";
    EXPECT_TRUE(asks(40000).reached(b));
    MUST(world.maps().backends->erase(id));
    EXPECT_TRUE(asks(40000).reached(c)) << "it serves no more";
}

}  // namespace
}  // namespace weft::test
