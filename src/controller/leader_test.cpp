#include "controller/leader.h"

#include <gtest/gtest.h>

#include "kube/fake_client.h"

namespace weft::controller {
namespace {

const kube::ObjectKey lease_key{"kube-system", "weft-controller"};

TEST(Leader, the_first_one_leads_and_renews_and_the_second_waits_until_the_lease_is_old) {
    FakeClock clock;
    kube::FakeClient api(clock);
    Leader first(api, "first", clock);
    Leader second(api, "second", clock);
    EXPECT_TRUE(MUST(first.try_acquire()));
    EXPECT_FALSE(MUST(second.try_acquire()));
    for (int i = 0; i < 10; ++i) {
        clock.advance(lease_renew_period);
        EXPECT_TRUE(MUST(first.try_acquire()));
        EXPECT_FALSE(MUST(second.try_acquire()));
    }
    clock.advance(lease_duration - std::chrono::seconds(1));
    EXPECT_FALSE(MUST(second.try_acquire()));
    clock.advance(std::chrono::seconds(1));
    EXPECT_TRUE(MUST(second.try_acquire()));
    EXPECT_FALSE(MUST(first.try_acquire()));
    const kube::Object lease = MUST(api.get(kube::leases, lease_key));
    EXPECT_EQ(lease.string({"spec", "holderIdentity"}), "second");
    EXPECT_EQ(lease.integer({"spec", "leaseTransitions"}), 1);
}

TEST(Leader, the_same_identity_takes_its_lease_over_at_once) {
    FakeClock clock;
    kube::FakeClient api(clock);
    EXPECT_TRUE(MUST(Leader(api, "me", clock).try_acquire()));
    EXPECT_TRUE(MUST(Leader(api, "me", clock).try_acquire()));
    EXPECT_EQ(MUST(api.get(kube::leases, lease_key)).integer({"spec", "leaseTransitions"}), 0);
}

TEST(Leader, an_api_that_does_not_answer_is_an_error_and_no_lead) {
    FakeClock clock;
    kube::FakeClient api(clock);
    Leader leader(api, "me", clock);
    api.fail_next(Code::unavailable);
    EXPECT_EQ(leader.try_acquire().error().code, Code::unavailable);
}

}  // namespace
}  // namespace weft::controller
