// Services and what the controller makes of them, over a whole controller: when slices are written and what they say of
// it (EPS-9, EPS-13), the old Endpoints read and written (EPS-11, EPS-14), what waits for a Service's address (SVC-50).
#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "controller/endpoints.h"
#include "controller/node_fit.h"
#include "controller/test_cluster.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;

std::string service_yaml(std::string_view name, std::string_view spec) {
    return fmt::format(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {}, namespace: default, labels: {{tier: front}}}}, spec: "
        "{}}}",
        name, spec);
}

std::string web() {
    return service_yaml(
        "web", "{clusterIP: 172.21.0.20, selector: {app: x}, ports: [{name: http, port: 80, targetPort: 8080}]}");
}

void add_pod(TestCluster& cluster, std::string_view name, std::string_view address, bool ready = true) {
    cluster.api.seed(
        fmt::format("{{apiVersion: v1, kind: Pod, metadata: {{name: {}, namespace: default, labels: {{app: x}}}}, "
                    "spec: {{nodeName: node-1, containers: []}}, "
                    "status: {{phase: Running, podIP: {}, conditions: [{{type: Ready, status: '{}'}}]}}}}",
                    name, address, ready ? "True" : "False"));
}

std::vector<Object> slices_of(TestCluster& cluster, std::string_view service, std::string_view manager) {
    std::vector<Object> found;
    for (Object& slice : cluster.all(kube::endpoint_slices, "default"))
        if (slice.label(service_name_label) == service && slice.label(managed_by_label) == manager)
            found.push_back(std::move(slice));
    std::sort(found.begin(), found.end(), [](const Object& a, const Object& b) {
        return a.string({"addressType"}) < b.string({"addressType"});
    });
    return found;
}

std::string subsets(TestCluster& cluster, std::string_view name) {
    const auto found = cluster.api.get(endpoints_resource, {"default", std::string(name)});
    if (!found) return "none";
    return json::serialize(found->array({"subsets"}));
}

// A second and more, so that what is in no hurry is written too.
void wait(TestCluster& cluster) {
    for (int i = 0; i < 4; ++i) cluster.settle();
}

TEST(Slices, EPS9_a_slice_says_when_the_change_was_heard_that_it_shows) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(web());
    cluster.settle();
    cluster.clock.advance(std::chrono::seconds(100));
    const WallTime heard = cluster.clock.wall();
    add_pod(cluster, "p", "10.0.1.7");
    cluster.brain->run_until_idle();
    cluster.clock.advance(std::chrono::milliseconds(60));
    add_pod(cluster, "q", "10.0.1.8");
    cluster.settle();
    const auto slices = slices_of(cluster, "web", slice_manager);
    ASSERT_EQ(slices.size(), 1u);
    EXPECT_EQ(slices[0].array({"endpoints"}).size(), 2u);
    std::string expected = rfc3339_micro(heard);
    expected.insert(expected.size() - 1, "000");
    EXPECT_EQ(slices[0].string({"metadata", "annotations", "endpoints.kubernetes.io/last-change-trigger-time"}),
              expected)
        << "the first of those taken together, in nanoseconds";
}

TEST(Slices, EPS13_a_burst_of_changes_is_one_write) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(web());
    cluster.settle();
    const std::string before(slices_of(cluster, "web", slice_manager).at(0).resource_version());
    for (int i = 0; i < 40; ++i) {
        add_pod(cluster, fmt::format("p{}", i), fmt::format("10.0.1.{}", i + 10));
        cluster.brain->run_until_idle();
        if (i % 10 == 9) cluster.clock.advance(std::chrono::milliseconds(20));
    }
    EXPECT_EQ(slices_of(cluster, "web", slice_manager).at(0).resource_version(), before) << "not yet";
    cluster.clock.advance(std::chrono::milliseconds(20));
    cluster.brain->run_until_idle();
    const Object slice = slices_of(cluster, "web", slice_manager).at(0);
    EXPECT_EQ(slice.array({"endpoints"}).size(), 40u) << "100 ms after the first";
}

