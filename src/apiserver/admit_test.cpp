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

TEST(Admit, ASecondDefaultVpcIsRefusedByFieldAndHolder) {
    World world;
    const auto vpc = [&](std::string_view name, bool is_default) {
        return world.put(fmt::format("{{apiVersion: weft.dev/v1, kind: VPC, metadata: {{name: {}}}, spec: {{cidrBlock: "
                                     "10.0.0.0/16, serviceCIDR: 172.21.0.0/27, default: {}}}}}",
                                     name, is_default));
    };
    const std::string refused = "spec.default: Forbidden: VPC \"vpc-demo\" is the default already";
    for (const char* name : {"vpc-blue", "vpc-new"}) {
        const std::string error = vpc(name, true);
        EXPECT_TRUE(error.starts_with("422 ")) << error;
        EXPECT_NE(error.find(refused), std::string::npos) << error;
    }
    EXPECT_EQ(vpc("vpc-demo", true), "") << "its holder may be written again";
    EXPECT_EQ(vpc("vpc-demo", false), "") << "nothing lives in it";
    EXPECT_EQ(vpc("vpc-blue", true), "");
}

TEST(Admit, TheDefaultVpcStaysSoWhileANamespaceWithoutAnnotationHoldsSomething) {
    World world;
    const auto unset = [&] {
        return world.put("{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-demo}, spec: {cidrBlock: 10.0.0.0/16, "
                         "serviceCIDR: 172.21.0.0/27}}");
    };
    EXPECT_EQ(world.ip_of("kubernetes"), "172.21.0.1") << "the built-in ones hold nothing";
    EXPECT_NE(world.ip_of("elsewhere", "blue"), "");
    EXPECT_NE(world.ip_of("web"), "");
    EXPECT_NE(unset().find("spec.default: Forbidden: the VPC stays the default while namespace \"default\", which names "
                           "no VPC, holds Service \"web\""),
              std::string::npos);
    world.remove(kube::services, "default/web");
    EXPECT_EQ(world.put("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {containers: [{name: c, "
                        "image: i}]}}"),
              "");
    EXPECT_NE(unset().find("holds Pod \"p\""), std::string::npos);
    world.remove(kube::pods, "default/p");
    EXPECT_EQ(unset(), "");
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
