#include "controller/rollout.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weft::controller {
namespace {

json::Value deployment(int replicas, std::string_view strategy) {
    return MUST(json::parse_yaml(fmt::format("spec: {{replicas: {}, strategy: {}}}", replicas, strategy)))[0];
}

TEST(Rollout, percentages_round_surge_up_and_unavailable_down_and_never_both_to_zero) {
    const auto settings = [](int replicas, std::string_view strategy) {
        const RolloutSettings s = rollout_settings(deployment(replicas, strategy));
        return std::pair(s.max_surge, s.max_unavailable);
    };
    using Pair = std::pair<int64_t, int64_t>;
    EXPECT_EQ(settings(3, "{}"), Pair(1, 0));
    EXPECT_EQ(settings(10, "{}"), Pair(3, 2));
    EXPECT_EQ(settings(4, "{rollingUpdate: {maxSurge: 50%, maxUnavailable: 1}}"), Pair(2, 1));
    EXPECT_EQ(settings(4, "{rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}"), Pair(0, 1));
}

// Plays a rollout: every wanted pod exists at once and is ready one round later. Returns the rounds it took; checks the
// two promises in each.
int play(const RolloutSettings& settings, ReplicaSetState current, std::vector<ReplicaSetState> old) {
    for (int round = 1; round <= 100; ++round) {
        const auto scales = next_scales(settings, current, old);
        bool moved = false;
        const auto apply = [&](ReplicaSetState& set) {
            for (const Scale& scale : scales) {
                if (scale.name != set.name) continue;
                set.wanted = scale.replicas;
                moved = true;
            }
            set.existing = set.wanted;
            set.available = std::min(set.available, set.wanted);
        };
        apply(current);
        int64_t existing = current.existing, available = current.available;
        for (ReplicaSetState& set : old) {
            apply(set);
            existing += set.existing;
            available += set.available;
        }
        EXPECT_LE(existing, settings.replicas + settings.max_surge);
        EXPECT_GE(available, settings.replicas - settings.max_unavailable);
        if (!moved && current.available == current.wanted) return round;
        current.available = current.wanted;
    }
    ADD_FAILURE() << "the rollout never ended";
    return 0;
}

TEST(Rollout, it_ends_with_all_pods_new_and_keeps_its_two_promises_on_the_way) {
    for (const int replicas : {1, 2, 3, 7, 20}) {
        for (const std::string_view strategy : {"{}", "{rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}",
                                                "{rollingUpdate: {maxSurge: 100%, maxUnavailable: 0}}",
                                                "{rollingUpdate: {maxSurge: 1, maxUnavailable: 50%}}"}) {
            const auto settings = rollout_settings(deployment(replicas, strategy));
            ReplicaSetState old{"old", "1", replicas, replicas, replicas, replicas};
            ReplicaSetState current{"new", "2", first_replicas(settings, {old}), 0, 0, 0};
            EXPECT_GT(play(settings, current, {old}), 0) << replicas << " " << strategy;
        }
    }
}

TEST(Rollout, old_pods_that_do_not_serve_go_first_even_when_the_new_ones_are_not_ready) {
    RolloutSettings settings;
    settings.replicas = 3;
    settings.max_surge = 1;
    settings.max_unavailable = 1;
    const std::vector<ReplicaSetState> old = {{"old", "1", 3, 3, 2, 2}};
    const ReplicaSetState current{"new", "2", 1, 1, 0, 0};
    EXPECT_EQ(next_scales(settings, current, old), (std::vector<Scale>{{"old", 2}}));
}

TEST(Rollout, recreate_waits_until_the_last_old_pod_is_gone) {
    RolloutSettings settings;
    settings.replicas = 2;
    settings.recreate = true;
    EXPECT_EQ(first_replicas(settings, {{"old", "1", 2, 2, 2, 2}}), 0);
    EXPECT_EQ(next_scales(settings, {"new", "2", 0, 0, 0, 0}, {{"old", "1", 2, 2, 2, 2}}),
              (std::vector<Scale>{{"old", 0}}));
    EXPECT_EQ(next_scales(settings, {"new", "2", 0, 0, 0, 0}, {{"old", "1", 0, 1, 1, 1}}), (std::vector<Scale>{}));
    EXPECT_EQ(next_scales(settings, {"new", "2", 0, 0, 0, 0}, {{"old", "1", 0, 0, 0, 0}}),
              (std::vector<Scale>{{"new", 2}}));
}

TEST(Rollout, a_template_is_the_same_whatever_the_order_of_its_members) {
    const auto yaml = [](std::string_view text) { return MUST(json::parse_yaml(text))[0]; };
    const auto a = yaml("{metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}");
    const auto b =
        yaml("{spec: {containers: [{image: i, name: c}]}, metadata: {labels: {pod-template-hash: x, app: web}}}");
    const auto c = yaml("{metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: j}]}}");
    EXPECT_TRUE(same_template(a, b));
    EXPECT_FALSE(same_template(a, c));
    EXPECT_EQ(template_hash(a, 0), template_hash(b, 0));
    EXPECT_NE(template_hash(a, 0), template_hash(c, 0));
    EXPECT_NE(template_hash(a, 0), template_hash(a, 1));
}

}  // namespace
}  // namespace weft::controller
