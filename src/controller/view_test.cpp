#include "controller/view.h"

#include <gtest/gtest.h>

#include "kube/fake_client.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;

struct Fixture {
    FakeClock clock;
    kube::FakeClient api{clock};
    std::unique_ptr<kube::Brain> brain = kube::Brain::create(api, clock);
    View pods{*brain, kube::pods};

    Object pod(std::string name) { return Object::of(kube::pods, {"default", std::move(name)}); }
    size_t count() {
        size_t n = 0;
        pods.for_each_in("default", [&](const kube::ObjectPtr&) { ++n; });
        return n;
    }
};

TEST(View, a_write_of_ours_is_seen_before_the_cache_has_it_and_once_after) {
    Fixture f;
    f.brain->run_until_idle();
    MUST(f.pods.create(f.pod("a")));
    EXPECT_EQ(f.count(), 1u);
    f.brain->run_until_idle();
    EXPECT_EQ(f.count(), 1u);
    Object next = *f.pods.get(ObjectKey{"default", "a"});
    next.set_label("x", "y");
    ASSERT_TRUE(f.pods.put(*f.pods.get(ObjectKey{"default", "a"}), next));
    EXPECT_EQ(f.pods.get(ObjectKey{"default", "a"})->label("x"), "y");
    f.brain->run_until_idle();
    EXPECT_EQ(f.pods.get(ObjectKey{"default", "a"})->label("x"), "y");
}

TEST(View, a_write_without_a_change_is_none) {
    Fixture f;
    f.brain->run_until_idle();
    const Object a = MUST(f.pods.create(f.pod("a")));
    f.api.clear_log();
    ASSERT_TRUE(f.pods.put(a, a));
    ASSERT_TRUE(f.pods.put_status(a, a));
    EXPECT_TRUE(f.api.log().empty());
}

TEST(View, what_we_removed_looks_deleted_at_once_and_removing_it_twice_is_fine) {
    Fixture f;
    MUST(f.api.create(kube::pods, f.pod("a")));
    f.brain->run_until_idle();
    const kube::ObjectPtr a = f.pods.get(ObjectKey{"default", "a"});
    ASSERT_TRUE(f.pods.remove(*a));
    EXPECT_TRUE(f.pods.get(ObjectKey{"default", "a"})->deleting());
    ASSERT_TRUE(f.pods.remove(*a));
    f.brain->run_until_idle();
    EXPECT_EQ(f.count(), 0u);
}

TEST(View, a_successor_of_the_same_name_is_not_removed_in_its_place) {
    Fixture f;
    const Object first = MUST(f.api.create(kube::pods, f.pod("a")));
    f.brain->run_until_idle();
    ASSERT_TRUE(f.api.remove(kube::pods, first.key()));
    MUST(f.api.create(kube::pods, f.pod("a")));
    EXPECT_EQ(f.pods.remove(first).error().code, Code::conflict);
}

TEST(View, what_ended_between_two_lists_is_forgotten_and_told) {
    Fixture f;
    int ended = 0;
    f.pods.on_change([&](const kube::ObjectPtr&, const kube::ObjectPtr& after) { ended += after == nullptr; });
    f.brain->run_until_idle();
    const Object a = MUST(f.pods.create(f.pod("a")));
    ASSERT_TRUE(f.api.remove(kube::pods, a.key()));
    f.api.compact();  // the next look is a list: the cache never sees it
    f.brain->run_until_idle();
    EXPECT_EQ(f.count(), 1u);
    f.clock.advance(std::chrono::seconds(31));
    f.brain->run_until_idle();
    EXPECT_EQ(f.count(), 0u);
    EXPECT_EQ(ended, 1);
}

}  // namespace
}  // namespace weft::controller