TEST(Endpoints, EPS14_the_old_form_shows_ready_and_other_addresses_with_their_ports) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(web());
    wait(cluster);
    EXPECT_EQ(subsets(cluster, "web"), "none") << "nothing is written for a Service that never had an endpoint";
    add_pod(cluster, "p", "10.0.1.7");
    add_pod(cluster, "q", "10.0.1.8", false);
    wait(cluster);
    const Object old = cluster.one(endpoints_resource, "default", "web");
    const json::Value& subset = old.array({"subsets"}).at(0);
    EXPECT_EQ(old.array({"subsets"}).size(), 1u);
    EXPECT_EQ(json::find_string(json::find_array(subset, {"addresses"})->at(0), {"ip"}), "10.0.1.7");
    EXPECT_EQ(json::find_string(json::find_array(subset, {"addresses"})->at(0), {"targetRef", "name"}), "p");
    EXPECT_EQ(json::find_string(json::find_array(subset, {"notReadyAddresses"})->at(0), {"ip"}), "10.0.1.8");
    EXPECT_EQ(json::serialize(*json::find(subset, {"ports"})), R"([{"name":"http","protocol":"TCP","port":8080}])");
    EXPECT_EQ(old.label("tier"), "front");
    EXPECT_EQ(old.label("endpoints.kubernetes.io/managed-by"), "endpoint-controller");
    EXPECT_TRUE(slices_of(cluster, "web", slice_mirror).empty()) << "our own is not mirrored back";
    for (const char* pod : {"p", "q"}) ASSERT_TRUE(cluster.api.remove(kube::pods, {"default", pod}));
    wait(cluster);
    EXPECT_EQ(subsets(cluster, "web"), "[]");
    ASSERT_TRUE(cluster.api.remove(kube::services, {"default", "web"}));
    wait(cluster);
    EXPECT_EQ(subsets(cluster, "web"), "none");
}

ObjectPtr slice_with(const std::vector<std::string>& addresses, bool ready) {
    Object slice = Object::of(kube::endpoint_slices, {"default", ""});
    slice.set_label(managed_by_label, slice_manager);
    slice.set({"addressType"}, "IPv4");
    slice.set({"ports"}, json::Array{json::Object{{"name", ""}, {"protocol", "TCP"}, {"port", 80}}});
    json::Array endpoints;
    for (const std::string& address : addresses)
        endpoints.push_back(json::Object{{"addresses", json::Array{json::Value(address)}},
                                         {"conditions", json::Object{{"ready", ready}}}});
    slice.set({"endpoints"}, std::move(endpoints));
    return std::make_shared<const Object>(std::move(slice));
}

TEST(Endpoints, EPS14_a_thousand_addresses_are_shown_ready_ones_first_and_the_rest_is_said_to_be_missing) {
    std::vector<std::string> many, few{"10.1.0.1"};
    for (int i = 0; i < 1500; ++i) many.push_back(fmt::format("10.0.{}.{}", i / 250, i % 250));
    const Object service(MUST(json::parse_yaml(
        "{metadata: {name: web, namespace: default}, spec: {selector: {a: b}, ports: [{port: 80}]}}"))[0]);
    const auto truncated = wanted_endpoints(service, {slice_with(many, false), slice_with(few, true)}, nullptr);
    ASSERT_TRUE(truncated);
    const json::Value& subset = truncated->array({"subsets"}).at(0);
    EXPECT_EQ(json::find_array(subset, {"addresses"})->size(), 1u);
    EXPECT_EQ(json::find_array(subset, {"notReadyAddresses"})->size(), 999u);
    EXPECT_EQ(truncated->annotation("endpoints.kubernetes.io/over-capacity"), "truncated");
    EXPECT_FALSE(json::has(json::find_array(subset, {"ports"})->at(0), {"name"}));
    const auto fits = wanted_endpoints(service, {slice_with(few, true)}, std::make_shared<const Object>(*truncated));
    EXPECT_TRUE(fits->annotation("endpoints.kubernetes.io/over-capacity").empty());
}

std::string endpoints_yaml(std::string_view subsets, std::string_view metadata = "") {
    return fmt::format("{{apiVersion: v1, kind: Endpoints, metadata: {{name: db, namespace: default{}}}, subsets: {}}}",
                       metadata, subsets);
}

std::string shape(const std::vector<Object>& slices) {
    std::string text;
    for (const Object& slice : slices) {
        text +=
            std::string(slice.string({"addressType"})) + json::serialize(slice.array({"ports"}).at(0).at("port")) + "[";
        for (const json::Value& endpoint : slice.array({"endpoints"}))
            text += json::find_strings(endpoint, {"addresses"})[0] +
                    (json::find_bool(endpoint, {"conditions", "ready"}) ? " " : "! ");
        text += "]";
    }
    return text;
}

