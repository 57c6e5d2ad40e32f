#include "cli/why.h"
#include "cli/why_there.h"

#include <gtest/gtest.h>

namespace weft::cli {

static net::Address ip(const char* text) {
    return MUST(net::Address::parse(text));
}

TEST(Why, understands_what_a_person_asks) {
    using net::Protocol;
    EXPECT_EQ(MUST(parse_question("blue/web-1", "10.0.1.6:80", "default")),
              (Question{"blue", "web-1", ip("10.0.1.6"), 80, Protocol::tcp}));
    EXPECT_EQ(MUST(parse_question("client", "10.0.1.6:53/udp", "default")),
              (Question{"default", "client", ip("10.0.1.6"), 53, Protocol::udp}));
    EXPECT_EQ(MUST(parse_question("client", "10.0.1.6:80/TCP", "default")),
              (Question{"default", "client", ip("10.0.1.6"), 80, Protocol::tcp}));
    EXPECT_EQ(MUST(parse_question("client", "[fd00::6]:80", "default")),
              (Question{"default", "client", ip("fd00::6"), 80, Protocol::tcp}));
    EXPECT_EQ(MUST(parse_question("client", "10.0.1.6/icmp", "default")),
              (Question{"default", "client", ip("10.0.1.6"), 0, Protocol::icmp}));
}

TEST(Why, refuses_what_it_cannot_read_and_names_the_part) {
    const std::pair<const char*, const char*> bad[] = {
        {"client", "10.0.1.6"},
        {"client", "10.0.1.6:0"},
        {"client", "10.0.1.6:65536"},
        {"client", "10.0.1.6:http"},
        {"client", "10.0.1.6:80/sctp"},
        {"client", "web:80"},
        {"client", "fd00::6:80"},
        {"client", "[10.0.1.6]:80"},
        {"client", ":80"},
        {"client", ""},
        {"", "10.0.1.6:80"},
        {"a/b/c", "10.0.1.6:80"},
        {"/client", "10.0.1.6:80"},
        {"Client", "10.0.1.6:80"},
        {"client/", "10.0.1.6:80"},
    };
    for (const auto& [who, target] : bad) {
        const auto question = parse_question(who, target, "default");
        ASSERT_FALSE(question) << who << " " << target;
        EXPECT_EQ(question.error().code, Code::invalid);
        const std::string& message = question.error().message;
        EXPECT_TRUE(message.starts_with("NAMESPACE/POD: ") || message.starts_with("ADDRESS:PORT")) << message;
    }
}

TEST(Why, sends_the_first_packet_of_the_conversation) {
    Question question{"default", "client", ip("10.0.1.6"), 80, net::Protocol::tcp};
    const net::Mac mac = MUST(net::Mac::parse("06:77:00:00:00:01"));
    const auto tcp = MUST(net::read_packet(first_packet(question, mac, ip("10.0.1.5"), 40000)));
    EXPECT_EQ(tcp.tcp->flags, net::tcp_syn);
    EXPECT_EQ(tcp.source, ip("10.0.1.5"));
    EXPECT_EQ(tcp.source_mac, mac);
    EXPECT_TRUE(tcp.checksums_ok);
    question.protocol = net::Protocol::udp;
    EXPECT_EQ(MUST(net::read_packet(first_packet(question, mac, ip("10.0.1.5"), 40000))).udp->destination_port, 80);
    question.protocol = net::Protocol::icmp;
    EXPECT_EQ(MUST(net::read_packet(first_packet(question, mac, ip("10.0.1.5"), 40000))).icmp->type, 8);
}

TEST(Why, reads_where_a_frame_goes_on_to) {
    using net::Mac;
    const auto frame = [](const Mac& source) {
        return net::packet(source, Mac{}).ip(ip("10.0.1.5"), ip("10.0.2.6")).udp(1, 2).bytes();
    };
    EXPECT_EQ(read_tunnel_frame(frame(Mac{{TUNNEL_MARK, abi::FRAME_PLAIN, 0, 1, 7, 0}})),
              (TunnelFrame{abi::FRAME_PLAIN, 263}));
    EXPECT_EQ(read_tunnel_frame(frame(Mac{{TUNNEL_MARK, abi::FRAME_VIA, 0, 0, 7, 0}})),
              (TunnelFrame{abi::FRAME_VIA, 7}));
    EXPECT_EQ(read_tunnel_frame(frame(Mac{GATEWAY_MAC})), std::nullopt) << "delivered here";
    EXPECT_EQ(read_tunnel_frame(frame(Mac{{TUNNEL_MARK, 9, 0, 0, 7, 0}})), std::nullopt) << "no kind that there is";
    EXPECT_EQ(read_tunnel_frame({}), std::nullopt);
}

TEST(Why, every_reason_of_the_receiving_side_belongs_to_one_of_its_doors) {
    const std::vector<std::string_view>& doors = arrival_doors();
    for (const abi::drop_reason reason :
         {abi::DROP_UNKNOWN_NODE, abi::DROP_NOT_OURS, abi::DROP_OUTSIDE_SOURCE, abi::DROP_FRAME,
          abi::DROP_SPOOFED_ADDRESS, abi::DROP_MULTICAST, abi::DROP_MALFORMED, abi::DROP_FRAGMENT, abi::DROP_PROTOCOL,
          abi::DROP_ICMP_UNRELATED, abi::DROP_NO_ENDPOINT, abi::DROP_NEXT_HOP, abi::DROP_CT_QUOTA, abi::DROP_CT_FULL,
          abi::DROP_KERNEL, abi::DROP_TUPLE_TAKEN, abi::DROP_MIDSTREAM})
        EXPECT_NE(std::find(doors.begin(), doors.end(), arrival_door_of(reason)), doors.end())
            << abi::drop_reason_name(reason);
}

TEST(Why, every_reason_says_what_it_means_and_what_to_look_at) {
    for (uint32_t reason = 1; reason < abi::DROP_REASONS; reason++) {
        EXPECT_NE(abi::drop_reason_text(reason), "") << abi::drop_reason_name(reason);
        EXPECT_NE(abi::drop_reason_next(reason), "") << abi::drop_reason_name(reason);
    }
}

// Reasons that only the uplink's program gives have no door here.
TEST(Why, every_reason_of_pod_egress_belongs_to_a_door) {
    for (uint32_t reason = 1; reason < abi::DROP_REASONS; reason++) {
        const std::string_view name = abi::drop_reason_name(reason);
        const std::string_view door = door_of(abi::drop_reason(reason));
        // Of the other hooks: the uplink's, and the tunnel's.
        if (name == "not_ours" || name == "outside_source" || name == "unknown_node" || name == "frame") continue;
        EXPECT_NE(door, "") << name << ": which door of pod_egress returns it? (src/cli/why_words.cpp)";
        if (door.empty()) continue;
        EXPECT_NE(std::find(doors().begin(), doors().end(), door), doors().end()) << name;
    }
}

}  // namespace weft::cli
