#include <fmt/format.h>
#include <gtest/gtest.h>

#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;

std::string service(std::string_view name, std::string_view more_metadata = "", std::string_view more_spec = "") {
    return fmt::format(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {}, namespace: default{}}}, spec: {{type: LoadBalancer, "
        "selector: {{app: x}}, ports: [{{port: 80}}]{}}}}}",
        name, more_metadata, more_spec);
}

std::string address(const Object& service) {
    const json::Array& ingress = service.array({"status", "loadBalancer", "ingress"});
    return ingress.empty() ? "" : std::string(json::find_string(ingress[0], {"ip"}));
}

TEST(LoadBalancer, a_service_gets_the_lowest_address_the_finalizer_the_label_and_its_events) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service("one"));
    cluster.api.seed(service("two"));
    cluster.settle();
    const Object one = cluster.one(kube::services, "default", "one");
    EXPECT_EQ(address(one), "203.0.113.64");
    EXPECT_EQ(address(cluster.one(kube::services, "default", "two")), "203.0.113.65");
    EXPECT_TRUE(one.has_finalizer("service.k8s.alibaba/resources"));
    const std::string id(one.label("service.k8s.alibaba/loadbalancer-id"));
    EXPECT_TRUE(id.starts_with("lb-"));
    EXPECT_EQ(cluster.events_on("one").size(), 2u);
    const auto events = cluster.events_on("one");
    EXPECT_NE(std::find(events.begin(), events.end(), "EnsuringLoadBalancer: Ensuring load balancer"), events.end());
    EXPECT_NE(std::find(events.begin(), events.end(), "EnsuredLoadBalancer: Ensured load balancer [" + id + "]"),
              events.end());
    const Object pool = cluster.one(kube::address_pools, "", "pool-demo");
    EXPECT_EQ(pool.integer({"status", "total"}), 16);
    EXPECT_EQ(pool.integer({"status", "used"}), 2);
    EXPECT_EQ(json::find_string(pool.array({"status", "allocations"})[0], {"uid"}), one.uid());
}

TEST(LoadBalancer, the_address_comes_back_when_the_service_goes_or_changes_its_type) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service("one"));
    cluster.api.seed(service("two"));
    cluster.settle();
    ASSERT_TRUE(cluster.api.remove(kube::services, {"default", "one"}));
    Object two = cluster.one(kube::services, "default", "two");
    two.set({"spec", "type"}, "ClusterIP");
    MUST(cluster.api.update(kube::services, two));
    cluster.settle();
    EXPECT_FALSE(cluster.exists(kube::services, "default", "one"));
    two = cluster.one(kube::services, "default", "two");
    EXPECT_EQ(address(two), "");
    EXPECT_FALSE(two.has_finalizer("service.k8s.alibaba/resources"));
    EXPECT_TRUE(two.label("service.k8s.alibaba/loadbalancer-id").empty());
    EXPECT_EQ(cluster.one(kube::address_pools, "", "pool-demo").integer({"status", "used"}), 0);
}

TEST(LoadBalancer, losing_the_last_backend_is_said_and_the_address_stays) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service("one"));
    cluster.api.seed(
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default, labels: {app: x}}, spec: {}}");
    cluster.live();
    const auto has_event = [&] {
        const auto events = fmt::format("{}", fmt::join(cluster.events_on("one"), "\n"));
        return events.find("UnAvailableLoadBalancer") != std::string::npos;
    };
    EXPECT_FALSE(has_event());
    ASSERT_TRUE(cluster.api.remove(kube::pods, {"default", "p"}));
    cluster.live();
    EXPECT_TRUE(has_event());
    EXPECT_EQ(address(cluster.one(kube::services, "default", "one")), "203.0.113.64");
}

TEST(LoadBalancer, a_pool_with_addresses_in_use_stays_and_says_who_uses_it) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service("one"));
    cluster.settle();
    ASSERT_TRUE(cluster.api.remove(kube::address_pools, {"", "pool-demo"}));
    cluster.settle();
    const Object pool = cluster.one(kube::address_pools, "", "pool-demo");
    EXPECT_EQ(json::find_string(*kube::find_condition(pool, "Ready"), {"message"}),
              "deletion waits: used by Service one");
    ASSERT_TRUE(cluster.api.remove(kube::services, {"default", "one"}));
    cluster.settle();
    EXPECT_FALSE(cluster.exists(kube::address_pools, "", "pool-demo"));
}

