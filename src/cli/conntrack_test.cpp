#include "cli/conntrack.h"

#include <gtest/gtest.h>

namespace weft::cli {

static net::Address ip(const char* text) {
    return MUST(net::Address::parse(text));
}

// 10.0.1.5:40000 opened it to 10.0.1.6:8080 in VPC 7.
static std::pair<abi::ct_key, abi::ct_entry> row(bool initiator_is_high = false) {
    abi::ct_key key{};
    key.vpc = 7;
    key.low = abi::to_abi(ip("10.0.1.5"));
    key.high = abi::to_abi(ip("10.0.1.6"));
    key.low_port = abi::to_abi_port(40000);
    key.high_port = abi::to_abi_port(8080);
    key.protocol = 6;
    abi::ct_entry entry{};
    entry.state = abi::CT_ESTABLISHED;
    entry.last_seen_s = 1000;
    entry.created_s = 900;
    entry.flags = initiator_is_high ? abi::CT_INITIATOR_HIGH : 0;
    return {key, entry};
}

TEST(Conntrack, tells_who_opened_the_connection) {
    auto [key, entry] = row();
    EXPECT_EQ(connection_of(key, entry, 1010).initiator.text(), "10.0.1.5:40000");
    EXPECT_EQ(connection_of(key, entry, 1010).responder.text(), "10.0.1.6:8080");
    auto [other_key, other_entry] = row(true);
    EXPECT_EQ(connection_of(other_key, other_entry, 1010).initiator.text(), "10.0.1.6:8080");
}

TEST(Conntrack, shows_the_clients_own_port_and_beside_it_the_one_that_the_backend_sees) {
    auto [key, entry] = row();
    entry.flags = abi::CT_TRANSLATED;
    entry.egress.other_port = abi::to_abi_port(50000);
    const Connection connection = connection_of(key, entry, 1010);
    EXPECT_EQ(connection.initiator.text(), "10.0.1.5:50000");
    EXPECT_EQ(connection.seen_port, 40000);
    entry.flags = abi::CT_TRANSLATION_ROW;
    EXPECT_EQ(connection_of(key, entry, 1010).initiator.text(), "10.0.1.5:40000");
    EXPECT_EQ(connection_of(key, entry, 1010).seen_port, 50000);
    EXPECT_EQ(json::find_int(to_json(connection, "n1"), {"seenPort"}), 40000);
}

TEST(Conntrack, tells_how_long_it_is_idle_and_when_nobody_believes_it_any_more) {
    auto [key, entry] = row();
    EXPECT_EQ(connection_of(key, entry, 1010).idle_s, 10u);
    EXPECT_EQ(connection_of(key, entry, 1010).age_s, 110u);
    EXPECT_EQ(connection_of(key, entry, 1010).state, "established");
    EXPECT_EQ(connection_of(key, entry, 1000 + CT_TCP_ESTABLISHED_S + 1).state, "old");
    EXPECT_EQ(connection_of(key, entry, 999).idle_s, 0u) << "another CPU stamped it a moment after we read the clock";
}

TEST(Conntrack, names_the_frontend_of_a_connection_row_and_the_backend_of_a_translation_row) {
    auto [key, entry] = row();
    EXPECT_FALSE(connection_of(key, entry, 1000).by);
    entry.flags |= abi::CT_TRANSLATED;
    entry.translated_address = abi::to_abi(ip("172.21.0.20"));
    entry.translated_port = abi::to_abi_port(80);
    EXPECT_EQ(connection_of(key, entry, 1000).by->text(), "172.21.0.20:80");
    EXPECT_EQ(json::find_string(to_json(connection_of(key, entry, 1000), "node-1"), {"frontend"}), "172.21.0.20:80");
    entry.flags = abi::CT_TRANSLATION_ROW;
    EXPECT_TRUE(connection_of(key, entry, 1000).is_translation_row);
    EXPECT_EQ(json::find_string(to_json(connection_of(key, entry, 1000), "node-1"), {"backend"}), "172.21.0.20:80");
}

TEST(Conntrack, is_found_by_either_end_and_by_what_was_asked_for) {
    auto [key, entry] = row();
    entry.flags |= abi::CT_TRANSLATED;
    entry.translated_address = abi::to_abi(ip("172.21.0.20"));
    const Connection connection = connection_of(key, entry, 1000);
    for (const char* address : {"10.0.1.5", "10.0.1.6", "172.21.0.20"})
        EXPECT_TRUE(speaks_of(connection, ip(address))) << address;
    EXPECT_FALSE(speaks_of(connection, ip("10.0.1.7")));
}

TEST(Conntrack, ipv6_ends_stand_in_brackets) {
    EXPECT_EQ((End{ip("fd00::1"), 80}.text()), "[fd00::1]:80");
}

}  // namespace weft::cli
