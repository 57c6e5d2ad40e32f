// What a Service may say, rule by rule: SVC-20..SVC-47 of spec/kubernetes.md.
#include "apiserver/kinds_testing.h"
#include "apiserver/validate.h"

namespace weft::apiserver {
namespace {

std::string service(std::string_view spec, std::string_view metadata = "") {
    return fmt::format("{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: default{}}}, spec: {}}}",
                       metadata, spec);
}

void accepts(std::string_view spec, std::string_view metadata = "") {
    EXPECT_EQ(create_errors(service(spec, metadata)), "") << spec << metadata;
}

void refuses(std::string_view spec, std::string_view text, std::string_view metadata = "") {
    const std::string errors = create_errors(service(spec, metadata));
    EXPECT_NE(errors.find(text), std::string::npos) << spec << metadata << "\n" << errors;
}

// A stored Service and what becomes of wishes for it.
struct Change {
    json::Value stored;
    json::Value wish{};

    explicit Change(std::string_view spec) : stored(taken(service(spec))) {}

    // As a PUT of `spec` ends: the errors, "" = taken; `wish` is what would be stored.
    std::string to(std::string_view spec, std::string_view metadata = "") {
        wish = taken(service(spec, metadata));
        prepare_update(kind_of(wish), wish, stored, Part::main);
        return lines(validate_update(kind_of(wish), wish, stored, Part::main));
    }
    std::string status_to(std::string_view load_balancer) {
        wish = stored;
        json::set(wish, {"status", "loadBalancer"}, yaml(load_balancer));
        std::vector<std::string> strict;
        if (const Verdict verdict = decode(kind_of(wish), wish, {}, strict); !verdict) return verdict.error().message;
        apply_defaults(kind_of(wish), wish);
        prepare_update(kind_of(wish), wish, stored, Part::status);
        return lines(validate_update(kind_of(wish), wish, stored, Part::status));
    }
    const json::Value& spec() const { return wish.at("spec"); }
    int64_t node_port(size_t index) const { return json::find_int(spec().at("ports").at(index), {"nodePort"}); }
};

void says(const std::string& errors, std::string_view text) {
    EXPECT_NE(errors.find(text), std::string::npos) << "wanted: " << text << "\n" << errors;
}

TEST(ServiceFields, SVC_20_names_are_labels_and_may_begin_with_a_digit) {
    const auto named = [](std::string_view name) {
        return create_errors(fmt::format(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {}, namespace: a}}, spec: {{ports: [{{port: 1}}]}}}}", name));
    };
    EXPECT_EQ(named("web"), "");
    EXPECT_EQ(named("'2web'"), "");
    EXPECT_EQ(named(std::string(63, 'a')), "");
    says(named("Web"), "metadata.name: Invalid value: \"Web\": a lowercase RFC 1123 label");
    says(named("web.front"), "metadata.name: Invalid value: \"web.front\"");
    says(named(std::string(64, 'a')), "metadata.name: Invalid value");
}

TEST(ServiceFields, SVC_21_ports_are_required_but_of_headless_and_external_names) {
    accepts("{selector: {app: web}, ports: [{port: 80}]}");
    accepts("{clusterIP: None}");
    accepts("{type: ExternalName, externalName: a.b}");
    refuses("{selector: {app: web}}", "spec.ports: Required value");
    refuses("{type: NodePort, ports: []}", "spec.ports: Required value");
    refuses("{ports: 80}", "spec.ports: Invalid value: 80: must be of type array");
}

TEST(ServiceFields, SVC_22_names_of_ports_are_unique_labels_needed_when_there_are_several) {
    accepts("{ports: [{port: 80, name: a}, {port: 81, name: b-2}]}");
    refuses("{ports: [{port: 80}, {port: 81, name: b}]}", "spec.ports[0].name: Required value");
    refuses("{ports: [{port: 80, name: a}, {port: 81, name: a}]}", "spec.ports[1].name: Duplicate value: \"a\"");
    refuses("{ports: [{port: 80, name: a_b}]}", "spec.ports[0].name: Invalid value: \"a_b\"");
}

