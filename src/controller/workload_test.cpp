#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;

constexpr std::string_view web = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: echo, image: "echo:demo", ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 172.21.0.2, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http, protocol: TCP}]}
)";

size_t endpoints_of(TestCluster& cluster, std::string_view service) {
    size_t n = 0;
    for (const Object& slice : cluster.all(kube::endpoint_slices, "default")) {
        if (slice.label("kubernetes.io/service-name") == service) n += slice.array({"endpoints"}).size();
    }
    return n;
}

TEST(Workload, a_deployment_becomes_ready_pods_and_endpoints) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(web);
    cluster.live();
    const auto sets = cluster.all(kube::replica_sets, "default");
    ASSERT_EQ(sets.size(), 1u);
    EXPECT_TRUE(sets[0].name().starts_with("web-"));
    EXPECT_EQ(sets[0].annotation("deployment.kubernetes.io/revision"), "1");
    EXPECT_EQ(sets[0].integer({"status", "availableReplicas"}), 3);
    const auto pods = cluster.all(kube::pods, "default");
    ASSERT_EQ(pods.size(), 3u);
    for (const Object& pod : pods) {
        EXPECT_EQ(pod.label("pod-template-hash"), sets[0].label("pod-template-hash"));
        EXPECT_EQ(pod.owners().at(0).uid, sets[0].uid());
    }
    const Object deployment = cluster.one(kube::deployments, "default", "web");
    EXPECT_EQ(deployment.integer({"status", "readyReplicas"}), 3);
    EXPECT_EQ(deployment.integer({"status", "updatedReplicas"}), 3);
    EXPECT_EQ(deployment.integer({"status", "observedGeneration"}), deployment.generation());
    EXPECT_TRUE(kube::condition_is(deployment, "Available", "True"));
    EXPECT_EQ(json::find_string(*kube::find_condition(deployment, "Progressing"), {"reason"}),
              "NewReplicaSetAvailable");
    EXPECT_EQ(endpoints_of(cluster, "web"), 3u);
}

TEST(Workload, scaling_a_deployment_adds_and_removes_pods) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(web);
    cluster.live();
    for (const int replicas : {5, 1, 0, 2}) {
        MUST(cluster.api.patch(kube::deployments, {"default", "web"}, kube::PatchType::merge,
                               json::Object{{"spec", json::Object{{"replicas", replicas}}}}));
        cluster.live();
        EXPECT_EQ(cluster.all(kube::pods, "default").size(), size_t(replicas));
        EXPECT_EQ(endpoints_of(cluster, "web"), size_t(replicas));
    }
    EXPECT_EQ(cluster.all(kube::replica_sets, "default").size(), 1u);
}

TEST(Workload, a_new_template_rolls_through_a_second_replica_set_and_going_back_uses_the_first_again) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(web);
    cluster.live();
    const std::string first(cluster.all(kube::replica_sets, "default")[0].name());
    const auto set_image = [&](std::string_view image) {
        Object deployment = cluster.one(kube::deployments, "default", "web");
        deployment.set({"spec", "template", "spec", "containers"},
                       json::Array{json::Object{{"name", "echo"}, {"image", image}}});
        MUST(cluster.api.update(kube::deployments, deployment));
    };
    set_image("echo:two");
    for (int i = 0; i < 4; ++i) cluster.live();
    ASSERT_EQ(cluster.all(kube::replica_sets, "default").size(), 2u);
    EXPECT_EQ(cluster.one(kube::replica_sets, "default", first).integer({"spec", "replicas"}), 0);
    EXPECT_EQ(cluster.one(kube::deployments, "default", "web").annotation("deployment.kubernetes.io/revision"), "2");
    for (const Object& pod : cluster.all(kube::pods, "default"))
        EXPECT_EQ(json::find_string(pod.array({"spec", "containers"})[0], {"image"}), "echo:two");

    Object back = cluster.one(kube::deployments, "default", "web");
    Object old = cluster.one(kube::replica_sets, "default", first);
    json::Value previous = *old.find({"spec", "template"});
    json::erase(previous, {"metadata", "labels", "pod-template-hash"});
    back.set({"spec", "template"}, previous);
    MUST(cluster.api.update(kube::deployments, back));
    for (int i = 0; i < 4; ++i) cluster.live();
    EXPECT_EQ(cluster.all(kube::replica_sets, "default").size(), 2u);
    EXPECT_EQ(cluster.one(kube::replica_sets, "default", first).integer({"spec", "replicas"}), 3);
    EXPECT_EQ(cluster.one(kube::replica_sets, "default", first).annotation("deployment.kubernetes.io/revision"), "3");
}

