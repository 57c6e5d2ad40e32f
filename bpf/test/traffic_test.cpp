// Real traffic over veths: what the kernel makes of our packets. Each path over IPv4 and IPv6, once with the offloads on,
// once off, and once off on the node's side only, where a checksum left to the device must be finished by the node.
#include <sys/socket.h>
#include <sys/time.h>

#include <thread>

#include <fmt/format.h>

#include "bpf/test/real_world.h"

namespace weft::test {
namespace {

enum class Offloads { on, off, off_in_node };

struct Way {
    Offloads offloads;
    bool is_v6;
};

struct Traffic : testing::TestWithParam<Way> {
    Traffic() {
        if (GetParam().offloads != Offloads::on) world.offloads_off(GetParam().offloads == Offloads::off);
        world.table.service(red, service_text, 80, Protocol::tcp, 1, {{1, red, red_b, 8080}});
        world.table.service(red, service_text, 53, Protocol::udp, 2, {{2, red, red_b, 5353}});
        world.table.service(red, empty_text, 80, Protocol::tcp, 3, {});
        world.table.service(red, empty_text, 53, Protocol::udp, 4, {});
        world.table.service(VPC_OUTSIDE, balancer_text, 80, Protocol::tcp, 5, {{1, red, red_b, 8080}}, 0, red);
        world.table.service(VPC_OUTSIDE, balancer_text, 53, Protocol::udp, 6, {{2, red, red_b, 5353}}, 0, red);
    }

    // A whole exchange: connect, megabytes one way, an answer back.
    void exchange(const Place& client, const Address& to, uint16_t port, const Fd& listener, const Address& seen_as) {
        constexpr size_t bytes = 1 << 20;
        const Fd mine = MUST(client.connect(Protocol::tcp, to, port));
        const Fd theirs = MUST(accept_on(listener));
        EXPECT_EQ(peer_of(theirs), seen_as);
        std::string text(bytes, 0);
        for (size_t i = 0; i < bytes; ++i) text[i] = char('a' + i % 23);
        std::thread sender([&] { EXPECT_TRUE(send_text(mine, text)); });
        const auto received = receive_text(theirs, bytes);
        sender.join();
        ASSERT_TRUE(received) << received.error().message;
        EXPECT_TRUE(*received == text);
        EXPECT_TRUE(send_text(theirs, "thanks"));
        EXPECT_EQ(MUST(receive_text(mine, 6)), "thanks");
    }

    RealWorld world;
    static const char* either(const char* v4, const char* v6) { return GetParam().is_v6 ? v6 : v4; }

    const char* service_text = either("172.21.0.5", "fd00:1::5");
    const char* empty_text = either("172.21.0.6", "fd00:1::6");
    const char* balancer_text = either("203.0.113.5", "2001:db8:203::5");
    Address service = ip(service_text);
    Address empty = ip(empty_text);
    Address balancer = ip(balancer_text);
    Address red_a = ip(either("10.0.1.5", "fd00::5"));
    Address red_b = ip(either("10.0.1.6", "fd00::6"));
    Address host = ip(either("100.64.0.3", "fd77:6566:7400::6440:3"));
    Address gateway = ip(either("169.254.1.1", "fd77:6566:7400::a9fe:101"));
    Address client = ip(either("198.51.100.7", "2001:db8:7::7"));
};

TEST_P(Traffic, PodToPodOverTcp) {
    const Fd listener = world.red2.listen(Protocol::tcp, red_b, 8080);
    exchange(world.red1, red_b, 8080, listener, red_a);
}

TEST_P(Traffic, PodToServiceOverTcpPacketByPacket) {
    const Fd listener = world.red2.listen(Protocol::tcp, red_b, 8080);
    exchange(world.red1, service, 80, listener, red_a);
}

TEST_P(Traffic, PodToServiceOverUdp) {
    const Fd server = world.red2.listen(Protocol::udp, red_b, 5353);
    const Fd mine = MUST(world.red1.connect(Protocol::udp, service, 53));
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(send_text(mine, "question"));
        Address from;
        ASSERT_EQ(MUST(answer_datagram(server, "answer", &from)), "question");
        EXPECT_EQ(from, red_a);
        const auto answer = receive_text(mine, 100);
        ASSERT_TRUE(answer) << answer.error().message;
        EXPECT_EQ(*answer, "answer");
    }
}

TEST_P(Traffic, ADatagramLargerThanTheMtuArrivesWhole) {
    const Fd server = world.red2.listen(Protocol::udp, red_b, 5353);
    const Fd mine = MUST(world.red1.connect(Protocol::udp, service, 53));
    std::string large(9000, 0);
    for (size_t i = 0; i < large.size(); ++i) large[i] = char('a' + i % 23);
    ASSERT_TRUE(send_text(mine, large));
    const auto received = receive_text(server, large.size());
    ASSERT_TRUE(received) << received.error().message;
    EXPECT_TRUE(*received == large);
}

TEST_P(Traffic, APodReachesItselfThroughItsServiceOverUdp) {
    const Fd server = world.red2.listen(Protocol::udp, red_b, 5353);
    const Fd mine = MUST(world.red2.connect(Protocol::udp, service, 53));
    ASSERT_TRUE(send_text(mine, "question"));
    Address from;
    ASSERT_EQ(MUST(answer_datagram(server, "answer", &from)), "question");
    EXPECT_EQ(from, gateway);
    EXPECT_EQ(MUST(receive_text(mine, 100)), "answer");
}

TEST_P(Traffic, AServiceWithoutEndpointsRefusesAtOnce) {
    const auto tcp = world.red1.connect(Protocol::tcp, empty, 80);
    ASSERT_FALSE(tcp);
    EXPECT_NE(tcp.error().message.find("refused"), std::string::npos) << tcp.error().message;
    const Fd udp = MUST(world.red1.connect(Protocol::udp, empty, 53));
    ASSERT_TRUE(send_text(udp, std::string(1200, 'x')));
    const auto answer = receive_text(udp, 100);
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find("refused"), std::string::npos) << answer.error().message;
}