TEST(ServiceFields, SVC_23_numbers_of_ports_have_a_range) {
    accepts("{type: NodePort, ports: [{port: 1, targetPort: 65535, nodePort: 30000}]}");
    refuses("{ports: [{port: 70000}]}", "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive");
    refuses("{ports: [{port: 0}]}", "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive");
    refuses("{ports: [{port: 80, targetPort: 65536}]}", "spec.ports[0].targetPort: Invalid value: 65536: must be between");
    refuses("{type: NodePort, ports: [{port: 80, nodePort: -1}]}", "spec.ports[0].nodePort: Invalid value: -1: must be between");
}

TEST(ServiceFields, SVC_24_protocols_are_three) {
    for (const std::string_view protocol : {"TCP", "UDP", "SCTP"}) accepts(fmt::format("{{ports: [{{port: 1, protocol: {}}}]}}", protocol));
    refuses("{ports: [{port: 80, protocol: ICMP}]}",
            "spec.ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\"");
}

TEST(ServiceFields, SVC_25_a_target_by_name_is_a_service_name) {
    accepts("{ports: [{port: 80, targetPort: http-2}]}");
    refuses("{ports: [{port: 80, targetPort: Bad_Name}]}", "spec.ports[0].targetPort: Invalid value: \"Bad_Name\"");
    refuses("{ports: [{port: 80, targetPort: a-name-too-long-for-it}]}", "spec.ports[0].targetPort: Invalid value");
}

TEST(ServiceFields, SVC_26_what_is_spoken_is_a_qualified_name) {
    for (const std::string_view spoken : {"http", "kubernetes.io/h2c", "kubernetes.io/ws", "example.com/x"})
        accepts(fmt::format("{{ports: [{{port: 80, appProtocol: {}}}]}}", spoken));
    refuses("{ports: [{port: 80, appProtocol: 'a b'}]}", "spec.ports[0].appProtocol: Invalid value: \"a b\"");
}

TEST(ServiceFields, SVC_27_a_number_may_stand_once_for_each_protocol) {
    accepts("{ports: [{port: 53, name: a}, {port: 53, name: b, protocol: UDP}]}");
    accepts("{type: NodePort, ports: [{port: 53, name: a, nodePort: 30053}, {port: 53, name: b, protocol: UDP, nodePort: 30053}]}");
    refuses("{ports: [{port: 53, name: a}, {port: 53, name: b}]}", "spec.ports[1]: Duplicate value: {\"port\":53,\"protocol\":\"TCP\"}");
    refuses("{type: NodePort, ports: [{port: 1, name: a, nodePort: 30053}, {port: 2, name: b, nodePort: 30053}]}",
            "spec.ports[1].nodePort: Duplicate value: 30053");
}

TEST(ServiceFields, SVC_28_a_plain_one_has_no_node_ports) {
    refuses("{ports: [{port: 80, nodePort: 30100}]}", "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'");
    accepts("{ports: [{port: 80, nodePort: 0}]}");
}

TEST(ServiceFields, SVC_29_headless_is_for_the_plain_type_only) {
    accepts("{clusterIP: None, ports: [{port: 80}]}");
    for (const std::string_view type : {"LoadBalancer", "NodePort"})
        refuses(fmt::format("{{type: {}, clusterIP: None, ports: [{{port: 80}}]}}", type),
                fmt::format("spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for {} services", type));
}

TEST(ServiceFields, SVC_30_an_external_name_is_a_name_and_nothing_else) {
    accepts("{type: ExternalName, externalName: a.example.com.}");
    accepts("{type: ExternalName, externalName: a.example.com, ports: [{port: 443}]}");
    refuses("{type: ExternalName}", "spec.externalName: Required value");
    refuses("{type: ExternalName, externalName: 'a..b'}", "spec.externalName: Invalid value: \"a..b\"");
    refuses("{type: ExternalName, externalName: 'a.b..'}", "spec.externalName: Invalid value");
    refuses("{type: ExternalName, externalName: A_b}", "spec.externalName: Invalid value");
    refuses("{type: ExternalName, externalName: a, clusterIP: 10.0.0.1}",
            "spec.clusterIPs: Forbidden: may not be set for ExternalName services");
    refuses("{type: ExternalName, externalName: a, ipFamilies: [IPv4]}", "spec.ipFamilies: Forbidden");
    refuses("{type: ExternalName, externalName: a, ipFamilyPolicy: SingleStack}", "spec.ipFamilyPolicy: Forbidden");
}

