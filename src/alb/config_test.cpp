#include "ingress/config.h"

#include <gtest/gtest.h>

#include "alb/route.h"

namespace weft::alb {
namespace {

constexpr std::string_view world = R"(
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: weft, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}
spec: {controller: weft.dev/ingress}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: k8s.io/ingress-nginx}
---
apiVersion: weft.dev/v1
kind: VPC
metadata: {name: vpc-demo}
spec: {default: true}
status: {vni: 7, ingressAddresses: {weft.dev/ingress: 203.0.113.20}}
---
apiVersion: weft.dev/v1
kind: VPC
metadata: {name: vpc-blue}
spec: {}
status: {vni: 8, ingressAddresses: {weft.dev/ingress: 203.0.113.21}}
---
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Namespace
metadata: {name: blue, annotations: {weft.dev/vpc: vpc-blue}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {ports: [{name: http, port: 80, targetPort: 8080}, {name: admin, port: 81}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: default}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: away, namespace: default}
spec: {type: ExternalName, externalName: example.org, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: blue}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
- {addresses: [10.0.1.6], conditions: {ready: true}}
- {addresses: [10.0.1.5]}
- {addresses: [10.0.1.7], conditions: {ready: false}}
- {addresses: [10.0.1.8], conditions: {ready: false, serving: true, terminating: true}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cart-1, namespace: default, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: [{name: "", port: 8080, protocol: TCP}]
endpoints:
- {addresses: [10.0.1.9], conditions: {ready: false, serving: true, terminating: true}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: blue, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.0.1.5]}]
)";

using ingress::Objects;

AlbConfig compile(const Objects& objects) {
    static Certificates certificates = MUST(Certificates::create());
    return ingress::compile(objects, certificates);
}

Objects objects_of(std::string_view ingresses) {
    Objects out;
    const std::string text = std::string(world) + "---\n" + std::string(ingresses);
    for (auto& body : MUST(json::parse_yaml(text))) {
        auto object = std::make_shared<const kube::Object>(std::move(body));
        const auto kind = object->kind();
        auto& list = kind == "Ingress"         ? out.ingresses
                     : kind == "IngressClass"  ? out.ingress_classes
                     : kind == "Service"       ? out.services
                     : kind == "EndpointSlice" ? out.endpoint_slices
                     : kind == "Namespace"     ? out.namespaces
                     : kind == "Secret"        ? out.secrets
                                               : out.vpcs;
        list.push_back(std::move(object));
    }
    return out;
}

// "default/web:80" for a request, "404" or "503 default/x:80".
std::string answer(const AlbConfig& config, std::string_view host, std::string_view path, uint32_t vni = 7) {
    const RouteTable table(config);
    const auto address = vni == 7 ? net::Address::v4(203, 0, 113, 20) : net::Address::v4(203, 0, 113, 21);
    const uint32_t group = table.route(vni, {address, 80}, host, path);
    if (group == no_group) return "404";
    return (table.group(group).endpoints.empty() ? "503 " : "") + table.group(group).name;
}

std::string ingress(std::string_view name, std::string_view spec, std::string_view ns = "default", int created = 0) {
    return fmt::format(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {}, namespace: {}, uid: u-{}, "
        "creationTimestamp: \"2026-01-01T00:00:{:02}Z\"}}\nspec: {}\n---\n",
        name, ns, name, created, spec);
}

std::string backend(std::string_view service, std::string_view port = "number: 80") {
    return fmt::format("{{service: {{name: {}, port: {{{}}}}}}}", service, port);
}

std::string path(std::string_view type, std::string_view text, std::string_view service,
                 std::string_view port = "number: 80") {
    return fmt::format("{{path: {}, pathType: {}, backend: {}}}", text, type, backend(service, port));
}

