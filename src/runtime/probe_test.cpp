#include "runtime/probe.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "io/socket.h"

namespace weft::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Verdict = ProbeRun::Verdict;

json::Value yaml(std::string_view text) { return MUST(json::parse_yaml(text)).at(0); }

TEST(ProbeRun, ThresholdsAndPeriodsAreKept) {
    FakeClock clock;
    ProbeRun probe({.question = {},
                    .initial_delay = seconds(3),
                    .period = seconds(5),
                    .success_threshold = 2,
                    .failure_threshold = 2});
    probe.start(clock.now());
    EXPECT_FALSE(probe.due(clock.now()));
    clock.advance(seconds(3));
    EXPECT_TRUE(probe.due(clock.now()));
    probe.asked();
    EXPECT_FALSE(probe.due(clock.now()));
    EXPECT_EQ(probe.answered(true, clock.now()), Verdict::undecided);
    EXPECT_EQ(*probe.next_due(), clock.now() + seconds(5));
    EXPECT_EQ(probe.answered(true, clock.now()), Verdict::passed);
    EXPECT_EQ(probe.answered(false, clock.now()), Verdict::undecided);
    EXPECT_EQ(probe.answered(false, clock.now()), Verdict::failed);
    EXPECT_EQ(probe.answered(true, clock.now()), Verdict::undecided);
}

TEST(ProbeRun, AnEagerOneAsksAgainSoonUntilItsFirstSuccessOrPeriod) {
    FakeClock clock;
    ProbeRun probe({.question = {}, .failure_threshold = 1}, true);
    probe.start(clock.now());
    EXPECT_EQ(probe.answered(false, clock.now()), Verdict::early);
    EXPECT_EQ(*probe.next_due(), clock.now() + ProbeRun::eager_first);
    EXPECT_EQ(probe.answered(false, clock.now()), Verdict::early);
    EXPECT_EQ(*probe.next_due(), clock.now() + 2 * ProbeRun::eager_first);
    clock.advance(seconds(10));
    EXPECT_EQ(probe.answered(false, clock.now()), Verdict::failed);
    probe.start(clock.now());
    EXPECT_EQ(probe.answered(true, clock.now()), Verdict::passed);
    EXPECT_EQ(probe.answered(false, clock.now()), Verdict::failed);
}

TEST(ParseProbe, DefaultsNamedPortsAndErrors) {
    const json::Value container = yaml("{name: m, ports: [{name: web, containerPort: 8080}]}");
    const ProbeConfig config = MUST(parse_probe(yaml("{httpGet: {path: healthz, port: web}}"), container));
    EXPECT_EQ(config.question.port, 8080);
    EXPECT_EQ(config.question.path, "/healthz");
    EXPECT_EQ(config.period, seconds(10));
    EXPECT_EQ(config.failure_threshold, 3u);
    EXPECT_EQ(MUST(parse_probe(yaml("{tcpSocket: {port: 6379}, timeoutSeconds: 5}"), container)).question.timeout,
              seconds(5));
    for (const std::string_view bad :
         {"{}", "{exec: {}}", "{httpGet: {port: nope}}", "{tcpSocket: {port: 70000}}", "{tcpSocket: {}}"})
        EXPECT_FALSE(parse_probe(yaml(bad), container)) << bad;
}

TEST(Ask, ATcpProbeIsAConnection) {
    const Fd listener = MUST(io::listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
    const uint16_t port = MUST(io::local_address(listener.get())).port;
    EXPECT_TRUE(ask({.port = port}, {.pod_ip = "127.0.0.1", .netns_path = "/proc/self/ns/net"}));
    EXPECT_FALSE(ask({.port = 1}, {.pod_ip = "127.0.0.1", .netns_path = "/proc/self/ns/net"}));
}

// Plays a server: settings, a 200, a message with this status, trailers.
static Status grpc_answer(char status) {
    const Fd listener = MUST(io::listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
    const uint16_t port = MUST(io::local_address(listener.get())).port;
    std::string heard;
    std::jthread server([&] {
        const Fd peer(::accept(listener.get(), nullptr, nullptr));
        const std::string answer = std::string("\0\0\0\4\0\0\0\0\0", 9) + std::string("\0\0\1\1\4\0\0\0\1\x88", 10) +
                                   std::string("\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08", 15) + status +
                                   std::string("\0\0\0\1\5\0\0\0\1", 9);
        EXPECT_EQ(::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL), ssize_t(answer.size()));
        char buffer[4096];
        for (ssize_t n = 0; (n = ::recv(peer.get(), buffer, sizeof buffer, 0)) > 0;) heard.append(buffer, size_t(n));
    });
    const ProbeQuestion question{.kind = ProbeQuestion::Kind::grpc, .service = "shop", .port = port};
    const Status answer = ask(question, {.pod_ip = "127.0.0.1", .netns_path = "/proc/self/ns/net"});
    server.join();
    EXPECT_NE(heard.find("\x0a\4shop"), std::string::npos);
    return answer;
}

TEST(Ask, AGrpcProbePassesOnlyWhatIsServing) {
    EXPECT_TRUE(grpc_answer(1));
    EXPECT_EQ(grpc_answer(2).error().message, "service unhealthy (responded with \"NOT_SERVING\")");
}

}  // namespace
}  // namespace weft::runtime
