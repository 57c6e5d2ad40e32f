#include "runtime/probe.h"

#include <gtest/gtest.h>

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
         {"{}", "{exec: {command: [ls]}}", "{httpGet: {port: nope}}", "{tcpSocket: {port: 70000}}", "{tcpSocket: {}}"})
        EXPECT_FALSE(parse_probe(yaml(bad), container)) << bad;
}

TEST(Ask, ATcpProbeIsAConnection) {
    const Fd listener = MUST(io::listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
    const uint16_t port = MUST(io::local_address(listener.get())).port;
    EXPECT_TRUE(ask({.port = port}, "127.0.0.1", "/proc/self/ns/net"));
    EXPECT_FALSE(ask({.port = 1}, "127.0.0.1", "/proc/self/ns/net"));
}

}  // namespace
}  // namespace weft::runtime
