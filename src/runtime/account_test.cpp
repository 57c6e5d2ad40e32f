#include "runtime/account.h"

#include <gtest/gtest.h>

#include <deque>

#include "base/clock.h"

namespace weft::runtime {
namespace {

kube::Object pod_of(std::string_view spec) {
    return kube::Object(MUST(json::parse_yaml(fmt::format(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: web, namespace: blue, uid: u}}, spec: {}}}", spec)))[0]);
}

TEST(Account, ATokenIsRenewedAfterFourFifthsOfItsLifeAndKeptWhenThatFails) {
    AccountTokens tokens;
    const TokenWish wish{"", 1000};
    const MonotonicTime start(std::chrono::seconds(1000));
    const auto at = [&](int seconds) { return start + std::chrono::seconds(seconds); };
    int asked = 0;
    const auto look = [&](int seconds) {
        return current_token(tokens, wish, [&](const TokenWish&) { asked++; }, at(seconds));
    };
    const Result<std::string> away = fail(Code::unavailable, "away");

    EXPECT_FALSE(look(0)) << "none at all: the pod has to wait";
    EXPECT_FALSE(look(0));
    EXPECT_EQ(asked, 1) << "one question at a time";
    EXPECT_TRUE(first_is_awaited(tokens));
    token_came(tokens, wish, away, at(1));
    EXPECT_FALSE(first_is_awaited(tokens)) << "now something is wrong";
    EXPECT_EQ(look(1).error().message, "away");
    EXPECT_FALSE(look(2));
    token_came(tokens, wish, std::string("token1"), at(2));
    EXPECT_EQ(asked, 2);

    EXPECT_EQ(MUST(look(801)), "token1");
    EXPECT_EQ(renewal(tokens, at(801)), at(802));
    EXPECT_EQ(MUST(look(802)), "token1") << "the old one still counts";
    EXPECT_EQ(asked, 3);
    token_came(tokens, wish, away, at(803));
    EXPECT_EQ(MUST(look(804)), "token1");
    EXPECT_EQ(asked, 3) << "not asked at every look";
    EXPECT_EQ(renewal(tokens, at(804)), at(813));
    EXPECT_EQ(renewal(tokens, at(900)), at(900) + std::chrono::milliseconds(500)) << "never in the past, whoever forgot to ask";
    EXPECT_EQ(MUST(look(813)), "token1");
    token_came(tokens, wish, std::string("token2"), at(813));
    EXPECT_EQ(MUST(look(814)), "token2");
}

// One pod's tokens as settle_volumes() treats them: looked at when the brain wakes for them or an answer has come.
class Pulse {
public:
    using Answer = std::function<Result<std::string>(const TokenWish&)>;
    Pulse(std::vector<TokenWish> wishes, Answer answer, Duration latency = {})
        : wishes_(std::move(wishes)), answer_(std::move(answer)), latency_(latency) {}

    void run(std::chrono::seconds length) {
        const MonotonicTime end = now_ + length;
        for (due_ = now_; wakes < 10'000 && asked < 10'000;) {
            const bool comes = !coming_.empty() && (!due_ || coming_.front().first <= *due_);
            if (!comes && !due_) return;
            const MonotonicTime next = comes ? coming_.front().first : *due_;
            if (next > end) break;
            now_ = std::max(now_, next);
            if (comes) {
                const TokenWish wish = coming_.front().second;
                coming_.pop_front();
                token_came(tokens_, wish, answer_(wish), now_);
            } else {
                wakes++;
            }
            look();
        }
        now_ = std::max(now_, end);
    }
    void jump(Duration by) { now_ += by; }

    int asked = 0, wakes = 0;  // wakes: those by the clock

private:
    void look() {
        for (const TokenWish& wish : wishes_) {
            (void)current_token(
                tokens_, wish,
                [&](const TokenWish& missing) {
                    asked++;
                    coming_.emplace_back(now_ + latency_, missing);
                },
                now_);
        }
        due_ = renewal(tokens_, now_);
    }

    AccountTokens tokens_;
    std::vector<TokenWish> wishes_;
    Answer answer_;
    Duration latency_;
    MonotonicTime now_{std::chrono::seconds(1000)};
    std::optional<MonotonicTime> due_;
    std::deque<std::pair<MonotonicTime, TokenWish>> coming_;
};

// API-130
TEST(Account, NobodyIsStormedWithQuestionsForTokens) {
    using std::chrono::seconds;
    const auto refuses = [](const TokenWish&) -> Result<std::string> { return fail(Code::unavailable, "no"); };
    const auto gives = [](const TokenWish&) -> Result<std::string> { return std::string("token"); };
    for (const Duration latency : {Duration::zero(), Duration(std::chrono::milliseconds(300)), Duration(seconds(2))}) {
        Pulse refused({{}}, refuses, latency);
        refused.run(seconds(60));
        EXPECT_LE(refused.asked, 121);
        EXPECT_LE(refused.wakes, 121);
        Pulse several({{}, {"vault", 600}, {"bank", 600}, {"shop", 7200}}, refuses, latency);
        several.run(seconds(60));
        EXPECT_LE(several.asked, 4 * 121);
        EXPECT_LE(several.wakes, 121);
        // A life that is over before it begins, and those that no clock can count.
        for (const int64_t life : {INT64_MIN, int64_t(-1), int64_t(0), int64_t(1), int64_t(600), int64_t(2'400'000'000),
                                   int64_t(1) << 32, INT64_MAX}) {
            Pulse given({{"", life}}, gives, latency);
            given.run(seconds(60));
            EXPECT_GE(given.asked, 1);
            EXPECT_LE(given.asked, 7) << life;
            EXPECT_LE(given.wakes, 8) << life;
        }
        for (const seconds by : {seconds(86'400), seconds(-900)}) {
            Pulse jumps({{}}, gives, latency);
            jumps.run(seconds(10));
            jumps.jump(by);
            jumps.run(seconds(10));
            EXPECT_LE(jumps.asked, 2) << by.count();
            EXPECT_LE(jumps.wakes, 4) << by.count();
        }
    }
}

TEST(Account, PodAndAccountSayWhetherThereIsAMount) {
    const auto account = [](std::string_view more) {
        return std::make_shared<const kube::Object>(MUST(json::parse_yaml(fmt::format(
            "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: a, namespace: blue}}{}}}", more)))[0]);
    };
    const kube::ObjectPtr open = account(""), shy = account(", automountServiceAccountToken: false");
    EXPECT_EQ(automounts(pod_of("{}"), nullptr).error().code, Code::not_found) << "its account is not there yet";
    EXPECT_TRUE(MUST(automounts(pod_of("{}"), open)));
    EXPECT_FALSE(MUST(automounts(pod_of("{}"), shy)));
    EXPECT_TRUE(MUST(automounts(pod_of("{automountServiceAccountToken: true}"), shy)));
    EXPECT_FALSE(MUST(automounts(pod_of("{automountServiceAccountToken: false}"), nullptr)));
}

}  // namespace
}  // namespace weft::runtime