TEST(ServiceFields, SVC_31_a_selector_is_of_labels_and_may_be_absent) {
    accepts("{ports: [{port: 80}]}");
    accepts("{selector: {}, ports: [{port: 80}]}");
    accepts("{selector: {example.com/app: web, tier: ''}, ports: [{port: 80}]}");
    refuses("{selector: {a: 'b c'}, ports: [{port: 80}]}", "spec.selector: Invalid value: \"b c\"");
    refuses("{selector: {'a b': c}, ports: [{port: 80}]}", "spec.selector: Invalid value: \"a b\"");
}

TEST(ServiceFields, SVC_32_affinity_is_none_or_by_client_for_up_to_a_day) {
    const auto timeout = [](int seconds) {
        return fmt::format("{{sessionAffinity: ClientIP, sessionAffinityConfig: {{clientIP: {{timeoutSeconds: {}}}}}, ports: [{{port: 80}}]}}", seconds);
    };
    accepts("{sessionAffinity: ClientIP, ports: [{port: 80}]}");
    accepts(timeout(1));
    accepts(timeout(86400));
    for (const int bad : {-1, 0, 86401})
        refuses(timeout(bad), fmt::format("spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: {}", bad));
    refuses("{sessionAffinity: Cookie, ports: [{port: 80}]}", "spec.sessionAffinity: Unsupported value: \"Cookie\"");
    // Behind the defaults, which take it away (SVC-2).
    json::Value raw = taken(service("{ports: [{port: 80}]}"));
    json::set(raw, {"spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"}, 5);
    says(lines(validate_create(kind_of(raw), raw)), "spec.sessionAffinityConfig: Forbidden: must not be set when session affinity is None");
}

TEST(ServiceFields, SVC_33_external_addresses_are_ones_that_packets_come_for) {
    accepts("{externalIPs: [192.0.2.1, '2001:db8::1'], ports: [{port: 80}]}");
    const std::pair<std::string_view, std::string_view> bad[] = {{"127.0.0.1", "may not be in the loopback range"},
                                                                {"0.0.0.0", "may not be unspecified"},
                                                                {"'::'", "may not be unspecified"},
                                                                {"169.254.1.1", "may not be in the link-local range"},
                                                                {"'fe80::1'", "may not be in the link-local range"},
                                                                {"224.0.0.1", "may not be in the multicast range"},
                                                                {"a.example.com", "must be a valid IP address"}};
    for (const auto& [address, why] : bad) {
        refuses(fmt::format("{{externalIPs: [192.0.2.1, {}], ports: [{{port: 80}}]}}", address), "spec.externalIPs[1]: Invalid value");
        refuses(fmt::format("{{externalIPs: [192.0.2.1, {}], ports: [{{port: 80}}]}}", address), why);
    }
}

TEST(ServiceFields, SVC_34_source_ranges_are_cidrs_of_a_load_balancer) {
    static constexpr std::string_view annotation = "service.beta.kubernetes.io/load-balancer-source-ranges";
    const auto annotated = [&](std::string_view text) { return fmt::format(", annotations: {{{}: '{}'}}", annotation, text); };
    accepts("{type: LoadBalancer, loadBalancerSourceRanges: [' 10.0.0.0/8 ', '2001:db8::/32'], ports: [{port: 80}]}");
    accepts("{type: LoadBalancer, loadBalancerSourceRanges: [10.1.2.3/8], ports: [{port: 80}]}");  // the prefix is meant
    accepts("{type: LoadBalancer, ports: [{port: 80}]}", annotated("10.0.0.0/8, 192.0.2.0/24"));
    refuses("{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0], ports: [{port: 80}]}",
            "spec.loadBalancerSourceRanges[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value");
    refuses("{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/33], ports: [{port: 80}]}", "spec.loadBalancerSourceRanges[0]: Invalid value");
    refuses("{loadBalancerSourceRanges: [10.0.0.0/8], ports: [{port: 80}]}",
            "spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'");
    refuses("{type: LoadBalancer, ports: [{port: 80}]}", "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Invalid value: \"anyone\"",
            annotated("10.0.0.0/8, anyone"));
    accepts("{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8], ports: [{port: 80}]}", annotated("not looked at"));
}

