#include "kube/fake_client.h"

#include <gtest/gtest.h>

#include "kube/selector.h"

namespace weft::kube {
namespace {

const ObjectKey web{"default", "web"};

Object service() {
    Object object = Object::of(services, web);
    object.set({"spec", "type"}, "ClusterIP");
    return object;
}

TEST(FakeClient, AnUpdateOfAnOldVersionIsAConflict) {
    FakeClient client;
    const Object first = *client.create(services, service());
    Object second = first;
    second.set({"spec", "type"}, "LoadBalancer");
    ASSERT_TRUE(client.update(services, second));
    const Result<Object> stale = client.update(services, second);
    ASSERT_FALSE(stale);
    EXPECT_EQ(stale.error().code, Code::conflict);
}

TEST(FakeClient, StatusAndSpecAreWrittenThroughTheirOwnDoors) {
    FakeClient client;
    Object object = *client.create(services, service());
    object.set({"status", "loadBalancer"}, json::Object{{"x", 1}});
    object.set({"spec", "type"}, "LoadBalancer");
    object = *client.update_status(services, object);
    EXPECT_EQ(object.string({"spec", "type"}), "ClusterIP");
    EXPECT_EQ(object.generation(), 1);
    object.set({"spec", "type"}, "NodePort");
    json::erase(object.body(), {"status"});
    object = *client.update(services, object);
    EXPECT_EQ(object.integer({"status", "loadBalancer", "x"}), 1);
    EXPECT_EQ(object.generation(), 2);
}

TEST(FakeClient, AWriteThatChangesNothingKeepsTheVersion) {
    FakeClient client;
    const Object object = *client.create(services, service());
    EXPECT_EQ(client.update(services, object)->resource_version(), object.resource_version());
}

TEST(FakeClient, AFinalizerHoldsADeletedObjectUntilItIsTakenAway) {
    FakeClient client;
    Object object = service();
    object.add_finalizer("weft.dev/held");
    ASSERT_TRUE(client.create(services, object));
    ASSERT_TRUE(client.remove(services, web));
    object = *client.get(services, web);
    EXPECT_TRUE(object.deleting());
    object.remove_finalizer("weft.dev/held");
    ASSERT_TRUE(client.update(services, object));
    EXPECT_EQ(client.get(services, web).error().code, Code::not_found);
}

TEST(FakeClient, APodOnANodeIsDeletedTwice) {
    FakeClient client;
    Object pod = Object::of(pods, web);
    pod.set({"spec", "nodeName"}, "node-1");
    ASSERT_TRUE(client.create(pods, pod));
    ASSERT_TRUE(client.remove(pods, web));
    EXPECT_EQ(client.get(pods, web)->integer({"metadata", "deletionGracePeriodSeconds"}), 30);
    ASSERT_TRUE(client.remove(pods, web, {.grace_period_s = 0}));
    EXPECT_FALSE(client.get(pods, web));
}

TEST(FakeClient, AWatchTellsWhenAnObjectEntersAndLeavesItsSelector) {
    FakeClient client;
    Object object = service();
    object.set_label("app", "web");
    const std::string start = client.list(services)->resource_version;
    ASSERT_TRUE(client.create(services, object));
    ASSERT_TRUE(client.patch(services, web, PatchType::merge, json::Object{{"spec", json::Object{{"a", 1}}}}));
    ASSERT_TRUE(
        client.patch(services, web, PatchType::json,
                     json::Array{json::Object{{"op", "replace"}, {"path", "/metadata/labels/app"}, {"value", "x"}}}));
    std::stop_source stopped;
    stopped.request_stop();
    std::string seen;
    ASSERT_TRUE(
        client.watch(services, {.label_selector = "app=web"}, start, stopped.get_token(), [&](WatchEvent&& event) {
            seen += std::to_string(int(event.type));
            return true;
        }));
    EXPECT_EQ(seen, "012");
}

TEST(FakeClient, CountsWritesAndFailsOneWhenAsked) {
    FakeClient client;
    client.fail_next(Code::conflict);
    EXPECT_EQ(client.create(services, service()).error().code, Code::conflict);
    ASSERT_TRUE(client.create(services, service()));
    ASSERT_TRUE(
        client.patch(services, web, PatchType::merge, json::Object{{"status", json::Object{{"a", 1}}}}, "status"));
    EXPECT_EQ(client.log(),
              (std::vector<std::string>{"create services default/web", "patch_status services default/web"}));
}

TEST(FakeClient, AGeneratedNameIsTheBaseAndFiveCharacters) {
    FakeClient client;
    Object object = service();
    json::erase(object.body(), {"metadata", "name"});
    object.set({"metadata", "generateName"}, "web-");
    EXPECT_EQ(client.create(services, object)->name().size(), 9u);
    json::erase(object.body(), {"metadata", "generateName"});
    EXPECT_EQ(client.create(services, object).error().code, Code::invalid);
}

TEST(LabelSelector, EachFormSelectsAsKubernetesSays) {
    const Labels labels{{"app", "web"}, {"tier", "front"}};
    const struct {
        std::string_view text;
        bool matches;
    } rows[] = {
        {"", true},         {"app=web", true},       {"app==web", true},           {"app!=web", false},
        {"x!=y", true},     {"app in (a,web)", true}, {"app notin (a,web)", false}, {"x notin (a)", true},
        {"app", true},      {"!app", false},          {"!x", true},                 {"app=web,tier=back", false},
        {"app in (web),tier", true},
    };
    for (const auto& row : rows) {
        const Result<LabelSelector> selector = LabelSelector::parse(row.text);
        ASSERT_TRUE(selector) << row.text;
        EXPECT_EQ(selector->matches(labels), row.matches) << row.text;
    }
    for (const std::string_view bad : {"a b", "in (x)", "a in x", "=x", "a within (x)", ","})
        EXPECT_FALSE(LabelSelector::parse(bad)) << bad;
}

TEST(SelectorMatches, AnAbsentSelectorSelectsNothingAndAnEmptyOneEverything) {
    const Labels labels{{"app", "web"}};
    const json::Value empty = json::Object{};
    const json::Value by_expression = MUST(json::parse(
        R"({"matchLabels":{"app":"web"},"matchExpressions":[{"key":"app","operator":"In","values":["web"]},{"key":"x","operator":"DoesNotExist"}]})"));
    EXPECT_FALSE(selector_matches(nullptr, labels));
    EXPECT_TRUE(selector_matches(&empty, labels));
    EXPECT_TRUE(selector_matches(&by_expression, labels));
    EXPECT_FALSE(selector_matches(&by_expression, {{"app", "db"}}));
}

TEST(SetCondition, TheTransitionTimeMovesOnlyWithTheStatus) {
    FakeClock clock;
    Object object = service();
    EXPECT_TRUE(set_condition(object, "Ready", false, "Starting", "", clock));
    const std::string first(json::find_string(*find_condition(object, "Ready"), {"lastTransitionTime"}));
    clock.advance(std::chrono::seconds(5));
    EXPECT_FALSE(set_condition(object, "Ready", false, "Starting", "", clock));
    EXPECT_TRUE(set_condition(object, "Ready", false, "Waiting", "x", clock));
    EXPECT_EQ(json::find_string(*find_condition(object, "Ready"), {"lastTransitionTime"}), first);
    EXPECT_TRUE(set_condition(object, "Ready", true, "Waiting", "x", clock));
    EXPECT_NE(json::find_string(*find_condition(object, "Ready"), {"lastTransitionTime"}), first);
    EXPECT_TRUE(condition_is(object, "Ready", "True"));
}

}  // namespace
}  // namespace weft::kube
