#include "controller/index.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectPtr;

void add_labels(const Object& object, std::set<std::string>& texts) {
    for (const auto& [label, value] : object.labels()) texts.insert(label + "=" + value);
}

TEST(Index, follows_objects_as_they_come_change_and_go) {
    Index index(add_labels);
    const kube::ObjectKey key{"a", "b"};
    Object object = Object::of(kube::pods, key);
    object.set_label("app", "x");
    index.refresh(key, std::make_shared<const Object>(object));
    EXPECT_EQ(index.keys("app=x"), std::set{key});
    object.set_label("app", "y");
    index.refresh(key, std::make_shared<const Object>(object));
    EXPECT_TRUE(index.keys("app=x").empty());
    EXPECT_EQ(index.keys("app=y"), std::set{key});
    index.refresh(key, nullptr);
    EXPECT_TRUE(index.keys("app=y").empty());
}

// Whatever is written by us or by others, an index says what a walk over the View says.
TEST(Index, of_a_view_agrees_with_a_walk_over_it) {
    FakeClock clock;
    kube::FakeClient api(clock);
    const auto brain = kube::Brain::create(api, clock);
    View view(*brain, kube::config_maps);
    const Index& index = view.add_index(add_labels);
    Rng rng(7);
    for (int turn = 0; turn < 600; ++turn) {
        const kube::ObjectKey key{"default", "m" + std::to_string(rng.below(6))};
        const ObjectPtr now = view.get(key);
        Object next = now ? *now : Object::of(kube::config_maps, key);
        next.set_label("app", std::to_string(rng.below(3)));
        const bool by_us = rng.below(2) == 0;
        if (!now && by_us) (void)view.create(next);
        else if (!now) (void)api.create(kube::config_maps, next);
        else if (rng.below(3) == 0 && by_us) (void)view.remove(*now);
        else if (rng.below(3) == 0) (void)api.remove(kube::config_maps, key);
        else if (by_us) (void)view.put(*now, next);
        else (void)api.update(kube::config_maps, next);
        if (rng.below(3) == 0) brain->run_until_idle();

        std::map<std::string, std::set<kube::ObjectKey>> walked;
        view.for_each([&](const ObjectPtr& object) {
            walked["app=" + std::string(object->label("app"))].insert(object->key());
        });
        for (const char* text : {"app=0", "app=1", "app=2"})
            ASSERT_EQ(index.keys(text), walked[text]) << text << " in turn " << turn;
    }
}

}  // namespace
}  // namespace weft::controller
