#include "apiserver/admit_testing.h"

namespace weft::apiserver {
namespace {

using World = AdmissionWorld;

TEST(Admit, WithoutItsVpcAServiceIsRefusedByName) {
    World world;
    EXPECT_NE(world.ip_of("a", "lost").find("VPC \"nowhere\" of namespace \"lost\" does not exist"), std::string::npos);
    world.remove(kube::vpcs, "vpc-demo");
    EXPECT_NE(world.ip_of("a").find("no VPC has spec.default: true"), std::string::npos);
}

TEST(Admit, API66_NamespacesMustExistAndNotEnd) {
    World world;
    EXPECT_EQ(world.put("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: gone}}"),
              "404 namespaces \"gone\" not found");
    json::Value ns = *world.get(kube::namespaces, {"", "blue"});
    EXPECT_NE(world.put("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: blue}}").find("404"), 0u);
}

TEST(Admit, API72_ProtectedNamespacesStay) {
    World world;
    json::Value ns = *world.get(kube::namespaces, {"", "default"});
    const Verdict verdict = world.admission.admit(world, kind_of(ns), Operation::remove, ns, &ns);
    ASSERT_FALSE(verdict.has_value());
    EXPECT_EQ(verdict.error().message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

TEST(Admit, ANamespaceKeepsItsVpcWhileItHoldsAService) {
    World world;
    world.put("{apiVersion: v1, kind: Namespace, metadata: {name: team}}");
    EXPECT_EQ(
        world.put("{apiVersion: v1, kind: Namespace, metadata: {name: team, annotations: {weft.dev/vpc: vpc-blue}}}"),
        "");
    EXPECT_EQ(world.ip_of("web", "team"), "172.21.0.17");
    EXPECT_NE(world.put("{apiVersion: v1, kind: Namespace, metadata: {name: team}}")
                  .find("metadata.annotations[weft.dev/vpc]: Forbidden: the VPC of a namespace is fixed while it holds "
                        "a Service"),
              std::string::npos);
}

TEST(Admit, ING20_TheDefaultClassIsFilledIn) {
    World world;
    const auto add_class = [&](std::string_view name) {
        world.put(fmt::format(
            "{{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {{name: {}, annotations: "
            "{{ingressclass.kubernetes.io/is-default-class: 'true'}}}}, spec: {{controller: weft.dev/ingress}}}}",
            name));
    };
    const std::string_view ingress =
        "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: default}, spec: "
        "{defaultBackend: {service: {name: s, port: {number: 80}}}}}";
    add_class("weft");
    json::Value result;
    EXPECT_EQ(world.put(ingress, true, &result), "");
    EXPECT_EQ(json::find_string(result, {"spec", "ingressClassName"}), "weft");
    add_class("other");
    EXPECT_EQ(
        world.put(ingress),
        "403 ingresses.networking.k8s.io \"i\" is forbidden: 2 default IngressClasses were found, only 1 allowed");
}

}  // namespace
}  // namespace weft::apiserver
