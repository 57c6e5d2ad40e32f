#include "dns/rate_limit.h"

#include <gtest/gtest.h>

#include <map>

#include "base/result.h"

namespace weft::dns {
namespace {

using namespace std::chrono_literals;
using Verdict = RateLimit::Verdict;

const net::Address alice = net::Address::v4(10, 0, 0, 1), bob = net::Address::v4(10, 0, 0, 2);

class RateLimitTest : public testing::Test {
protected:
    std::map<Verdict, int> ask(const net::Address& client, int times, uint32_t vni = 7) {
        std::map<Verdict, int> verdicts;
        for (int i = 0; i < times; ++i) ++verdicts[limit_.ask(vni, client, clock_.now())];
        return verdicts;
    }

    FakeClock clock_;
    RateLimit limit_{100};
};

using Verdicts = std::map<Verdict, int>;

TEST_F(RateLimitTest, DNS_29_a_client_has_its_answers_a_second_and_every_second_refusal_says_truncated) {
    EXPECT_EQ(ask(alice, 100), (Verdicts{{Verdict::answer, 100}}));
    EXPECT_EQ(ask(alice, 10), (Verdicts{{Verdict::drop, 5}, {Verdict::truncate, 5}}));
    clock_.advance(100ms);
    EXPECT_EQ(ask(alice, 14), (Verdicts{{Verdict::answer, 10}, {Verdict::drop, 2}, {Verdict::truncate, 2}}));
    clock_.advance(1h);
    EXPECT_EQ(ask(alice, 102), (Verdicts{{Verdict::answer, 100}, {Verdict::drop, 1}, {Verdict::truncate, 1}}));
}

TEST_F(RateLimitTest, DNS_29_clients_do_not_share_nor_do_equal_addresses_of_two_vpcs) {
    ask(alice, 200);
    EXPECT_EQ(ask(bob, 100), (Verdicts{{Verdict::answer, 100}}));
    EXPECT_EQ(ask(alice, 100, 8), (Verdicts{{Verdict::answer, 100}}));
    EXPECT_EQ(ask(alice, 1).count(Verdict::answer), 0u);
}

TEST_F(RateLimitTest, of_ipv6_the_whole_64_is_one_client) {
    EXPECT_EQ(ask(MUST(net::Address::parse("fd00::1")), 100), (Verdicts{{Verdict::answer, 100}}));
    EXPECT_EQ(ask(MUST(net::Address::parse("fd00::2")), 1).count(Verdict::answer), 0u);
    EXPECT_EQ(ask(MUST(net::Address::parse("fd00:0:0:1::2")), 1).count(Verdict::answer), 1u);
}

TEST_F(RateLimitTest, is_bounded_and_forgets_only_those_at_rest) {
    ask(alice, 200);
    for (uint32_t i = 0; i < RateLimit::clients_max; ++i) ask(net::Address::v4(0x0b000000 + i), 1);
    EXPECT_EQ(limit_.clients(), RateLimit::clients_max);
    EXPECT_EQ(ask(bob, 200)[Verdict::answer], 99) << "no place: one bucket for all that have none, used once already";
    clock_.advance(500ms);
    ask(bob, 1);
    EXPECT_EQ(limit_.clients(), 2u) << "alice, who still owes, and bob";
}

TEST(RateLimitOff, without_a_limit_everybody_is_answered) {
    RateLimit limit(0);
    FakeClock clock;
    for (int i = 0; i < 100000; ++i) ASSERT_EQ(limit.ask(1, alice, clock.now()), Verdict::answer);
    EXPECT_EQ(limit.clients(), 0u);
}

}  // namespace
}  // namespace weft::dns