TEST(LoadBalancer, a_foreign_class_is_left_untouched) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service("a", "", ", loadBalancerClass: example.com/other"));
    cluster.api.seed(service("b", ", annotations: {service.beta.kubernetes.io/class: mine}"));
    const Object before = cluster.one(kube::services, "default", "a");
    cluster.settle();
    EXPECT_EQ(cluster.one(kube::services, "default", "a"), before);
    EXPECT_EQ(address(cluster.one(kube::services, "default", "b")), "");
    EXPECT_TRUE(cluster.events_on("a").empty());
}

// SVC-70
TEST(LoadBalancer, our_own_class_is_served_like_none) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service("a", "", ", loadBalancerClass: weft.dev/load-balancer"));
    cluster.settle();
    EXPECT_EQ(address(cluster.one(kube::services, "default", "a")), "203.0.113.64");
}

bool has_event(TestCluster& cluster, std::string_view name, std::string_view text) {
    for (const std::string& event : cluster.events_on(name))
        if (event.starts_with(text)) return true;
    return false;
}

int64_t times(TestCluster& cluster, std::string_view reason) {
    int64_t times = 0;
    for (const Object& event : cluster.all(kube::events))
        if (event.string({"reason"}) == reason) times += std::max<int64_t>(1, event.integer({"count"}));
    return times;
}

TEST(LoadBalancer, SVC_71_a_failure_is_an_event_leaves_the_status_and_is_tried_again_ever_more_slowly) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(
        service("odd", ", annotations: {service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type: Internet}"));
    cluster.settle();
    const Object before = cluster.one(kube::services, "default", "odd");
    EXPECT_TRUE(before.has_finalizer("service.k8s.alibaba/resources")) << "before anything is made";
    EXPECT_EQ(address(before), "");
    std::vector<int> tried;  // at which second
    for (int second = 0; second < 1500; ++second) {
        const int64_t before_it = times(cluster, "SyncLoadBalancerFailed");
        cluster.clock.advance(std::chrono::seconds(1));
        cluster.brain->run_until_idle();
        if (times(cluster, "SyncLoadBalancerFailed") > before_it) tried.push_back(second);
    }
    ASSERT_GE(tried.size(), 6u);
    for (size_t i = 2; i < tried.size(); ++i)
        EXPECT_EQ(tried[i] - tried[i - 1], std::min(300, 2 * (tried[i - 1] - tried[i - 2]))) << "twice as long, 300 s at the most";
    EXPECT_EQ(cluster.one(kube::services, "default", "odd"), before);
    Object right = before;
    json::erase(right.body(), {"metadata", "annotations"});
    MUST(cluster.api.update(kube::services, right));
    cluster.settle();
    EXPECT_EQ(address(cluster.one(kube::services, "default", "odd")), "203.0.113.64") << "a change is looked at at once";
}

TEST(LoadBalancer, SVC_71_72_leaving_the_type_takes_away_what_was_made_and_tells) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service("one"));
    cluster.settle();
    Object one = cluster.one(kube::services, "default", "one");
    EXPECT_EQ(json::serialize(one.array({"status", "loadBalancer", "ingress"})), R"([{"ip":"203.0.113.64","ipMode":"VIP"}])");
    one.set({"spec", "type"}, "NodePort");
    MUST(cluster.api.update(kube::services, one));
    cluster.settle();
    one = cluster.one(kube::services, "default", "one");
    EXPECT_TRUE(one.array({"status", "loadBalancer", "ingress"}).empty());
    EXPECT_FALSE(one.has_finalizer("service.k8s.alibaba/resources"));
    for (const std::string_view event : {"EnsuringLoadBalancer: ", "EnsuredLoadBalancer: ", "DeletingLoadBalancer: ",
                                         "DeletedLoadBalancer: ", "CleanLoadBalancer: "})
        EXPECT_TRUE(has_event(cluster, "one", event)) << event;
    one.set({"spec", "type"}, "LoadBalancer");
    MUST(cluster.api.update(kube::services, one));
    cluster.settle();
    EXPECT_EQ(address(cluster.one(kube::services, "default", "one")), "203.0.113.64") << "and back";
}

