// StatefulSets over a fake API server, with nodes played by the test cluster. EPS-8, DNS-4 (the controller's half).
#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;

constexpr std::string_view quorum = R"(
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: quorum, namespace: default, generation: 1}
spec:
  serviceName: nodes
  replicas: 3
  selector: {matchLabels: {app: quorum}}
  template:
    metadata: {labels: {app: quorum}}
    spec: {containers: [{name: echo, image: "echo:one"}]}
---
apiVersion: v1
kind: Service
metadata: {name: nodes, namespace: default}
spec: {clusterIP: None, selector: {app: quorum}, ports: [{name: http, port: 8080, protocol: TCP}]}
)";

std::vector<std::string> names(TestCluster& cluster) {
    std::vector<std::string> names;
    for (const Object& pod : cluster.all(kube::pods, "default")) names.emplace_back(pod.name());
    return names;
}

std::string image(TestCluster& cluster, const std::string& pod) {
    return std::string(
        json::find_string(cluster.one(kube::pods, "default", pod).array({"spec", "containers"})[0], {"image"}));
}

Object set_of(TestCluster& cluster) { return cluster.one(kube::stateful_sets, "default", "quorum"); }

void change(TestCluster& cluster, const std::function<void(Object&)>& edit) {
    Object set = set_of(cluster);
    edit(set);
    MUST(cluster.api.update(kube::stateful_sets, set));
}

void set_image(Object& set, std::string_view image) {
    set.set({"spec", "template", "spec", "containers"},
            json::Array{json::Object{{"name", "echo"}, {"image", image}}});
}

void live_long(TestCluster& cluster) {
    for (int i = 0; i < 4; ++i) {
        for (Object lease : cluster.all(kube::leases, "kube-node-lease")) {
            lease.set({"spec", "renewTime"}, json::Value(rfc3339_micro(cluster.clock.wall())));
            MUST(cluster.api.update(kube::leases, lease));
        }
        cluster.live();
    }
}

TEST(StatefulSet, makes_its_pods_in_order_with_stable_names_labels_and_hostnames) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(quorum);
    cluster.settle();
    EXPECT_EQ(names(cluster), std::vector<std::string>{"quorum-0"});  // the second waits for the first
    live_long(cluster);
    ASSERT_EQ(names(cluster), (std::vector<std::string>{"quorum-0", "quorum-1", "quorum-2"}));
    const Object pod = cluster.one(kube::pods, "default", "quorum-1");
    EXPECT_EQ(pod.label("statefulset.kubernetes.io/pod-name"), "quorum-1");
    EXPECT_EQ(pod.label("apps.kubernetes.io/pod-index"), "1");
    EXPECT_EQ(pod.label("app"), "quorum");
    EXPECT_EQ(pod.string({"spec", "hostname"}), "quorum-1");
    EXPECT_EQ(pod.string({"spec", "subdomain"}), "nodes");
    EXPECT_EQ(pod.owners().at(0).kind, "StatefulSet");

    const Object set = set_of(cluster);
    for (const char* count : {"replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"})
        EXPECT_EQ(set.integer({"status", count}), 3) << count;
    EXPECT_EQ(set.integer({"status", "observedGeneration"}), set.generation());
    EXPECT_EQ(set.string({"status", "currentRevision"}), set.string({"status", "updateRevision"}));
    EXPECT_EQ(pod.label("controller-revision-hash"), set.string({"status", "currentRevision"}));
}

TEST(StatefulSet, a_name_rests_before_another_pod_has_it) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(quorum);
    live_long(cluster);
    const auto is_there = [&](std::string_view pod) { return bool(cluster.api.get(kube::pods, {"default", std::string(pod)})); };
    MUST(cluster.api.remove(kube::pods, {"default", "quorum-1"}, kube::DeleteOptions{"", "", 0}));
    cluster.brain->run_until_idle();
    EXPECT_FALSE(is_there("quorum-1")) << "who waits for its end by name must be able to see it";
    // Whatever else happens to the set meanwhile.
    change(cluster, [](Object& set) { set.set({"metadata", "annotations", "a"}, json::Value("b")); });
    cluster.clock.advance(std::chrono::milliseconds(400));
    cluster.brain->run_until_idle();
    EXPECT_FALSE(is_there("quorum-1"));
    cluster.clock.advance(std::chrono::milliseconds(100));
    cluster.brain->run_until_idle();
    EXPECT_TRUE(is_there("quorum-1"));
}

