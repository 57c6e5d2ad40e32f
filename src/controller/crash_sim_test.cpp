// The controller is killed between any two of its writes, in a world where a Deployment comes up, is scaled and rolled,
// Services get and give back addresses, and a VPC comes and goes. Whatever the moment, the next controller ends in the
// same state.
#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;

constexpr std::string_view objects = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: echo, image: "echo:demo"}]}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: default},
  spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: shop, namespace: default},
  spec: {ingressClassName: weft}}
---
{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-blue}, spec: {cidrBlock: 10.0.0.0/16}}
)";

void change_everything(TestCluster& cluster) {
    Object deployment = cluster.one(kube::deployments, "default", "web");
    deployment.set({"spec", "replicas"}, 3);
    deployment.set({"spec", "template", "spec", "containers"},
                   json::Array{json::Object{{"name", "echo"}, {"image", "echo:two"}}});
    MUST(cluster.api.update(kube::deployments, deployment));
    (void)cluster.api.remove(kube::vpcs, {"", "vpc-blue"});
    cluster.api.seed(
        "{apiVersion: v1, kind: Service, metadata: {name: late, namespace: default}, spec: {type: LoadBalancer, ports: "
        "[{port: 80}]}}");
}

// Holds at every moment.
void check_always(TestCluster& cluster) {
    std::set<std::string> addresses;
    for (const Object& pool : cluster.all(kube::address_pools)) {
        for (const json::Value& allocation : pool.array({"status", "allocations"}))
            EXPECT_TRUE(addresses.insert(std::string(json::find_string(allocation, {"address"}))).second);
    }
    for (const Object& service : cluster.all(kube::services)) {
        for (const json::Value& entry : service.array({"status", "loadBalancer", "ingress"}))
            EXPECT_TRUE(addresses.contains(std::string(json::find_string(entry, {"ip"}))))
                << "shown before it was entered";
    }
    std::vector<net::Prefix> lent;
    for (const Object& block : cluster.all(kube::address_blocks)) {
        const net::Prefix cidr = MUST(net::Prefix::parse(block.string({"spec", "cidr"})));
        for (const net::Prefix& other : lent) EXPECT_FALSE(cidr.overlaps(other));
        lent.push_back(cidr);
    }
    std::set<int64_t> numbers;
    for (const Object& vpc : cluster.all(kube::vpcs)) {
        const int64_t vni = vpc.integer({"status", "vni"});
        EXPECT_TRUE(vni == 0 || numbers.insert(vni).second);
    }
    EXPECT_LE(cluster.all(kube::pods).size(), 5u);  // 3 + surge, and one on its way out
}

void check_end(TestCluster& cluster) {
    check_always(cluster);
    EXPECT_EQ(cluster.all(kube::pods).size(), 3u);
    for (const Object& pod : cluster.all(kube::pods)) {
        EXPECT_EQ(json::find_string(pod.array({"spec", "containers"})[0], {"image"}), "echo:two");
        EXPECT_TRUE(is_ready(pod));
        EXPECT_FALSE(pod.annotation("network.alibabacloud.com/vswitch-id").empty());
    }
    EXPECT_EQ(cluster.one(kube::deployments, "default", "web").integer({"status", "availableReplicas"}), 3);
    EXPECT_FALSE(cluster.exists(kube::vpcs, "", "vpc-blue"));
    EXPECT_EQ(cluster.one(kube::address_pools, "", "pool-demo").integer({"status", "used"}), 3);
    for (const char* name : {"web", "late"})
        EXPECT_EQ(cluster.one(kube::services, "default", name).array({"status", "loadBalancer", "ingress"}).size(), 1u)
            << name;
    EXPECT_EQ(cluster.one(kube::ingresses, "default", "shop").array({"status", "loadBalancer", "ingress"}).size(), 1u);
    size_t endpoints = 0;
    for (const Object& slice : cluster.all(kube::endpoint_slices, "default")) {
        if (slice.label("kubernetes.io/service-name") == "web") endpoints += slice.array({"endpoints"}).size();
    }
    EXPECT_EQ(endpoints, 3u);
}

// One life with a kill after `writes` writes in the given phase; the number of writes that phase took when it lived.
int play(int phase_to_kill, int writes) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(objects);
    int spent = 0;
    for (int phase = 0; phase < 2; ++phase) {
        if (phase == 1) change_everything(cluster);
        const int before = cluster.client->writes;
        if (phase == phase_to_kill) {
            cluster.crash_after(writes);
            cluster.live();
            spent = cluster.client->writes - before;
            check_always(cluster);
            cluster.restart();
        }
        for (int written = -1; written != cluster.client->writes;) {
            written = cluster.client->writes;
            cluster.live();
        }
    }
    check_end(cluster);
    return spent;
}

TEST(CrashSim, a_kill_between_any_two_writes_changes_nothing_in_the_end) {
    for (int phase = 0; phase < 2; ++phase) {
        int last = 0;
        for (int writes = 0;; ++writes) {
            last = play(phase, writes);
            if (::testing::Test::HasFailure()) FAIL() << "killed after " << writes << " writes of phase " << phase;
            if (last < writes) break;  // it lived to the end
        }
        EXPECT_GT(last, 30);
    }
}

TEST(CrashSim, a_restart_over_unchanged_objects_writes_nothing) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(objects);
    for (int i = 0; i < 4; ++i) cluster.live();
    cluster.restart();
    cluster.settle();
    EXPECT_EQ(cluster.client->writes, 0);
}

}  // namespace
}  // namespace weft::controller