TEST(AlbConfig, EndpointsAreTheReadyOnesElseThoseThatStillServe) {
    const auto config =
        compile(objects_of(ingress("a", "{rules: [{http: {paths: [" + path("Prefix", "/", "web", "name: http") + ", " +
                                            path("Prefix", "/cart", "cart") + "]}}]}")));
    ASSERT_EQ(config.groups.size(), 2u);
    EXPECT_EQ(config.groups[0].name, "default/web:http");
    EXPECT_EQ(config.groups[0].endpoints, (std::vector<io::SocketAddress>{{net::Address::v4(10, 0, 1, 5), 8080},
                                                                          {net::Address::v4(10, 0, 1, 6), 8080}}));
    EXPECT_EQ(config.groups[1].endpoints, (std::vector<io::SocketAddress>{{net::Address::v4(10, 0, 1, 9), 8080}}));
    EXPECT_TRUE(config.problems.empty());
    EXPECT_EQ(config.services.size(), 2u);
}

TEST(AlbConfig, EachVpcHasItsOwnListenerAndServices) {
    const std::string rule = "{rules: [{http: {paths: [" + path("Prefix", "/", "web") + "]}}]}";
    const auto config = compile(objects_of(ingress("a", rule) + ingress("a", rule, "blue")));
    ASSERT_EQ(config.listeners.size(), 2u);
    EXPECT_EQ(config.listeners[0].vni, 7u);
    EXPECT_EQ(config.listeners[0].at.text(), "203.0.113.20:80");
    EXPECT_EQ(config.listeners[1].at.text(), "203.0.113.21:80");
    EXPECT_EQ(answer(config, "x", "/", 7), "default/web:80");
    EXPECT_EQ(answer(config, "x", "/", 8), "blue/web:80");
}

TEST(AlbConfig, OnlyOurClassesCount) {
    const std::string rest = ", defaultBackend: " + backend("web") + "}";
    EXPECT_EQ(answer(compile(objects_of(ingress("a", "{ingressClassName: weft" + rest))), "x", "/"), "default/web:80");
    EXPECT_EQ(answer(compile(objects_of(ingress("a", "{defaultBackend: " + backend("web") + "}"))), "x", "/"),
              "default/web:80");
    EXPECT_TRUE(compile(objects_of(ingress("a", "{ingressClassName: nginx" + rest))).listeners.empty());
    EXPECT_TRUE(compile(objects_of(ingress("a", "{ingressClassName: unknown" + rest))).listeners.empty());
}

TEST(AlbConfig, WhatIsMissingIs503AndAProblemOfItsIngressOnly) {
    const auto config = compile(objects_of(
        ingress("a", "{rules: [{http: {paths: [" + path("Prefix", "/gone", "gone") + ", " +
                         path("Prefix", "/port", "web", "number: 99") + ", " + path("Prefix", "/away", "away") + ", " +
                         path("Prefix", "/admin", "web", "name: admin") +
                         ", {path: /res, pathType: Prefix, backend: {resource: {kind: Bucket, name: b}}}, " +
                         path("Prefix", "/", "web") + "]}}]}")));
    EXPECT_EQ(answer(config, "x", "/gone"), "503 default/gone:80");
    EXPECT_EQ(answer(config, "x", "/port/y"), "503 default/web:99");
    EXPECT_EQ(answer(config, "x", "/away"), "503 default/away:80");
    EXPECT_EQ(answer(config, "x", "/admin"), "503 default/web:admin");
    EXPECT_EQ(answer(config, "x", "/res"), "503 resource:b");
    EXPECT_EQ(answer(config, "x", "/"), "default/web:80");
    std::vector<std::string> messages;
    for (const auto& problem : config.problems) messages.push_back(problem.message);
    EXPECT_EQ(messages,
              (std::vector<std::string>{"backend: Service default/gone does not exist",
                                        "backend: Service default/web has no TCP port 99",
                                        "backend: Service default/away is of type ExternalName, which is refused",
                                        "backend: resource backend Bucket b is not offered"}));
}

