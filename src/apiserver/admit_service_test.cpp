// ClusterIPs, families and nodePorts of Services: SVC-50..SVC-66.
#include "apiserver/admit_testing.h"

namespace weft::apiserver {
namespace {

using World = AdmissionWorld;

TEST(Admit, ClusterIpsAreLowestFirstAndReservedOnesAreKept) {
    World world;
    EXPECT_EQ(world.ip_of("a"), "172.21.0.17");
    EXPECT_EQ(world.ip_of("b"), "172.21.0.18");
    EXPECT_EQ(world.ip_of("kubernetes"), "172.21.0.1");
    EXPECT_EQ(world.ip_of("kube-dns", "kube-system"), "172.21.0.10");
    world.remove(kube::services, "default/a");
    EXPECT_EQ(world.ip_of("c"), "172.21.0.17") << "released at delete";
    EXPECT_EQ(world.stored("c").at("spec").at("clusterIPs"), json::Value(json::Array{"172.21.0.17"}));
    EXPECT_EQ(world.stored("c").at("spec").at("ipFamilies"), json::Value(json::Array{"IPv4"}));
    EXPECT_EQ(json::find_string(world.stored("c"), {"spec", "ipFamilyPolicy"}), "SingleStack");
}

TEST(Admit, TwoVpcsGiveTheSameAddress) {
    World world;
    EXPECT_EQ(world.ip_of("web"), "172.21.0.17");
    EXPECT_EQ(world.ip_of("web", "blue"), "172.21.0.17");
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

TEST(Admit, SVC52_TheFirstAddressesAreForThoseWhoChooseUntilNothingElseIsFree) {
    World world;
    EXPECT_EQ(world.ip_of("chosen", "default", "clusterIP: 172.21.0.5"), "172.21.0.5");
    for (int index = 17; index <= 30; index++)
        EXPECT_EQ(world.ip_of(fmt::format("s{}", index)), fmt::format("172.21.0.{}", index))
            << "above the band, lowest first";
    EXPECT_EQ(world.ip_of("a"), "172.21.0.2") << "then the band itself";
    EXPECT_EQ(world.ip_of("b"), "172.21.0.3");
    world.remove(kube::services, "default/s20");
    EXPECT_EQ(world.ip_of("c"), "172.21.0.20") << "what comes back above it is taken first";
    EXPECT_EQ(world.ip_of("d"), "172.21.0.4");
    EXPECT_EQ(world.ip_of("e"), "172.21.0.6") << "not the one that was chosen";
    world.vpc("vpc-wide", "172.24.0.0/20", false);
    world.put("{apiVersion: v1, kind: Namespace, metadata: {name: wide, annotations: {weft.dev/vpc: vpc-wide}}}");
    EXPECT_EQ(world.ip_of("a", "wide"), "172.24.1.1") << "a sixteenth, 256 at the most";
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

TEST(Admit, API91_ADryRunShowsAnAddressAndTakesNone) {
    World world;
    json::Value shown;
    EXPECT_EQ(world.put(World::service("a"), true, &shown), "");
    EXPECT_EQ(json::find_string(shown, {"spec", "clusterIP"}), "172.21.0.17");
    EXPECT_EQ(world.ip_of("b"), "172.21.0.17");
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
    const auto udp = [&](std::string_view name) {
        return world.put(fmt::format(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {}, namespace: blue}}, spec: {{type: NodePort, "
            "ports: [{{port: 80, protocol: UDP, nodePort: 30001}}]}}}}",
            name));
    };
    EXPECT_EQ(udp("u"), "") << "DP-24: another protocol, of whichever VPC";
    EXPECT_NE(udp("v").find("provided port is already allocated"), std::string::npos)
        << "the node has one number for all VPCs";
    world.remove(kube::services, "default/n");
    EXPECT_EQ(wish("o", 30086), "");
    EXPECT_EQ(world.ip_of("lb", "default", "type: LoadBalancer, allocateLoadBalancerNodePorts: false"), "172.21.0.19");
    EXPECT_FALSE(json::has(world.stored("lb").at("spec").at("ports").at(0), {"nodePort"})) << "SVC-59";
}

// The numbers, protocols and policy of a Service as it is stored: "80/TCP=30086 53/UDP=30087 health=30088".
std::string ports_of(World& world, std::string_view name) {
    std::string text;
    const json::Value stored = world.stored(name);
    for (const json::Value& port : stored.at("spec").at("ports").as_array())
        text += fmt::format("{}/{}={} ", json::find_int(port, {"port"}), json::find_string(port, {"protocol"}),
                            json::find_int(port, {"nodePort"}));
    if (const int64_t health = json::find_int(stored, {"spec", "healthCheckNodePort"}); health != 0)
        text += fmt::format("health={} ", health);
    return text;
}

TEST(Admit, SVC56_TheHealthChecksPortComesFromTheNodePorts) {
    World world;
    const auto local = [&](std::string_view name, std::string_view more = "") {
        return world.ip_of(name, "default", fmt::format("type: LoadBalancer, externalTrafficPolicy: Local{}", more));
    };
    local("a");
    EXPECT_EQ(ports_of(world, "a"), "80/TCP=30086 health=30087 ");
    EXPECT_NE(local("b", ", healthCheckNodePort: 30086")
                  .find("spec.healthCheckNodePort: Invalid value: 30086: provided port is already allocated"),
              std::string::npos);
    EXPECT_NE(local("b", ", healthCheckNodePort: 80")
                  .find("spec.healthCheckNodePort: Invalid value: 80: provided port is not in the valid range"),
              std::string::npos);
    local("b", ", healthCheckNodePort: 30001");
    EXPECT_EQ(ports_of(world, "b"), "80/TCP=30088 health=30001 ");
    local("c", ", allocateLoadBalancerNodePorts: false");
    EXPECT_EQ(ports_of(world, "c"), "80/TCP=0 health=30089 ") << "nodes are asked without any other nodePort too";
    world.ip_of("a", "default", "type: LoadBalancer");
    EXPECT_EQ(ports_of(world, "a"), "80/TCP=30086 ")
        << "a wish that leaves the policy out means Cluster, and gives it back";
}

// SVC-47, SVC-58, SVC-59: what each type has, and what stays across a change of it.

TEST(Admit, SVC47_ASwitchOfTypeTakesWhatIsNeededKeepsTheAddressAndGivesTheRestBack) {
    World world;
    const auto is = [&](std::string_view type) { return world.ip_of("s", "default", fmt::format("type: {}", type)); };
    EXPECT_EQ(is("ClusterIP"), "172.21.0.17");
    EXPECT_EQ(ports_of(world, "s"), "80/TCP=0 ");
    EXPECT_EQ(is("NodePort"), "172.21.0.17");
    EXPECT_EQ(ports_of(world, "s"), "80/TCP=30086 ");
    EXPECT_EQ(is("LoadBalancer"), "172.21.0.17");
    EXPECT_EQ(ports_of(world, "s"), "80/TCP=30086 ") << "kept";
    EXPECT_EQ(is("LoadBalancer, externalTrafficPolicy: Local"), "172.21.0.17");
    EXPECT_EQ(ports_of(world, "s"), "80/TCP=30086 health=30087 ");
    EXPECT_EQ(is("NodePort"), "172.21.0.17");
    EXPECT_EQ(ports_of(world, "s"), "80/TCP=30086 ");
    EXPECT_EQ(is("ClusterIP"), "172.21.0.17");
    EXPECT_EQ(ports_of(world, "s"), "80/TCP=0 ");
    EXPECT_EQ(world.ip_of("other", "default", "type: LoadBalancer, externalTrafficPolicy: Local"), "172.21.0.18");
    EXPECT_EQ(ports_of(world, "other"), "80/TCP=30086 health=30087 ") << "both were given back";
    EXPECT_EQ(is("ExternalName, externalName: a.b"), "");
    EXPECT_EQ(world.ip_of("next"), "172.21.0.17") << "and so was the address";
    EXPECT_EQ(is("NodePort"), "172.21.0.19") << "from a name: a new one";
}

TEST(Admit, SVC55_FullNodePortsAreSaidSoAndTheFirstOnesComeLast) {
    World world;
    world.vpc("vpc-big", "172.24.0.0/16", false);
    world.put("{apiVersion: v1, kind: Namespace, metadata: {name: big, annotations: {weft.dev/vpc: vpc-big}}}");
    json::Value service = taken(World::service("s", "big", "type: NodePort"));
    const Kind& kind = kind_of(service);
    std::string last;
    int64_t given = 0, last_port = 0;
    for (int index = 0; index <= node_port_last - node_port_first + 1; index++) {
        json::Value one = service;
        json::set(one, {"metadata", "name"}, json::Value(fmt::format("s{}", index)));
        const Verdict verdict = world.admission.admit(world, kind, Operation::create, one, nullptr);
        if (!verdict) {
            last = fmt::format("{} {}", verdict.error().code, verdict.error().message);
            break;
        }
        world.admission.stored(kind, nullptr, &one);
        last_port = json::find_int(one.at("spec").at("ports").at(0), {"nodePort"});
        given++;
    }
    EXPECT_EQ(given, 2768);
    EXPECT_EQ(last_port, 30085) << "the last of those kept for who asks by number";
    EXPECT_EQ(last, "500 Internal error occurred: failed to allocate a nodePort: range is full");
}

// DP-17
TEST(Admit, AnExternalAddressIsNoneThatAPoolGivesAway) {
    World world;
    world.put(
        "{apiVersion: weft.dev/v1, kind: AddressPool, metadata: {name: pool-demo}, spec: {cidrs: [203.0.113.64/28]}}");
    EXPECT_EQ(world.ip_of("a", "default", "externalIPs: [192.0.2.7]"), "172.21.0.17");
    EXPECT_NE(world.ip_of("b", "default", "externalIPs: [192.0.2.7, 203.0.113.70]")
                  .find("spec.externalIPs[1]: Invalid value: \"203.0.113.70\": is of AddressPool pool-demo"),
              std::string::npos);
}

// SVC-50: of the CIDR its VPC has, never the network's own address nor the broadcast one, in both families.

TEST(Admit, SVC50_AddressesComeFromTheVpcsServiceCidrsWithoutTheirEnds) {
    World world;
    world.vpc("vpc-tiny", "172.24.0.0/27", false, ", ipv6ServiceCIDR: 'fd00:172:24::/112'");
    world.put("{apiVersion: v1, kind: Namespace, metadata: {name: tiny, annotations: {weft.dev/vpc: vpc-tiny}}}");
    std::set<std::string> given;
    for (int index = 0; index < 28; index++) given.insert(world.ip_of(fmt::format("s{}", index), "tiny"));
    EXPECT_EQ(given.size(), 28u);
    for (const std::string_view kept : {"172.24.0.0", "172.24.0.1", "172.24.0.10", "172.24.0.31"})
        EXPECT_FALSE(given.contains(std::string(kept))) << kept;
    EXPECT_EQ(world.ip_of("more", "tiny"),
              "500 Internal error occurred: failed to allocate a serviceIP: range is full");
    for (const std::string_view kept : {"172.24.0.0", "172.24.0.31"})
        EXPECT_NE(world.ip_of("more", "tiny", fmt::format("clusterIP: {}", kept)).find("is reserved"),
                  std::string::npos)
            << kept;
    EXPECT_EQ(world.ip_of("six", "tiny", "ipFamilies: [IPv6]"), "fd00:172:24::101");
    EXPECT_NE(world.ip_of("seven", "tiny", "ipFamilies: [IPv6], clusterIP: 'fd00:172:24::'").find("is reserved"),
              std::string::npos);
}

TEST(Admit, LoadBuildsTheSameIndexFromTheStore) {
    World world;
    EXPECT_EQ(world.ip_of("a"), "172.21.0.17");
    EXPECT_EQ(world.ip_of("b", "default", "type: LoadBalancer"), "172.21.0.18");
    world.admission.load(world);
    EXPECT_EQ(world.ip_of("c"), "172.21.0.19");
    EXPECT_NE(world
                  .put("{apiVersion: v1, kind: Service, metadata: {name: d, namespace: default}, spec: {type: "
                       "NodePort, ports: [{port: 1, nodePort: 30086}]}}")
                  .find("already allocated"),
              std::string::npos);
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
            EXPECT_EQ(json::find_string(one, {"spec", "clusterIP"}), "172.24.40.16");
        }
    }
}

// "error", or "policy families clusterIPs" of the stored Service.
std::string families_of(World& world, std::string_view spec, std::string_view name = "s",
                        std::string_view ns = "default") {
    const std::string error = world.put(fmt::format(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {}, namespace: {}}}, spec: {}}}", name, ns, spec));
    if (!error.empty()) return error;
    const json::Value stored = *world.get(kube::services, {std::string(ns), std::string(name)});
    return fmt::format("{} {} {}", json::find_string(stored, {"spec", "ipFamilyPolicy"}),
                       fmt::join(json::find_strings(stored, {"spec", "ipFamilies"}), ","),
                       fmt::join(json::find_strings(stored, {"spec", "clusterIPs"}), ","));
}

