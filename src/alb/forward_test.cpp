#include "alb/forward.h"

#include <gtest/gtest.h>

namespace weft::alb {
namespace {

using http::Framing;
using http::Version;

std::string forwarded(const http::Headers& headers, const Framing& framing = {}, bool upgrade = false) {
    http::RequestHead request{.method = "GET", .target = "/", .headers = headers};
    std::string out;
    append_upstream_request(
        out, request, framing,
        {.client = "198.51.100.7", .host = "shop.test", .target = "/p", .port = "80", .upgrade = upgrade});
    return out;
}

TEST(Forward, TheBackendSeesWhoAskedAndNothingForged) {
    EXPECT_EQ(forwarded({{"Host", "shop.test"},
                         {"X-Forwarded-For", "1.1.1.1"},
                         {"x-forwarded-proto", "https"},
                         {"X-Forwarded-For", "2.2.2.2"},
                         {"X-Forwarded-Port", "443"},
                         {"A", "b"}}),
              "GET /p HTTP/1.1\r\nHost: shop.test\r\nA: b\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 198.51.100.7\r\n"
              "X-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.test\r\nX-Forwarded-Port: 80\r\n\r\n");
}

TEST(Forward, HopByHopHeadersStayBehind) {
    const auto out = forwarded({{"Connection", "close, X-Private, Host, Authorization"},
                                {"X-Private", "1"},
                                {"Keep-Alive", "3"},
                                {"TE", "trailers"},
                                {"Transfer-Encoding", "chunked"},
                                {"Upgrade", "websocket"},
                                {"Proxy-Connection", "x"},
                                {"HTTP2-Settings", "x"},
                                {"Authorization", "kept"}},
                               {Framing::Kind::chunked, 0});
    EXPECT_EQ(out.substr(0, out.find("X-Forwarded")),
              "GET /p HTTP/1.1\r\nHost: shop.test\r\nAuthorization: kept\r\nTransfer-Encoding: chunked\r\n");
}

TEST(Forward, AnUpgradeIsAskedForAnew) {
    const auto out = forwarded({{"Connection", "keep-alive, Upgrade"}, {"Upgrade", "websocket"}}, {}, true);
    EXPECT_NE(out.find("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"), std::string::npos);
}

TEST(Forward, OnlyPlainGetsMayUpgrade) {
    http::RequestHead request{
        .method = "GET", .target = "/", .headers = {{"Connection", "upgrade"}, {"Upgrade", "websocket"}}};
    EXPECT_TRUE(wants_upgrade(request, {}));
    EXPECT_FALSE(wants_upgrade(request, {Framing::Kind::length, 3}));
    request.headers.set("Upgrade", "h2c");
    EXPECT_FALSE(wants_upgrade(request, {}));
}

struct ResponseRow {
    const char* what;
    Framing framing;
    Version client;
    bool wish;
    std::string expected;
};

TEST(Forward, ResponsesAreFramedForTheClient) {
    const Framing chunked{Framing::Kind::chunked, 0}, close{Framing::Kind::until_close, 0},
        five{Framing::Kind::length, 5}, none{};
    for (const auto& row : std::vector<ResponseRow>{
             {"length", five, Version::http_1_1, true, "Content-Length: 5\r\n"},
             {"length, last", five, Version::http_1_1, false, "Content-Length: 5\r\nConnection: close\r\n"},
             {"length to 1.0", five, Version::http_1_0, true, "Content-Length: 5\r\nConnection: keep-alive\r\n"},
             {"chunked", chunked, Version::http_1_1, true, "Transfer-Encoding: chunked\r\n"},
             {"chunked to 1.0", chunked, Version::http_1_0, true, "Connection: close\r\n"},
             {"until close becomes chunked", close, Version::http_1_1, true, "Transfer-Encoding: chunked\r\n"},
             {"no body", none, Version::http_1_1, true, ""},
         }) {
        http::ResponseHead response{
            .status = 200, .reason = "Fine", .headers = {{"Connection", "close"}, {"Transfer-Encoding", "x"}}};
        std::string out;
        append_downstream_response(out, response, row.framing, plan_response(row.framing, row.client, row.wish),
                                   row.client);
        EXPECT_EQ(out, "HTTP/1.1 200 Fine\r\n" + row.expected + "\r\n") << row.what;
    }
}

TEST(Forward, TheLengthOfABodyThatIsNotSentIsKept) {
    http::ResponseHead response{.status = 304, .reason = "Not Modified", .headers = {{"Content-Length", "10"}}};
    std::string out;
    append_downstream_response(out, response, {}, {}, Version::http_1_1);
    EXPECT_EQ(out, "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n");
    out.clear();
    response.status = 204;
    append_downstream_response(out, response, {}, {}, Version::http_1_1);
    EXPECT_EQ(out, "HTTP/1.1 204 Not Modified\r\n\r\n");
}

}  // namespace
}  // namespace weft::alb