// EPS-8
TEST(StatefulSet, gives_each_endpoint_its_hostname) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(quorum);
    live_long(cluster);
    std::set<std::string> hostnames;
    for (const Object& slice : cluster.all(kube::endpoint_slices, "default")) {
        if (slice.label("kubernetes.io/service-name") != "nodes") continue;
        for (const json::Value& endpoint : slice.array({"endpoints"}))
            hostnames.emplace(json::find_string(endpoint, {"hostname"}));
    }
    EXPECT_EQ(hostnames, (std::set<std::string>{"quorum-0", "quorum-1", "quorum-2"}));
}

TEST(StatefulSet, a_deleted_pod_comes_back_under_its_name) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(quorum);
    live_long(cluster);
    const std::string before(cluster.one(kube::pods, "default", "quorum-1").uid());
    ASSERT_TRUE(cluster.api.remove(kube::pods, {"default", "quorum-1"}));
    live_long(cluster);
    EXPECT_NE(cluster.one(kube::pods, "default", "quorum-1").uid(), before);
    EXPECT_EQ(set_of(cluster).integer({"status", "readyReplicas"}), 3);
}

TEST(StatefulSet, shrinks_from_the_highest_ordinal_and_grows_again) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(quorum);
    live_long(cluster);
    change(cluster, [](Object& set) { set.set({"spec", "replicas"}, 1); });
    cluster.settle();
    for (const auto& [name, deleting] : {std::pair("quorum-0", false), {"quorum-1", false}, {"quorum-2", true}})
        EXPECT_EQ(cluster.one(kube::pods, "default", name).deleting(), deleting) << name;
    live_long(cluster);
    EXPECT_EQ(names(cluster), std::vector<std::string>{"quorum-0"});
    change(cluster, [](Object& set) { set.set({"spec", "replicas"}, 2); });
    live_long(cluster);
    EXPECT_EQ(names(cluster), (std::vector<std::string>{"quorum-0", "quorum-1"}));
}

TEST(StatefulSet, rolls_out_from_the_highest_ordinal_and_stops_at_the_partition) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(quorum);
    live_long(cluster);
    change(cluster, [](Object& set) {
        set_image(set, "echo:two");
        set.set({"spec", "updateStrategy"},
                json::Object{{"type", "RollingUpdate"}, {"rollingUpdate", json::Object{{"partition", 2}}}});
    });
    live_long(cluster);
    EXPECT_EQ(image(cluster, "quorum-2"), "echo:two");
    EXPECT_EQ(image(cluster, "quorum-1"), "echo:one");
    EXPECT_EQ(set_of(cluster).integer({"status", "updatedReplicas"}), 1);
    EXPECT_EQ(set_of(cluster).integer({"status", "currentReplicas"}), 2);

    // A pod below the partition that is deleted comes back as it was.
    ASSERT_TRUE(cluster.api.remove(kube::pods, {"default", "quorum-0"}));
    live_long(cluster);
    EXPECT_EQ(image(cluster, "quorum-0"), "echo:one");

    change(cluster, [](Object& set) { set.set({"spec", "updateStrategy", "rollingUpdate", "partition"}, 0); });
    live_long(cluster);
    for (const char* name : {"quorum-0", "quorum-1", "quorum-2"}) EXPECT_EQ(image(cluster, name), "echo:two") << name;
    const Object set = set_of(cluster);
    EXPECT_EQ(set.string({"status", "currentRevision"}), set.string({"status", "updateRevision"}));
    EXPECT_EQ(cluster.all(kube::controller_revisions, "default").size(), 2u);

    change(cluster, [](Object& set) { set_image(set, "echo:one"); });  // back: the old revision, renumbered
    live_long(cluster);
    EXPECT_EQ(image(cluster, "quorum-0"), "echo:one");
    ASSERT_EQ(cluster.all(kube::controller_revisions, "default").size(), 2u);
    const std::string now(set_of(cluster).string({"status", "updateRevision"}));
    EXPECT_EQ(cluster.one(kube::controller_revisions, "default", now).integer({"revision"}), 3);
}