World& dual_stack(World& world) {
    world.vpc("vpc-demo", "172.21.0.0/27", true,
              ", ipv6CidrBlock: 'fd00:10::/56', ipv6ServiceCIDR: 'fd00:172:21::/112'");
    world.vpc("vpc-blue", "172.21.0.0/27", false, ", ipv6ServiceCIDR: 'fd00:172:21::/112'");
    return world;
}

TEST(Admit, FamiliesAsPolicyAndVpcSay) {
    struct Row {
        std::string_view rule, spec, single, dual;
    };

    static constexpr std::string_view two_of_one = "must be 'RequireDualStack' or 'PreferDualStack' when multiple";
    const std::vector<Row> rows = {
        {"SVC-61", "{ports: [{port: 80}]}", "SingleStack IPv4 172.21.0.17", "SingleStack IPv4 172.21.0.17"},
        {"SVC-60", "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}", "PreferDualStack IPv4 172.21.0.17",
         "PreferDualStack IPv4,IPv6 172.21.0.17,fd00:172:21::101"},
        {"SVC-62", "{ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6], ports: [{port: 80}]}",
         "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
         "PreferDualStack IPv6,IPv4 fd00:172:21::101,172.21.0.17"},
        {"SVC-62 inferred", "{ipFamilyPolicy: RequireDualStack, clusterIP: 'fd00:172:21::7', ports: [{port: 80}]}",
         "IPv6 is not configured on this cluster", "RequireDualStack IPv6,IPv4 fd00:172:21::7,172.21.0.17"},
        {"SVC-64", "{ipFamilyPolicy: RequireDualStack, ports: [{port: 80}]}",
         "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack "
         "services",
         "RequireDualStack IPv4,IPv6 172.21.0.17,fd00:172:21::101"},
        {"SVC-65", "{ipFamilies: [IPv6], ports: [{port: 80}]}", "not configured on this cluster",
         "SingleStack IPv6 fd00:172:21::101"},
        {"SVC-63", "{ipFamilies: [IPv4, IPv6], ports: [{port: 80}]}", two_of_one, two_of_one},
        {"SVC-63 addresses",
         "{ipFamilyPolicy: SingleStack, clusterIP: 172.21.0.9, clusterIPs: [172.21.0.9, 'fd00:172:21::9'], ports: "
         "[{port: "
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
    EXPECT_EQ(families_of(world, "{ports: [{port: 80}]}"), "SingleStack IPv4 172.21.0.17");
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}"),
              "PreferDualStack IPv4,IPv6 172.21.0.17,fd00:172:21::101");
    EXPECT_EQ(families_of(world, "{ports: [{port: 81}]}"), "PreferDualStack IPv4,IPv6 172.21.0.17,fd00:172:21::101")
        << "a wish that says nothing keeps both";
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}", "other"),
              "PreferDualStack IPv4,IPv6 172.21.0.18,fd00:172:21::102");
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}", "s", "blue"),
              "PreferDualStack IPv4,IPv6 172.21.0.17,fd00:172:21::101")
        << "every VPC has its own";
    // What `kubectl edit` sends: the policy changed, the lists as they were.
    EXPECT_EQ(families_of(world,
                          "{ipFamilyPolicy: SingleStack, ipFamilies: [IPv4, IPv6], clusterIP: 172.21.0.17, clusterIPs: "
                          "[172.21.0.17, 'fd00:172:21::101'], ports: [{port: 80}]}"),
              "SingleStack IPv4 172.21.0.17");
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}", "third"),
              "PreferDualStack IPv4,IPv6 172.21.0.19,fd00:172:21::101")
        << "the address given back is the lowest free one";
}

TEST(Admit, ServicesOlderThanTheVpcsSecondFamilyStayAsTheyAre) {
    World world;
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}"),
              "PreferDualStack IPv4 172.21.0.17");
    dual_stack(world);
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: PreferDualStack, ports: [{port: 81}]}"),
              "PreferDualStack IPv4 172.21.0.17");
    EXPECT_EQ(families_of(world, "{ipFamilyPolicy: RequireDualStack, ports: [{port: 81}]}"),
              "RequireDualStack IPv4,IPv6 172.21.0.17,fd00:172:21::101");
    EXPECT_EQ(world.ip_of("kubernetes", "default", "ipFamilyPolicy: PreferDualStack"), "172.21.0.1");
    EXPECT_EQ(json::find_strings(world.stored("kubernetes"), {"spec", "clusterIPs"})[1], "fd00:172:21::1");
}

}  // namespace
}  // namespace weft::apiserver