TEST_P(Traffic, APodsOwnRefusalIsTranslatedBack) {
    const Fd udp = MUST(world.red1.connect(Protocol::udp, service, 53));  // nobody listens on b
    ASSERT_TRUE(send_text(udp, "question"));
    const auto answer = receive_text(udp, 100);
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find("refused"), std::string::npos) << answer.error().message;
}

TEST_P(Traffic, TheHostReachesAPodAndAService) {
    const Fd listener = world.red2.listen(Protocol::tcp, red_b, 8080);
    exchange(world.node, red_b, 8080, listener, host);
    exchange(world.node, service, 80, listener, host);
}

TEST_P(Traffic, AnOutsideClientReachesThePodThroughTheBalancerAndNothingElse) {
    const Fd listener = world.red2.listen(Protocol::tcp, red_b, 8080);
    exchange(world.outside, balancer, 80, listener, client);
    const Fd server = world.red2.listen(Protocol::udp, red_b, 5353);
    const Fd udp = MUST(world.outside.connect(Protocol::udp, balancer, 53));
    ASSERT_TRUE(send_text(udp, "question"));
    Address from;
    ASSERT_EQ(MUST(answer_datagram(server, "answer", &from)), "question");
    EXPECT_EQ(from, client);
    EXPECT_EQ(MUST(receive_text(udp, 100)), "answer");

    const auto refused = world.outside.connect(Protocol::tcp, balancer, 81);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("refused"), std::string::npos) << refused.error().message;
    const Fd unlisted = MUST(world.outside.connect(Protocol::udp, balancer, 99));
    ASSERT_TRUE(send_text(unlisted, std::string(1200, 'x')));
    const auto answer = receive_text(unlisted, 100);
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find("refused"), std::string::npos) << answer.error().message;
}

TEST_P(Traffic, VpcsWithTheSameAddressesDoNotMeet) {
    const Fd red_server = world.red2.listen(Protocol::udp, red_b, 7000);
    const Fd blue_server = world.blue2.listen(Protocol::udp, red_b, 7000);
    constexpr int datagrams = 200;
    for (const auto& [place, server, other, tag] : {std::tuple(&world.red1, &red_server, &blue_server, "red"),
                                                    std::tuple(&world.blue1, &blue_server, &red_server, "blue")}) {
        const Fd mine = MUST(place->connect(Protocol::udp, red_b, 7000));
        for (int i = 0; i < datagrams; ++i) {
            ASSERT_TRUE(send_text(mine, fmt::format("{} {}", tag, i)));
            ASSERT_EQ(MUST(receive_text(*server, 100)), fmt::format("{} {}", tag, i));
        }
        const timeval brief{0, 1000};
        ::setsockopt(other->get(), SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
        EXPECT_FALSE(receive_text(*other, 100));
        const timeval usual{20, 0};
        ::setsockopt(other->get(), SOL_SOCKET, SO_RCVTIMEO, &usual, sizeof(usual));
    }
}

std::string name_of(const testing::TestParamInfo<Way>& info) {
    const char* const family = info.param.is_v6 ? "V6" : "V4";
    switch (info.param.offloads) {
        case Offloads::on: return std::string("On") + family;
        case Offloads::off: return std::string("Off") + family;
        case Offloads::off_in_node: break;
    }
    return std::string("OffInNode") + family;
}

INSTANTIATE_TEST_SUITE_P(Offloads, Traffic,
                         testing::Values(Way{Offloads::on, false}, Way{Offloads::off, false},
                                         Way{Offloads::off_in_node, false}, Way{Offloads::on, true},
                                         Way{Offloads::off, true}, Way{Offloads::off_in_node, true}),
                         name_of);

}  // namespace
}  // namespace weft::test