TEST(StatefulSet, on_delete_leaves_the_replacing_to_the_user) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(quorum);
    live_long(cluster);
    change(cluster, [](Object& set) {
        set_image(set, "echo:two");
        set.set({"spec", "updateStrategy"}, json::Object{{"type", "OnDelete"}});
    });
    live_long(cluster);
    EXPECT_EQ(image(cluster, "quorum-2"), "echo:one");
    ASSERT_TRUE(cluster.api.remove(kube::pods, {"default", "quorum-1"}));
    live_long(cluster);
    EXPECT_EQ(image(cluster, "quorum-1"), "echo:two");
    EXPECT_EQ(image(cluster, "quorum-0"), "echo:one");
}

TEST(StatefulSet, keeps_as_many_old_revisions_as_it_is_told) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(quorum);
    live_long(cluster);
    change(cluster, [](Object& set) { set.set({"spec", "revisionHistoryLimit"}, 1); });
    for (const char* next : {"echo:two", "echo:three", "echo:four"}) {
        change(cluster, [next](Object& set) { set_image(set, next); });
        live_long(cluster);
        EXPECT_EQ(image(cluster, "quorum-0"), next);
    }
    EXPECT_EQ(cluster.all(kube::controller_revisions, "default").size(), 2u);
}

TEST(StatefulSet, claims_are_refused_on_the_object_and_nothing_is_made) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(quorum);
    change(cluster, [](Object& set) {
        set.set({"spec", "volumeClaimTemplates"},
                json::Array{json::Object{{"metadata", json::Object{{"name", "data"}}}}});
    });
    cluster.live();
    EXPECT_TRUE(names(cluster).empty());
    ASSERT_FALSE(cluster.events_on("quorum").empty());
    EXPECT_TRUE(cluster.events_on("quorum")[0].starts_with("VolumeClaimTemplatesNotSupported"));
}

TEST(StatefulSet, goes_with_its_pods_and_revisions) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(quorum);
    live_long(cluster);
    ASSERT_TRUE(cluster.api.remove(kube::stateful_sets, {"default", "quorum"}));
    live_long(cluster);
    EXPECT_TRUE(names(cluster).empty());
    EXPECT_TRUE(cluster.all(kube::controller_revisions, "default").empty());
}

// A kill between any two writes of a rollout: the next controller ends at the same place.
TEST(StatefulSet, a_controller_killed_between_any_two_writes_finishes_the_rollout) {
    for (int writes = 0; writes < 14; ++writes) {
        TestCluster cluster;
        cluster.seed_world();
        cluster.api.seed(quorum);
        live_long(cluster);
        change(cluster, [](Object& set) { set_image(set, "echo:two"); });
        cluster.crash_after(writes);
        live_long(cluster);
        cluster.restart();
        live_long(cluster);
        ASSERT_EQ(names(cluster), (std::vector<std::string>{"quorum-0", "quorum-1", "quorum-2"})) << writes;
        for (const char* name : {"quorum-0", "quorum-1", "quorum-2"})
            ASSERT_EQ(image(cluster, name), "echo:two") << name << " after " << writes << " writes";
        ASSERT_EQ(cluster.all(kube::controller_revisions, "default").size(), 2u);
        const Object set = set_of(cluster);
        ASSERT_EQ(set.string({"status", "currentRevision"}), set.string({"status", "updateRevision"}));
    }
}

}  // namespace
}  // namespace weft::controller
