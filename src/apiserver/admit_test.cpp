#include "apiserver/admit.h"

#include "apiserver/kinds_testing.h"

namespace weft::apiserver {
namespace {

// A store in a map, and the server's own order of steps around admission.
class World : public StoreView {
public:
    World() {
        put("{apiVersion: v1, kind: Namespace, metadata: {name: default}}");
        put("{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}");
        put("{apiVersion: v1, kind: Namespace, metadata: {name: blue, annotations: {weft.dev/vpc: vpc-blue}}}");
        put("{apiVersion: v1, kind: Namespace, metadata: {name: lost, annotations: {weft.dev/vpc: nowhere}}}");
        vpc("vpc-demo", "172.21.0.0/27", true);
        vpc("vpc-blue", "172.21.0.0/27", false);
    }

    std::optional<json::Value> get(const kube::Resource& resource, const kube::ObjectKey& key) override {
        const auto found = objects_.find(std::string(resource.plural) + "/" + key.text());
        return found == objects_.end() ? std::nullopt : std::optional(found->second);
    }

    void each(const kube::Resource& resource, std::string_view ns,
              const std::function<bool(const json::Value&)>& visit) override {
        const std::string prefix = std::string(resource.plural) + "/" + (ns.empty() ? "" : std::string(ns) + "/");
        for (const auto& [key, object] : objects_) {
            if (key.starts_with(prefix) && !visit(object)) return;
        }
    }

    void vpc(std::string_view name, std::string_view cidr, bool is_default, std::string_view more = "") {
        put(
            fmt::format("{{apiVersion: weft.dev/v1, kind: VPC, metadata: {{name: {}}}, spec: {{cidrBlock: 10.0.0.0/16, "
                        "serviceCIDR: "
                        "{}, default: {}{}}}}}",
                        name, cidr, is_default, more));
    }

    // The error's message, or "" and the object is stored (unless it is a dry run).
    std::string put(std::string_view text, bool dry_run = false, json::Value* result = nullptr) {
        json::Value object = yaml(text);
        const Kind& kind = kind_of(object);
        const std::string ns(json::find_string(object, {"metadata", "namespace"}));
        const std::string key = std::string(kind.plural) + "/" + (ns.empty() ? "" : ns + "/") +
                                std::string(json::find_string(object, {"metadata", "name"}));
        const auto stored = objects_.find(key);
        const json::Value* before = stored == objects_.end() ? nullptr : &stored->second;
        std::vector<std::string> strict;
        EXPECT_TRUE(decode(kind, object, {}, strict));
        apply_defaults(kind, object);
        if (before == nullptr) {
            prepare_create(kind, object);
        } else {
            prepare_update(kind, object, *before, Part::main);
        }
        const FieldErrors errors =
            before == nullptr ? validate_create(kind, object) : validate_update(kind, object, *before, Part::main);
        EXPECT_EQ(lines(errors), "");
        // Bootstrap: the world's first namespaces come before anything that asks for them.
        const Verdict verdict =
            admission.admit(*this, kind, before == nullptr ? Operation::create : Operation::update, object, before);
        if (!verdict) return fmt::format("{} {}", verdict.error().code, verdict.error().message);
        if (result != nullptr) *result = object;
        if (dry_run) return "";
        admission.stored(kind, before, &object);
        objects_[key] = std::move(object);
        return "";
    }

    void remove(const kube::Resource& resource, const std::string& key) {
        const auto found = objects_.find(std::string(resource.plural) + "/" + key);
        ASSERT_NE(found, objects_.end());
        admission.stored(*KindTable::builtin()->find(resource), &found->second, nullptr);
        objects_.erase(found);
    }

    std::string ip_of(std::string_view name, std::string_view ns = "default", std::string_view more = "") {
        const std::string error = put(service(name, ns, more));
        return error.empty() ? std::string(json::find_string(*get(kube::services, {std::string(ns), std::string(name)}),
                                                             {"spec", "clusterIP"}))
                             : error;
    }

    static std::string service(std::string_view name, std::string_view ns = "default", std::string_view more = "") {
        return fmt::format(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {}, namespace: {}}}, spec: {{selector: {{a: b}}, "
            "ports: [{{port: 80}}]{}{}}}}}",
            name, ns, more.empty() ? "" : ", ", more);
    }

    json::Value stored(std::string_view name) { return *get(kube::services, {"default", std::string(name)}); }

