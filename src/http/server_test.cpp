#include "http/server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "base/fd.h"
#include "base/metrics.h"
#include "http/client.h"
#include "http/health.h"
#include "io/socket.h"

namespace weft::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

void demo(Request& request, Exchange& exchange) {
    if (request.path == "/hello") {
        (void)exchange.respond(200, "text/plain", "hello " + std::string(request.query));
    } else if (request.path == "/echo") {
        const auto body = exchange.read_body(1000);
        if (!body) {
            (void)exchange.respond(body.error().code == Code::exhausted ? 413 : 400, "text/plain",
                                   body.error().message);
        } else {
            (void)exchange.respond(200, "text/plain", *body);
        }
    } else if (request.path == "/stream") {
        (void)exchange.start({.status = 200});
        for (int i = 0; i < 3; ++i) (void)exchange.write("part" + std::to_string(i));
    } else if (request.path == "/forever") {
        (void)exchange.start({.status = 200});
        while (!exchange.stop().stop_requested() && exchange.write("tick")) std::this_thread::yield();
    } else if (request.path == "/raw") {
        const auto stream =
            exchange.take_over({.status = 101, .headers = {{"Upgrade", "raw"}, {"Connection", "Upgrade"}}});
        std::array<char, 64> bytes;
        while (stream) {
            const auto n = (*stream)->read(bytes);
            if (!n || *n == 0 || !(*stream)->write({bytes.data(), *n})) return;
        }
    } else if (request.path == "/inject") {
        (void)exchange.respond({.status = 200, .headers = {{"Warning", "a\r\nX-Evil: 1"}}}, "");
    }
}

class ServerTest : public testing::Test {
protected:
    void SetUp() override { open({}); }

