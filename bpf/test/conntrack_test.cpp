// What is remembered, for how long, and what makes it forgotten.
#include "bpf/test/world.h"

namespace weft::test {
namespace {

struct Conntrack : testing::Test {
    Conntrack() {
        world.ranges(red);
        hand_at_start = *MUST(world.maps().ct_hand->lookup(0));
    }

    Outcome original(uint8_t flags) { return world.leaves(a, a.to(b.address).tcp(40000, 80, flags)); }
    Outcome reply(uint8_t flags) { return world.leaves(b, b.to(a.address).tcp(80, 40000, flags)); }

    std::optional<abi::ct_entry> entry() {
        return world.connection(red, Protocol::tcp, a.address, 40000, b.address, 80);
    }

    void establish() {
        ASSERT_TRUE(original(net::tcp_syn).reached(b));
        ASSERT_TRUE(reply(net::tcp_syn | net::tcp_ack).reached(a));
        ASSERT_TRUE(original(net::tcp_ack).reached(b));
        ASSERT_EQ(entry()->state, abi::CT_ESTABLISHED);
    }

    // Of established rows, as the data plane counts them.
    int64_t held_by(const Pod& pod) { return *MUST(world.maps().ct_held->lookup(pod.id)); }

    World world;
    uint64_t hand_at_start = 0;
    Pod a = world.pod(red, "10.0.1.5");
    Pod b = world.pod(red, "10.0.1.6");
};

TEST_F(Conntrack, HalfOpenUntilTheInitiatorsAckOfTheResponder) {
    original(net::tcp_syn);
    EXPECT_EQ(entry()->state, abi::CT_HALF_OPEN);
    original(net::tcp_ack);  // of nothing: a flood may send these
    EXPECT_EQ(entry()->state, abi::CT_HALF_OPEN);
    reply(net::tcp_syn | net::tcp_ack);
    EXPECT_EQ(entry()->state, abi::CT_HALF_OPEN);
    original(net::tcp_ack);
    EXPECT_EQ(entry()->state, abi::CT_ESTABLISHED);
    EXPECT_EQ(MUST(world.maps().ct_established->all()).size(), 1u);
    EXPECT_TRUE(MUST(world.maps().ct_half_open->all()).empty());
    EXPECT_EQ(entry()->original_packets, 3u);
    EXPECT_EQ(entry()->reply_packets, 1u);
    EXPECT_EQ(entry()->original_bytes, 3u * 64);
}

TEST_F(Conntrack, ClosesWithBothFinsOrOneRst) {
    establish();
    original(net::tcp_fin | net::tcp_ack);
    EXPECT_EQ(entry()->state, abi::CT_ESTABLISHED);
    reply(net::tcp_fin | net::tcp_ack);
    EXPECT_EQ(entry()->state, abi::CT_CLOSING);
    ASSERT_TRUE(original(net::tcp_syn).reached(b));  // the port is used again
    EXPECT_EQ(entry()->state, abi::CT_HALF_OPEN);
    EXPECT_TRUE(MUST(world.maps().ct_established->all()).empty());
    reply(net::tcp_rst | net::tcp_ack);
    EXPECT_EQ(entry()->state, abi::CT_CLOSING);
}

TEST_F(Conntrack, AnEntryTooOldIsAsIfItWereNotThere) {
    establish();
    world.age(CT_TCP_ESTABLISHED_S + 1);
    // The responder's late packet is now a new connection of its own.
    ASSERT_TRUE(reply(net::tcp_ack).reached(a));
    EXPECT_EQ(entry()->state, abi::CT_HALF_OPEN);
    EXPECT_EQ(entry()->original_packets, 1u);
}

TEST_F(Conntrack, IdleTimesAreByProtocolAndState) {
    EXPECT_EQ(abi::ct_idle_max_s(6, abi::CT_HALF_OPEN), 30u);
    EXPECT_EQ(abi::ct_idle_max_s(17, abi::CT_HALF_OPEN), 30u);
    EXPECT_GE(abi::ct_idle_max_s(6, abi::CT_ESTABLISHED), 7440u);  // RFC 5382 REQ-5
    EXPECT_GE(abi::ct_idle_max_s(17, abi::CT_ESTABLISHED), 120u);  // RFC 4787 REQ-5
    EXPECT_EQ(abi::ct_idle_max_s(6, abi::CT_CLOSING), 60u);
}

TEST_F(Conntrack, AChangedGroupSetIsAskedAgainByTheNextPacket) {
    establish();
    EXPECT_EQ(entry()->egress.generation, 0u);
    abi::endpoint changed = *MUST(world.maps().endpoint->lookup(a.id));
    changed.generation = 5;
    MUST(world.maps().endpoint->put(a.id, changed));
    reply(net::tcp_ack);  // whichever packet comes first
    EXPECT_EQ(entry()->egress.generation, 5u);
    EXPECT_EQ(entry()->egress.answer, uint32_t(abi::CT_ALLOWED));
    EXPECT_EQ(entry()->ingress.generation, 0u);
    changed = *MUST(world.maps().endpoint->lookup(b.id));
    changed.generation = 6;
    MUST(world.maps().endpoint->put(b.id, changed));
    original(net::tcp_ack);
    EXPECT_EQ(entry()->ingress.generation, 6u);
}

TEST_F(Conntrack, AFullTableRefusesNewConnectionsByNameAndKeepsTheOld) {
    establish();
    const abi::ct_entry living = *entry();
    std::vector<std::pair<abi::ct_key, abi::ct_entry>> others;
    for (uint32_t i = 1; i < CT_ESTABLISHED_MAX; ++i) {
        abi::ct_key key{};
        key.vpc = blue;
        key.low.word[3] = i;
        key.protocol = 6;
        others.emplace_back(key, living);
    }
    MUST(world.maps().ct_established->put_all(others));
    const Status one_more = world.maps().ct_established->put({}, {});
    ASSERT_FALSE(one_more);
    EXPECT_EQ(one_more.error().code, Code::exhausted);

    EXPECT_TRUE(original(net::tcp_ack).reached(b));
    world.leaves(a, a.to(b.address).udp(4000, 53));
    const Outcome refused = world.leaves(b, b.to(a.address).udp(53, 4000));
    EXPECT_EQ(refused.reason, abi::DROP_CT_FULL) << refused;
    EXPECT_EQ(world.connection(red, Protocol::udp, a.address, 4000, b.address, 53)->state, abi::CT_HALF_OPEN);
}

TEST_F(Conntrack, ExpiredRowsGoAsNewOnesComeWithNobodySweeping) {
    // Scene 1: connections come and end.
    const auto talk = [&](uint16_t port) {
        world.leaves(a, a.to(b.address).udp(port, 53));
        return world.leaves(b, b.to(a.address).udp(53, port));
    };
    for (uint16_t port = 1; port <= 300; ++port) ASSERT_TRUE(talk(port).reached(a));
    EXPECT_EQ(MUST(world.maps().ct_established->all()).size(), 300u);
    EXPECT_EQ(held_by(a), 300);
    world.age(CT_UDP_S + 1);
    // Scene 2: the hand comes round; it takes what has expired and nothing that lives.
    MUST(world.maps().ct_hand->put(0, hand_at_start));
    for (uint16_t port = 1001; port <= 1100; ++port) ASSERT_TRUE(talk(port).reached(a));
    EXPECT_LE(MUST(world.maps().ct_established->all()).size(), 300u);
    for (uint16_t port = 1001; port <= 1100; ++port)
        EXPECT_TRUE(world.connection(red, Protocol::udp, a.address, port, b.address, 53));
    EXPECT_EQ(held_by(a), int64_t(MUST(world.maps().ct_established->all()).size()));
}

TEST_F(Conntrack, AnEndpointAtItsQuotaWaitsForItsOwnOldConnections) {
    const Pod c = world.pod(red, "10.0.1.7");
    abi::endpoint limited = *MUST(world.maps().endpoint->lookup(a.id));
    limited.ct_quota = 3;
    MUST(world.maps().endpoint->put(a.id, limited));
    const auto talk = [&](const Pod& from, uint16_t port) {
        world.leaves(from, from.to(b.address).udp(port, 53));
        return world.leaves(b, b.to(from.address).udp(53, port));
    };
    for (uint16_t port = 1; port <= 3; ++port) ASSERT_TRUE(talk(a, port).reached(a));
    const Outcome refused = talk(a, 4);
    EXPECT_EQ(refused.reason, abi::DROP_CT_QUOTA) << refused;
    EXPECT_TRUE(talk(a, 2).reached(a)) << "what it has, it keeps";
    EXPECT_TRUE(talk(c, 4).reached(c)) << "others are not asked to pay";
    // A connection that is made anew gives its row back first.
    EXPECT_EQ(held_by(a), 3);
    world.age(CT_UDP_S + 1);
    MUST(world.maps().ct_hand->put(0, hand_at_start));
    EXPECT_TRUE(talk(a, 5).reached(a));
    EXPECT_LE(held_by(a), 3);
}

TEST_F(Conntrack, ClosedConnectionsGoFirstWhenAnEndpointIsAtItsQuota) {
    abi::endpoint limited = *MUST(world.maps().endpoint->lookup(a.id));
    limited.ct_quota = 3;
    MUST(world.maps().endpoint->put(a.id, limited));
    const auto open_and_reset = [&](uint16_t port) {
        world.leaves(a, a.to(b.address).tcp(port, 80, net::tcp_syn));
        world.leaves(b, b.to(a.address).tcp(80, port, net::tcp_syn | net::tcp_ack));
        const Outcome opened = world.leaves(a, a.to(b.address).tcp(port, 80, net::tcp_ack));
        world.leaves(a, a.to(b.address).tcp(port, 80, net::tcp_rst | net::tcp_ack));
        return opened;
    };
    for (uint16_t port = 1; port <= 3; ++port) ASSERT_TRUE(open_and_reset(port).reached(b));
    EXPECT_EQ(held_by(a), 3);
    world.age(CT_TCP_SPENT_S + 1);  // far from CT_TCP_CLOSING_S
    MUST(world.maps().ct_hand->put(0, hand_at_start));
    for (uint16_t port = 4; port <= 6; ++port) EXPECT_TRUE(open_and_reset(port).reached(b)) << port;
    EXPECT_LE(held_by(a), 3);
}

TEST_F(Conntrack, ATranslatedConnectionIsOneAndFromOutsideItCountsAgainstWhoIsSpokenTo) {
    world.node("198.18.1.1");
    world.service(VPC_OUTSIDE, "203.0.113.5", 53, Protocol::udp, 40, {{1, red, b.address, 5353}}, 0, red);
    const Address client = ip("198.51.100.7");
    const auto asks = net::packet(router_mac, uplink_mac).ip(client, ip("203.0.113.5")).udp(4000, 53);
    ASSERT_TRUE(world.arrives(asks).reached(b));
    EXPECT_EQ(world.leaves(b, b.to(client).udp(5353, 4000)).action, sent);
    EXPECT_EQ(held_by(b), 1);
    EXPECT_EQ(*MUST(world.maps().ct_vpc_held->lookup(red)), 2) << "rows";
}

TEST_F(Conntrack, AVpcAtItsQuotaWaitsForItsOwnOldConnectionsAndAnotherVpcDoesNotNotice) {
    world.ranges(blue);
    const Pod blue_a = world.pod(blue, "10.0.1.5");
    const Pod blue_b = world.pod(blue, "10.0.1.6");
    MUST(world.maps().vpc_limits->put(red, {3}));
    const auto talk = [&](const Pod& from, const Pod& to, uint16_t port) {
        world.leaves(from, from.to(to.address).udp(port, 53));
        return world.leaves(to, to.to(from.address).udp(53, port));
    };
    for (uint16_t port = 1; port <= 2; ++port) ASSERT_TRUE(talk(a, b, port).reached(a));
    ASSERT_TRUE(talk(b, a, 3).reached(b)) << "whoever of the VPC it is";
    const Outcome refused = talk(a, b, 4);
    EXPECT_EQ(refused.reason, abi::DROP_CT_QUOTA) << refused;
    EXPECT_TRUE(talk(a, b, 1).reached(a)) << "what it has, it keeps";
    for (uint16_t port = 1; port <= 5; ++port) EXPECT_TRUE(talk(blue_a, blue_b, port).reached(blue_a));
    world.age(CT_UDP_S + 1);
    MUST(world.maps().ct_hand->put(0, hand_at_start));
    EXPECT_TRUE(talk(a, b, 5).reached(a));
    EXPECT_LE(*MUST(world.maps().ct_vpc_held->lookup(red)), 3);
}

TEST_F(Conntrack, WhatIsHandedOverToAnotherNodeCountsAgainstItsVpcAndNobodyElse) {
    world.node("198.18.1.1");
    abi::node row = MUST(world.maps().node->lookup(0)).value();
    row.tunnel_ifindex = row.uplink_ifindex;
    MUST(world.maps().node->put(0, row));
    MUST(world.maps().nodes->put(1, {abi::to_abi(ip("198.18.1.2")), 1450, 0}));
    const Address there = ip("10.0.2.6"), client = ip("198.51.100.7");
    for (const auto& [vpc, address] : {std::pair{red, "203.0.113.5"}, {blue, "203.0.113.6"}}) {
        MUST(world.maps().locations->put(abi::location_key_of(vpc, net::Prefix::host(there)), 1));
        world.service(VPC_OUTSIDE, address, 53, Protocol::udp, vpc, {{vpc, vpc, there, 5353}}, 0, vpc);
    }
    const auto asks_twice = [&](const char* address, uint16_t port) {
        const auto question = net::packet(router_mac, uplink_mac).ip(client, ip(address)).udp(port, 53);
        EXPECT_EQ(world.arrives(question).action, sent);
        return world.arrives(question);  // only one side is seen here: that it goes on is the proof
    };
    // Endpoint 0 is nobody: what others have handed over does not count.
    MUST(world.maps().ct_held->put(0, CT_ENDPOINT_QUOTA));
    MUST(world.maps().vpc_limits->put(red, {4}));
    for (uint16_t port = 1; port <= 2; ++port) {
        const Outcome out = asks_twice("203.0.113.5", port);
        EXPECT_EQ(out.action, sent) << out;
        EXPECT_FALSE(out.reason) << out;
    }
    EXPECT_EQ(*MUST(world.maps().ct_vpc_held->lookup(red)), 4);
    EXPECT_EQ(asks_twice("203.0.113.5", 3).reason, abi::DROP_CT_QUOTA) << "red has what it may have";
    EXPECT_FALSE(asks_twice("203.0.113.6", 3).reason) << "blue does not notice";
    MUST(world.maps().ct_held->put(0, 0));
}

TEST_F(Conntrack, AReplyKeepsATranslatedConnectionYoung) {
    world.service(red, "172.21.0.5", 53, Protocol::udp, 40, {{1, red, b.address, 5353}});
    const auto ask = [&] { return world.leaves(a, a.to(ip("172.21.0.5")).udp(4000, 53)); };
    const auto answer = [&] { return world.leaves(b, b.to(a.address).udp(5353, 4000)); };
    ask();
    answer();
    world.age(CT_UDP_S - 10);
    answer();  // only the responder speaks
    world.age(CT_UDP_S - 10);
    const auto before = world.connection(red, Protocol::udp, a.address, 4000, b.address, 5353);
    ASSERT_TRUE(ask().reached(b));
    EXPECT_EQ(world.connection(red, Protocol::udp, a.address, 4000, b.address, 5353)->created_s, before->created_s);
    EXPECT_EQ(world.connection(red, Protocol::udp, a.address, 4000, b.address, 5353)->original_packets, 2u);
}

}  // namespace
}  // namespace weft::test