TEST(ServiceFields, SVC_35_a_class_is_for_load_balancers_and_stays) {
    accepts("{type: LoadBalancer, loadBalancerClass: example.com/fast, ports: [{port: 80}]}");
    refuses("{loadBalancerClass: a/b, ports: [{port: 80}]}", "spec.loadBalancerClass: Forbidden: may only be used when");
    refuses("{type: LoadBalancer, loadBalancerClass: 'a b', ports: [{port: 80}]}", "spec.loadBalancerClass: Invalid value: \"a b\"");
    Change balancer("{type: LoadBalancer, loadBalancerClass: example.com/fast, ports: [{port: 80}]}");
    says(balancer.to("{type: LoadBalancer, loadBalancerClass: example.com/slow, ports: [{port: 80}]}"),
         "spec.loadBalancerClass: Invalid value: \"example.com/slow\": may not change once set");
    says(balancer.to("{type: LoadBalancer, ports: [{port: 80}]}"), "spec.loadBalancerClass: Invalid value");
    EXPECT_EQ(balancer.to("{type: ClusterIP, loadBalancerClass: example.com/fast, ports: [{port: 80}]}"), "");
    EXPECT_FALSE(json::has(balancer.spec(), {"loadBalancerClass"})) << "cleared when the type leaves";
    Change plain("{ports: [{port: 80}]}");
    EXPECT_EQ(plain.to("{type: LoadBalancer, loadBalancerClass: example.com/fast, ports: [{port: 80}]}"), "");
    Change without("{type: LoadBalancer, ports: [{port: 80}]}");
    says(without.to("{type: LoadBalancer, loadBalancerClass: example.com/fast, ports: [{port: 80}]}"), "may not change once set");
}

TEST(ServiceFields, SVC_36_whether_node_ports_are_given_is_a_load_balancers_question) {
    accepts("{type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{port: 80}]}");
    refuses("{allocateLoadBalancerNodePorts: true, ports: [{port: 80}]}",
            "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'");
    json::Value raw = taken(service("{type: LoadBalancer, ports: [{port: 80}]}"));
    json::erase(raw, {"spec", "allocateLoadBalancerNodePorts"});
    says(lines(validate_create(kind_of(raw), raw)), "spec.allocateLoadBalancerNodePorts: Required value");
}

TEST(ServiceFields, SVC_37_the_external_policy_is_for_what_the_outside_reaches) {
    for (const std::string_view spec : {"{type: NodePort, externalTrafficPolicy: Local, ports: [{port: 80}]}",
                                        "{type: LoadBalancer, externalTrafficPolicy: Cluster, ports: [{port: 80}]}",
                                        "{externalIPs: [192.0.2.1], externalTrafficPolicy: Local, ports: [{port: 80}]}"})
        accepts(spec);
    refuses("{externalTrafficPolicy: Local, ports: [{port: 80}]}",
            "spec.externalTrafficPolicy: Forbidden: may only be set for externally-accessible services");
    refuses("{type: ExternalName, externalName: a.b, externalTrafficPolicy: Local}", "spec.externalTrafficPolicy: Forbidden");
    refuses("{type: NodePort, externalTrafficPolicy: Near, ports: [{port: 80}]}",
            "spec.externalTrafficPolicy: Unsupported value: \"Near\": supported values: \"Cluster\", \"Local\"");
}

