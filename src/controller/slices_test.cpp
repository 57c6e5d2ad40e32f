#include "controller/slices.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kube/resource.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectPtr;

Object parse(std::string_view yaml) { return Object(MUST(json::parse_yaml(yaml))[0]); }

ObjectPtr pod(std::string_view name, std::string_view more = "") {
    return std::make_shared<const Object>(parse(fmt::format(R"(
metadata: {{name: {0}, namespace: ns, uid: uid-{0}, labels: {{app: web}}}}
spec: {{nodeName: node-1, containers: [{{ports: [{{name: http, containerPort: 8080}}]}}]}}
status: {{phase: Running, podIP: 10.0.1.7, conditions: [{{type: Ready, status: "True"}}]}}
)",
                                                            name) +
                                                std::string(more)));
}

ObjectPtr changed(const ObjectPtr& pod, const std::function<void(Object&)>& change) {
    Object copy = *pod;
    change(copy);
    return std::make_shared<const Object>(std::move(copy));
}

Object service(std::string_view ports = "[{name: http, port: 80, targetPort: http, protocol: TCP}]",
               std::string_view more = "") {
    return parse(fmt::format(
        "{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: ns, uid: s, labels: {{tier: front}}}}, "
        "spec: {{clusterIP: 172.21.0.2, selector: {{app: web}}, ports: {}{}}}}}",
        ports, more));
}

std::string zone(std::string_view) { return "zone-a"; }

const json::Value& only_endpoint(const std::vector<EndpointGroup>& groups) {
    ENSURE(groups.size() == 1 && groups[0].endpoints.size() == 1);
    return groups[0].endpoints[0];
}

TEST(Slices, conditions_follow_readiness_termination_and_publish_not_ready) {
    struct Row {
        bool ready, deleting, publish;
        std::string_view expected;
    };
    const Row rows[] = {
        {true, false, false, R"({"ready":true,"serving":true,"terminating":false})"},
        {false, false, false, R"({"ready":false,"serving":false,"terminating":false})"},
        {true, true, false, R"({"ready":false,"serving":true,"terminating":true})"},
        {false, true, false, R"({"ready":false,"serving":false,"terminating":true})"},
        {false, false, true, R"({"ready":true,"serving":false,"terminating":false})"},
        {true, true, true, R"({"ready":true,"serving":true,"terminating":true})"},
    };
    for (const Row& row : rows) {
        const ObjectPtr p = changed(pod("a"), [&](Object& o) {
            kube::set_condition(o, "Ready", row.ready, "x", "");
            if (row.deleting) o.set({"metadata", "deletionTimestamp"}, "2026-01-01T00:00:00Z");
        });
        const Object s = service("[{name: http, port: 80, targetPort: http}]",
                                 row.publish ? ", publishNotReadyAddresses: true" : "");
        EXPECT_EQ(json::serialize(*json::find(only_endpoint(endpoint_groups(s, {p}, zone)), {"conditions"})),
                  row.expected);
    }
}

TEST(Slices, a_pod_is_listed_with_an_address_until_it_has_ended) {
    const Object s = service();
    EXPECT_EQ(
        endpoint_groups(s, {changed(pod("a"), [](Object& o) { json::erase(o.body(), {"status", "podIP"}); })}, zone)
            .size(),
        0u);
    EXPECT_EQ(
        endpoint_groups(s, {changed(pod("a"), [](Object& o) { o.set({"status", "phase"}, "Failed"); })}, zone).size(),
        0u);
    EXPECT_EQ(endpoint_groups(s, {changed(pod("a"), [](Object& o) { o.set({"status", "phase"}, "Succeeded"); })}, zone)
                  .size(),
              0u);
    EXPECT_EQ(endpoint_groups(s, {pod("a")}, zone).size(), 1u);
}

TEST(Slices, an_endpoint_names_its_pod_node_zone_and_hostname) {
    const ObjectPtr p = changed(pod("a"), [](Object& o) {
        o.set({"spec", "hostname"}, "a-0");
        o.set({"spec", "subdomain"}, "web");
    });
    const json::Value endpoint = only_endpoint(endpoint_groups(service(), {p}, zone));
    EXPECT_EQ(json::find_string(endpoint, {"nodeName"}), "node-1");
    EXPECT_EQ(json::find_string(endpoint, {"zone"}), "zone-a");
    EXPECT_EQ(json::find_string(endpoint, {"hostname"}), "a-0");
    EXPECT_EQ(json::find_string(endpoint, {"targetRef", "uid"}), "uid-a");
    EXPECT_EQ(json::find_strings(endpoint, {"addresses"}), std::vector<std::string>{"10.0.1.7"});
    const ObjectPtr other = changed(p, [](Object& o) { o.set({"spec", "subdomain"}, "else"); });
    EXPECT_FALSE(json::has(only_endpoint(endpoint_groups(service(), {other}, zone)), {"hostname"}));
}