TEST(LoadBalancer, SVC_74_both_protocols_stand_in_one_balancer_and_one_that_cannot_be_is_said_of_its_port) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service("dns"));
    Object dns = cluster.one(kube::services, "default", "dns");
    dns.set({"spec", "ports"}, json::Array{json::Object{{"name", "u"}, {"port", 53}, {"protocol", "UDP"}},
                                           json::Object{{"name", "t"}, {"port", 53}, {"protocol", "TCP"}}});
    MUST(cluster.api.update(kube::services, dns));
    cluster.settle();
    dns = cluster.one(kube::services, "default", "dns");
    EXPECT_EQ(address(dns), "203.0.113.64");
    EXPECT_EQ(kube::find_condition(dns, "LoadBalancerPortsError"), nullptr);
    json::Array ports = dns.array({"spec", "ports"});
    ports.push_back(json::Object{{"name", "s"}, {"port", 54}, {"protocol", "SCTP"}});
    dns.set({"spec", "ports"}, std::move(ports));
    MUST(cluster.api.update(kube::services, dns));
    cluster.settle();
    dns = cluster.one(kube::services, "default", "dns");
    EXPECT_EQ(address(dns), "203.0.113.64");
    EXPECT_TRUE(kube::condition_is(dns, "LoadBalancerPortsError", "True"));
    EXPECT_EQ(json::find_string(*kube::find_condition(dns, "LoadBalancerPortsError"), {"message"}), "not served: 54/SCTP");
    const json::Value& shown = dns.array({"status", "loadBalancer", "ingress"})[0];
    EXPECT_EQ(json::serialize(*json::find(shown, {"ports"})),
              R"([{"port":53,"protocol":"UDP"},{"port":53,"protocol":"TCP"},{"port":54,"protocol":"SCTP","error":"ProtocolNotSupported"}])");
    EXPECT_TRUE(has_event(cluster, "dns", "UpdatedLoadBalancer: ")) << "SVC-72";
    dns.set({"spec", "ports"}, json::Array{json::Object{{"port", 53}, {"protocol", "UDP"}}});
    MUST(cluster.api.update(kube::services, dns));
    cluster.settle();
    dns = cluster.one(kube::services, "default", "dns");
    EXPECT_TRUE(kube::condition_is(dns, "LoadBalancerPortsError", "False"));
    EXPECT_FALSE(json::has(dns.array({"status", "loadBalancer", "ingress"})[0], {"ports"}));
}

TEST(LoadBalancer, what_cannot_be_given_is_an_event_that_names_the_annotation_or_the_pool) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service(
        "inner", ", annotations: {service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type: intranet}"));
    cluster.api.seed(
        service("odd", ", annotations: {service.beta.kubernetes.io/alicloud-loadbalancer-address-type: Internet}"));
    for (int i = 0; i < 17; ++i) cluster.api.seed(service(fmt::format("s{:02}", i)));
    cluster.settle();
    const std::string field =
        "metadata.annotations[service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type]: ";
    const auto inner = fmt::format("{}", fmt::join(cluster.events_on("inner"), "\n"));
    EXPECT_NE(inner.find(field + "intranet is not offered"), std::string::npos) << inner;
    const auto odd = fmt::format("{}", fmt::join(cluster.events_on("odd"), "\n"));
    EXPECT_NE(odd.find(field + "Internet: must be internet or intranet"), std::string::npos) << odd;
    const auto last = fmt::format("{}", fmt::join(cluster.events_on("s16"), "\n"));
    EXPECT_NE(last.find("no free address in pool pool-demo"), std::string::npos) << last;
    // Room comes: the waiting Service is served without being touched.
    ASSERT_TRUE(cluster.api.remove(kube::services, {"default", "s03"}));
    cluster.settle();
    EXPECT_EQ(address(cluster.one(kube::services, "default", "s16")), "203.0.113.67");
}