    void open(ServerOptions options) {
        options.name = "test";
        server_ = Server::create(options, demo);
        at_ = MUST(server_->listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
        server_->start();
    }

    std::unique_ptr<io::Stream> connect() {
        auto stream = io::plain_stream(MUST(io::connect_tcp(at_, seconds(5))));
        stream->set_timeouts(seconds(5), seconds(5));
        return stream;
    }

    // A connection whose request is under way.
    std::unique_ptr<io::Stream> busy() {
        auto stream = connect();
        (void)stream->write("GET /forever HTTP/1.1\r\nHost: a\r\n\r\n");
        std::array<char, 100> bytes;
        EXPECT_GT(MUST(stream->read(bytes)), 0u);
        return stream;
    }

    // Everything the server says until it closes.
    std::string talk(std::string_view text) {
        auto stream = connect();
        (void)stream->write(text);
        return read_all(*stream);
    }

    static std::string read_all(io::Stream& stream) {
        std::string out;
        std::array<char, 4096> bytes;
        for (;;) {
            const auto n = stream.read(bytes);
            if (!n || *n == 0) return out;
            out.append(bytes.data(), *n);
        }
    }

    static RequestHead get(std::string target) {
        return {.method = "GET", .target = std::move(target), .headers = {{"Host", "test"}}};
    }

    std::unique_ptr<Server> server_;
    io::SocketAddress at_;
};

TEST_F(ServerTest, OneConnectionServesManyRequests) {
    auto stream = connect();
    for (int i = 0; i < 3; ++i) {
        const auto response = MUST(round_trip(*stream, get("/hello?" + std::to_string(i))));
        EXPECT_EQ(response.head.status, 200);
        EXPECT_EQ(response.body, "hello " + std::to_string(i));
    }
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
    const auto said = talk(
        "GET /hello?1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        "GET /hello?2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    const size_t first = said.find("hello 1"), second = said.find("abc"), third = said.find("hello 2");
    EXPECT_LT(first, second);
    EXPECT_LT(second, third);
    EXPECT_NE(third, std::string::npos);
}

TEST_F(ServerTest, BodiesBeyondTheLimitAre413AndUnreadBodiesAreDropped) {
    auto stream = connect();
    RequestHead head{.method = "POST", .target = "/echo", .headers = {{"Host", "a"}}};
    EXPECT_EQ(MUST(round_trip(*stream, head, "fits")).body, "fits");
    EXPECT_EQ(MUST(round_trip(*stream, head, std::string(2000, 'x'))).head.status, 413);
    stream = connect();
    head.target = "/hello";
    EXPECT_EQ(MUST(round_trip(*stream, head, std::string(5000, 'x'))).body, "hello ");
    EXPECT_EQ(MUST(round_trip(*stream, get("/hello?again"))).body, "hello again");
}

TEST_F(ServerTest, ChunkedBodiesBothWays) {
    const auto said = talk(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    EXPECT_TRUE(said.ends_with("abcde")) << said;
    EXPECT_EQ(MUST(round_trip(*connect(), get("/stream"))).body, "part0part1part2");
    const auto old = talk("GET /stream HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(old.ends_with("\r\n\r\npart0part1part2")) << old;
}

TEST_F(ServerTest, ExpectContinueIsAnsweredWhenTheBodyIsWanted) {
    auto stream = connect();
    (void)stream->write("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    std::array<char, 100> bytes;
    const size_t n = MUST(stream->read(bytes));
    EXPECT_EQ(std::string_view(bytes.data(), n), "HTTP/1.1 100 Continue\r\n\r\n");
    (void)stream->write("ok");
    EXPECT_GT(MUST(stream->read(bytes)), 0u);
}

TEST_F(ServerTest, GarbageGetsItsStatusAndTheConnectionCloses) {
    EXPECT_TRUE(talk("\x16\x03\x01\x02 garbage").starts_with("HTTP/1.1 400 "));
    EXPECT_TRUE(talk("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    EXPECT_TRUE(talk("GET /" + std::string(20000, 'a')).starts_with("HTTP/1.1 414 "));
    EXPECT_TRUE(talk("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(70000, 'a')).starts_with("HTTP/1.1 431 "));
    EXPECT_TRUE(talk("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
                    .starts_with("HTTP/1.1 400 "));
}

TEST_F(ServerTest, AHandlerWithoutAnswerIs500AndHeadersCannotBeInjected) {
    EXPECT_EQ(MUST(round_trip(*connect(), get("/nothing"))).head.status, 500);
    const auto response = MUST(round_trip(*connect(), get("/inject")));
    EXPECT_FALSE(response.head.headers.has("X-Evil"));
    auto head = get("/hello?x");
    head.method = "HEAD";
    const auto answer = MUST(round_trip(*connect(), head));
    EXPECT_EQ(answer.head.headers.get("Content-Length"), "7");
    EXPECT_EQ(answer.body, "");
}

TEST_F(ServerTest, ASlowHeadIs408AndIdleConnectionsEnd) {
    server_->stop();
    open({.idle_timeout = milliseconds(100), .head_timeout = milliseconds(100)});
    EXPECT_TRUE(talk("GET / HTTP/1.1\r\nHo").starts_with("HTTP/1.1 408 "));
    EXPECT_EQ(talk(""), "");
}

TEST_F(ServerTest, ConnectionsBeyondTheLimitAre503) {
    server_->stop();
    open({.connections_max = 2});
    auto one = busy(), two = busy();
    EXPECT_TRUE(read_all(*connect()).starts_with("HTTP/1.1 503 "));
    std::array<char, 100> bytes;
    EXPECT_GT(MUST(two->read(bytes)), 0u) << "one at work keeps its place";
    one.reset();
    while (server_->connections() > 1) std::this_thread::yield();
    EXPECT_EQ(MUST(round_trip(*connect(), get("/hello"))).head.status, 200);
}

// API-131
TEST_F(ServerTest, WhenItIsFullTheOneIdleLongestGivesItsPlace) {
    server_->stop();
    open({.connections_max = 3, .evict_idle_min = Duration::zero()});
    const auto idle = [&](size_t before) {
        auto stream = connect();
        while (server_->connections() <= before) std::this_thread::yield();
        return stream;
    };
    auto first = idle(0), second = idle(1);
    auto watcher = busy();
    auto newcomer = connect();
    EXPECT_EQ(MUST(round_trip(*newcomer, get("/hello"))).head.status, 200);
    EXPECT_EQ(read_all(*first), "") << "told by the end of its stream, before it asked for anything";
    EXPECT_EQ(MUST(round_trip(*second, get("/hello"))).head.status, 200) << "one is enough";
    std::array<char, 100> bytes;
    EXPECT_GT(MUST(watcher->read(bytes)), 0u) << "one at work keeps its place";
    EXPECT_EQ(metrics::counter("weft_http_connections_evicted_total", {{"server", "test"}}).value(), 1u);
}

// API-131
TEST_F(ServerTest, WhoHasJustComeKeepsItsPlace) {
    server_->stop();
    open({.connections_max = 1, .evict_idle_min = seconds(60)});
    auto first = connect();
    while (server_->connections() == 0) std::this_thread::yield();
    EXPECT_TRUE(read_all(*connect()).starts_with("HTTP/1.1 503 "));
    EXPECT_EQ(MUST(round_trip(*first, get("/hello"))).head.status, 200);
}

// A handshake that fails, at the worst moment: its descriptor is closed, and its number someone else's already.
class FailingTls final : public io::TlsContext {
public:
    explicit FailingTls(int foreign) : foreign_(foreign) {}

    Result<std::unique_ptr<io::Stream>> accept(Fd fd, Duration) override {
        const int number = fd.get();
        if (first_.exchange(false)) {
            fd = Fd();
            EXPECT_EQ(::dup2(foreign_, number), number);
            closed.set_value();
            go_on.get_future().wait();
            ::close(number);
        }
        return fail(Code::unavailable, "no");
    }
    Result<std::unique_ptr<io::Stream>> connect(Fd, const std::string&, Duration) override {
        return fail(Code::unavailable, "no");
    }
    Result<std::unique_ptr<io::TlsSession>> session(int) override { return fail(Code::unavailable, "no"); }

    std::promise<void> closed, go_on;

private:
    const int foreign_;
    std::atomic<bool> first_{true};
};

TEST_F(ServerTest, AConnectionThatGivesItsPlaceNeverTakesAnothersDescriptorWithIt) {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    const Fd ours(pair[0]), theirs(pair[1]);
    const auto tls = std::make_shared<FailingTls>(ours.get());
    const auto server = Server::create({.name = "tls", .connections_max = 1, .evict_idle_min = Duration::zero()}, demo);
    at_ = MUST(server->listen_tcp({net::Address::v4(127, 0, 0, 1), 0}, tls));
    server->start();
    const auto first = connect();
    tls->closed.get_future().wait();
    EXPECT_EQ(read_all(*connect()), "") << "it came in, and the first had to go";
    tls->go_on.set_value();
    EXPECT_EQ(read_all(*first), "");
    server->stop();
    char byte = 'x';
    EXPECT_EQ(::send(ours.get(), &byte, 1, MSG_NOSIGNAL), 1);
    EXPECT_EQ(::recv(theirs.get(), &byte, 1, MSG_DONTWAIT), 1);
}

// API-75
TEST_F(ServerTest, ABodyThatTricklesInHasAnEnd) {
    server_->stop();
    open({.body_timeout = seconds(60), .body_total_timeout = milliseconds(200)});
    auto stream = connect();
    (void)stream->write("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n");
    const std::jthread slow([&](std::stop_token stop) {
        while (!stop.stop_requested() && stream->write("x")) std::this_thread::sleep_for(milliseconds(20));
    });
    const std::string said = read_all(*stream);
    EXPECT_TRUE(said.starts_with("HTTP/1.1 400 ")) << said;
    EXPECT_NE(said.find("request body: it took too long"), std::string::npos) << said;
}

TEST_F(ServerTest, StreamsEndWhenTheClientLeavesOrTheServerStops) {
    auto stream = connect();
    (void)stream->write("GET /forever HTTP/1.1\r\nHost: a\r\n\r\n");
    std::array<char, 100> bytes;
    EXPECT_GT(MUST(stream->read(bytes)), 0u);
    stream.reset();
    while (server_->connections() > 0) std::this_thread::yield();

    auto other = connect();
    (void)other->write("GET /forever HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_GT(MUST(other->read(bytes)), 0u);
    auto idle = connect();
    const std::jthread reader([&] { read_all(*other); });
    server_->stop();
    EXPECT_EQ(server_->connections(), 0u);
    EXPECT_EQ(read_all(*idle), "");
}

TEST_F(ServerTest, TakeOverGivesTheBytesThatCameEarly) {
    auto stream = connect();
    (void)stream->write("GET /raw HTTP/1.1\r\nHost: a\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\nearly");
    (void)stream->write("later");
    std::string said;
    std::array<char, 200> bytes;
    while (said.find("later") == std::string::npos) said.append(bytes.data(), MUST(stream->read(bytes)));
    EXPECT_TRUE(said.starts_with("HTTP/1.1 101 "));
    EXPECT_TRUE(said.ends_with("earlylater"));
}

TEST_F(ServerTest, HealthIsServedOnASocketForItsOwnerOnly) {
    const std::string path = testing::TempDir() + "weft-http-" + std::to_string(::getpid()) + ".health.sock";
    bool ready = false;
    {
        const auto health = MUST(serve_health(path, [&]() -> Status {
            if (ready) return {};
            return fail(Code::unavailable, "caches are not in sync");
        }));
        struct stat status{};
        ASSERT_EQ(::stat(path.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0600u);
        EXPECT_EQ(serve_health(path, [] { return Status{}; }).error().code, Code::already_exists);
        const auto ask = [&](std::string target) {
            return MUST(round_trip(*io::plain_stream(MUST(io::connect_unix(path))), get(std::move(target))));
        };
        EXPECT_EQ(ask("/healthz").head.status, 200);
        EXPECT_EQ(ask("/readyz").head.status, 503);
        EXPECT_EQ(ask("/readyz").body, "caches are not in sync\n");
        ready = true;
        EXPECT_EQ(ask("/readyz").head.status, 200);
        EXPECT_NE(ask("/metrics").body.find("weft_http_requests_total"), std::string::npos);
        EXPECT_EQ(ask("/other").head.status, 404);
    }
    EXPECT_TRUE(serve_health(path, [] { return Status{}; }));  // a left-over socket file does not hinder
    ::unlink(path.c_str());
}

}  // namespace
}  // namespace weft::http