TEST(Endpoints, EPS11_what_a_user_writes_for_a_service_without_selector_becomes_slices) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service_yaml("db", "{clusterIP: 172.21.0.21, ports: [{name: sql, port: 5432}]}"));
    cluster.settle();
    EXPECT_TRUE(cluster.all(kube::endpoint_slices, "default").size() == 1)
        << "only kubernetes' own: nobody writes slices for it";
    cluster.api.fail_next(Code::invalid);  // of the two slices the first, once
    cluster.api.seed(
        endpoints_yaml("[{addresses: [{ip: 192.0.2.1}, {ip: '2001:DB8:0::1'}], notReadyAddresses: [{ip: 192.0.2.2}], "
                       "ports: [{name: sql, port: 5432}]}]",
                       ", labels: {mine: 'yes'}, annotations: {note: kept}"));
    cluster.settle();
    auto mirrored = slices_of(cluster, "db", slice_mirror);
    EXPECT_EQ(shape(mirrored), "IPv45432[192.0.2.1 192.0.2.2! ]IPv65432[2001:db8::1 ]");
    const auto version = [](const Object& slice) { return std::stoull(std::string(slice.resource_version())); };
    EXPECT_LT(version(mirrored.at(1)), version(mirrored.at(0))) << "the other did not wait for it";
    EXPECT_EQ(mirrored.at(0).label("mine"), "yes");
    EXPECT_EQ(mirrored.at(0).annotation("note"), "kept");
    EXPECT_EQ(mirrored.at(0).owners().at(0).kind, "Service");
    const std::string name(mirrored.at(0).name());
    Object changed = cluster.one(endpoints_resource, "default", "db");
    changed.set({"subsets"},
                MUST(json::parse_yaml("[{addresses: [{ip: 192.0.2.3}], ports: [{name: sql, port: 5432}]}]"))[0]);
    MUST(cluster.api.update(endpoints_resource, changed));
    cluster.settle();
    mirrored = slices_of(cluster, "db", slice_mirror);
    EXPECT_EQ(shape(mirrored), "IPv45432[192.0.2.3 ]");
    EXPECT_EQ(mirrored.at(0).name(), name) << "the slice stays";
    changed = cluster.one(endpoints_resource, "default", "db");
    changed.set_label("endpointslice.kubernetes.io/skip-mirror", "true");
    MUST(cluster.api.update(endpoints_resource, changed));
    cluster.settle();
    EXPECT_TRUE(slices_of(cluster, "db", slice_mirror).empty());
    changed = cluster.one(endpoints_resource, "default", "db");
    json::erase(changed.body(), {"metadata", "labels", "endpointslice.kubernetes.io/skip-mirror"});
    MUST(cluster.api.update(endpoints_resource, changed));
    cluster.settle();
    EXPECT_EQ(slices_of(cluster, "db", slice_mirror).size(), 1u);
    ASSERT_TRUE(cluster.api.remove(endpoints_resource, {"default", "db"}));
    cluster.settle();
    EXPECT_TRUE(slices_of(cluster, "db", slice_mirror).empty());
}

TEST(Endpoints, EPS11_slices_of_a_users_own_are_left_alone_and_a_selector_ends_the_mirror) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(service_yaml("db", "{clusterIP: 172.21.0.21, ports: [{name: sql, port: 5432}]}"));
    cluster.api.seed(
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: mine, namespace: default, labels: "
        "{kubernetes.io/service-name: db, "
        "endpointslice.kubernetes.io/managed-by: me}}, addressType: IPv4, endpoints: [{addresses: [192.0.2.9]}]}");
    cluster.api.seed(endpoints_yaml("[{addresses: [{ip: 192.0.2.1}], ports: [{name: sql, port: 5432}]}]"));
    cluster.settle();
    EXPECT_EQ(slices_of(cluster, "db", slice_mirror).size(), 1u);
    Object service = cluster.one(kube::services, "default", "db");
    service.set({"spec", "selector"}, json::Object{{"app", "x"}});
    MUST(cluster.api.update(kube::services, service));
    wait(cluster);
    EXPECT_TRUE(slices_of(cluster, "db", slice_mirror).empty());
    EXPECT_EQ(cluster.one(kube::endpoint_slices, "default", "mine").array({"endpoints"}).size(), 1u);
}

