// Tokens of pods while they live: asked for beside the brain, kept while nobody gives new ones.
#include <atomic>

#include "runtime/runtime_fixture.h"

namespace weft::runtime {
namespace {

constexpr std::string_view cat_token =
    "stdout=true&command=cat&command=/var/run/secrets/kubernetes.io/serviceaccount/token";

class AccountLife : public RuntimeTest {
protected:
    AccountLife() {
        client_.seed(
            "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: default}}\n---\n"
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-root-ca.crt, namespace: default}, data: {ca.crt: "
            "PEM}}");
        request_token_ = [this](const kube::Object& pod, const TokenWish&) -> Result<std::string> {
            asked_++;
            while (pod.name() == "slow" && !is_open_) std::this_thread::sleep_for(milliseconds(1));
            if (is_away_) return fail(Code::unavailable, "away");
            return fmt::format("token of {}", pod.name());
        };
    }

    ~AccountLife() override {
        is_open_ = true;
        stop();  // what it asks is ours
    }

    std::atomic<int> asked_{0};
    std::atomic<bool> is_away_{false};
    std::atomic<bool> is_open_{false};
};

// API-130
TEST_F(AccountLife, ATokenThatIsLongInComingHoldsUpNoOtherPod) {
    start();
    create("slow", "containers: [{name: main, image: client}]");
    ASSERT_TRUE(becomes_true([&] { return asked_ == 1; }));
    create("fast", "containers: [{name: main, image: client}]");
    ASSERT_TRUE(is_ready("fast")) << json::serialize(pod("fast").body());
    EXPECT_EQ(exec("fast", std::string(cat_token)).out, "token of fast");
    EXPECT_FALSE(condition_is(pod("slow"), "Ready", "True"));
    EXPECT_FALSE(has_event("FailedMount", "")) << "waiting is no failure";
    is_open_ = true;
    ASSERT_TRUE(is_ready("slow"));
    EXPECT_EQ(exec("slow", std::string(cat_token)).out, "token of slow");
    EXPECT_EQ(asked_, 2);
}

// API-130
TEST_F(AccountLife, ContainersStartAgainAndVolumesFollowWhileNobodyGivesTokens) {
    client_.seed("{apiVersion: v1, kind: ConfigMap, metadata: {name: cm}, data: {color: green}}");
    const std::string end = folder_ + "/end";
    start();
    create("web",
           "volumes: [{name: c, configMap: {name: cm}}], containers: [{name: main, image: client, "
           "volumeMounts: [{name: c, mountPath: /c}], command: [/bin/sh, -c, 'until rm " +
               end + " 2>/dev/null; do sleep 0.05; done']}]");
    ASSERT_TRUE(is_ready("web")) << json::serialize(pod("web").body());
    is_away_ = true;
    ASSERT_TRUE(write_file(end, ""));
    ASSERT_TRUE(becomes_true([&] { return json::find_int(container_status("web"), {"restartCount"}) == 1; }));
    ASSERT_TRUE(is_ready("web"));
    EXPECT_EQ(exec("web", std::string(cat_token)).out, "token of web");
    EXPECT_EQ(asked_, 1);
    // A new runtime takes over what the one before it was given.
    stop();
    start();
    ASSERT_TRUE(becomes_true([&] { return asked_ >= 2; }));
    ASSERT_TRUE(client_.patch(kube::config_maps, {"default", "cm"}, kube::PatchType::merge,
                              json::Object{{"data", json::Object{{"color", "blue"}}}}));
    EXPECT_TRUE(becomes_true([&] { return exec("web", "stdout=true&command=cat&command=/c/color").out == "blue"; }));
    EXPECT_EQ(exec("web", std::string(cat_token)).out, "token of web");
    is_away_ = false;
    create("late", "containers: [{name: main, image: client}]");
    ASSERT_TRUE(is_ready("late"));
    EXPECT_EQ(exec("late", std::string(cat_token)).out, "token of late");
}

// API-130: whether a pod has the mount is decided when it begins.
TEST_F(AccountLife, WhatBecomesOfTheAccountTakesNothingFromAPodThatRuns) {
    const kube::ObjectKey account{"default", "default"};
    client_.seed("{apiVersion: v1, kind: ConfigMap, metadata: {name: cm}, data: {color: green}}");
    start();
    create("web",
           "volumes: [{name: c, configMap: {name: cm}}], containers: [{name: main, image: client, "
           "volumeMounts: [{name: c, mountPath: /c}]}]");
    ASSERT_TRUE(is_ready("web")) << json::serialize(pod("web").body());
    const auto follows = [&](const std::string& color) {
        EXPECT_TRUE(client_.patch(kube::config_maps, {"default", "cm"}, kube::PatchType::merge,
                                  json::Object{{"data", json::Object{{"color", color}}}}));
        return becomes_true([&] { return exec("web", "stdout=true&command=cat&command=/c/color").out == color; });
    };
    ASSERT_TRUE(client_.patch(kube::service_accounts, account, kube::PatchType::merge,
                              json::Object{{"automountServiceAccountToken", false}}));
    EXPECT_TRUE(follows("blue"));
    EXPECT_EQ(exec("web", std::string(cat_token)).out, "token of web");
    ASSERT_TRUE(client_.remove(kube::service_accounts, account, {}));
    EXPECT_TRUE(follows("red"));
    stop();
    start();
    ASSERT_TRUE(becomes_true([&] { return asked_ >= 2; }));
    EXPECT_TRUE(follows("white")) << "the runtime that comes after keeps to it";
    EXPECT_EQ(exec("web", std::string(cat_token)).out, "token of web");
    EXPECT_FALSE(has_event("FailedMount", ""));
}

// API-130
TEST_F(AccountLife, ATokenIsRenewedAlsoWhileAVolumeCannotFollow) {
    client_.seed("{apiVersion: v1, kind: ConfigMap, metadata: {name: cm}, data: {color: green}}");
    start();
    create("web",
           "volumes: [{name: c, configMap: {name: cm}}], containers: [{name: main, image: client, "
           "volumeMounts: [{name: c, mountPath: /c}]}]");
    ASSERT_TRUE(is_ready("web")) << json::serialize(pod("web").body());
    ASSERT_EQ(asked_, 1);
    stop();
    ASSERT_TRUE(client_.remove(kube::config_maps, {"default", "cm"}, {}));
    start();  // asks for a token of its own as soon as it knows the pod
    EXPECT_TRUE(becomes_true([&] { return asked_ == 2; }));
    EXPECT_TRUE(has_event("FailedMount", "cm"));
}

}  // namespace
}  // namespace weft::runtime