TEST(Slices, pods_with_different_numbers_for_a_named_port_stand_in_different_groups) {
    const ObjectPtr nine = changed(pod("b"), [](Object& o) {
        o.set(
            {"spec", "containers"},
            json::Array{json::Object{{"ports", json::Array{json::Object{{"name", "http"}, {"containerPort", 9090}}}}}});
    });
    const ObjectPtr none = changed(pod("c"), [](Object& o) { o.set({"spec", "containers"}, json::Array{}); });
    const auto groups = endpoint_groups(service(), {pod("a"), nine, none}, zone);
    ASSERT_EQ(groups.size(), 3u);
    EXPECT_EQ(json::find_int(groups[0].ports[0], {"port"}), 8080);
    EXPECT_EQ(json::find_int(groups[1].ports[0], {"port"}), 9090);
    EXPECT_TRUE(groups[2].ports.empty());
    const auto numbers =
        endpoint_groups(service("[{port: 80}, {name: alt, port: 81, targetPort: 9}]"), {pod("a")}, zone);
    EXPECT_EQ(json::find_int(numbers[0].ports[0], {"port"}), 80);
    EXPECT_EQ(json::find_int(numbers[0].ports[1], {"port"}), 9);
}

// Applies a plan to slices as the API would.
void apply(std::vector<ObjectPtr>& slices, SlicePlan plan) {
    static int number = 0;
    for (Object& slice : plan.creates) {
        slice.set({"metadata", "name"}, json::Value(fmt::format("web-{}", ++number)));
        slices.push_back(std::make_shared<const Object>(std::move(slice)));
    }
    for (auto& [from, to] : plan.updates)
        std::replace(slices.begin(), slices.end(), from, std::make_shared<const Object>(std::move(to)));
    for (const ObjectPtr& gone : plan.deletes) std::erase(slices, gone);
}

TEST(Slices, a_service_without_endpoints_has_one_empty_slice_with_its_labels_and_owner) {
    std::vector<ObjectPtr> slices;
    apply(slices, plan_slices(service(), slices, {}, "t0"));
    ASSERT_EQ(slices.size(), 1u);
    EXPECT_TRUE(slices[0]->array({"endpoints"}).empty());
    EXPECT_EQ(slices[0]->label("kubernetes.io/service-name"), "web");
    EXPECT_EQ(slices[0]->label("endpointslice.kubernetes.io/managed-by"), "endpointslice-controller.k8s.io");
    EXPECT_EQ(slices[0]->label("tier"), "front");
    EXPECT_FALSE(slices[0]->labels().contains("service.kubernetes.io/headless"));
    EXPECT_EQ(slices[0]->owners().at(0).uid, "s");
    EXPECT_EQ(slices[0]->string({"metadata", "annotations", "endpoints.kubernetes.io/last-change-trigger-time"}), "t0");
    const SlicePlan again = plan_slices(service(), slices, {}, "t1");
    EXPECT_TRUE(again.creates.empty() && again.updates.empty() && again.deletes.empty());
}

// EPS-7
TEST(Slices, of_a_headless_service_carry_its_label_and_the_services_own_name) {
    Object s = service();
    s.set({"spec", "clusterIP"}, "None");
    const SlicePlan plan = plan_slices(s, {}, {}, "t0");
    ASSERT_EQ(plan.creates.size(), 1u);
    const Object& slice = plan.creates[0];
    EXPECT_TRUE(slice.labels().contains("service.kubernetes.io/headless"));
    EXPECT_EQ(slice.string({"metadata", "generateName"}), "web-");
    const auto owner = slice.owners().at(0);
    EXPECT_EQ(owner.kind, "Service");
    EXPECT_TRUE(json::find_bool(slice.array({"metadata", "ownerReferences"})[0], {"controller"}));
    EXPECT_TRUE(json::find_bool(slice.array({"metadata", "ownerReferences"})[0], {"blockOwnerDeletion"}));
}