TEST(Endpoints, EPS11_a_users_may_come_before_their_service_and_go_with_it) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(endpoints_yaml("[{addresses: [{ip: 192.0.2.1}], ports: [{name: sql, port: 5432}]}]"));
    wait(cluster);
    EXPECT_NE(subsets(cluster, "db"), "none") << "nobody's yet, and left alone";
    cluster.api.seed(service_yaml("db", "{clusterIP: 172.21.0.21, ports: [{name: sql, port: 5432}]}"));
    wait(cluster);
    EXPECT_EQ(shape(slices_of(cluster, "db", slice_mirror)), "IPv45432[192.0.2.1 ]");
    ASSERT_TRUE(cluster.api.remove(kube::services, {"default", "db"}));
    wait(cluster);
    EXPECT_EQ(subsets(cluster, "db"), "none");
    EXPECT_TRUE(slices_of(cluster, "db", slice_mirror).empty());
}

TEST(VpcEnd, SVC50_a_vpc_waits_for_the_services_that_have_addresses_of_it) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(web());
    cluster.settle();
    for (const char* vswitch : {"vsw-zone-a", "vsw-zone-b"})
        ASSERT_TRUE(cluster.api.remove(kube::vswitches, {"", vswitch}));
    cluster.settle();
    ASSERT_TRUE(cluster.api.remove(kube::vpcs, {"", "vpc-demo"}));
    cluster.settle();
    EXPECT_EQ(json::find_string(*kube::find_condition(cluster.one(kube::vpcs, "", "vpc-demo"), "Ready"), {"message"}),
              "deletion waits: used by Service default/web");
    ASSERT_TRUE(cluster.api.remove(kube::services, {"default", "web"}));
    cluster.settle();
    EXPECT_FALSE(cluster.exists(kube::vpcs, "", "vpc-demo"));
}

TEST(ReservedService, EPS16_the_endpoints_of_kubernetes_are_ours_whatever_a_user_makes_of_them) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.settle();
    const Object before = cluster.one(kube::endpoint_slices, "default", "kubernetes");
    EXPECT_EQ(before.label(service_name_label), "kubernetes");
    EXPECT_TRUE(before.label(managed_by_label).empty());
    Object edited = before;
    edited.set({"endpoints"}, json::Array{json::Object{{"addresses", json::Array{"192.0.2.66"}}}});
    json::erase(edited.body(), {"metadata", "labels", service_name_label});
    MUST(cluster.api.update(kube::endpoint_slices, edited));
    cluster.settle();
    const Object after = cluster.one(kube::endpoint_slices, "default", "kubernetes");
    EXPECT_EQ(after.array({"endpoints"}), before.array({"endpoints"}));
    EXPECT_EQ(after.label(service_name_label), "kubernetes");
    ASSERT_TRUE(cluster.api.remove(kube::endpoint_slices, {"default", "kubernetes"}));
    cluster.settle();
    EXPECT_EQ(cluster.one(kube::endpoint_slices, "default", "kubernetes").array({"endpoints"}),
              before.array({"endpoints"}));
}

// DP-24
TEST(NodeFit, a_pod_goes_where_its_host_ports_are_free) {
    TestCluster cluster;
    cluster.seed_world();
    const auto pod = [](std::string_view name, std::string_view port, std::string_view node = "") {
        return Object(MUST(
            json::parse_yaml(fmt::format("{{apiVersion: v1, kind: Pod, metadata: {{name: {0}, namespace: default, uid: "
                                         "u-{0}}}, spec: {{{1}containers: [{{name: a, ports: [{2}]}}]}}}}",
                                         name, node.empty() ? "" : fmt::format("nodeName: {}, ", node), port)))[0]);
    };
    const std::string taken = "{containerPort: 80, hostPort: 8080, protocol: TCP}";
    MUST(cluster.api.create(kube::pods, pod("first", taken, "node-1")));
    cluster.settle();
    const Object node = cluster.one(kube::nodes, "", "node-1");
    const auto why_not = [&](std::string_view port) {
        const Object asks = pod("second", port);
        return NodeFit(*cluster.world, asks).why_not(node);
    };
    EXPECT_EQ(why_not(taken), "without free ports for the pod's hostPorts");
    EXPECT_EQ(why_not("{containerPort: 80, hostPort: 8080, hostIP: 198.18.1.1}"),
              "without free ports for the pod's hostPorts");
    EXPECT_EQ(why_not("{containerPort: 80, hostPort: 8080, protocol: UDP}"), "");
    EXPECT_EQ(why_not("{containerPort: 80, hostPort: 8081}"), "");
    EXPECT_EQ(why_not("{containerPort: 8080}"), "");
}

}  // namespace
}  // namespace weft::controller
