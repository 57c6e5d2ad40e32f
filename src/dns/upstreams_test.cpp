#include "dns/upstreams.h"

#include <gtest/gtest.h>

#include <set>

namespace weft::dns {
namespace {

using namespace std::chrono_literals;

std::vector<io::SocketAddress> servers(unsigned n) {
    std::vector<io::SocketAddress> list;
    for (unsigned i = 0; i < n; ++i) list.push_back({net::Address::v4(192, 0, 2, uint8_t(i + 1)), 53});
    return list;
}

class UpstreamsTest : public testing::Test {
protected:
    void fail_until_it_rests(Upstreams& upstreams, size_t server) {
        for (unsigned i = 0; i < Upstreams::failures_max; ++i) upstreams.failed(server, clock_.now());
    }

    FakeClock clock_;
    Rng rng_{7};
};

using Order = std::vector<size_t>;

TEST_F(UpstreamsTest, DNS_26_each_policy_has_its_order) {
    Upstreams sequential(servers(3), Policy::sequential);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(sequential.order(rng_), (Order{0, 1, 2}));
    Upstreams in_turn(servers(3), Policy::round_robin);
    EXPECT_EQ(in_turn.order(rng_), (Order{0, 1, 2}));
    EXPECT_EQ(in_turn.order(rng_), (Order{1, 2, 0}));
    EXPECT_EQ(in_turn.order(rng_), (Order{2, 0, 1}));
    EXPECT_EQ(in_turn.order(rng_), (Order{0, 1, 2}));
    Upstreams random(servers(3), Policy::random);
    std::set<size_t> first;
    for (int i = 0; i < 200; ++i) {
        const Order order = random.order(rng_);
        EXPECT_EQ(std::set<size_t>(order.begin(), order.end()), (std::set<size_t>{0, 1, 2}));
        first.insert(order.front());
    }
    EXPECT_EQ(first.size(), 3u);
    EXPECT_TRUE(Upstreams({}, Policy::random).order(rng_).empty());
}

TEST_F(UpstreamsTest, DNS_26_one_that_fails_rests_and_is_asked_last_until_a_probe_is_answered) {
    Upstreams upstreams(servers(3), Policy::sequential);
    upstreams.failed(0, clock_.now());
    EXPECT_EQ(upstreams.order(rng_).front(), 0u) << "once may be chance";
    upstreams.answered(0);
    upstreams.failed(0, clock_.now());
    EXPECT_FALSE(upstreams.rests(0)) << "an answer between them makes the count begin anew";
    upstreams.failed(0, clock_.now());
    EXPECT_EQ(upstreams.order(rng_), (Order{1, 2, 0}));
    fail_until_it_rests(upstreams, 1);
    fail_until_it_rests(upstreams, 2);
    EXPECT_EQ(upstreams.order(rng_).size(), 3u) << "when all rest, any may still be asked";
    upstreams.answered(0);
    EXPECT_EQ(upstreams.order(rng_), (Order{0, 1, 2}));
}

TEST_F(UpstreamsTest, probes_come_at_doubled_times_and_one_at_a_time) {
    Upstreams upstreams(servers(2), Policy::sequential);
    fail_until_it_rests(upstreams, 0);
    EXPECT_TRUE(upstreams.due(clock_.now()).empty());
    for (Duration rest = Upstreams::rest_first; rest <= Upstreams::rest_max; rest *= 2) {
        clock_.advance(rest - 1ms);
        EXPECT_TRUE(upstreams.due(clock_.now()).empty());
        clock_.advance(1ms);
        EXPECT_EQ(upstreams.due(clock_.now()), Order{0});
        upstreams.failed(0, clock_.now());  // a question that had nobody else
        EXPECT_TRUE(upstreams.due(clock_.now()).empty()) << "under way";
        upstreams.probe_failed(0, clock_.now());
    }
    clock_.advance(Upstreams::rest_max);
    EXPECT_EQ(upstreams.due(clock_.now()), Order{0}) << "never rarer than that";
    upstreams.answered(0);
    EXPECT_FALSE(upstreams.any_rests());
    clock_.advance(Upstreams::rest_max);
    EXPECT_TRUE(upstreams.due(clock_.now()).empty());
}

TEST_F(UpstreamsTest, DNS_26_one_that_leads_back_to_us_is_not_asked) {
    Upstreams upstreams(servers(3), Policy::sequential);
    EXPECT_EQ(upstreams.order(rng_, 0b001), (Order{1, 2}));
    EXPECT_TRUE(upstreams.order(rng_, 0b111).empty());
}

TEST(ParseUpstreams, names_what_is_wrong) {
    EXPECT_EQ(MUST(parse_upstreams("10.0.0.2:5353, 10.0.0.3")),
              (std::vector<io::SocketAddress>{{net::Address::v4(10, 0, 0, 2), 5353}, {net::Address::v4(10, 0, 0, 3), 53}}));
    EXPECT_TRUE(MUST(parse_upstreams("")).empty());
    for (const char* bad : {"x", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:", "[fd00::1]:53"}) {
        const auto parsed = parse_upstreams(bad);
        ASSERT_FALSE(parsed) << bad;
        EXPECT_NE(parsed.error().message.find("--dns-upstream"), std::string::npos) << parsed.error().message;
    }
    std::string many;
    for (size_t i = 0; i <= upstreams_max; ++i) many += "10.0.0." + std::to_string(i + 1) + ",";
    EXPECT_FALSE(parse_upstreams(many));
    EXPECT_EQ(parse_policy("random"), Policy::random);
    EXPECT_FALSE(parse_policy("fastest"));
}

}  // namespace
}  // namespace weft::dns