    Admission admission;

private:
    std::map<std::string, json::Value> objects_;
};

TEST(Admit, ClusterIpsAreLowestFirstAndReservedOnesAreKept) {
    World world;
    EXPECT_EQ(world.ip_of("a"), "172.21.0.2");
    EXPECT_EQ(world.ip_of("b"), "172.21.0.3");
    EXPECT_EQ(world.ip_of("kubernetes"), "172.21.0.1");
    EXPECT_EQ(world.ip_of("kube-dns", "kube-system"), "172.21.0.10");
    world.remove(kube::services, "default/a");
    EXPECT_EQ(world.ip_of("c"), "172.21.0.2") << "released at delete";
    EXPECT_EQ(world.stored("c").at("spec").at("clusterIPs"), json::Value(json::Array{"172.21.0.2"}));
    EXPECT_EQ(world.stored("c").at("spec").at("ipFamilies"), json::Value(json::Array{"IPv4"}));
    EXPECT_EQ(json::find_string(world.stored("c"), {"spec", "ipFamilyPolicy"}), "SingleStack");
}

TEST(Admit, TwoVpcsGiveTheSameAddress) {
    World world;
    EXPECT_EQ(world.ip_of("web"), "172.21.0.2");
    EXPECT_EQ(world.ip_of("web", "blue"), "172.21.0.2");
}

TEST(Admit, SVC53_StaticAddressesAreChecked) {
    World world;
    EXPECT_EQ(world.ip_of("a", "default", "clusterIP: 172.21.0.20"), "172.21.0.20");
    EXPECT_EQ(world.ip_of("b", "default", "clusterIP: 172.21.0.20"),
              "422 Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"172.21.0.20\"]: failed to allocate IP "
              "172.21.0.20: "
              "provided IP is already allocated");
    EXPECT_NE(
        world.ip_of("b", "default", "clusterIP: 10.9.9.9").find("the provided IP (10.9.9.9) is not in the valid range"),
        std::string::npos);
    EXPECT_NE(world.ip_of("b", "default", "clusterIP: 172.21.0.10").find("is reserved"), std::string::npos);
    EXPECT_EQ(world.ip_of("b", "blue", "clusterIP: 172.21.0.20"), "172.21.0.20") << "free in its own VPC";
    EXPECT_EQ(world.ip_of("a", "default", "clusterIP: 172.21.0.20"), "172.21.0.20") << "its own, at an update";
}

TEST(Admit, SVC52_AFullRangeIsSaidSo) {
    World world;
    int count = 0;
    std::string last;
    for (int index = 0; index < 32; index++) {
        last = world.ip_of(fmt::format("s{}", index));
        if (!last.starts_with("500")) count++;
    }
    EXPECT_EQ(count, 28) << "32 without network, .1, .10 and broadcast";
    EXPECT_EQ(last, "500 Internal error occurred: failed to allocate a serviceIP: range is full");
    EXPECT_EQ(world.ip_of("none", "default", "clusterIP: None"), "None") << "headless takes nothing";
}

TEST(Admit, WithoutItsVpcAServiceIsRefusedByName) {
    World world;
    EXPECT_NE(world.ip_of("a", "lost").find("VPC \"nowhere\" of namespace \"lost\" does not exist"), std::string::npos);
    world.remove(kube::vpcs, "vpc-demo");
    EXPECT_NE(world.ip_of("a").find("no VPC has spec.default: true"), std::string::npos);
}

TEST(Admit, API91_ADryRunShowsAnAddressAndTakesNone) {
    World world;
    json::Value shown;
    EXPECT_EQ(world.put(World::service("a"), true, &shown), "");
    EXPECT_EQ(json::find_string(shown, {"spec", "clusterIP"}), "172.21.0.2");
    EXPECT_EQ(world.ip_of("b"), "172.21.0.2");
}

TEST(Admit, SVC55_NodePorts) {
    World world;
    const std::string_view both =
        "type: NodePort, ports: [{name: t, port: 53}, {name: u, port: 53, protocol: UDP}, {name: x, port: 80}]";
    EXPECT_EQ(world.put(fmt::format(
                  "{{apiVersion: v1, kind: Service, metadata: {{name: n, namespace: default}}, spec: {{{}}}}}", both)),
              "");
    const json::Value stored = world.stored("n");
    const json::Array& ports = stored.at("spec").at("ports").as_array();
    EXPECT_EQ(json::find_int(ports[0], {"nodePort"}), 30086);
    EXPECT_EQ(json::find_int(ports[1], {"nodePort"}), 30086) << "TCP and UDP of one port share";
    EXPECT_EQ(json::find_int(ports[2], {"nodePort"}), 30087);
    const auto wish = [&](std::string_view name, int port) {
        return world.put(fmt::format(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {}, namespace: default}}, spec: {{type: NodePort, "
            "ports: [{{port: 80, nodePort: {}}}]}}}}",
            name, port));
    };
    EXPECT_NE(wish("m", 30086).find("spec.ports[0].nodePort: Invalid value: 30086: provided port is already allocated"),
              std::string::npos);
    EXPECT_NE(wish("m", 80).find("provided port is not in the valid range. The range of valid ports is 30000-32767"),
              std::string::npos);
    EXPECT_EQ(wish("m", 30001), "");
    world.remove(kube::services, "default/n");
    EXPECT_EQ(wish("o", 30086), "");
    EXPECT_EQ(world.ip_of("lb", "default", "type: LoadBalancer, allocateLoadBalancerNodePorts: false"), "172.21.0.4");
    EXPECT_FALSE(json::has(world.stored("lb").at("spec").at("ports").at(0), {"nodePort"})) << "SVC-59";
}

TEST(Admit, LoadBuildsTheSameIndexFromTheStore) {
    World world;
    EXPECT_EQ(world.ip_of("a"), "172.21.0.2");
    EXPECT_EQ(world.ip_of("b", "default", "type: LoadBalancer"), "172.21.0.3");
    world.admission.load(world);
    EXPECT_EQ(world.ip_of("c"), "172.21.0.4");
    EXPECT_NE(world
                  .put("{apiVersion: v1, kind: Service, metadata: {name: d, namespace: default}, spec: {type: "
                       "NodePort, ports: [{port: 1, nodePort: 30086}]}}")
                  .find("already allocated"),
              std::string::npos);
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
    EXPECT_EQ(world.ip_of("web", "team"), "172.21.0.2");
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

TEST(Admit, TenThousandServicesCostNoScan) {
    World world;
    world.vpc("vpc-big", "172.24.0.0/16", false);
    world.put("{apiVersion: v1, kind: Namespace, metadata: {name: big, annotations: {weft.dev/vpc: vpc-big}}}");
    const json::Value service = taken(World::service("s", "big"));
    const Kind& kind = kind_of(service);
    for (int index = 0; index < 10000; index++) {
        json::Value one = service;
        json::set(one, {"metadata", "name"}, json::Value(fmt::format("s{}", index)));
        ASSERT_TRUE(world.admission.admit(world, kind, Operation::create, one, nullptr));
        world.admission.stored(kind, nullptr, &one);
        if (index == 9999) {
            EXPECT_EQ(json::find_string(one, {"spec", "clusterIP"}), "172.24.39.18");
        }
    }
}

// "error", or "policy families clusterIPs" of the stored Service.
std::string families_of(World& world, std::string_view spec, std::string_view name = "s", std::string_view ns = "default") {
    const std::string error = world.put(
        fmt::format("{{apiVersion: v1, kind: Service, metadata: {{name: {}, namespace: {}}}, spec: {}}}", name, ns, spec));
    if (!error.empty()) return error;
    const json::Value stored = *world.get(kube::services, {std::string(ns), std::string(name)});
    return fmt::format("{} {} {}", json::find_string(stored, {"spec", "ipFamilyPolicy"}),
                       fmt::join(json::find_strings(stored, {"spec", "ipFamilies"}), ","),
                       fmt::join(json::find_strings(stored, {"spec", "clusterIPs"}), ","));
}

World& dual_stack(World& world) {
    world.vpc("vpc-demo", "172.21.0.0/27", true, ", ipv6CidrBlock: 'fd00:10::/56', ipv6ServiceCIDR: 'fd00:172:21::/112'");
    world.vpc("vpc-blue", "172.21.0.0/27", false, ", ipv6ServiceCIDR: 'fd00:172:21::/112'");
    return world;
}

TEST(Admit, FamiliesAsPolicyAndVpcSay) {
    struct Row {
        std::string_view rule, spec, single, dual;
    };
    static constexpr std::string_view two_of_one = "must be 'RequireDualStack' or 'PreferDualStack' when multiple";
    const std::vector<Row> rows = {
        {"SVC-61", "{ports: [{port: 80}]}", "SingleStack IPv4 172.21.0.2", "SingleStack IPv4 172.21.0.2"},
        {"SVC-60", "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}", "PreferDualStack IPv4 172.21.0.2",
         "PreferDualStack IPv4,IPv6 172.21.0.2,fd00:172:21::2"},
        {"SVC-62", "{ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6], ports: [{port: 80}]}",
         "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
         "PreferDualStack IPv6,IPv4 fd00:172:21::2,172.21.0.2"},
        {"SVC-62 inferred", "{ipFamilyPolicy: RequireDualStack, clusterIP: 'fd00:172:21::7', ports: [{port: 80}]}",
         "IPv6 is not configured on this cluster", "RequireDualStack IPv6,IPv4 fd00:172:21::7,172.21.0.2"},
        {"SVC-64", "{ipFamilyPolicy: RequireDualStack, ports: [{port: 80}]}",
         "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
         "RequireDualStack IPv4,IPv6 172.21.0.2,fd00:172:21::2"},
        {"SVC-65", "{ipFamilies: [IPv6], ports: [{port: 80}]}", "not configured on this cluster",
         "SingleStack IPv6 fd00:172:21::2"},
        {"SVC-63", "{ipFamilies: [IPv4, IPv6], ports: [{port: 80}]}", two_of_one, two_of_one},
        {"SVC-63 addresses",
         "{ipFamilyPolicy: SingleStack, clusterIP: 172.21.0.9, clusterIPs: [172.21.0.9, 'fd00:172:21::9'], ports: [{port: "
         "80}]}",
         two_of_one, two_of_one},
        {"SVC-61 headless, selectorless", "{clusterIP: None}", "RequireDualStack IPv4,IPv6 None",
         "RequireDualStack IPv4,IPv6 None"},
        {"SVC-61 headless", "{clusterIP: None, selector: {a: b}}", "SingleStack IPv4 None", "SingleStack IPv4 None"},
        {"SVC-62 headless", "{clusterIP: None, ipFamilyPolicy: PreferDualStack, selector: {a: b}}",
         "PreferDualStack IPv4 None", "PreferDualStack IPv4,IPv6 None"},
        {"SVC-53", "{clusterIP: 'fd00:172:22::2', ports: [{port: 80}]}", "IPv6 is not configured on this cluster",
         "the provided IP (fd00:172:22::2) is not in the valid range. The range of valid IPs is fd00:172:21::/112"},
        {"SVC-53 reserved", "{clusterIP: 'fd00:172:21::a', ports: [{port: 80}]}",
         "IPv6 is not configured on this cluster", "the provided IP (fd00:172:21::a) is reserved"},
    };
    for (const Row& row : rows) {
        World single, dual;
        EXPECT_NE(families_of(single, row.spec).find(row.single), std::string::npos)
            << row.rule << ": " << families_of(single, row.spec);
        EXPECT_NE(families_of(dual_stack(dual), row.spec).find(row.dual), std::string::npos)
            << row.rule << ": " << families_of(dual, row.spec);
    }
}

// SVC-66
TEST(Admit, SecondFamilyComesAndGoesThePrimaryStays) {
    World world;
    dual_stack(world);
    EXPECT_EQ(families_of(world, "{ports: [{port: 80}]}"), "SingleStack IPv4 172.21.0.2");
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}"),
              "PreferDualStack IPv4,IPv6 172.21.0.2,fd00:172:21::2");
    EXPECT_EQ(families_of(world, "{ports: [{port: 81}]}"), "PreferDualStack IPv4,IPv6 172.21.0.2,fd00:172:21::2")
        << "a wish that says nothing keeps both";
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}", "other"),
              "PreferDualStack IPv4,IPv6 172.21.0.3,fd00:172:21::3");
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}", "s", "blue"),
              "PreferDualStack IPv4,IPv6 172.21.0.2,fd00:172:21::2")
        << "every VPC has its own";
    // What `kubectl edit` sends: the policy changed, the lists as they were.
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: SingleStack, ipFamilies: [IPv4, IPv6], clusterIP: 172.21.0.2, clusterIPs: "
                                 "[172.21.0.2, 'fd00:172:21::2'], ports: [{port: 80}]}"),
              "SingleStack IPv4 172.21.0.2");
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}", "third"),
              "PreferDualStack IPv4,IPv6 172.21.0.4,fd00:172:21::2")
        << "the address given back is the lowest free one";
}

TEST(Admit, ServicesOlderThanTheVpcsSecondFamilyStayAsTheyAre) {
    World world;
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}"),
              "PreferDualStack IPv4 172.21.0.2");
    dual_stack(world);
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: PreferDualStack, ports: [{port: 81}]}"),
              "PreferDualStack IPv4 172.21.0.2");
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: RequireDualStack, ports: [{port: 81}]}"),
              "RequireDualStack IPv4,IPv6 172.21.0.2,fd00:172:21::2");
    EXPECT_EQ(world.ip_of("kubernetes", "default", "ipFamilyPolicy: PreferDualStack"), "172.21.0.1");
    EXPECT_EQ(json::find_strings(world.stored("kubernetes"), {"spec", "clusterIPs"})[1], "fd00:172:21::1");
}

}  // namespace
}  // namespace weft::apiserver
