#include "http/h1.h"

#include <gtest/gtest.h>

#include <string>

namespace weft::http {
namespace {

struct Parsed {
    Progress progress;
    RequestHead head;
    Rejection rejection;
    size_t consumed = 0;
    Framing framing;
};

Parsed parse_whole(std::string_view text, const Limits& limits = {}) {
    RequestParser parser(limits);
    Parsed out;
    out.progress = parser.parse(text, out.head);
    out.rejection = parser.rejection();
    out.consumed = parser.consumed();
    out.framing = parser.framing();
    return out;
}

Parsed parse_by_bytes(std::string_view text, const Limits& limits = {}) {
    RequestParser parser(limits);
    Parsed out;
    for (size_t n = 1; n <= text.size(); ++n) {
        out.progress = parser.parse(text.substr(0, n), out.head);
        if (out.progress != Progress::need_more) break;
    }
    out.rejection = parser.rejection();
    out.consumed = parser.consumed();
    out.framing = parser.framing();
    return out;
}

TEST(RequestParser, ReadsAHeadAndLeavesTheBody) {
    const std::string text =
        "POST /cart?x=1 HTTP/1.1\r\nHost: shop.example.test:80\r\nX-Empty:\r\ncontent-length:  5 \r\n\r\nhello";
    const auto p = parse_whole(text);
    ASSERT_EQ(p.progress, Progress::done) << p.rejection.why;
    EXPECT_EQ(p.head.method, "POST");
    EXPECT_EQ(p.head.target, "/cart?x=1");
    EXPECT_EQ(p.head.headers.get("HOST"), "shop.example.test:80");
    EXPECT_TRUE(p.head.headers.has("x-empty"));
    EXPECT_EQ(p.head.headers.get("x-empty"), "");
    EXPECT_EQ(p.framing, (Framing{Framing::Kind::length, 5}));
    EXPECT_EQ(text.substr(p.consumed), "hello");
}

struct Refused {
    const char* why;  // the name of the case
    std::string text;
    int status;
};

std::vector<Refused> refused_requests() {
    const std::string line = "GET / HTTP/1.1\r\n", host = "Host: a\r\n", end = "\r\n";
    const auto with = [&](const std::string& headers) { return "POST / HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n"; };
    return {
        {"two different Content-Length", with("Content-Length: 5\r\nContent-Length: 6\r\n"), 400},
        {"the same Content-Length twice", with("Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
        {"Content-Length list", with("Content-Length: 5, 5\r\n"), 400},
        {"signed Content-Length", with("Content-Length: +5\r\n"), 400},
        {"negative Content-Length", with("Content-Length: -5\r\n"), 400},
        {"hexadecimal Content-Length", with("Content-Length: 0x5\r\n"), 400},
        {"empty Content-Length", with("Content-Length: \r\n"), 400},
        {"Content-Length past 64 bits", with("Content-Length: 18446744073709551621\r\n"), 400},
        {"absurd Content-Length", with("Content-Length: 9223372036854775807\r\n"), 413},
        {"Content-Length and Transfer-Encoding", with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400},
        {"Transfer-Encoding and Content-Length", with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400},
        {"chunked twice", with("Transfer-Encoding: chunked, chunked\r\n"), 400},
        {"chunked twice on two lines", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
        {"chunked not last", with("Transfer-Encoding: chunked, gzip\r\n"), 400},
        {"identity", with("Transfer-Encoding: identity\r\n"), 400},
        {"chunked with a vertical tab",
         with("Transfer-Encoding: \x0b"
              "chunked\r\n"),
         400},
        {"xchunked", with("Transfer-Encoding: xchunked\r\n"), 400},
        {"empty Transfer-Encoding", with("Transfer-Encoding:\r\n"), 400},
        {"gzip before chunked", with("Transfer-Encoding: gzip, chunked\r\n"), 501},
        {"space before the colon", with("Transfer-Encoding : chunked\r\n"), 400},
        {"tab before the colon", with("Content-Length\t: 5\r\n"), 400},
        {"folded header", with("X-A: 1\r\n 2\r\n"), 400},
        {"folded first header", line + " " + host + end, 400},
        {"header without a colon", with("Nonsense\r\n"), 400},
        {"empty header name", with(": x\r\n"), 400},
        {"NUL in a value", with(std::string("X-A: a\0b\r\n", 10)), 400},
        {"NUL in a name", with(std::string("X\0A: b\r\n", 8)), 400},
        {"bare LF ends a header", line + "Host: a\nX: y\r\n\r\n", 400},
        {"bare LF ends the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
        {"bare CR in a value", with("X-A: a\rb\r\n"), 400},
        {"CR CR LF", with("X-A: a\r\r\n"), 400},
        {"Transfer-Encoding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"no Host", line + end, 400},
        {"two Hosts", line + host + "Host: b\r\n" + end, 400},
        {"Host with a space", line + "Host: a b\r\n" + end, 400},
        {"Host with a path", line + "Host: a/b\r\n" + end, 400},
        {"Host with user info", line + "Host: u@a\r\n" + end, 400},
        {"Host with a bad port", line + "Host: a:8x\r\n" + end, 400},
        {"two spaces in the request line", "GET  / HTTP/1.1\r\n" + host + end, 400},
        {"no version", "GET /\r\n" + host + end, 400},
        {"tab in the request line", "GET\t/ HTTP/1.1\r\n" + host + end, 400},
        {"target with a control character", "GET /\x01 HTTP/1.1\r\n" + host + end, 400},
        {"target beyond ASCII", "GET /\xc3\xa4 HTTP/1.1\r\n" + host + end, 400},
        {"target with a fragment", "GET /a#b HTTP/1.1\r\n" + host + end, 400},
        {"relative target", "GET a HTTP/1.1\r\n" + host + end, 400},
        {"target of another scheme", "GET ftp://a/ HTTP/1.1\r\n" + host + end, 400},
        {"star for GET", "GET * HTTP/1.1\r\n" + host + end, 400},
        {"lower-case version", "GET / http/1.1\r\n" + host + end, 400},
        {"version 1.10", "GET / HTTP/1.10\r\n" + host + end, 400},
        {"version 2.0", "GET / HTTP/2.0\r\n" + host + end, 505},
        {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"version 0.9", "GET / HTTP/0.9\r\n" + host + end, 505},
        {"method with a brace", "G{T / HTTP/1.1\r\n" + host + end, 400},
        {"method of 40 letters", std::string(40, 'A') + " / HTTP/1.1\r\n" + host + end, 501},
        {"CONNECT", "CONNECT a:80 HTTP/1.1\r\n" + host + end, 501},
        {"TLS hello", std::string("\x16\x03\x01\x02\x00\x01", 6), 400},
        {"two empty lines in front", "\r\n\r\n" + line + host + end, 400},
        {"long target", "GET /" + std::string(20000, 'a') + " HTTP/1.1\r\n" + host + end, 414},
        {"long header", with("X-A: " + std::string(70000, 'a') + "\r\n"), 431},
        {"long target that never ends", "GET /" + std::string(20000, 'a'), 414},
    };
}

TEST(RequestParser, RefusesWhatCouldSmuggleARequest) {
    for (const auto& test : refused_requests()) {
        SCOPED_TRACE(test.why);
        const auto whole = parse_whole(test.text);
        EXPECT_EQ(whole.progress, Progress::rejected);
        EXPECT_EQ(whole.rejection.status, test.status) << whole.rejection.why;
        EXPECT_FALSE(whole.rejection.why.empty());
        if (test.text.size() > 4096) continue;
        const auto bytes = parse_by_bytes(test.text);
        EXPECT_EQ(bytes.progress, Progress::rejected);
        EXPECT_EQ(bytes.rejection, whole.rejection);
    }
}

TEST(RequestParser, TooManyHeadersAre431) {
    std::string text = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 0; i < 200; ++i) text += "X: y\r\n";
    EXPECT_EQ(parse_whole(text + "\r\n").rejection.status, 431);
}

TEST(RequestParser, AcceptsWhatTheRfcAllows) {
    for (const std::string text : {
             "GET / HTTP/1.0\r\n\r\n",
             "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET http://a.test:8080/x?y HTTP/1.1\r\nHost: a.test:8080\r\n\r\n",
             "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
             "GET / HTTP/1.1\r\nHost:\r\n\r\n",
             "GET /%ff%00 HTTP/1.1\r\nHost: a\r\nX-Obs: \xff\xfe\r\n\r\n",
             "P~!# / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
         }) {
        const auto whole = parse_whole(text);
        EXPECT_EQ(whole.progress, Progress::done) << text << whole.rejection.why;
        EXPECT_EQ(whole.consumed, text.size());
        const auto bytes = parse_by_bytes(text);
        EXPECT_EQ(bytes.progress, Progress::done);
        EXPECT_EQ(bytes.head.target, whole.head.target);
        EXPECT_EQ(bytes.head.headers.size(), whole.head.headers.size());
    }
}

TEST(RequestParser, WhatTheWriterWritesIsReadBack) {
    RequestHead head{.method = "PUT", .target = "/a?b", .headers = {{"Host", "x"}, {"A", "1"}, {"a", "2"}}};
    std::string text;
    append_head(text, head);
    const auto p = parse_whole(text);
    ASSERT_EQ(p.progress, Progress::done);
    std::string again;
    append_head(again, p.head);
    EXPECT_EQ(again, text);
}

TEST(ResponseParser, FramesByStatusAndMethod) {
    const Framing none{}, until_close{Framing::Kind::until_close, 0}, five{Framing::Kind::length, 5};
    struct Row {
        const char* method;
        std::string text;
        Framing framing;
    };
    for (const auto& row : std::vector<Row>{
             {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", five},
             {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", none},
             {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", none},
             {"GET", "HTTP/1.1 204\r\n\r\n", none},
             {"GET", "HTTP/1.1 100 Continue\r\n\r\n", none},
             {"GET", "HTTP/1.0 200 \r\n\r\n", until_close},
             {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", {Framing::Kind::chunked, 0}},
         }) {
        ResponseParser parser;
        ResponseHead head;
        ASSERT_EQ(parser.parse(row.text, row.method, head), Progress::done) << row.text << parser.rejection().why;
        EXPECT_EQ(parser.framing(), row.framing) << row.text;
    }
}

TEST(ResponseParser, RefusesABadUpstreamWith502) {
    for (const std::string text : {
             "HTTP/1.1 20 OK\r\n\r\n",
             "HTTP/1.1 999 X\r\n\r\n",
             "ICY 200 OK\r\n\r\n",
             "HTTP/1.1200 OK\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
             "HTTP/1.1 200 OK\nA: b\r\n\r\n",
             "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
         }) {
        ResponseParser parser;
        ResponseHead head;
        EXPECT_EQ(parser.parse(text, "GET", head), Progress::rejected) << text;
        EXPECT_EQ(parser.rejection().status, 502);
    }
}

struct Body {
    Progress progress;
    std::string data, rest;
    Rejection rejection;
    std::string trailer;
};

Body read_body(const Framing& framing, std::string_view text, size_t step) {
    BodyReader reader(framing);
    Body out{Progress::need_more, {}, {}, {}, {}};
    std::string held;
    size_t fed = 0;
    for (;;) {
        const auto s = reader.next(held);
        out.data += s.data;
        held.erase(0, s.consumed);
        out.progress = s.progress;
        if (s.progress != Progress::need_more) break;
        if (s.consumed > 0) continue;
        if (fed == text.size()) break;
        held += text.substr(fed, step);
        fed += std::min(step, text.size() - fed);
    }
    out.rest = held + std::string(text.substr(fed));
    out.rejection = reader.rejection();
    out.trailer = reader.trailers().get("X-T");
    return out;
}

TEST(BodyReader, ReadsChunksHoweverTheyArrive) {
    const std::string text = "5;ext=\"a\"\r\nhello\r\n06\r\n world\r\n0\r\nX-T: t\r\nContent-Length: 7\r\n\r\nNEXT";
    for (size_t step = 1; step <= text.size(); ++step) {
        const auto body = read_body({Framing::Kind::chunked, 0}, text, step);
        EXPECT_EQ(body.progress, Progress::done) << body.rejection.why;
        EXPECT_EQ(body.data, "hello world");
        EXPECT_EQ(body.rest, "NEXT");
        EXPECT_EQ(body.trailer, "t");
    }
}

TEST(BodyReader, RefusesBadChunks) {
    for (const std::string text : {
             "\r\n",
             " 5\r\nhello\r\n",
             "5 \r\nhello\r\n",
             "0x5\r\nhello\r\n",
             "-1\r\n",
             "+5\r\nhello\r\n",
             "5\nhello\r\n",
             "5\r\nhelloX\r\n",
             "5\r\nhello\n0\r\n",
             "5\r\nhello\rX",
             "fffffffffffffffff\r\n",
             "8000000000000000\r\n",
             "5;a\nb\r\nhello\r\n",
             "5;\x01\r\n",
             "g\r\n",
             "0\r\nA : b\r\n\r\n",
             "0\r\n A: b\r\n\r\n",
             "0\r\nA: b\n\r\n",
             "5,\r\nhello\r\n",
         }) {
        for (const size_t step : {size_t(1), text.size()}) {
            const auto body = read_body({Framing::Kind::chunked, 0}, text, step);
            EXPECT_EQ(body.progress, Progress::rejected) << text;
            EXPECT_TRUE(body.rejection.status == 400 || body.rejection.status == 413) << text;
        }
    }
    const auto endless = read_body({Framing::Kind::chunked, 0}, "1;" + std::string(5000, 'x'), 100);
    EXPECT_EQ(endless.rejection.status, 400);
    const auto trailers = read_body({Framing::Kind::chunked, 0}, "0\r\nA: " + std::string(10000, 'x'), 100);
    EXPECT_EQ(trailers.rejection.status, 431);
}

TEST(BodyReader, LengthStopsExactly) {
    const auto body = read_body({Framing::Kind::length, 5}, "helloNEXT", 3);
    EXPECT_EQ(body.progress, Progress::done);
    EXPECT_EQ(body.data, "hello");
    EXPECT_EQ(body.rest, "NEXT");
}

TEST(BodyReader, TruncationIsSeen) {
    BodyReader length({Framing::Kind::length, 5});
    (void)length.next("hel");
    EXPECT_FALSE(length.end_of_stream());
    BodyReader chunked({Framing::Kind::chunked, 0});
    EXPECT_FALSE(chunked.end_of_stream());
    BodyReader close({Framing::Kind::until_close, 0});
    (void)close.next("hel");
    EXPECT_TRUE(close.end_of_stream());
}

TEST(BodyReader, WrittenChunksAreReadBack) {
    std::string text;
    append_chunk(text, "abc");
    append_chunk(text, "");
    append_chunk(text, std::string(300, 'z'));
    append_last_chunk(text, {{"X-T", "v"}});
    const auto body = read_body({Framing::Kind::chunked, 0}, text, 7);
    EXPECT_EQ(body.data, "abc" + std::string(300, 'z'));
    EXPECT_EQ(body.trailer, "v");
}

TEST(Headers, KeepOrderAndCompareWithoutCase) {
    Headers headers{{"A", "1"}, {"Connection", "Keep-Alive, Upgrade"}, {"a", "2"}};
    EXPECT_EQ(headers.count("a"), 2u);
    EXPECT_TRUE(headers.lists("connection", "upgrade"));
    EXPECT_FALSE(headers.lists("connection", "up"));
    headers.set("a", headers.get("Connection"));
    EXPECT_EQ(headers.count("A"), 1u);
    EXPECT_EQ(headers[1].value, "Keep-Alive, Upgrade");
}

}  // namespace
}  // namespace weft::http
