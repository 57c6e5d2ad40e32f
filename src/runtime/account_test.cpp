#include "runtime/account.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "kube/fake_client.h"

namespace weft::runtime {
namespace {

kube::Object pod_of(std::string_view spec) {
    return kube::Object(MUST(json::parse_yaml(
        fmt::format("{{apiVersion: v1, kind: Pod, metadata: {{name: web, namespace: blue, uid: u}}, spec: {}}}", spec)))[0]);
}

TEST(Account, ATokenIsRenewedAfterFourFifthsOfItsLifeAndKeptWhenThatFails) {
    AccountTokens tokens;
    const kube::Object pod = pod_of("{}");
    int asked = 0;
    bool is_up = true;
    const RequestToken request = [&](const kube::Object&, const TokenWish&) -> Result<std::string> {
        if (!is_up) return fail(Code::unavailable, "away");
        return "token" + std::to_string(++asked);
    };
    const MonotonicTime start(std::chrono::seconds(1000));
    const auto at = [&](int seconds) {
        return MUST(current_token(tokens, pod, {"", 1000}, request, start + std::chrono::seconds(seconds)));
    };
    EXPECT_EQ(at(0), "token1");
    EXPECT_EQ(at(799), "token1");
    EXPECT_EQ(renewal(tokens), start + std::chrono::seconds(800));
    is_up = false;
    EXPECT_EQ(at(801), "token1") << "the old one still counts";
    is_up = true;
    EXPECT_EQ(at(802), "token1") << "not asked at every look";
    EXPECT_EQ(at(812), "token2");
    is_up = false;
    EXPECT_FALSE(current_token(tokens, pod, {"other", 1000}, request, start)) << "none at all: the pod has to wait";
    EXPECT_EQ(renewal(tokens), start + std::chrono::seconds(1612));
}

TEST(Account, PodAndAccountSayWhetherThereIsAMount) {
    kube::FakeClient client;
    EXPECT_EQ(automounts(pod_of("{}"), client).error().code, Code::not_found) << "its account is not there yet";
    client.seed("{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: blue}}");
    client.seed(
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: shy, namespace: blue}, automountServiceAccountToken: "
        "false}");
    EXPECT_TRUE(MUST(automounts(pod_of("{}"), client)));
    EXPECT_FALSE(MUST(automounts(pod_of("{serviceAccountName: shy}"), client)));
    EXPECT_TRUE(MUST(automounts(pod_of("{serviceAccountName: shy, automountServiceAccountToken: true}"), client)));
    EXPECT_FALSE(MUST(automounts(pod_of("{automountServiceAccountToken: false}"), client)));
}

}  // namespace
}  // namespace weft::runtime
