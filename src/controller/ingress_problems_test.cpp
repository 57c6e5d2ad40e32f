// What is wrong with an Ingress is told on it, once, by the controller alone.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "controller/test_cluster.h"
#include "io/tls.h"

namespace weft::controller {

static std::string ingress(std::string_view name, std::string_view host, std::string_view service, std::string_view more = "") {
    return fmt::format(R"(---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {}, namespace: default}}
spec:
  ingressClassName: weft
  {}
  rules:
  - host: {}
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: {}, port: {{number: 80}}}}}}}}]}}
)",
                       name, more, host, service);
}

static constexpr std::string_view web = R"(
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: default}, spec: {ports: [{port: 80}]}}
)";

TEST(IngressProblems, ING_23_27_each_is_an_event_on_the_ingress_that_has_it_and_on_no_other) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(std::string(web) + ingress("first", "a.test", "web"));
    cluster.settle();
    cluster.clock.advance(std::chrono::seconds(2));
    cluster.api.seed(ingress("second", "a.test", "web").substr(4) + ingress("lost", "b.test", "gone"));
    cluster.settle();
    EXPECT_TRUE(cluster.events_on("first").empty());
    EXPECT_EQ(cluster.events_on("second"),
              std::vector<std::string>{"PathConflict: spec.rules: host \"a.test\" path \"/\" is served by Ingress default/first"});
    EXPECT_EQ(cluster.events_on("lost"),
              std::vector<std::string>{"BackendNotFound: backend: Service default/gone does not exist"});
    // Neither time nor other objects repeat it.
    cluster.api.seed(ingress("third", "c.test", "web").substr(4));
    cluster.settle();
    EXPECT_EQ(cluster.events_on("lost").size(), 1u);
    EXPECT_TRUE(cluster.events_on("third").empty());
}

TEST(IngressProblems, ING_26_a_missing_and_a_broken_certificate_are_told_and_a_good_one_is_not) {
    TestCluster cluster;
    cluster.seed_world();
    cluster.api.seed(std::string(web) + ingress("shop", "a.test", "web", "tls: [{hosts: [a.test], secretName: cert}]"));
    cluster.settle();
    ASSERT_EQ(cluster.events_on("shop").size(), 1u);
    EXPECT_TRUE(cluster.events_on("shop")[0].starts_with("CertificateNotFound: spec.tls: ")) << cluster.events_on("shop")[0];
    const auto pair = MUST(io::self_signed("a.test"));
    cluster.api.seed(fmt::format("{{apiVersion: v1, kind: Secret, metadata: {{name: cert, namespace: default}}, type: "
                                 "kubernetes.io/tls, data: {{tls.crt: {}, tls.key: {}}}}}",
                                 base64_encode(pair.certificate_pem), base64_encode(pair.key_pem)));
    cluster.settle();
    EXPECT_EQ(cluster.events_on("shop").size(), 1u);
    kube::Object broken = cluster.one(kube::secrets, "default", "cert");
    broken.set({"data", "tls.key"}, "AAAA");
    MUST(cluster.api.update(kube::secrets, broken));
    cluster.settle();
    ASSERT_EQ(cluster.events_on("shop").size(), 2u);
    bool found = false;
    for (const std::string& event : cluster.events_on("shop"))
        found |= event.starts_with("CertificateInvalid: spec.tls: Secret default/cert: private key");
    EXPECT_TRUE(found);
}

}  // namespace weft::controller
