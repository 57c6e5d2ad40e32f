// The filter's words, the pcap file, the archive of `weft bundle` and the tables.
#include "cli/capture.h"

#include <gtest/gtest.h>

#include <cstring>

#include "cli/bundle.h"
#include "cli/output.h"

namespace weft::cli {

namespace {

const net::Mac mac_a{{2, 0, 0, 0, 0, 1}}, mac_b{{2, 0, 0, 0, 0, 2}};

net::Address ip(std::string_view text) { return MUST(net::Address::parse(text)); }

net::PacketView seen(const net::PacketBuilder& packet) { return MUST(net::read_packet(packet.bytes())); }

net::PacketView tcp_to(uint16_t port) {
    return seen(net::packet(mac_a, mac_b).ip(ip("10.0.1.5"), ip("10.0.1.6")).tcp(40000, port, net::tcp_syn));
}

bool passes(const std::string& filter, const net::PacketView& packet) {
    return MUST(Filter::parse({filter})).matches(packet);
}

}  // namespace

TEST(CaptureFilter, every_condition_must_hold) {
    EXPECT_TRUE(passes("", tcp_to(80)));
    EXPECT_TRUE(passes("tcp port 80", tcp_to(80)));
    EXPECT_TRUE(passes("tcp and port 40000 and host 10.0.1.6", tcp_to(80)));
    EXPECT_FALSE(passes("udp", tcp_to(80)));
    EXPECT_FALSE(passes("port 81", tcp_to(80)));
    EXPECT_TRUE(passes("not port 81", tcp_to(80)));
    EXPECT_FALSE(passes("not port 80", tcp_to(80)));
    EXPECT_TRUE(passes("net 10.0.1.0/24 ip", tcp_to(80)));
    EXPECT_FALSE(passes("ip6", tcp_to(80)));
    EXPECT_FALSE(passes("host 10.0.1.7", tcp_to(80)));
}

TEST(CaptureFilter, an_error_belongs_to_what_it_is_about) {
    const auto inner = net::packet(mac_a, mac_b).ip(ip("10.0.1.5"), ip("10.0.1.6")).udp(4000, 53).bytes();
    const net::PacketView error = seen(net::packet(mac_b, mac_a)
                                           .ip(ip("10.0.1.6"), ip("10.0.1.5"))
                                           .icmp(3, 3)
                                           .payload(net::Bytes(inner.begin() + 14, inner.end())));
    EXPECT_TRUE(passes("icmp", error));
    EXPECT_TRUE(passes("udp port 53", error));
    EXPECT_FALSE(passes("udp port 54", error));
}

TEST(CaptureFilter, arp_is_found_by_its_addresses) {
    const net::PacketView arp = seen(net::packet(mac_a, mac_b).arp(1, mac_a, ip("10.0.1.5"), ip("10.0.1.1")));
    EXPECT_TRUE(passes("arp host 10.0.1.1", arp));
    EXPECT_FALSE(passes("ip", arp));
}

TEST(CaptureFilter, what_it_does_not_know_is_named) {
    for (const auto& [filter, part] : {std::pair{"tcpp", "\"tcpp\" is none of"},
                                       {"port", "port what?"},
                                       {"port http", "port \"http\""},
                                       {"port 70000", "\"70000\""},
                                       {"host web", "host"},
                                       {"net 10.0.1.5/24", "net"},
                                       {"and tcp", "\"and\" is none of"},
                                       {"tcp and", "\"and\" at its end"},
                                       {"not", "\"not\" at its end"}}) {
        const auto parsed = Filter::parse({filter});
        ASSERT_FALSE(parsed) << filter;
        EXPECT_EQ(parsed.error().code, Code::invalid);
        EXPECT_NE(parsed.error().message.find(part), std::string::npos) << parsed.error().message;
    }
}

TEST(Capture, a_line_names_the_ends_and_the_flags) {
    EXPECT_EQ(words_of(tcp_to(80)), "10.0.1.5:40000 > 10.0.1.6:80 tcp SYN");
    const auto six = net::packet(mac_a, mac_b).ip(ip("fd00::5"), ip("fd00::6")).tcp(1, 2, net::tcp_rst | net::tcp_ack);
    EXPECT_EQ(words_of(seen(six)), "[fd00::5]:1 > [fd00::6]:2 tcp RST ACK");
}

TEST(Pcap, a_file_has_its_head_and_whole_records) {
    const std::string head = pcap_head();
    ASSERT_EQ(head.size(), 24u);
    uint32_t magic = 0;
    std::memcpy(&magic, head.data(), 4);
    EXPECT_EQ(magic, 0xa1b23c4du);
    const std::vector<uint8_t> frame(60, 7);
    const std::string record = pcap_record(3'000'000'005, frame, 1500);
    ASSERT_EQ(record.size(), 16u + 60u);
    uint32_t words[4];
    std::memcpy(words, record.data(), 16);
    EXPECT_EQ(words[0], 3u);
    EXPECT_EQ(words[1], 5u);
    EXPECT_EQ(words[2], 60u);
    EXPECT_EQ(words[3], 1500u);
}

TEST(Bundle, values_of_secrets_stay_here) {
    const auto secret = MUST(json::parse(R"({"kind": "Secret", "metadata": {"name": "a", "annotations":
        {"kubectl.kubernetes.io/last-applied-configuration": "topsecret", "b": "c"}}, "data": {"key": "dG9wc2VjcmV0"}})"));
    const std::string text = json::serialize(redacted(secret));
    EXPECT_EQ(text.find("topsecret"), std::string::npos) << text;
    EXPECT_EQ(text.find("dG9wc2VjcmV0"), std::string::npos) << text;
    EXPECT_NE(text.find("\"key\":\"(12 bytes)\""), std::string::npos) << text;
    EXPECT_NE(text.find("\"b\":\"c\""), std::string::npos) << text;
    const auto map = MUST(json::parse(R"({"kind": "ConfigMap", "data": {"key": "value"}})"));
    EXPECT_EQ(redacted(map), map);
}

TEST(Bundle, an_archive_is_made_of_whole_blocks) {
    const std::string entry = tar_entry("a/b.txt", "hello", 1);
    ASSERT_EQ(entry.size(), 1024u);
    EXPECT_EQ(entry.substr(0, 7), "a/b.txt");
    EXPECT_EQ(entry.substr(124, 11), "00000000005");
    EXPECT_EQ(entry.substr(257, 5), "ustar");
    EXPECT_EQ(entry.substr(512, 5), "hello");
    EXPECT_EQ(tar_entry("a", std::string(512, 'x'), 1).size(), 1024u);
    EXPECT_EQ(tar_entry("a", "", 1).size(), 512u);
    EXPECT_EQ(tar_end().size(), 1024u);
}

TEST(Output, columns_are_as_wide_as_their_widest_letters) {
    const Table table{{"NAME", {"N", Align::right}, {"EXTRA", Align::left, true}, "LAST"},
                      {{"a→b", "5", "x", "y"}, {"abcd", "12", "", ""}}};
    EXPECT_EQ(text_of(table, false), "NAME   N  LAST\na→b    5  y\nabcd  12\n");
    EXPECT_EQ(text_of(table, true), "NAME   N  EXTRA  LAST\na→b    5  x      y\nabcd  12\n");
    EXPECT_EQ(text_of({{"NAME"}, {}}, false), "NAME\n");
}

}  // namespace weft::cli
