// A wall clock that is set an hour on or back ends nothing early and keeps nothing for ever: fixed addresses, VPC numbers,
// Events. What counts is the monotonic clock, across controllers and, by what was noted, across boots.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::string_view kept_pod = R"(
{apiVersion: v1, kind: Pod, metadata: {name: kept, namespace: default, annotations: {k8s.aliyun.com/eci-fixed-ip: "true",
  k8s.aliyun.com/eci-fixed-ip-retain-hour: "3"}}, spec: {containers: []}}
)";

class WallClock : public ::testing::TestWithParam<int> {
protected:
    WallClock() {
        cluster.seed_world();
        cluster.settle();
    }

    void unbind() {
        cluster.api.seed(kept_pod);
        cluster.live();
        ASSERT_TRUE(cluster.api.remove(kube::pods, {"default", "kept"}));
        cluster.live();
        ASSERT_EQ(cluster.one(kube::pod_enis, "default", "kept").string({"status", "phase"}), "Unbind");
    }

    // In steps, as time passes for a controller that runs.
    void pass(Duration time) {
        for (; time >= minutes(10); time -= minutes(10)) {
            cluster.clock.advance(minutes(10) - seconds(1));
            cluster.settle();  // a second
        }
    }

    bool is_kept() { return cluster.exists(kube::pod_enis, "default", "kept"); }

    TestCluster cluster;
};

TEST_P(WallClock, a_fixed_address_is_kept_for_its_time_and_no_longer_whatever_the_clock_on_the_wall_says) {
    unbind();
    cluster.clock.jump(hours(GetParam()));
    cluster.settle();
    EXPECT_TRUE(is_kept());
    cluster.restart();
    cluster.settle();
    EXPECT_TRUE(is_kept());
    pass(hours(2) + minutes(50));
    EXPECT_TRUE(is_kept());
    pass(minutes(20));
    EXPECT_FALSE(is_kept());
}

TEST_P(WallClock, a_vpcs_number_rests_for_a_week_whatever_the_clock_on_the_wall_says) {
    const auto vpc = [&](std::string_view name) {
        cluster.api.seed(fmt::format(
            "{{apiVersion: weft.dev/v1, kind: VPC, metadata: {{name: {}}}, spec: {{cidrBlock: 10.9.0.0/16}}}}", name));
        cluster.settle();
        return cluster.one(kube::vpcs, "", std::string(name)).integer({"status", "vni"});
    };
    ASSERT_EQ(vpc("gone"), 2);
    ASSERT_TRUE(cluster.api.remove(kube::vpcs, {"", "gone"}));
    cluster.settle();
    cluster.clock.jump(hours(24 * 8 * GetParam()));
    cluster.restart();
    EXPECT_EQ(vpc("soon"), 3);
    pass(hours(24 * 6 + 23));
    EXPECT_EQ(vpc("later"), 4);
    pass(hours(1) + minutes(10));
    EXPECT_EQ(vpc("at-last"), 2);
    pass(hours(1));
    EXPECT_FALSE(cluster.one(kube::config_maps, "kube-system", "weft-released-vnis").find({"data", "2"}))
        << "what has rested is forgotten";
}

TEST_P(WallClock, a_number_that_was_taken_again_rests_a_whole_week_anew) {
    const char* const gone = "{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: gone}, spec: {cidrBlock: 10.9.0.0/16, vni: 2}}";
    for (const int days : {3, 6}) {
        cluster.api.seed(gone);
        cluster.settle();
        ASSERT_EQ(cluster.one(kube::vpcs, "", "gone").integer({"status", "vni"}), 2);
        ASSERT_TRUE(cluster.api.remove(kube::vpcs, {"", "gone"}));
        cluster.settle();
        cluster.clock.jump(hours(24 * 8 * GetParam()));
        pass(hours(24 * days));
    }
    EXPECT_TRUE(cluster.one(kube::config_maps, "kube-system", "weft-released-vnis").find({"data", "2"}))
        << "nine days after the first end, six after the second";
}

TEST_P(WallClock, an_event_is_forgotten_an_hour_after_it_was_seen_and_not_because_a_clock_was_set) {
    cluster.api.seed("{apiVersion: v1, kind: Event, metadata: {name: told, namespace: default}, lastTimestamp: "
                     "\"2025-11-24T16:00:00Z\"}");
    pass(minutes(10));
    cluster.clock.jump(hours(GetParam()));
    pass(minutes(40));
    EXPECT_TRUE(cluster.exists(kube::events, "default", "told"));
    pass(minutes(30));
    EXPECT_FALSE(cluster.exists(kube::events, "default", "told"));
}

INSTANTIATE_TEST_SUITE_P(SetByHours, WallClock, ::testing::Values(1, -1));

class Reboot : public WallClock {};

TEST_F(Reboot, what_was_noted_before_it_counts_and_the_time_between_does_not) {
    unbind();
    pass(hours(1) + minutes(40));  // noted once, after an hour
    cluster.boot = "boot-2";
    cluster.restart();
    cluster.settle();
    pass(hours(1) + minutes(40));
    EXPECT_TRUE(is_kept()) << "one hour and 1 h 40 min";
    pass(minutes(40));
    EXPECT_FALSE(is_kept());
}

TEST_F(Reboot, a_record_of_before_this_was_counted_has_its_whole_time_from_now) {
    unbind();
    Object eni = cluster.one(kube::pod_enis, "default", "kept");
    json::erase(eni.body(), {"status", "kept"});
    MUST(cluster.api.update_status(kube::pod_enis, eni));
    cluster.restart();
    pass(hours(2) + minutes(40));
    EXPECT_TRUE(is_kept());
    pass(minutes(40));
    EXPECT_FALSE(is_kept());
}

}  // namespace
}  // namespace weft::controller
