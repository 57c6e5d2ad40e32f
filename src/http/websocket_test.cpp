#include "http/websocket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <thread>

namespace weft::http {
namespace {

// Two connected streams.
std::pair<std::unique_ptr<io::Stream>, std::unique_ptr<io::Stream>> connected() {
    std::array<int, 2> fds{};
    ENSURE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
    return {io::plain_stream(Fd(fds[0])), io::plain_stream(Fd(fds[1]))};
}

TEST(WebSocket, TheHandshakeOfTheRfc) {
    EXPECT_EQ(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const auto upgrade = upgrade_request("h", "/x", {"v5.channel.k8s.io", "v4.channel.k8s.io"});
    ASSERT_TRUE(check_upgrade(upgrade.head));
    EXPECT_EQ(offered_subprotocols(upgrade.head).size(), 2u);
    const auto response = upgrade_response(upgrade.head, "v5.channel.k8s.io");
    EXPECT_EQ(MUST(check_upgrade_response(response, upgrade.key)), "v5.channel.k8s.io");
    EXPECT_FALSE(check_upgrade_response(response, "another"));
}

TEST(WebSocket, HandshakesThatLackSomethingNameIt) {
    for (const auto& [name, value] : std::vector<Header>{{"Connection", "close"},
                                                         {"Upgrade", "h2c"},
                                                         {"Sec-WebSocket-Version", "8"},
                                                         {"Sec-WebSocket-Key", "short"}}) {
        auto head = upgrade_request("h", "/x", {}).head;
        head.headers.set(name, value);
        const auto checked = check_upgrade(head);
        ASSERT_FALSE(checked) << name;
        EXPECT_NE(checked.error().message.find(name), std::string::npos) << checked.error().message;
    }
}

TEST(FrameParser, ReadsWhatIsWrittenHoweverItArrives) {
    for (const Side writer : {Side::client, Side::server}) {
        for (const size_t size : {0u, 1u, 125u, 126u, 65535u, 65536u, 70000u}) {
            const std::string payload(size, 'p');
            std::string bytes;
            append_frame(bytes, writer, Opcode::binary, payload);
            const FrameParser parser(writer == Side::client ? Side::server : Side::client);
            for (size_t n = 0; n < std::min<size_t>(bytes.size(), 20); ++n) {
                const auto step = parser.next(std::string_view(bytes).substr(0, n));
                EXPECT_EQ(step.consumed, 0u);
                EXPECT_EQ(step.close_code, 0);
            }
            const auto step = parser.next(bytes + "more");
            EXPECT_EQ(step.consumed, bytes.size());
            EXPECT_EQ(step.frame.payload, payload);
        }
    }
}

TEST(FrameParser, RefusesWhatTheRfcForbids) {
    struct Row {
        const char* what;
        std::string bytes;
        uint16_t code;
    };
    for (const auto& row : std::vector<Row>{
             {"reserved bit", std::string("\xc2\x00", 2), 1002},
             {"unknown opcode", std::string("\x83\x00", 2), 1002},
             {"unknown control opcode", std::string("\x8b\x00", 2), 1002},
             {"fragmented ping", std::string("\x09\x00", 2), 1002},
             {"long ping", std::string("\x89\x7e\x00\x7e", 4), 1002},
             {"masked by a server", std::string("\x82\x80\0\0\0\0", 6), 1002},
             {"length not minimal", std::string("\x82\x7e\x00\x05", 4), 1002},
             {"top bit of the length", std::string("\x82\x7f\x80\0\0\0\0\0\0\0", 10), 1002},
             {"too long", std::string("\x82\x7f\0\0\0\0\x7f\0\0\0", 10), 1009},
         }) {
        EXPECT_EQ(FrameParser(Side::client).next(row.bytes).close_code, row.code) << row.what;
    }
    EXPECT_EQ(FrameParser(Side::server).next(std::string("\x82\x00", 2)).close_code, 1002);
}

TEST(WebSocket, FragmentsArePutTogetherAndPingsAnswered) {
    auto [a, b] = connected();
    std::string bytes;
    append_frame(bytes, Side::client, Opcode::text, "one ", false);
    append_frame(bytes, Side::client, Opcode::ping, "p");
    append_frame(bytes, Side::client, Opcode::continuation, "two", true);
    append_frame(bytes, Side::client, Opcode::close,
                 std::string("\x03\xe8"
                             "bye",
                             5));
    ASSERT_TRUE(a->write(bytes));
    WebSocket server(*b, Side::server);
    EXPECT_EQ(MUST(server.receive()).payload, "one two");
    const auto end = MUST(server.receive());
    EXPECT_EQ(end.close_code, 1000);
    EXPECT_EQ(end.payload, "bye");
    EXPECT_FALSE(server.send(Opcode::text, "late"));
    WebSocket client(*a, Side::client);
    EXPECT_EQ(MUST(client.receive()).close_code, 1000);  // the pong is passed over
}

TEST(WebSocket, BrokenConversationsEndWithTheirCode) {
    for (const auto& [bytes, code] : std::vector<std::pair<std::string, uint16_t>>{
             {std::string("\x80\x80\0\0\0\0", 6), 1002},                   // continuation of nothing
             {std::string("\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 12), 1002},  // a message inside a message
             {std::string("\x88\x81\0\0\0\0x", 7), 1002},                  // close of one byte
             {std::string("\x88\x82\0\0\0\0\x03\xed", 8), 1002},           // close with 1005
         }) {
        auto [a, b] = connected();
        ASSERT_TRUE(a->write(bytes));
        WebSocket server(*b, Side::server);
        EXPECT_FALSE(server.receive());
        WebSocket client(*a, Side::client);
        EXPECT_EQ(MUST(client.receive()).close_code, code);
    }
}

TEST(WebSocket, AnEndWithoutCloseIs1006) {
    auto [a, b] = connected();
    a.reset();
    EXPECT_EQ(MUST(WebSocket(*b, Side::server).receive()).close_code, 1006);
}

}  // namespace
}  // namespace weft::http
