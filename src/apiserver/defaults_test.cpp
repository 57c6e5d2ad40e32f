#include "apiserver/kinds_testing.h"

namespace weft::apiserver {
namespace {

json::Value service(std::string_view spec) {
    return taken(fmt::format("{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: a}}, spec: {}}}", spec));
}

std::string_view text(const json::Value& object, std::string_view field) {
    return json::find_string(object, {"spec", field});
}

TEST(Defaults, SVC1to6_ServiceFields) {
    const json::Value plain = service("{ports: [{port: 80}]}");
    EXPECT_EQ(text(plain, "type"), "ClusterIP");
    EXPECT_EQ(text(plain, "sessionAffinity"), "None");
    EXPECT_EQ(text(plain, "internalTrafficPolicy"), "Cluster");
    EXPECT_FALSE(json::has(plain, {"spec", "externalTrafficPolicy"}));
    const json::Value& port = plain.at("spec").at("ports").at(0);
    EXPECT_EQ(json::find_string(port, {"protocol"}), "TCP");
    EXPECT_EQ(json::find_int(port, {"targetPort"}), 80);
    const json::Value balancer =
        service("{type: LoadBalancer, sessionAffinity: ClientIP, ports: [{port: 80, targetPort: ''}]}");
    EXPECT_EQ(text(balancer, "externalTrafficPolicy"), "Cluster");
    EXPECT_TRUE(json::find_bool(balancer, {"spec", "allocateLoadBalancerNodePorts"}));
    EXPECT_EQ(json::find_int(balancer, {"spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"}), 10800);
    EXPECT_EQ(json::find_int(balancer.at("spec").at("ports").at(0), {"targetPort"}), 80);
    EXPECT_EQ(text(service("{externalIPs: [192.0.2.1], ports: [{port: 80}]}"), "externalTrafficPolicy"), "Cluster");
    EXPECT_FALSE(json::has(service("{type: ExternalName, externalName: a.b}"), {"spec", "internalTrafficPolicy"}));
    EXPECT_EQ(service("{clusterIP: None}").at("spec").at("clusterIPs"), json::Value(json::Array{"None"}));
}

TEST(Defaults, SVC1to6_DependOnTheTypeAndGiveNothingThatItMayNotHave) {
    const auto has = [](const json::Value& object, std::string_view field) { return json::has(object, {"spec", field}); };
    struct Row {
        std::string_view spec;
        bool internal, external, allocate;
    };
    for (const Row& row : {Row{"{ports: [{port: 80}]}", true, false, false}, Row{"{clusterIP: None}", true, false, false},
                           Row{"{type: NodePort, ports: [{port: 80}]}", true, true, false},
                           Row{"{type: LoadBalancer, ports: [{port: 80}]}", true, true, true},
                           Row{"{externalIPs: [192.0.2.1], ports: [{port: 80}]}", true, true, false},
                           Row{"{type: ExternalName, externalName: a.b, externalIPs: [192.0.2.1]}", false, false, false}}) {
        const json::Value one = service(row.spec);
        EXPECT_EQ(has(one, "internalTrafficPolicy"), row.internal) << row.spec;       // SVC-5
        EXPECT_EQ(has(one, "externalTrafficPolicy"), row.external) << row.spec;       // SVC-4
        EXPECT_EQ(has(one, "allocateLoadBalancerNodePorts"), row.allocate) << row.spec;  // SVC-6
        for (const std::string_view absent : {"trafficDistribution", "loadBalancerClass", "loadBalancerIP", "healthCheckNodePort"})
            EXPECT_FALSE(has(one, absent)) << absent;  // SVC-9
    }
    // SVC-2: without affinity its details go.
    EXPECT_FALSE(has(service("{sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}, ports: [{port: 80}]}"), "sessionAffinityConfig"));
    EXPECT_EQ(json::find_int(service("{sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}, ports: [{port: 80}]}"),
                             {"spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"}),
              5);
    const json::Value ports = service("{ports: [{name: a, port: 80, targetPort: 0}, {name: b, port: 81, targetPort: http, protocol: UDP}]}");
    EXPECT_EQ(json::find_int(ports.at("spec").at("ports").at(0), {"targetPort"}), 80);  // SVC-3
    EXPECT_EQ(json::find_string(ports.at("spec").at("ports").at(1), {"targetPort"}), "http");
    EXPECT_EQ(json::find_string(ports.at("spec").at("ports").at(1), {"protocol"}), "UDP");
}

TEST(Defaults, TheyMayRunTwice) {
    for (const std::string_view spec :
         {"{ports: [{port: 80}]}", "{type: LoadBalancer, sessionAffinity: ClientIP, ports: [{port: 80}]}"}) {
        const json::Value once = service(spec);
        json::Value twice = once;
        apply_defaults(kind_of(twice), twice);
        EXPECT_EQ(once, twice);
    }
}

TEST(Defaults, ImagePullPolicyFollowsTheTag) {
    const std::pair<std::string_view, std::string_view> cases[] = {{"nginx", "Always"},
                                                                   {"nginx:latest", "Always"},
                                                                   {"nginx:1.27", "IfNotPresent"},
                                                                   {"host:5000/nginx", "Always"},
                                                                   {"host:5000/nginx:1", "IfNotPresent"},
                                                                   {"nginx@sha256:abc", "IfNotPresent"}};
    for (const auto& [image, policy] : cases) {
        const json::Value pod =
            taken(fmt::format("{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: a}}, spec: {{containers: "
                              "[{{name: a, image: '{}'}}]}}}}",
                              image));
        EXPECT_EQ(json::find_string(pod.at("spec").at("containers").at(0), {"imagePullPolicy"}), policy) << image;
    }
}

TEST(Defaults, SecretsKeepTextAsBase64) {
    const json::Value secret = taken(
        "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a}, stringData: {k: hello}, data: {k: eA==}}");
    EXPECT_EQ(json::find_string(secret, {"data", "k"}), "aGVsbG8=");
    EXPECT_FALSE(json::has(secret, {"stringData"}));
    EXPECT_EQ(json::find_string(secret, {"type"}), "Opaque");
}

TEST(Defaults, API73_EachHalfOfAnObjectHasItsDoor) {
    json::Value stored = service("{ports: [{port: 80}]}");
    json::set(stored, {"status", "loadBalancer", "ingress"}, json::Array{json::Object{{"ip", "203.0.113.1"}}});
    json::Value wish = stored;
    json::erase(wish, {"status"});
    json::set(wish, {"spec", "selector", "a"}, "b");
    prepare_update(kind_of(wish), wish, stored, Part::main);
    EXPECT_EQ(wish.at("status"), stored.at("status"));
    wish = stored;
    json::set(wish, {"spec", "selector", "a"}, "b");
    json::set(wish, {"metadata", "labels", "seen"}, "yes");
    json::set(wish, {"metadata", "finalizers"}, json::Array{"a/b"});
    json::set(wish, {"status", "loadBalancer"}, json::Object{});
    prepare_update(kind_of(wish), wish, stored, Part::status);
    EXPECT_EQ(wish.at("spec"), stored.at("spec"));
    EXPECT_TRUE(json::has(wish, {"metadata", "labels", "seen"}));
    EXPECT_FALSE(json::has(wish, {"metadata", "finalizers"}));
    EXPECT_NE(wish.at("status"), stored.at("status"));
}

TEST(Defaults, API37_GenerationCountsChangesOfTheWish) {
    const json::Value stored = taken(
        "{apiVersion: weft.dev/v1, kind: AddressPool, metadata: {name: p, generation: 9}, spec: {cidrs: "
        "[203.0.113.0/24]}}");
    EXPECT_EQ(json::find_int(stored, {"metadata", "generation"}), 1);
    json::Value wish = stored;
    json::set(wish, {"metadata", "labels", "a"}, "b");
    json::set(wish, {"metadata", "generation"}, 7);
    prepare_update(kind_of(wish), wish, stored, Part::main);
    EXPECT_EQ(json::find_int(wish, {"metadata", "generation"}), 1);
    json::set(wish, {"spec", "vpc"}, "v");
    prepare_update(kind_of(wish), wish, stored, Part::main);
    EXPECT_EQ(json::find_int(wish, {"metadata", "generation"}), 2);
}

TEST(Defaults, ANamespaceIsBornActiveWithItsNameAsLabel) {
    const json::Value ns =
        taken("{apiVersion: v1, kind: Namespace, metadata: {name: team}, status: {phase: Terminating}}");
    EXPECT_EQ(json::find_string(ns, {"metadata", "labels", "kubernetes.io/metadata.name"}), "team");
    EXPECT_EQ(json::find_string(ns, {"status", "phase"}), "Active");
    EXPECT_EQ(ns.at("spec").at("finalizers"), json::Value(json::Array{"kubernetes"}));
}

}  // namespace
}  // namespace weft::apiserver
