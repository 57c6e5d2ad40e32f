// The proxy with clients and backends that dawdle, cheat or stop half-way. ING-29: nothing gets past the parser that two
// readers could take for two different requests, and every failure has its own status.
#include <netinet/in.h>

#include "alb/proxy_fixture.h"

namespace weft::alb {
namespace {

using namespace std::chrono_literals;

class StrictnessTest : public ProxyTest {
protected:
    // Only what a test waits for is short: a slow machine must not meet any other limit.
    void wait_only(const Timeouts& timeouts) {
        proxy_.reset();
        proxy_ = MUST(Proxy::create(*channel_, 2, timeouts));
    }

    // One request of HTTP/1.1 with "Connection: close"; everything that comes back.
    std::string one(std::string_view method_and_target, std::string_view more = "") const {
        return talk(std::string(method_and_target) + " HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n" +
                    std::string(more) + "\r\n");
    }
};

using Slow = StrictnessTest;

TEST_F(Slow, AHeadThatDoesNotEndIs408AndTheConnectionCloses) {
    wait_only({.head = 300ms});
    use({backend_at_});
    for (const std::string part : {"G", "GET / HTTP/1.1\r\nHost: app.test\r\n", "GET / HTTP/1.1\r\nHost: app.test\r\nX: "})
        EXPECT_TRUE(talk(part).starts_with("HTTP/1.1 408 ")) << part;
}

TEST_F(Slow, AConnectionThatAsksNothingIsClosedWithoutAWord) {
    wait_only({.idle = 3s});
    use({backend_at_});
    EXPECT_EQ(talk(""), "");
    const std::string said = talk("GET /once HTTP/1.1\r\nHost: app.test\r\n\r\n");  // talk() reads to the end
    EXPECT_TRUE(said.starts_with("HTTP/1.1 200 ")) << said;
    EXPECT_EQ(said.find("HTTP/1.1", 9), std::string::npos) << said;
}

TEST_F(Slow, ABodyThatDoesNotComeIs408) {
    wait_only({.stall = 500ms});
    use({backend_at_});
    EXPECT_TRUE(talk("POST /echo HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n").starts_with("HTTP/1.1 408 "));
    EXPECT_TRUE(talk("POST /echo HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n").starts_with("HTTP/1.1 408 "));
}

TEST_F(Slow, ABackendThatDoesNotAnswerIs504) {
    wait_only({.stall = 300ms});
    Script mute("", true);
    use({mute.at});
    const auto said = ask("/");
    ASSERT_TRUE(said) << said.error().message;
    EXPECT_EQ(said->head.status, 504);
    EXPECT_EQ(said->body, "504 the backend did not answer in time\n");
    Script half("HTTP/1.1 200 OK\r\nContent-", true);
    use({half.at});
    EXPECT_EQ(ask("/")->head.status, 504);
}

TEST_F(Slow, ABackendThatTakesNoConnectionIs504) {
    wait_only({.connect = 200ms});
    // A listener whose queue is full: the kernel passes over further SYNs.
    const Fd full(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::bind(full.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    ASSERT_EQ(::listen(full.get(), 0), 0);
    const auto address = MUST(io::local_address(full.get()));
    std::vector<Fd> queued;
    for (;;) {
        auto waiting = io::connect_tcp(address, 300ms);
        if (!waiting) break;
        queued.push_back(std::move(*waiting));
        ASSERT_LT(queued.size(), 20u);
    }
    use({address});
    const auto said = ask("/");
    ASSERT_TRUE(said) << said.error().message;
    EXPECT_EQ(said->head.status, 504);
}

TEST_F(Slow, AnAnswerThatStopsHalfWayIsBrokenOff) {
    wait_only({.stall = 4s});
    Script half("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", true);
    use({half.at});
    EXPECT_NE(curl("http://app.test:18080/").exit_code, 0);
}

TEST_F(Slow, ATunnelInWhichNobodySpeaksEnds) {
    wait_only({.tunnel_idle = 300ms});
    use({backend_at_});
    auto stream = connect();
    auto upgrade = http::upgrade_request("app.test", "/ws", {});
    const auto response = MUST(http::round_trip(*stream, upgrade.head));
    ASSERT_EQ(response.head.status, 101);
    std::array<char, 100> bytes;
    const auto end = stream->read(bytes);
    EXPECT_TRUE(!end || *end == 0);
}

TEST_F(StrictnessTest, NoBodyWhereNoneMayBeWhateverTheHeadSays) {
    Script described("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true);
    use({described.at});
    const std::string head = one("HEAD /");
    EXPECT_NE(head.find("\r\nContent-Length: 5\r\n"), std::string::npos) << head;
    EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
    Script unchanged("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n", true);
    use({unchanged.at});
    const std::string not_modified = one("GET /");
    EXPECT_TRUE(not_modified.starts_with("HTTP/1.1 304 ")) << not_modified;
    EXPECT_NE(not_modified.find("\r\nETag: \"a\"\r\n"), std::string::npos);
    EXPECT_TRUE(not_modified.ends_with("\r\n\r\n"));
    Script empty("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", true);
    use({empty.at});
    const std::string no_content = one("GET /");
    EXPECT_TRUE(no_content.starts_with("HTTP/1.1 204 ")) << no_content;
    EXPECT_EQ(no_content.find("Content-Length"), std::string::npos) << "RFC 9110 §8.6";
    EXPECT_TRUE(no_content.ends_with("\r\n\r\n"));
}

TEST_F(StrictnessTest, WhatABackendSaysTooMuchIsNobodysAnswer) {
    Script two("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", true);
    use({two.at});
    auto stream = connect();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(MUST(http::round_trip(*stream, request("/"))).body, "ok");
    EXPECT_EQ(two.requests, 3) << "each on a connection of its own";
}

TEST_F(StrictnessTest, ExtensionsOfChunksStayBehindAndTrailersGoAlong) {
    use({backend_at_});
    const std::string said = one("POST /echo", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                                               "5;name=\"v;\\r\"\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 7\r\n");
    EXPECT_TRUE(said.starts_with("HTTP/1.1 200 ")) << said;
    EXPECT_NE(said.find("hello"), std::string::npos) << said;
    EXPECT_EQ(said.find("name="), std::string::npos) << said;
}

TEST_F(StrictnessTest, WhoAsksBeforeSendingIsToldToGoOnOrNotTo) {
    use({backend_at_});
    auto stream = connect();
    (void)stream->write("POST /echo HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    std::array<char, 4096> bytes;
    const size_t first = MUST(stream->read(bytes));
    EXPECT_TRUE(std::string_view(bytes.data(), first).starts_with("HTTP/1.1 100 ")) << std::string(bytes.data(), first);
    (void)stream->write("body");
    std::string said;
    while (said.find("body") == std::string::npos) {
        const auto more = stream->read(bytes);
        ASSERT_TRUE(more && *more > 0) << said;
        said.append(bytes.data(), *more);
    }
    EXPECT_TRUE(said.starts_with("HTTP/1.1 200 ")) << said;
    // Refused: the answer comes although the body never does, and the connection is not used again.
    const std::string refused =
        talk("POST /refuse HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    EXPECT_TRUE(refused.starts_with("HTTP/1.1 413 ")) << refused;
    EXPECT_NE(refused.find("\r\nConnection: close\r\n"), std::string::npos) << refused;
}

TEST_F(StrictnessTest, NobodySwitchesProtocolsUnasked) {
    Script eager("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true);
    use({eager.at});
    EXPECT_TRUE(one("GET /").starts_with("HTTP/1.1 502 "));
    const std::string blind = "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    EXPECT_TRUE(talk("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\n" + blind + "\r\n")
                    .starts_with("HTTP/1.1 502 "))
        << "h2c was not asked of the backend";
    // A backend that does not want to switch answers as ever.
    use({backend_at_});
    const std::string stayed = talk("GET /plain HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade, close\r\nUpgrade: other\r\n\r\n");
    EXPECT_TRUE(stayed.starts_with("HTTP/1.1 200 ")) << stayed;
    EXPECT_NE(stayed.find("\nUpgrade: other\n"), std::string::npos) << stayed;
}

TEST_F(StrictnessTest, HeadsAreBoundedOnBothSides) {
    use({backend_at_});
    std::string many;
    for (int i = 0; i < 200; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
    EXPECT_TRUE(one("GET /", many).starts_with("HTTP/1.1 431 "));
    Script boastful("HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n", true);
    use({boastful.at});
    EXPECT_TRUE(one("GET /").starts_with("HTTP/1.1 502 "));
}

TEST_F(StrictnessTest, OneRequestIsNeverReadAsTwo) {
    use({backend_at_});
    // Whatever a reader of another mind might take for a second request never reaches the backend as one.
    const std::string hidden = "GET /hidden HTTP/1.1\r\nHost: app.test\r\n\r\n";
    const std::string length = std::to_string(hidden.size());
    for (const std::string& headers : std::vector<std::string>{
             "Content-Length: 0\r\nContent-Length: " + length + "\r\n",
             "Content-Length: " + length + "\r\nTransfer-Encoding: chunked\r\n",
             "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
             "Transfer-Encoding: chunked, identity\r\n",
             "Transfer-Encoding:\x0b" + std::string("chunked\r\n"),
             "Content-Length : " + length + "\r\n",
             "Content-Length: " + length + "\r\n X: y\r\n",
             "Content-Length: 0" + length + "x\r\n",
             std::string("X: y\nContent-Length: ") + length + "\r\n",
             std::string("X: y\rContent-Length: ") + length + "\r\n",
         }) {
        const std::string said = talk("POST /echo HTTP/1.1\r\nHost: app.test\r\n" + headers + "\r\n" + hidden);
        EXPECT_TRUE(said.starts_with("HTTP/1.1 400 ")) << headers << said;
        EXPECT_EQ(said.find("/hidden"), std::string::npos) << headers << said;
        EXPECT_EQ(said.find("HTTP/1.1 ", 9), std::string::npos) << "closed after the 400: " << headers;
    }
    // A length that is right covers it.
    const std::string covered = talk("POST /echo HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nContent-Length: " +
                                     length + "\r\n\r\n" + hidden);
    EXPECT_NE(covered.find("GET /hidden HTTP/1.1"), std::string::npos) << "only as the echoed body: " << covered;
    EXPECT_EQ(covered.find("HTTP/1.1 200 ", 1), std::string::npos) << covered;
}

}  // namespace
}  // namespace weft::alb
