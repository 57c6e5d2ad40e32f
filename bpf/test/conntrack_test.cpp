// What is remembered, for how long, and what makes it forgotten.
#include "bpf/test/world.h"

namespace weft::test {
namespace {

struct Conntrack : testing::Test {
    Conntrack() { world.ranges(red); }

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

    World world;
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
    std::vector<std::pair<abi::ct_key, abi::ct_entry>> others;
    for (uint32_t i = 1; i < CT_ESTABLISHED_MAX; ++i) {
        abi::ct_key key{};
        key.vpc = blue;
        key.low.word[3] = i;
        others.emplace_back(key, abi::ct_entry{});
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