TEST(AlbConfig, PathsMatchByElementLongestFirstExactBeforePrefix) {
    const auto config = compile(objects_of(ingress(
        "a", "{rules: [{host: Shop.Example.test, http: {paths: [" + path("Prefix", "/", "web", "number: 1") + ", " +
                 path("Prefix", "/aaa/bb/", "web", "number: 2") + ", " + path("Exact", "/aaa/bb", "web", "number: 3") +
                 ", " + path("Prefix", "/aaa", "web", "number: 4") + ", " + path("Exact", "/x/", "web", "number: 5") +
                 ", " + path("ImplementationSpecific", "/impl", "web", "number: 6") + "]}}]}")));
    const auto port = [&](std::string_view request_path) {
        return answer(config, "shop.example.TEST:8080", request_path).substr(16);
    };
    EXPECT_EQ(port("/aaa/bb"), "3");
    EXPECT_EQ(port("/aaa/bb/"), "2");
    EXPECT_EQ(port("/aaa/bb/ccc"), "2");
    EXPECT_EQ(port("/aaa/bbb"), "4");
    EXPECT_EQ(port("/aaa"), "4");
    EXPECT_EQ(port("/aaaa"), "1");
    EXPECT_EQ(port("/AAA"), "1");
    EXPECT_EQ(port("/x/"), "5");
    EXPECT_EQ(port("/x"), "1");
    EXPECT_EQ(port("/impl/x"), "6");
    EXPECT_EQ(port("/"), "1");
    EXPECT_EQ(port("/" + std::string(20000, '/')), "1");
}

TEST(AlbConfig, TheMostSpecificHostWinsAndThereIsNoFallThrough) {
    const auto config = compile(objects_of(
        ingress("a", "{rules: [{host: a.foo.com, http: {paths: [" + path("Prefix", "/only", "web", "number: 1") +
                         "]}}, {host: \"*.foo.com\", http: {paths: [" + path("Prefix", "/", "web", "number: 2") +
                         "]}}]}") +
        ingress("b", "{rules: [{http: {paths: [" + path("Prefix", "/", "web", "number: 3") + "]}}]}")));
    EXPECT_EQ(answer(config, "a.foo.com", "/only"), "503 default/web:1");
    EXPECT_EQ(answer(config, "a.foo.com", "/else"), "404");
    EXPECT_EQ(answer(config, "b.foo.com", "/only"), "503 default/web:2");
    EXPECT_EQ(answer(config, "a.b.foo.com", "/"), "503 default/web:3");
    EXPECT_EQ(answer(config, "foo.com", "/"), "503 default/web:3");
    EXPECT_EQ(answer(config, "[::1]:80", "/"), "503 default/web:3");
    EXPECT_EQ(answer(config, "a.foo.com.", "/only"), "503 default/web:1");
}

TEST(AlbConfig, DefaultsGoFromTheHostsIngressToTheCatchAll) {
    const auto config = compile(objects_of(
        ingress("rules",
                "{defaultBackend: " + backend("web", "number: 1") + ", rules: [{host: a.test, http: {paths: [" +
                    path("Prefix", "/p", "web", "number: 2") + "]}}, {host: bare.test}]}",
                "default", 1) +
        ingress("plain", "{rules: [{host: b.test, http: {paths: [" + path("Prefix", "/p", "web", "number: 3") + "]}}]}",
                "default", 2) +
        ingress("all", "{defaultBackend: " + backend("web", "number: 4") + "}", "default", 3)));
    EXPECT_EQ(answer(config, "a.test", "/other"), "503 default/web:1");
    EXPECT_EQ(answer(config, "bare.test", "/any"), "503 default/web:1");
    EXPECT_EQ(answer(config, "b.test", "/other"), "503 default/web:4");
    EXPECT_EQ(answer(config, "c.test", "/"), "503 default/web:4");
}

TEST(AlbConfig, OfTwoIngressesWithTheSamePathTheOldestWins) {
    const auto rule = [](std::string_view port) {
        return "{rules: [{host: a.test, http: {paths: [" + path("Prefix", "/p", "web", port) + "]}}]}";
    };
    const auto config = compile(
        objects_of(ingress("aaa", rule("number: 1"), "default", 9) + ingress("zzz", rule("number: 80"), "default", 1)));
    EXPECT_EQ(answer(config, "a.test", "/p"), "default/web:80");
    ASSERT_EQ(config.problems.size(), 1u);
    EXPECT_EQ(config.problems[0].ingress->name(), "aaa");
    EXPECT_EQ(config.problems[0].reason, "PathConflict");
}

TEST(AlbConfig, WithoutAnAddressThereIsNoListener) {
    auto objects = objects_of(ingress("a", "{defaultBackend: " + backend("web") + "}"));
    objects.vpcs.clear();
    EXPECT_TRUE(compile(objects).listeners.empty());
}

}  // namespace
}  // namespace weft::alb