TEST(LoadBalancer, a_pool_of_the_vpc_comes_before_the_shared_one_and_serves_nobody_else) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(R"(
{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-blue}, spec: {cidrBlock: 10.0.0.0/16}}
---
{apiVersion: weft.dev/v1, kind: AddressPool, metadata: {name: a-blue}, spec: {vpc: vpc-blue, cidrs: [203.0.113.96/32]}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: blue, annotations: {weft.dev/vpc: vpc-blue}}}
---
{apiVersion: v1, kind: Service, metadata: {name: s1, namespace: blue}, spec: {type: LoadBalancer}}
---
{apiVersion: v1, kind: Service, metadata: {name: s2, namespace: blue}, spec: {type: LoadBalancer}}
)");
    cluster.api.seed(service("mine"));
    cluster.settle();
    EXPECT_EQ(address(cluster.one(kube::services, "blue", "s1")), "203.0.113.96");
    EXPECT_TRUE(address(cluster.one(kube::services, "blue", "s2")).starts_with("203.0.113.6"));
    EXPECT_TRUE(address(cluster.one(kube::services, "default", "mine")).starts_with("203.0.113.6"));
}

TEST(LoadBalancer, a_lost_ledger_is_written_again_from_what_the_services_show) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service("one"));
    cluster.api.seed(service("two"));
    cluster.settle();
    Object pool = cluster.one(kube::address_pools, "", "pool-demo");
    pool.set({"status"}, json::Object{});
    MUST(cluster.api.update_status(kube::address_pools, pool));
    cluster.restart();
    cluster.api.seed(service("three"));
    cluster.settle();
    EXPECT_EQ(address(cluster.one(kube::services, "default", "one")), "203.0.113.64");
    EXPECT_EQ(address(cluster.one(kube::services, "default", "two")), "203.0.113.65");
    EXPECT_EQ(address(cluster.one(kube::services, "default", "three")), "203.0.113.66");
    EXPECT_EQ(cluster.one(kube::address_pools, "", "pool-demo").integer({"status", "used"}), 3);
}

std::string addresses(const Object& service) {
    std::string text;
    for (const json::Value& entry : service.array({"status", "loadBalancer", "ingress"}))
        text += std::string(json::find_string(entry, {"ip"})) + " ";
    return text;
}

TEST(LoadBalancer, a_service_of_two_families_gets_an_address_of_each_and_gives_the_second_back) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service("two", "", ", ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4, IPv6]"));
    cluster.api.seed(service("must", "", ", ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6, IPv4]"));
    cluster.settle();
    const std::string first = addresses(cluster.one(kube::services, "default", "two"));
    EXPECT_TRUE(first.starts_with("203.0.113.6")) << "no pool has IPv6: it goes without: " << first;
    EXPECT_EQ(addresses(cluster.one(kube::services, "default", "must")), "") << "one that requires both waits";
    cluster.api.seed(
        "{apiVersion: weft.dev/v1, kind: AddressPool, metadata: {name: six}, spec: {cidrs: ['2001:db8:113::40/124']}}");
    cluster.settle();
    cluster.clock.advance(std::chrono::seconds(6));
    cluster.settle();
    Object two = cluster.one(kube::services, "default", "two");
    const Object must = cluster.one(kube::services, "default", "must");
    EXPECT_TRUE(addresses(two).starts_with(first + "2001:db8:113::4")) << addresses(two);
    EXPECT_TRUE(addresses(must).starts_with("2001:db8:113::4")) << addresses(must);
    EXPECT_NE(addresses(must).find(" 203.0.113.6"), std::string::npos);
    EXPECT_EQ(cluster.one(kube::address_pools, "", "six").integer({"status", "used"}), 2);
    two.set({"spec", "ipFamilyPolicy"}, "SingleStack");
    two.set({"spec", "ipFamilies"}, json::Array{"IPv4"});
    MUST(cluster.api.update(kube::services, two));
    cluster.settle();
    EXPECT_EQ(addresses(cluster.one(kube::services, "default", "two")), first);
    EXPECT_EQ(cluster.one(kube::address_pools, "", "six").integer({"status", "used"}), 1);
}

}  // namespace
}  // namespace weft::controller
