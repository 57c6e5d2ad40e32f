#include "apiserver/validate.h"

#include "apiserver/kinds_testing.h"

namespace weft::apiserver {
namespace {

struct Case {
    std::string_view name, spec, expected;  // expected: a part of the errors, "" = valid
};

void check(std::string (*frame)(std::string_view), std::span<const Case> cases) {
    for (const Case& one : cases) {
        const std::string errors = create_errors(frame(one.spec));
        if (one.expected.empty()) {
            EXPECT_EQ(errors, "") << one.name;
        } else {
            EXPECT_NE(errors.find(one.expected), std::string::npos) << one.name << "\n" << errors;
        }
    }
}

TEST(Validate, Ipv6BlocksOfVpcsAndVswitches) {
    const auto vpc = [](std::string_view more) {
        return fmt::format("{{apiVersion: weft.dev/v1, kind: VPC, metadata: {{name: v}}, spec: {{cidrBlock: 10.0.0.0/16, "
                           "serviceCIDR: 172.21.0.0/20{}}}}}",
                           more);
    };
    const auto says = [&](const std::string& object, std::string_view text) {
        EXPECT_NE(create_errors(object).find(text), std::string::npos) << object << ": " << create_errors(object);
    };
    EXPECT_EQ(create_errors(vpc(", ipv6CidrBlock: 'fd00:10::/56', ipv6ServiceCIDR: 'fd00:172:21::/112'")), "");
    says(vpc(", ipv6CidrBlock: 'fd00:10::/48'"), "spec.ipv6CidrBlock: Invalid value: \"fd00:10::/48\"");
    says(vpc(", ipv6CidrBlock: 'fd00:10::1/56'"), "spec.ipv6CidrBlock: Invalid value");
    says(vpc(", ipv6CidrBlock: 'fd77:6566:7400::/56'"), "must not overlap the reserved block fd77:6566:7400::/48");
    says(vpc(", ipv6ServiceCIDR: 'fd00:172:21::/64'"), "spec.ipv6ServiceCIDR: Invalid value");
    says(vpc(", ipv6CidrBlock: 'fd00:10::/56', ipv6ServiceCIDR: 'fd00:10::/112'"),
         "spec.ipv6ServiceCIDR: Invalid value: \"fd00:10::/112\": must not overlap spec.ipv6CidrBlock (fd00:10::/56)");
    json::Value stored = taken(vpc(", ipv6CidrBlock: 'fd00:10::/56'"));
    const auto update = [&](std::string_view more) {
        json::Value wish = taken(vpc(more));
        return lines(validate_update(kind_of(wish), wish, stored, Part::main));
    };
    EXPECT_EQ(update(", ipv6CidrBlock: 'fd00:10::/56', ipv6ServiceCIDR: 'fd00:172:21::/112'"), "") << "may come later";
    EXPECT_NE(update("").find("spec.ipv6CidrBlock: Invalid value: null: field is immutable"), std::string::npos);
    EXPECT_NE(update(", ipv6CidrBlock: 'fd00:11::/56'").find("spec.ipv6CidrBlock: Invalid value"), std::string::npos);
    says("{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: v}, spec: {vpc: v, zone: a, cidrBlock: 10.0.1.0/24, "
         "ipv6CidrBlock: 'fd00:10::/56'}}",
         "spec.ipv6CidrBlock: Invalid value");
}

std::string pod(std::string_view spec) {
    return fmt::format("{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: a}}, spec: {}}}", spec);
}

TEST(Validate, PodRules) {
    const Case cases[] = {
        {"plain", "{containers: [{name: a, image: x}]}", ""},
        {"no containers", "{containers: []}", "spec.containers: Required value"},
        {"absent containers", "{}", "spec.containers: Required value"},
        {"no image", "{containers: [{name: a}]}", "spec.containers[0].image: Required value"},
        {"name", "{containers: [{name: A, image: x}]}", "spec.containers[0].name: Invalid value: \"A\""},
        {"same name", "{containers: [{name: a, image: x}, {name: a, image: y}]}",
         "spec.containers[1].name: Duplicate value: \"a\""},
        {"same as init", "{initContainers: [{name: a, image: x}], containers: [{name: a, image: y}]}",
         "spec.containers[0].name: Duplicate value: \"a\""},
        {"mount", "{containers: [{name: a, image: x, volumeMounts: [{name: v, mountPath: /v}]}]}",
         "spec.containers[0].volumeMounts[0].name: Not found: \"v\""},
        {"probe", "{containers: [{name: a, image: x, livenessProbe: {periodSeconds: 5}}]}",
         "spec.containers[0].livenessProbe: Required value: must specify a handler type"},
        {"policy", "{restartPolicy: Sometimes, containers: [{name: a, image: x}]}",
         "spec.restartPolicy: Unsupported value"},
        {"port", "{containers: [{name: a, image: x, ports: [{containerPort: 0}]}]}",
         "spec.containers[0].ports[0].containerPort"},
        {"quantity", "{containers: [{name: a, image: x, resources: {limits: {cpu: lots}}}]}",
         "spec.containers[0].resources.limits[cpu]: Invalid value: \"lots\""},
    };
    check(pod, cases);
    const json::Value stored = taken(pod("{containers: [{name: a, image: x}]}"));
    json::Value wish = stored;
    json::set(wish, {"spec", "nodeName"}, "node-1");
    wish.at("spec").at("containers").at(0).get_object()["image"] = "y";
    EXPECT_EQ(lines(validate_update(kind_of(wish), wish, stored, Part::main)), "") << "binding and a new image";
    json::set(wish, {"spec", "hostname"}, "h");
    EXPECT_NE(lines(validate_update(kind_of(wish), wish, stored, Part::main))
                  .find("spec: Forbidden: pod updates may not change"),
              std::string::npos);
}

std::string deployment(std::string_view spec) {
    return fmt::format("{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d, namespace: a}}, spec: {}}}",
                       spec);
}

TEST(Validate, DeploymentRules) {
    const Case cases[] = {
        {"plain",
         "{selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, "
         "image: x}]}}}",
         ""},
        {"mismatch",
         "{selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: c}}, spec: {containers: [{name: a, "
         "image: x}]}}}",
         "spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`"},
        {"no selector", "{template: {spec: {containers: [{name: a, image: x}]}}}", "spec.selector: Required value"},
        {"negative",
         "{replicas: -1, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: "
         "[{name: a, image: x}]}}}",
         "spec.replicas: Invalid value: -1: must be greater than or equal to 0"},
        {"inside",
         "{selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a}]}}}",
         "spec.template.spec.containers[0].image: Required value"},
    };
    check(deployment, cases);
    const json::Value stored = taken(deployment(cases[0].spec));
    EXPECT_EQ(json::find_string(stored, {"spec", "strategy", "rollingUpdate", "maxSurge"}), "25%");
    json::Value wish = stored;
    json::set(wish, {"spec", "selector", "matchLabels", "a"}, "z");
    json::set(wish, {"spec", "template", "metadata", "labels", "a"}, "z");
    EXPECT_NE(lines(validate_update(kind_of(wish), wish, stored, Part::main)).find("field is immutable"),
              std::string::npos);
}

std::string ingress(std::string_view spec) {
    return fmt::format(
        "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: i, namespace: a}}, spec: {}}}", spec);
}

TEST(Validate, IngressRules) {
    const Case cases[] = {
        {"plain",
         "{rules: [{host: a.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: s, port: "
         "{number: 80}}}}]}}]}",
         ""},
        {"ING-1", "{}", "either `defaultBackend` or `rules` must be specified"},
        {"ING-2", "{rules: [{host: 10.0.0.1}]}",
         "spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address"},
        {"ING-2 wildcard", "{rules: [{host: '*.example.com'}]}", ""},
        {"ING-3", "{rules: [{http: {paths: [{path: /, backend: {service: {name: s, port: {number: 80}}}}]}}]}",
         "spec.rules[0].http.paths[0].pathType: Required value"},
        {"ING-4",
         "{rules: [{http: {paths: [{path: a, pathType: Exact, backend: {service: {name: s, port: {number: 80}}}}]}}]}",
         "must be an absolute path"},
        {"ING-4 double",
         "{rules: [{http: {paths: [{path: /a//b, pathType: Exact, backend: {service: {name: s, port: {number: "
         "80}}}}]}}]}",
         "must not contain '//'"},
        {"ING-5", "{defaultBackend: {service: {name: s}}}",
         "spec.defaultBackend.service: Required value: port name or number is required"},
        {"ING-5 both", "{defaultBackend: {service: {name: s, port: {number: 1}}, resource: {kind: K, name: n}}}",
         "cannot set both resource and service backends"},
        {"ING-8", "{ingressClassName: A, defaultBackend: {service: {name: s, port: {number: 1}}}}",
         "spec.ingressClassName: Invalid value"},
    };
    check(ingress, cases);
}

std::string vpc(std::string_view spec) {
    return fmt::format("{{apiVersion: weft.dev/v1, kind: VPC, metadata: {{name: v}}, spec: {}}}", spec);
}

TEST(Validate, VpcAndVSwitchRules) {
    const Case cases[] = {
        {"plain", "{cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20}", ""},
        {"required", "{cidrBlock: 10.0.0.0/16}", "spec.serviceCIDR: Required value"},
        {"mask", "{cidrBlock: 10.0.0.0/29, serviceCIDR: 172.21.0.0/20}",
         "spec.cidrBlock: Invalid value: \"10.0.0.0/29\""},
        {"host bits", "{cidrBlock: 10.0.0.1/16, serviceCIDR: 172.21.0.0/20}",
         "spec.cidrBlock: Invalid value: \"10.0.0.1/16\""},
        {"forbidden", "{cidrBlock: 100.64.0.0/16, serviceCIDR: 172.21.0.0/20}",
         "must not overlap the reserved block 100.64.0.0/10"},
        {"overlap", "{cidrBlock: 10.0.0.0/16, serviceCIDR: 10.0.16.0/20}",
         "spec.serviceCIDR: Invalid value: \"10.0.16.0/20\": must not overlap spec.cidrBlock (10.0.0.0/16)"},
        {"vni", "{cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20, vni: 16777216}",
         "spec.vni: Invalid value: 16777216"},
    };
    check(vpc, cases);
    const json::Value stored = taken(vpc("{cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20, vni: 7}"));
    json::Value wish = taken(vpc("{cidrBlock: 10.0.0.0/15, serviceCIDR: 172.22.0.0/20}"));
    EXPECT_EQ(lines(validate_update(kind_of(wish), wish, stored, Part::main)),
              "spec.vni: Invalid value: null: field is immutable\n"
              "spec.serviceCIDR: Invalid value: \"172.22.0.0/20\": field is immutable\n");
    const std::string_view vswitch =
        "{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: s}, spec: {vpc: v, zone: z, cidrBlock: "
        "10.0.0.0/24}}";
    EXPECT_EQ(create_errors(vswitch), "");
    const json::Value before = taken(vswitch);
    json::Value after = before;
    json::set(after, {"spec", "zone"}, "y");
    EXPECT_EQ(lines(validate_update(kind_of(after), after, before, Part::main)),
              "spec.zone: Invalid value: \"y\": field is immutable\n");
}

TEST(Validate, RouteTableAndPeeringRules) {
    const auto table = [](std::string_view route) {
        return fmt::format("{{apiVersion: weft.dev/v1, kind: RouteTable, metadata: {{name: t}}, spec: {{vpc: v, routes: "
                           "[{}]}}}}",
                           route);
    };
    const auto says = [](const std::string& errors, std::string_view text) {
        EXPECT_NE(errors.find(text), std::string::npos) << errors;
    };
    EXPECT_EQ(create_errors(table("{destination: 10.9.0.0/16, nextHop: {type: VpcPeer, id: p}}")), "");
    EXPECT_EQ(create_errors(table("{destination: '::/0', nextHop: {type: Blackhole}}")), "");
    says(create_errors(table("{destination: 10.9.0.0/16, nextHop: {type: VpcPeer}}")),
         "spec.routes[0].nextHop.id: Required value");
    says(create_errors(table("{destination: 10.9.0.0/16, nextHop: {type: Blackhole, id: p}}")),
         "spec.routes[0].nextHop.id: Forbidden");
    says(create_errors(table("{destination: 10.9.0.1/16, nextHop: {type: Blackhole}}")), "spec.routes[0].destination");
    says(create_errors(table("{destination: 10.9.0.0/16, nextHop: {type: HaVip, id: x}}")),
         "spec.routes[0].nextHop.type");
    says(create_errors(table("{destination: 10.9.0.0/16, nextHop: {type: Blackhole}}, "
                             "{destination: 10.9.0.0/16, nextHop: {type: Blackhole}}")),
         "spec.routes[1].destination: Duplicate value");
    const auto peering = [](std::string_view spec) {
        return fmt::format("{{apiVersion: weft.dev/v1, kind: VPCPeering, metadata: {{name: p}}, spec: {}}}", spec);
    };
    EXPECT_EQ(create_errors(peering("{vpc: a, peerVpc: b}")), "");
    says(create_errors(peering("{vpc: a, peerVpc: a}")), "spec.peerVpc: Invalid value: \"a\": must name another VPC");
    says(create_errors(peering("{vpc: a}")), "spec.peerVpc: Required value");
}

TEST(Validate, SecurityGroupRules) {
    const auto group = [](std::string_view spec) {
        return fmt::format("{{apiVersion: weft.dev/v1, kind: SecurityGroup, metadata: {{name: g}}, spec: {}}}", spec);
    };
    EXPECT_EQ(create_errors(
                  group("{vpc: v, rules: [{direction: ingress, protocol: tcp, portRange: 80/80, cidr: 0.0.0.0/0}]}")),
              "");
    EXPECT_NE(create_errors(
                  group("{vpc: v, rules: [{direction: ingress, protocol: tcp, portRange: 90/80, cidr: 0.0.0.0/0}]}"))
                  .find("spec.rules[0].portRange"),
              std::string::npos);
    EXPECT_NE(create_errors(group("{vpc: v, rules: [{direction: ingress, protocol: icmp}]}"))
                  .find("cidr or securityGroup is required"),
              std::string::npos);
}

TEST(Validate, MetadataRules) {
    const auto map = [](std::string_view metadata) {
        return create_errors(fmt::format("{{apiVersion: v1, kind: ConfigMap, metadata: {}}}", metadata));
    };
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"{name: a.b, namespace: x, labels: {a/b: c, d: ''}, annotations: {Example.com/B: anything goes}}", ""},
        {"{namespace: x}", "metadata.name: Required value: name or generateName is required"},  // API-32
        {"{name: A_b, namespace: x}",
         "metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain"},  // API-33
        {"{name: a, namespace: x, labels: {a b: c}}",
         "metadata.labels: Invalid value: \"a b\": name part must"},  // API-36
        {"{name: a, namespace: x, labels: {a: b/c}}",
         "metadata.labels: Invalid value: \"b/c\": a valid label must"},  // API-36
        {"{name: a, namespace: x, annotations: {a/b/c: d}}",
         "metadata.annotations: Invalid value: \"a/b/c\""},                                           // API-36
        {"{name: a, namespace: x, finalizers: [orphan, foregroundDeletion]}", "cannot be both set"},  // API-39
        {"{name: a, namespace: x, ownerReferences: [{kind: K, name: n, uid: u}]}",
         "metadata.ownerReferences[0].apiVersion: Required value"},  // API-38
        {"{name: a, namespace: x, ownerReferences: [{apiVersion: v1, kind: K, name: n, uid: u, controller: true}, "
         "{apiVersion: v1, kind: K, name: m, uid: w, controller: true}]}",
         "Only one reference can have Controller set to true"},
    };
    for (const auto& [metadata, expected] : cases) {
        const std::string errors = map(metadata);
        EXPECT_TRUE(expected.empty() ? errors.empty() : errors.find(expected) != errors.npos) << metadata << "\n"
                                                                                              << errors;
    }
    json::Value stored =
        taken("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: x, finalizers: [a/b]}}");
    json::set(stored, {"metadata", "deletionTimestamp"}, "2026-11-24T00:00:00Z");
    json::Value wish = stored;
    json::set(wish, {"metadata", "finalizers"}, json::Array{"a/b", "c/d"});
    EXPECT_EQ(
        lines(validate_update(kind_of(wish), wish, stored, Part::main)),
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new "
        "finalizers [\"c/d\"]\n");
    const Refusal refusal = invalid(kind_of(wish), "a", {required("x"), invalid_value("y", int64_t(5), "is wrong")});
    EXPECT_EQ(refusal.message, "ConfigMap \"a\" is invalid: [x: Required value, y: Invalid value: 5: is wrong]");
}

}  // namespace
}  // namespace weft::apiserver