TEST(Workload, a_deleted_pod_is_replaced_and_a_deleted_deployment_takes_everything_with_it) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(web);
    cluster.live();
    const auto before = cluster.all(kube::pods, "default");
    ASSERT_TRUE(cluster.api.remove(kube::pods, before[0].key()));
    cluster.live();
    EXPECT_EQ(cluster.all(kube::pods, "default").size(), 3u);
    EXPECT_FALSE(cluster.exists(kube::pods, "default", std::string(before[0].name())));

    ASSERT_TRUE(cluster.api.remove(kube::deployments, {"default", "web"}));
    ASSERT_TRUE(cluster.api.remove(kube::services, {"default", "web"}));
    cluster.live();
    cluster.live();
    EXPECT_TRUE(cluster.all(kube::replica_sets, "default").empty());
    EXPECT_TRUE(cluster.all(kube::pods, "default").empty());
    EXPECT_EQ(cluster.all(kube::endpoint_slices, "default").size(), 1u);  // kubernetes
}

TEST(Workload, an_orphaning_delete_keeps_the_dependents) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(web);
    cluster.live();
    Object deployment = cluster.one(kube::deployments, "default", "web");
    deployment.add_finalizer("orphan");  // what a delete with propagationPolicy Orphan leaves
    MUST(cluster.api.update(kube::deployments, deployment));
    ASSERT_TRUE(cluster.api.remove(kube::deployments, {"default", "web"}));
    cluster.live();
    EXPECT_FALSE(cluster.exists(kube::deployments, "default", "web"));
    ASSERT_EQ(cluster.all(kube::replica_sets, "default").size(), 1u);
    EXPECT_TRUE(cluster.all(kube::replica_sets, "default")[0].owners().empty());
    EXPECT_EQ(cluster.all(kube::pods, "default").size(), 3u);
}

TEST(Workload, a_foreground_delete_ends_the_owner_last) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(R"(
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: rs, namespace: default, finalizers: [foregroundDeletion]}
spec: {replicas: 2, selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {containers: []}}}
)");
    cluster.live();
    ASSERT_TRUE(cluster.api.remove(kube::replica_sets, {"default", "rs"}));
    cluster.settle();
    EXPECT_TRUE(cluster.exists(kube::replica_sets, "default", "rs"));  // its pods are given their time
    for (const Object& pod : cluster.all(kube::pods, "default")) EXPECT_TRUE(pod.deleting());
    cluster.live();
    EXPECT_FALSE(cluster.exists(kube::replica_sets, "default", "rs"));
    EXPECT_TRUE(cluster.all(kube::pods, "default").empty());
}

TEST(Workload, a_namespace_has_its_account_and_ends_after_its_contents) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.world->root_ca_pem = "PEM";
    cluster.api.seed(
        "{apiVersion: v1, kind: Namespace, metadata: {name: team, finalizers: [test/held]}, spec: {finalizers: "
        "[kubernetes]}}");
    cluster.settle();
    EXPECT_TRUE(cluster.exists(kube::service_accounts, "team", "default"));
    EXPECT_EQ(cluster.one(kube::config_maps, "team", "kube-root-ca.crt").string({"data", "ca.crt"}), "PEM");
    cluster.api.seed("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: team}, spec: {containers: []}}");
    cluster.api.seed("{apiVersion: v1, kind: ConfigMap, metadata: {name: held, namespace: team, finalizers: [test/x]}}");
    cluster.live();
    ASSERT_TRUE(cluster.api.remove(kube::namespaces, {"", "team"}));
    cluster.settle();
    ASSERT_TRUE(cluster.exists(kube::namespaces, "", "team"));
    EXPECT_EQ(cluster.one(kube::namespaces, "", "team").string({"status", "phase"}), "Terminating");
    // API-97
    const kube::Object ending = cluster.one(kube::namespaces, "", "team");
    for (const char* type : {"NamespaceDeletionDiscoveryFailure", "NamespaceDeletionGroupVersionParsingFailure",
                             "NamespaceDeletionContentFailure"})
        EXPECT_TRUE(kube::condition_is(ending, type, "False")) << type;
    for (const char* type : {"NamespaceContentRemaining", "NamespaceFinalizersRemaining"})
        EXPECT_TRUE(kube::condition_is(ending, type, "True")) << type;
    EXPECT_NE(json::serialize(ending.body()).find("test/x in 1 resource instances"), std::string::npos);
    ASSERT_TRUE(cluster.api.patch(kube::config_maps, {"team", "held"}, kube::PatchType::merge,
                                  json::Object{{"metadata", json::Object{{"finalizers", nullptr}}}}));
    cluster.live();
    cluster.live();
    EXPECT_FALSE(cluster.exists(kube::namespaces, "", "team"));
    EXPECT_TRUE(cluster.all(kube::config_maps, "team").empty());
}

TEST(Workload, the_system_namespaces_exist) {
    TestCluster cluster;
    cluster.settle();
    for (const char* name : {"default", "kube-system", "kube-public", "kube-node-lease"})
        EXPECT_TRUE(cluster.exists(kube::namespaces, "", name));
}

}  // namespace
}  // namespace weft::controller