TEST(Slices, two_hundred_fifty_endpoints_take_three_slices_and_one_change_rewrites_one) {
    std::vector<ObjectPtr> pods;
    for (int i = 0; i < 250; ++i) pods.push_back(pod(fmt::format("p{:03}", i)));
    const Object s = service();
    std::vector<ObjectPtr> slices;
    apply(slices, plan_slices(s, slices, endpoint_groups(s, pods, zone), "t0"));
    ASSERT_EQ(slices.size(), 3u);
    for (const ObjectPtr& slice : slices) EXPECT_LE(slice->array({"endpoints"}).size(), slice_endpoints_max);

    pods.erase(pods.begin() + 120);
    SlicePlan removal = plan_slices(s, slices, endpoint_groups(s, pods, zone), "t1");
    EXPECT_EQ(removal.creates.size() + removal.updates.size() + removal.deletes.size(), 1u);
    apply(slices, std::move(removal));

    pods.push_back(pod("fresh"));
    SlicePlan addition = plan_slices(s, slices, endpoint_groups(s, pods, zone), "t2");
    EXPECT_EQ(addition.updates.size(), 1u);
    EXPECT_EQ(addition.creates.size() + addition.deletes.size(), 0u);
    apply(slices, std::move(addition));

    apply(slices, plan_slices(s, slices, {}, "t3"));
    ASSERT_EQ(slices.size(), 1u);
    EXPECT_TRUE(slices[0]->array({"endpoints"}).empty());
}

// EPS-6: a pod is listed where it has an address of the family.
TEST(Slices, each_family_of_the_service_has_its_slices) {
    Object s = service();
    s.set({"spec", "ipFamilies"}, json::Array{"IPv4", "IPv6"});
    std::vector<ObjectPtr> slices;
    Object both = *pod("both");
    const std::string v4(both.string({"status", "podIP"}));
    both.set({"status", "podIPs"}, json::Array{json::Object{{"ip", v4}}, json::Object{{"ip", "fd00:10::5"}}});
    const std::vector<ObjectPtr> pods = {pod("only-v4"), std::make_shared<Object>(both)};
    const auto shape = [&](std::string_view type) {
        std::string text;
        for (const ObjectPtr& slice : slices) {
            if (slice->string({"addressType"}) != type) continue;
            text += "[";
            for (const json::Value& endpoint : slice->array({"endpoints"}))
                text += std::string(json::find_string(endpoint, {"targetRef", "name"})) + "=" +
                        json::find_strings(endpoint, {"addresses"})[0] + " ";
            text += "]";
        }
        return text;
    };
    apply(slices, plan_slices(s, slices, {}, "t0"));
    EXPECT_EQ(shape("IPv4") + shape("IPv6"), "[][]") << "one empty slice of each";
    apply(slices, plan_slices(s, slices, endpoint_groups(s, pods, zone), "t1"));
    EXPECT_EQ(slices.size(), 2u);
    EXPECT_EQ(shape("IPv6"), "[both=fd00:10::5 ]");
    EXPECT_NE(shape("IPv4").find("both=" + v4), std::string::npos);
    EXPECT_NE(shape("IPv4").find("only-v4="), std::string::npos);
    s.set({"spec", "ipFamilies"}, json::Array{"IPv4"});
    apply(slices, plan_slices(s, slices, endpoint_groups(s, pods, zone), "t2"));
    EXPECT_EQ(shape("IPv6"), "") << "a family that went takes its slices along";
    EXPECT_EQ(slices.size(), 1u);
}

TEST(Slices, every_endpoint_stands_exactly_once_whatever_happens) {
    Object s = service();
    std::vector<ObjectPtr> slices;
    std::map<int, ObjectPtr> pods;
    unsigned seed = 7;
    for (int step = 0; step < 400; ++step) {
        seed = seed * 1664525 + 1013904223;
        const int which = int(seed >> 16) % 260;
        if (pods.contains(which)) pods.erase(which);
        else pods[which] = pod(fmt::format("p{}", which));
        std::vector<ObjectPtr> now;
        for (const auto& [_, p] : pods) now.push_back(p);
        apply(slices, plan_slices(s, slices, endpoint_groups(s, now, zone), "t"));
        std::set<std::string> seen;
        for (const ObjectPtr& slice : slices) {
            ASSERT_LE(slice->array({"endpoints"}).size(), slice_endpoints_max);
            for (const json::Value& endpoint : slice->array({"endpoints"}))
                ASSERT_TRUE(seen.insert(std::string(json::find_string(endpoint, {"targetRef", "name"}))).second);
        }
        ASSERT_EQ(seen.size(), pods.size());
    }
}

}  // namespace
}  // namespace weft::controller
