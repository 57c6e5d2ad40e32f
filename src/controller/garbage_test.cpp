// Dependents of every kind go with their owners. API-95, API-96.
#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;

constexpr kube::Resource widgets{"test.example", "v1", "widgets", "Widget", true};

constexpr std::string_view definition = R"(
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.test.example}
spec:
  group: test.example
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions: [{name: v1, served: true, storage: true}]
)";

Object made(TestCluster& cluster, const kube::Resource& resource, const std::string& name) {
    return MUST(cluster.api.create(resource, Object::of(resource, {"default", name})));
}

Object made_for(TestCluster& cluster, const kube::Resource& resource, const std::string& name, const Object& owner) {
    Object object = Object::of(resource, {"default", name});
    object.set_controller_owner(owner);
    return MUST(cluster.api.create(resource, object));
}

void live_long(TestCluster& cluster) {
    for (int i = 0; i < 3; ++i) cluster.live();
}

TEST(Garbage, config_maps_and_secrets_go_with_their_owner) {
    TestCluster cluster;
    cluster.seed_world();
    const Object owner = made(cluster, kube::config_maps, "owner");
    made_for(cluster, kube::secrets, "dependent", owner);
    made_for(cluster, kube::config_maps, "dependent", owner);
    made(cluster, kube::secrets, "alone");
    cluster.live();
    EXPECT_TRUE(cluster.exists(kube::secrets, "default", "dependent"));
    ASSERT_TRUE(cluster.api.remove(kube::config_maps, owner.key()));
    cluster.live();
    EXPECT_FALSE(cluster.exists(kube::secrets, "default", "dependent"));
    EXPECT_FALSE(cluster.exists(kube::config_maps, "default", "dependent"));
    EXPECT_TRUE(cluster.exists(kube::secrets, "default", "alone"));
}

TEST(Garbage, what_is_in_a_secret_does_not_come_to_the_controller) {
    TestCluster cluster;
    cluster.seed_world();
    Object secret = Object::of(kube::secrets, {"default", "key"});
    secret.set({"data", "token"}, "aHVzaA==");
    ASSERT_TRUE(cluster.api.create(kube::secrets, secret));
    cluster.live();
    const auto seen = cluster.world->secrets.get(kube::ObjectKey{"default", "key"});
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->find({"data"}), nullptr);
    EXPECT_EQ(cluster.world->tls_secrets.get(kube::ObjectKey{"default", "key"}), nullptr);
}

TEST(Garbage, a_custom_object_owns_and_is_owned) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(definition);
    const Object top = made(cluster, kube::config_maps, "top");
    const Object widget = made_for(cluster, widgets, "widget", top);
    made_for(cluster, kube::secrets, "below", widget);
    live_long(cluster);
    ASSERT_TRUE(cluster.exists(widgets, "default", "widget"));
    ASSERT_TRUE(cluster.exists(kube::secrets, "default", "below"));
    ASSERT_TRUE(cluster.api.remove(kube::config_maps, top.key()));
    live_long(cluster);
    EXPECT_FALSE(cluster.exists(widgets, "default", "widget"));
    EXPECT_FALSE(cluster.exists(kube::secrets, "default", "below"));
}

TEST(Garbage, a_custom_owner_deleted_in_the_foreground_ends_last) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(definition);
    Object widget = made(cluster, widgets, "widget");
    widget.add_finalizer("foregroundDeletion");
    widget = MUST(cluster.api.update(widgets, widget));
    Object held = Object::of(kube::config_maps, {"default", "held"});
    held.set_controller_owner(widget);
    held.add_finalizer("test/held");
    MUST(cluster.api.create(kube::config_maps, held));
    ASSERT_TRUE(cluster.api.remove(widgets, widget.key()));
    live_long(cluster);
    EXPECT_TRUE(cluster.exists(widgets, "default", "widget"));
    held = cluster.one(kube::config_maps, "default", "held");
    ASSERT_TRUE(held.deleting());
    held.remove_finalizer("test/held");
    MUST(cluster.api.update(kube::config_maps, held));
    live_long(cluster);
    EXPECT_FALSE(cluster.exists(widgets, "default", "widget"));
}

TEST(Garbage, a_secret_outlives_an_owner_that_is_deleted_as_an_orphan) {
    TestCluster cluster;
    cluster.seed_world();
    Object owner = made(cluster, kube::config_maps, "owner");
    made_for(cluster, kube::secrets, "dependent", owner);
    owner.add_finalizer("orphan");
    MUST(cluster.api.update(kube::config_maps, owner));
    ASSERT_TRUE(cluster.api.remove(kube::config_maps, owner.key()));
    live_long(cluster);
    EXPECT_FALSE(cluster.exists(kube::config_maps, "default", "owner"));
    ASSERT_TRUE(cluster.exists(kube::secrets, "default", "dependent"));
    EXPECT_TRUE(cluster.one(kube::secrets, "default", "dependent").owners().empty());
}

// A kind whose definition is gone tells nothing of its objects.
TEST(Garbage, an_owner_of_an_unknown_kind_is_not_judged) {
    TestCluster cluster;
    cluster.seed_world();
    Object widget = Object::of(widgets, {"default", "never"});
    widget.set({"metadata", "uid"}, "1234");
    made_for(cluster, kube::secrets, "dependent", widget);
    live_long(cluster);
    EXPECT_TRUE(cluster.exists(kube::secrets, "default", "dependent"));
}

}  // namespace
}  // namespace weft::controller