TEST(ServiceFields, SVC_38_the_health_check_port_is_for_local_load_balancers_and_stays) {
    accepts("{type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 30000, ports: [{port: 80}]}");
    refuses("{type: LoadBalancer, healthCheckNodePort: 30000, ports: [{port: 80}]}",
            "spec.healthCheckNodePort: Forbidden: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    refuses("{type: NodePort, externalTrafficPolicy: Local, healthCheckNodePort: 30000, ports: [{port: 80}]}", "spec.healthCheckNodePort: Forbidden");
    refuses("{type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 70000, ports: [{port: 80}]}",
            "spec.healthCheckNodePort: Invalid value: 70000");
    Change local("{type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 30000, ports: [{port: 80}]}");
    says(local.to("{type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 30001, ports: [{port: 80}]}"),
         "spec.healthCheckNodePort: Forbidden: field is immutable");
    EXPECT_EQ(local.to("{type: LoadBalancer, externalTrafficPolicy: Local, ports: [{port: 80}]}"), "");
    EXPECT_EQ(json::find_int(local.spec(), {"healthCheckNodePort"}), 30000) << "SVC-46: left out, so kept";
    EXPECT_EQ(local.to("{type: LoadBalancer, externalTrafficPolicy: Cluster, healthCheckNodePort: 30000, ports: [{port: 80}]}"), "");
    EXPECT_FALSE(json::has(local.spec(), {"healthCheckNodePort"})) << "repeated where it may not be, so given back";
}

TEST(ServiceFields, SVC_39_the_internal_policy_is_cluster_or_local) {
    for (const std::string_view policy : {"Cluster", "Local"}) accepts(fmt::format("{{internalTrafficPolicy: {}, ports: [{{port: 80}}]}}", policy));
    refuses("{internalTrafficPolicy: Node, ports: [{port: 80}]}",
            "spec.internalTrafficPolicy: Unsupported value: \"Node\": supported values: \"Cluster\", \"Local\"");
    accepts("{type: ExternalName, externalName: a.b}");
    json::Value raw = taken(service("{ports: [{port: 80}]}"));
    json::erase(raw, {"spec", "internalTrafficPolicy"});
    says(lines(validate_create(kind_of(raw), raw)), "spec.internalTrafficPolicy: Required value");
}

TEST(ServiceFields, SVC_40_a_distribution_is_one_of_three_wishes) {
    for (const std::string_view wish : {"PreferClose", "PreferSameZone", "PreferSameNode"})
        accepts(fmt::format("{{trafficDistribution: {}, ports: [{{port: 80}}]}}", wish));
    refuses("{trafficDistribution: Near, ports: [{port: 80}]}", "spec.trafficDistribution: Unsupported value: \"Near\"");
}

TEST(ServiceFields, SVC_41_two_annotations_of_topology_agree) {
    accepts("{ports: [{port: 80}]}", ", annotations: {service.kubernetes.io/topology-mode: Auto}");
    accepts("{ports: [{port: 80}]}", ", annotations: {service.kubernetes.io/topology-aware-hints: Auto}");
    accepts("{ports: [{port: 80}]}",
            ", annotations: {service.kubernetes.io/topology-mode: Auto, service.kubernetes.io/topology-aware-hints: Auto}");
    refuses("{ports: [{port: 80}]}",
            "metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: \"Auto\": must match "
            "annotations[service.kubernetes.io/topology-aware-hints]",
            ", annotations: {service.kubernetes.io/topology-mode: Auto, service.kubernetes.io/topology-aware-hints: Disabled}");
}

TEST(ServiceFields, SVC_42_cluster_addresses_agree_with_each_other_and_their_families) {
    accepts("{clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ports: [{port: 80}]}");
    accepts("{ipFamilyPolicy: PreferDualStack, clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'], ports: [{port: 80}]}");
    refuses("{clusterIP: 10.0.0.1, clusterIPs: [10.0.0.2], ports: [{port: 80}]}", "first value must match `clusterIP`");
    refuses("{clusterIPs: [10.0.0.2], ports: [{port: 80}]}", "first value must match `clusterIP`");
    refuses("{clusterIP: 10.0.0.300, ports: [{port: 80}]}", "spec.clusterIPs[0]: Invalid value: \"10.0.0.300\": must be a valid IP address");
    refuses("{clusterIP: None, clusterIPs: [None, 10.0.0.1]}", "'None' must be the first and only value");
    refuses("{clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 10.0.0.2], ports: [{port: 80}]}", "may specify no more than one IP for each IP family");
    refuses("{clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1', 10.0.0.2], ports: [{port: 80}]}", "may only hold up to 2 values");
    refuses("{ipFamilies: [IPv6], clusterIP: 10.0.0.1, ports: [{port: 80}]}",
            "spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by `ipFamilies[0]`");
}

// SVC-9
TEST(ServiceFields, a_wished_balancers_address_is_any_text) {
    accepts("{type: LoadBalancer, loadBalancerIP: 203.0.113.9, ports: [{port: 80}]}");
    accepts("{type: LoadBalancer, loadBalancerIP: 'as you like', ports: [{port: 80}]}");
    accepts("{loadBalancerIP: 203.0.113.9, ports: [{port: 80}]}");
}

// SVC-7 too.
TEST(ServiceFields, SVC_43_the_balancers_status_has_addresses_or_names_and_only_of_a_balancer) {
    Change balancer("{type: LoadBalancer, ports: [{port: 80}]}");
    EXPECT_EQ(balancer.status_to("{ingress: [{ip: 203.0.113.9}, {hostname: lb.example.com}]}"), "");
    const json::Value& shown = balancer.wish.at("status").at("loadBalancer").at("ingress");
    EXPECT_EQ(json::find_string(shown.at(0), {"ipMode"}), "VIP") << "SVC-7: where an ip is shown";
    EXPECT_FALSE(json::has(shown.at(1), {"ipMode"})) << "and only there";
    EXPECT_EQ(balancer.status_to("{ingress: [{ip: 203.0.113.9, ipMode: Proxy}]}"), "");
    EXPECT_EQ(json::find_string(balancer.wish.at("status").at("loadBalancer").at("ingress").at(0), {"ipMode"}), "Proxy") << "SVC-7: one given stays";
    says(balancer.status_to("{ingress: [{ip: 203.0.113.900}]}"), "status.loadBalancer.ingress[0].ip: Invalid value: \"203.0.113.900\"");
    says(balancer.status_to("{ingress: [{hostname: 203.0.113.9}]}"), "status.loadBalancer.ingress[0].hostname: Invalid value: \"203.0.113.9\": must be a DNS name");
    says(balancer.status_to("{ingress: [{hostname: 'a_b'}]}"), "status.loadBalancer.ingress[0].hostname: Invalid value");
    says(balancer.status_to("{ingress: [{hostname: a.b, ipMode: VIP}]}"), "status.loadBalancer.ingress[0].ipMode: Forbidden");
    says(balancer.status_to("{ingress: [{ip: 203.0.113.9, ipMode: Direct}]}"), "status.loadBalancer.ingress[0].ipMode: Unsupported value: \"Direct\"");
    Change plain("{ports: [{port: 80}]}");
    says(plain.status_to("{ingress: [{ip: 203.0.113.9}]}"), "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is \"LoadBalancer\"");
    EXPECT_EQ(plain.status_to("{}"), "");
}

TEST(ServiceFields, SVC_60_62_families_are_two_words_each_once) {
    refuses("{ipFamilyPolicy: Both, ports: [{port: 80}]}", "spec.ipFamilyPolicy: Unsupported value");
    refuses("{ipFamilies: [IPv5], ports: [{port: 80}]}", "spec.ipFamilies[0]: Unsupported value: \"IPv5\"");
    refuses("{ipFamilies: [IPv4, IPv4], ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}",
            "spec.ipFamilies[1]: Duplicate value: \"IPv4\"");
}

// SVC-45, SVC-66
TEST(ServiceChange, families_change_only_by_single_stack) {
    Change change("{ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4, IPv6], clusterIP: 10.0.0.5, clusterIPs: [10.0.0.5, 'fd00::5'], ports: [{port: 80}]}");
    EXPECT_EQ(change.to("{ports: [{port: 80}]}"), "");
    EXPECT_EQ(change.to("{ipFamilyPolicy: SingleStack, ports: [{port: 80}]}"), "");
    says(change.to("{ipFamilyPolicy: PreferDualStack, clusterIP: 10.0.0.5, clusterIPs: [10.0.0.5], ports: [{port: 80}]}"),
         "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be 'SingleStack' to release the secondary cluster IP");
    says(change.to("{ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4], ports: [{port: 80}]}"),
         "must be 'SingleStack' to release the secondary ipFamily");
    says(change.to("{ipFamilies: [IPv6, IPv4], clusterIP: 'fd00::5', clusterIPs: ['fd00::5', 10.0.0.5], ports: [{port: 80}]}"),
         "spec.clusterIPs[0]: Invalid value: \"fd00::5\": field is immutable");
    says(change.to("{clusterIP: 10.0.0.5, clusterIPs: [10.0.0.5, 'fd00::6'], ports: [{port: 80}]}"),
         "spec.clusterIPs[1]: Invalid value: \"fd00::6\": field is immutable");
}

TEST(ServiceChange, SVC_45_the_primary_address_stays_but_across_an_external_name) {
    Change change("{clusterIP: 10.0.0.5, ports: [{port: 80}]}");
    EXPECT_EQ(change.to("{clusterIP: 10.0.0.6, ports: [{port: 80}]}"), "spec.clusterIPs[0]: Invalid value: \"10.0.0.6\": field is immutable\n");
    says(change.to("{clusterIP: None, ports: [{port: 80}]}"), "spec.clusterIPs[0]: Invalid value: \"None\": field is immutable");
    says(change.to("{type: NodePort, clusterIP: 10.0.0.6, ports: [{port: 80}]}"), "field is immutable");
    Change headless("{clusterIP: None, ports: [{port: 80}]}");
    says(headless.to("{clusterIP: 10.0.0.6, ports: [{port: 80}]}"), "spec.clusterIPs[0]: Invalid value: \"10.0.0.6\": field is immutable");
    Change external("{type: ExternalName, externalName: a.b}");
    EXPECT_EQ(external.to("{clusterIP: 10.0.0.6, ports: [{port: 80}]}"), "") << "coming from a name any address may be chosen";
}

TEST(ServiceChange, SVC_46_what_was_given_is_kept_when_a_wish_leaves_it_out) {
    Change change("{type: NodePort, clusterIP: 10.0.0.5, ports: [{name: a, port: 80, nodePort: 30100}, {name: b, port: 81, nodePort: 30101}]}");
    EXPECT_EQ(change.to("{type: NodePort, ports: [{name: a, port: 80}, {name: b, port: 81}]}"), "");
    EXPECT_EQ(json::find_string(change.spec(), {"clusterIP"}), "10.0.0.5");
    EXPECT_EQ(change.spec().at("clusterIPs"), json::Value(json::Array{"10.0.0.5"}));
    EXPECT_EQ(change.node_port(0), 30100);
    EXPECT_EQ(change.node_port(1), 30101);
    EXPECT_EQ(change.to("{type: NodePort, ports: [{name: b, port: 81}, {name: other, port: 80}]}"), "") << "by port and protocol";
    EXPECT_EQ(change.node_port(0), 30101);
    EXPECT_EQ(change.node_port(1), 30100);
    EXPECT_EQ(change.to("{type: NodePort, ports: [{name: a, port: 8080}]}"), "") << "else by name";
    EXPECT_EQ(change.node_port(0), 30100);
    EXPECT_EQ(change.to("{type: NodePort, ports: [{name: c, port: 80, protocol: UDP}]}"), "") << "another protocol and name is another port";
    EXPECT_EQ(change.node_port(0), 0);
    EXPECT_EQ(change.to("{type: NodePort, ports: [{name: a, port: 80, nodePort: 30200}]}"), "") << "one that is given counts";
    EXPECT_EQ(change.node_port(0), 30200);
}

TEST(ServiceChange, SVC_47_a_change_of_type_gives_back_what_is_repeated_and_refuses_what_is_new) {
    static constexpr std::string_view balancer =
        "{type: LoadBalancer, clusterIP: 10.0.0.5, externalTrafficPolicy: Local, healthCheckNodePort: 30009, loadBalancerClass: a.b/c, "
        "loadBalancerSourceRanges: [10.0.0.0/8], ports: [{port: 80, nodePort: 30100}]}";
    const auto as = [](std::string_view text, std::string_view type) {
        std::string wish(text);
        wish.replace(wish.find("LoadBalancer"), 12, type);
        return wish;
    };
    Change change(balancer);
    json::set(change.stored, {"status", "loadBalancer"}, yaml("{ingress: [{ip: 203.0.113.9, ipMode: VIP}]}"));
    // What `kubectl edit` sends: all as it was, the type changed.
    EXPECT_EQ(change.to(as(balancer, "ClusterIP")), "");
    for (const std::string_view gone : {"healthCheckNodePort", "loadBalancerClass", "allocateLoadBalancerNodePorts",
                                        "loadBalancerSourceRanges", "externalTrafficPolicy"})
        EXPECT_FALSE(json::has(change.spec(), {gone})) << gone;
    EXPECT_EQ(change.node_port(0), 0);
    EXPECT_EQ(json::find_string(change.spec(), {"clusterIP"}), "10.0.0.5");
    EXPECT_FALSE(json::has(change.wish, {"status", "loadBalancer", "ingress"})) << "and the status";
    EXPECT_EQ(change.to(as(balancer, "NodePort")), "");
    EXPECT_EQ(change.node_port(0), 30100) << "a nodePort stays one";
    EXPECT_FALSE(json::has(change.spec(), {"healthCheckNodePort"}));
    says(change.to("{type: ClusterIP, ports: [{port: 80, nodePort: 30101}]}"), "spec.ports[0].nodePort: Forbidden");
    says(change.to("{type: ClusterIP, loadBalancerClass: new.class/x, ports: [{port: 80}]}"), "spec.loadBalancerClass: Forbidden");
    says(change.to("{type: ClusterIP, healthCheckNodePort: 30010, ports: [{port: 80}]}"), "spec.healthCheckNodePort: Forbidden");
    EXPECT_EQ(change.to("{type: ExternalName, externalName: a.b, clusterIP: 10.0.0.5, ports: [{port: 80, nodePort: 30100}]}"), "");
    for (const std::string_view gone : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"})
        EXPECT_FALSE(json::has(change.spec(), {gone})) << gone;
    says(change.to("{type: ExternalName, externalName: a.b, clusterIP: 10.0.0.6}"), "spec.clusterIPs: Forbidden");
    Change plain("{clusterIP: 10.0.0.5, ports: [{port: 80}]}");
    EXPECT_EQ(plain.to("{type: LoadBalancer, ports: [{port: 80}]}"), "");
    EXPECT_EQ(json::find_string(plain.spec(), {"externalTrafficPolicy"}), "Cluster");
    EXPECT_TRUE(json::find_bool(plain.spec(), {"allocateLoadBalancerNodePorts"}));
}

// SVC-59
TEST(ServiceChange, node_ports_that_are_not_wanted_any_more_stay_until_they_are_taken_out_by_hand) {
    Change change("{type: LoadBalancer, ports: [{name: a, port: 80, nodePort: 30100}, {name: b, port: 81, nodePort: 30101}]}");
    EXPECT_EQ(change.to("{type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{name: a, port: 80, nodePort: 30100}, {name: b, port: 81}]}"), "");
    EXPECT_EQ(change.node_port(0), 30100) << "still written down";
    EXPECT_EQ(change.node_port(1), 0) << "left out";
}

}  // namespace
}  // namespace weft::apiserver
