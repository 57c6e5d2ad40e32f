#include "runtime/account.h"

#include <gtest/gtest.h>

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
    EXPECT_EQ(renewal(tokens), at(802));
    EXPECT_EQ(MUST(look(802)), "token1") << "the old one still counts";
    EXPECT_EQ(asked, 3);
    token_came(tokens, wish, away, at(803));
    EXPECT_EQ(MUST(look(804)), "token1");
    EXPECT_EQ(asked, 3) << "not asked at every look";
    EXPECT_EQ(renewal(tokens), at(813));
    EXPECT_EQ(MUST(look(813)), "token1");
    token_came(tokens, wish, std::string("token2"), at(813));
    EXPECT_EQ(MUST(look(814)), "token2");
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
