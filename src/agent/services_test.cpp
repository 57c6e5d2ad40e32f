#include "agent/services_scene.h"

namespace weft::agent {
namespace {

constexpr std::string_view balanced = R"(
metadata: {name: web, namespace: default}
spec:
  type: LoadBalancer
  clusterIP: 172.21.0.20
  ports: [{name: http, port: 80, nodePort: 30080}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.10}]}})";

const NodeSide n1{"n1", {ip("198.18.1.1")}};
const ListKey all{80, 6, Reach::cluster};
const ListKey here{80, 6, Reach::local};

TEST(ServicePlan, a_balancers_address_stands_outside_and_in_its_owners_vpc) {
    const ServicePlan plan = plan_service(object(balanced), slice("[{addresses: [10.0.1.2]}]"), vpc(), n1);
    EXPECT_EQ(plan.frontends.size(), 8u) << "three addresses, their ports, and two nodePorts";
    for (const auto& [vni, address] : {std::pair{7u, "172.21.0.20"}, {0u, "203.0.113.10"}, {7u, "203.0.113.10"}}) {
        const auto& row = plan.frontends.at(abi::frontend_key_of(vni, ip(address), 80, net::Protocol::tcp));
        EXPECT_EQ(row.list, all);
        EXPECT_EQ(row.vpc, 7u);
        EXPECT_EQ(plan.frontends.at(abi::frontend_address_key(vni, ip(address))).flags,
                  uint32_t(abi::FRONTEND_ADDRESS));
    }
    EXPECT_EQ(plan.lists.at(all), Backends{backend("10.0.1.2")});
}

// EPS-2: a frontend leads to endpoints of its own family.
TEST(ServicePlan, each_family_has_lists_of_its_own) {
    const auto text = [](std::string_view type, std::string_view address) {
        return fmt::format("metadata: {{name: web-{}, namespace: default, labels: {{kubernetes.io/service-name: web}}}}\n"
                           "addressType: {}\nports: [{{name: http, port: 8080}}]\nendpoints: [{{addresses: ['{}']}}]",
                           type == "IPv4" ? "v4" : "v6", type, address);
    };
    const std::vector<kube::ObjectPtr> slices = {
        std::make_shared<const kube::Object>(object(text("IPv4", "10.0.1.2"))),
        std::make_shared<const kube::Object>(object(text("IPv6", "fd00:10::2")))};
    const NodeSide node{"n1", {ip("198.18.1.1"), ip("fd00:198:18::1")}};
    const auto service = [](std::string_view families) {
        return object(fmt::format(
            "metadata: {{name: web, namespace: default}}\nspec: {{type: NodePort, ipFamilies: [{}], clusterIPs: "
            "[172.21.0.20, 'fd00:172::20'], ports: [{{name: http, port: 80, nodePort: 30080}}]}}",
            families));
    };
    const ServicePlan plan = plan_service(service("IPv4, IPv6"), slices, vpc(), node);
    const ListKey six{80, 6, Reach::cluster, true};
    EXPECT_EQ(plan.lists.at(all), Backends{backend("10.0.1.2")});
    EXPECT_EQ(plan.lists.at(six), Backends{backend("fd00:10::2")});
    for (const auto& [address, port, list] : {std::tuple{"172.21.0.20", 80, all}, {"fd00:172::20", 80, six},
                                              {"198.18.1.1", 30080, all}, {"fd00:198:18::1", 30080, six}})
        EXPECT_EQ(plan.frontends.at(abi::frontend_key_of(7, ip(address), uint16_t(port), net::Protocol::tcp)).list, list)
            << address;
    const ServicePlan single = plan_service(service("IPv4"), slices, vpc(), node);
    EXPECT_FALSE(single.frontends.contains(abi::frontend_key_of(7, ip("fd00:198:18::1"), 30080, net::Protocol::tcp)))
        << "not a family of this Service";
}

TEST(ServicePlan, chosen_are_the_ready_else_those_that_still_serve_else_none) {
    struct Case {
        const char* endpoints;
        Backends chosen;
    };
    const Case cases[] = {
        {"[{addresses: [10.0.1.2]}]", {backend("10.0.1.2")}},  // no conditions: ready
        {"[{addresses: [10.0.1.2], conditions: {ready: true}}, {addresses: [10.0.1.3], conditions: {ready: false}}]",
         {backend("10.0.1.2")}},
        {"[{addresses: [10.0.1.2], conditions: {ready: false, serving: true, terminating: true}}]",
         {backend("10.0.1.2")}},
        {"[{addresses: [10.0.1.2], conditions: {ready: false, serving: true, terminating: true}}, {addresses: "
         "[10.0.1.3]}]",
         {backend("10.0.1.3")}},
        {"[{addresses: [10.0.1.2], conditions: {ready: false, serving: false, terminating: true}}]", {}},
        {"[{addresses: [10.0.1.2], conditions: {ready: false}}]", {}},
        {"[{addresses: [10.0.1.2], conditions: {ready: false}}, {addresses: [10.0.1.2], conditions: {ready: true}}]",
         {backend("10.0.1.2")}},
        {"[{addresses: [bad]}, {addresses: []}, {addresses: [10.0.1.2]}]", {backend("10.0.1.2")}},
    };
    for (const Case& c : cases)
        EXPECT_EQ(plan_service(object(balanced), slice(c.endpoints), vpc(), n1).lists.at(all), c.chosen)
            << c.endpoints;
}

TEST(ServicePlan, local_policies_choose_this_nodes_endpoints_for_their_side_only) {
    kube::Object service = object(balanced);
    service.set({"spec", "externalTrafficPolicy"}, "Local");
    const auto slices = slice("[{addresses: [10.0.1.2], nodeName: n1}, {addresses: [10.0.1.3], nodeName: n2}]");
    const ServicePlan plan = plan_service(service, slices, vpc(), n1);
    EXPECT_EQ(plan.frontends.at(abi::frontend_key_of(0, ip("203.0.113.10"), 80, net::Protocol::tcp)).list, here);
    EXPECT_EQ(plan.frontends.at(abi::frontend_key_of(7, ip("203.0.113.10"), 80, net::Protocol::tcp)).list, all);
    EXPECT_EQ(plan.lists.at(here), Backends{backend("10.0.1.2")});
    EXPECT_EQ(plan.lists.at(all).size(), 2u);
}

// DP-5. Zones and nodes as the controller hints them; one endpoint without a hint and they are all as good as another.
TEST(ServicePlan, DP5_hinted_endpoints_are_preferred_when_every_ready_one_has_a_hint) {
    const auto endpoint = [](const char* address, const char* hints, const char* more = "") {
        return "{addresses: [" + std::string(address) + "], hints: " + hints + more + "}";
    };
    const auto zone_a = endpoint("10.0.1.2", "{forZones: [{name: zone-a}]}");
    const auto zone_b = endpoint("10.0.1.3", "{forZones: [{name: zone-b}]}");
    const auto no_hint = endpoint("10.0.1.4", "{}");
    const auto unready = endpoint("10.0.1.5", "{}", ", conditions: {ready: false}");
    const auto on_n1 = endpoint("10.0.1.6", "{forNodes: [{name: n1}], forZones: [{name: zone-a}]}");
    const auto on_n2 = endpoint("10.0.1.7", "{forNodes: [{name: n2}], forZones: [{name: zone-a}]}");
    const auto leaving = endpoint("10.0.1.8", "{}", ", conditions: {ready: false, serving: true, terminating: true}");
    struct Case {
        const char* what;
        std::vector<std::string> endpoints;
        Backends chosen;
    };
    const Case cases[] = {
        {"own zone", {zone_a, zone_b}, {backend("10.0.1.2")}},
        {"unready ones have no say", {zone_a, zone_b, unready}, {backend("10.0.1.2")}},
        {"terminating ones have no say", {zone_a, zone_b, leaving}, {backend("10.0.1.2")}},
        {"one lacks a hint", {zone_a, zone_b, no_hint}, {backend("10.0.1.2"), backend("10.0.1.3"), backend("10.0.1.4")}},
        {"none for this zone", {zone_b}, {backend("10.0.1.3")}},
        {"own node", {on_n1, on_n2}, {backend("10.0.1.6")}},
        {"none on this node: its zone", {on_n2}, {backend("10.0.1.7")}},
        {"not all have node hints: the zone", {on_n1, zone_a}, {backend("10.0.1.2"), backend("10.0.1.6")}},
    };
    NodeSide node = n1;
    node.zone = "zone-a";
    for (const Case& c : cases) {
        std::string list;
        for (const std::string& one : c.endpoints) list += (list.empty() ? "[" : ", ") + one;
        EXPECT_EQ(plan_service(object(balanced), slice(list + "]"), vpc(), node).lists.at(all), c.chosen) << c.what;
    }
    NodeSide nowhere = n1;
    EXPECT_EQ(plan_service(object(balanced), slice("[" + zone_a + ", " + zone_b + "]"), vpc(), nowhere).lists.at(all).size(), 2u);
}

// DP-2: hints do not apply to Local.
TEST(ServicePlan, DP2_local_policies_ignore_hints) {
    kube::Object service = object(balanced);
    service.set({"spec", "externalTrafficPolicy"}, "Local");
    NodeSide node = n1;
    node.zone = "zone-a";
    const auto slices = slice("[{addresses: [10.0.1.2], nodeName: n1, hints: {forZones: [{name: zone-b}]}},"
                              " {addresses: [10.0.1.3], nodeName: n2, hints: {forZones: [{name: zone-a}]}}]");
    EXPECT_EQ(plan_service(service, slices, vpc(), node).lists.at(here), Backends{backend("10.0.1.2")});
}

TEST(ServicePlan, headless_and_external_names_and_proxied_addresses_make_no_frontend) {
    for (const char* spec : {"{clusterIP: None, ports: [{port: 80}]}", "{type: ExternalName, externalName: x.example}",
                             "{clusterIP: '', ports: [{port: 80}]}"})
        EXPECT_TRUE(plan_service(object("spec: " + std::string(spec)), {}, vpc(), n1).frontends.empty()) << spec;
    kube::Object proxied = object(balanced);
    proxied.set({"status", "loadBalancer", "ingress"},
                json::Array{json::Object{{"ip", "203.0.113.10"}, {"ipMode", "Proxy"}}});
    EXPECT_EQ(plan_service(proxied, {}, vpc(), n1).frontends.size(), 4u);
}

TEST(ServicePlan, ports_are_matched_by_name_and_protocol) {
    const auto service = object(R"(spec: {clusterIP: 172.21.0.20, ports: [{name: a, port: 53, protocol: UDP},
                                   {name: b, port: 53, protocol: TCP}, {name: c, port: 99, protocol: SCTP}]})");
    const auto slices =
        slice("[{addresses: [10.0.1.2]}]", "[{name: a, port: 5353, protocol: UDP}, {name: b, port: 5354}]");
    const ServicePlan plan = plan_service(service, slices, vpc(), n1);
    EXPECT_EQ(abi::from_abi_port(plan.lists.at({53, 17, Reach::cluster})[0].port), 5353);
    EXPECT_EQ(abi::from_abi_port(plan.lists.at({53, 6, Reach::cluster})[0].port), 5354);
    EXPECT_EQ(plan.complaints.size(), 1u) << "SCTP is refused by name";
}

// DP-16. The annotation is the alternative when the field is empty (SVC-34).
TEST(ServicePlan, DP16_source_ranges_close_a_balancers_address_to_others_and_fail_closed) {
    const auto flags = [](const ServicePlan& plan, uint32_t vni, const char* address, uint16_t port = 80) {
        return plan.frontends.at(abi::frontend_key_of(vni, ip(address), port, net::Protocol::tcp)).flags;
    };
    kube::Object service = object(balanced);
    service.set({"spec", "loadBalancerSourceRanges"}, json::Array{" 198.51.100.9/24 ", "nonsense", "192.0.2.0/24"});
    const ServicePlan plan = plan_service(service, slice("[{addresses: [10.0.1.2]}]"), vpc(), n1);
    EXPECT_EQ(plan.source_ranges, (std::vector<net::Prefix>{MUST(net::Prefix::parse("192.0.2.0/24")),
                                                            MUST(net::Prefix::parse("198.51.100.0/24"))}));
    EXPECT_EQ(plan.complaints.size(), 1u) << "the one that is no CIDR is named";
    EXPECT_EQ(flags(plan, 0, "203.0.113.10"), uint32_t(abi::FRONTEND_SOURCE_RANGES));
    EXPECT_EQ(flags(plan, 7, "203.0.113.10"), uint32_t(abi::FRONTEND_SOURCE_RANGES));
    EXPECT_EQ(flags(plan, 7, "172.21.0.20"), 0u) << "not the ClusterIP";
    EXPECT_EQ(flags(plan, 0, "198.18.1.1", 30080), 0u) << "not the nodePort";

    service.set({"spec", "loadBalancerSourceRanges"}, json::Array{"nonsense"});
    const ServicePlan closed = plan_service(service, slice("[{addresses: [10.0.1.2]}]"), vpc(), n1);
    EXPECT_TRUE(closed.source_ranges.empty());
    EXPECT_EQ(flags(closed, 0, "203.0.113.10"), uint32_t(abi::FRONTEND_SOURCE_RANGES));

    service.set({"spec", "loadBalancerSourceRanges"}, json::Array{});
    EXPECT_EQ(flags(plan_service(service, {}, vpc(), n1), 0, "203.0.113.10"), 0u);
    service.set_annotation("service.beta.kubernetes.io/load-balancer-source-ranges", "192.0.2.0/24, 198.51.100.0/24");
    EXPECT_EQ(plan_service(service, {}, vpc(), n1).source_ranges.size(), 2u);
}

// DP-13, DP-6.
TEST(ServicePlan, DP13_nodePorts_stand_on_the_nodes_addresses_without_claiming_the_others) {
    kube::Object service = object(balanced);
    service.set({"spec", "externalTrafficPolicy"}, "Local");
    for (const char* type : {"LoadBalancer", "NodePort"}) {
        service.set({"spec", "type"}, type);
        const ServicePlan plan = plan_service(service, slice("[{addresses: [10.0.1.2], nodeName: n2}]"), vpc(), n1);
        const auto outside = plan.frontends.at(abi::frontend_key_of(0, ip("198.18.1.1"), 30080, net::Protocol::tcp));
        const auto inside = plan.frontends.at(abi::frontend_key_of(7, ip("198.18.1.1"), 30080, net::Protocol::tcp));
        EXPECT_EQ(outside.list, here);
        EXPECT_EQ(inside.list, all) << "DP-6: inside counts as internal";
        EXPECT_EQ(outside.vpc, 7u);
        for (const uint32_t vni : {0u, 7u})
            EXPECT_FALSE(plan.frontends.contains(abi::frontend_address_key(vni, ip("198.18.1.1"))));
    }
    service.set({"spec", "type"}, "ClusterIP");
    EXPECT_EQ(plan_service(service, {}, vpc(), n1).frontends.size(), 2u);
}

// DP-4: with endpoints elsewhere a Local frontend drops; with none anywhere it refuses.
TEST(ServicePlan, DP4_none_here_is_not_none_at_all) {
    const auto flags = [](kube::Object service, const char* endpoints, uint32_t vni, const char* address) {
        const ServicePlan plan = plan_service(service, slice(endpoints), vpc(), n1);
        return plan.frontends.at(abi::frontend_key_of(vni, ip(address), 80, net::Protocol::tcp)).flags;
    };
    const char* elsewhere = "[{addresses: [10.0.1.2], nodeName: n2}]";
    const char* unready = "[{addresses: [10.0.1.2], nodeName: n2, conditions: {ready: false}}]";
    const char* ending = "[{addresses: [10.0.1.2], nodeName: n1, conditions: {ready: false, serving: true, terminating: "
                         "true}}, {addresses: [10.0.1.3], nodeName: n2}]";
    kube::Object service = object(balanced);
    service.set({"spec", "externalTrafficPolicy"}, "Local");
    EXPECT_EQ(flags(service, elsewhere, 0, "203.0.113.10"), uint32_t(abi::FRONTEND_NONE_HERE));
    EXPECT_EQ(flags(service, elsewhere, 7, "203.0.113.10"), 0u);
    EXPECT_EQ(flags(service, elsewhere, 7, "172.21.0.20"), 0u);
    EXPECT_EQ(flags(service, unready, 0, "203.0.113.10"), 0u);
    EXPECT_EQ(flags(service, ending, 0, "203.0.113.10"), 0u) << "DP-2: serving-terminating here before none here";
    service.set({"spec", "internalTrafficPolicy"}, "Local");
    EXPECT_EQ(flags(service, elsewhere, 7, "172.21.0.20"), uint32_t(abi::FRONTEND_NONE_HERE));
}

// DP-18, SVC-2.
TEST(ServicePlan, DP18_affinity_stands_in_every_frontend_with_its_timeout) {
    kube::Object service = object(balanced);
    const auto seconds = [&] {
        const ServicePlan plan = plan_service(service, {}, vpc(), n1);
        std::set<uint32_t> found;
        for (const auto& [key, frontend] : plan.frontends)
            if (frontend.list) found.insert(frontend.affinity_s);
        return found;
    };
    EXPECT_EQ(seconds(), std::set<uint32_t>{0});
    service.set({"spec", "sessionAffinity"}, "ClientIP");
    EXPECT_EQ(seconds(), std::set<uint32_t>{10800});
    service.set({"spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"}, 20);
    EXPECT_EQ(seconds(), std::set<uint32_t>{20});
}

TEST(ServicePlan, the_dns_address_belongs_to_the_service_endpoint) {
    const auto service = object("spec: {clusterIP: 172.21.0.10, ports: [{name: dns, port: 53, protocol: UDP}]}");
    EXPECT_TRUE(plan_service(service, {}, vpc(), n1).frontends.empty());
}

TEST(ServicePlan, kubernetes_has_a_frontend_in_every_vpc_through_the_host) {
    std::vector<cloud::Vpc> vpcs{vpc(7), vpc(8)};
    const auto service =
        object("metadata: {name: kubernetes, namespace: default}\nspec: {ports: [{name: https, port: 443}]}");
    const ServicePlan plan = plan_kubernetes(
        service, slice("[{addresses: [192.0.2.1]}]", "[{name: https, port: 6443}]"), vpcs, {7, ip("100.64.0.3")});
    for (const uint32_t vni : {7u, 8u})
        EXPECT_TRUE(plan.frontends.contains(abi::frontend_key_of(vni, ip("172.21.0.1"), 443, net::Protocol::tcp)));
    EXPECT_EQ(plan.lists.at({443, 6, Reach::cluster}), Backends{backend("100.64.0.3", 6443, 7)});
}

TEST(Arrange, those_that_stay_keep_their_slot) {
    const abi::backend a = backend("10.0.1.1"), b = backend("10.0.1.2"), c = backend("10.0.1.3"),
                       d = backend("10.0.1.4");
    EXPECT_EQ(arrange({}, {a, b}), (Backends{a, b}));
    EXPECT_EQ(arrange({a, b, c}, {a, b, c}), (Backends{a, b, c}));
    EXPECT_EQ(arrange({a, b, c}, {b, c}), (Backends{c, b}));
    EXPECT_EQ(arrange({a, b, c}, {b, c, d}), (Backends{d, b, c}));
    EXPECT_EQ(arrange({a, b, c}, {c}), (Backends{c}));
    EXPECT_EQ(arrange({a, b}, {}), Backends{});
    EXPECT_EQ(arrange({a, std::nullopt, c}, {a, c}), (Backends{a, c}));
    EXPECT_EQ(arrange({a}, {a, b, c}), (Backends{a, b, c}));
}

TEST_F(ServicesScene, a_restart_with_unchanged_objects_writes_nothing) {
    EXPECT_EQ(ids().size(), 3u);
    const uint64_t writes = maps.writes();
    restart();
    EXPECT_EQ(maps.writes(), writes);
}

TEST_F(ServicesScene, backends_that_stay_keep_their_ids_and_those_that_go_leave_nothing) {
    const auto before = ids();
    set_endpoints("[{addresses: [10.0.1.1]}, {addresses: [10.0.1.3]}, {addresses: [10.0.1.9]}]");
    brain->run_until_idle();
    const auto after = ids();
    EXPECT_EQ(after.at("10.0.1.1"), before.at("10.0.1.1"));
    EXPECT_EQ(after.at("10.0.1.3"), before.at("10.0.1.3"));
    EXPECT_NE(after.at("10.0.1.9"), before.at("10.0.1.2")) << "an id is not used again at once";
    EXPECT_EQ(tables->backends.rows().size(), 3u);
    set_endpoints("[]");
    brain->run_until_idle();
    EXPECT_EQ(row().slots, 0u);
    EXPECT_TRUE(tables->slots.rows().empty());
    EXPECT_TRUE(tables->backends.rows().empty());
}

TEST_F(ServicesScene, a_deleted_service_leaves_no_row_also_when_it_went_while_the_agent_was_away) {
    ASSERT_TRUE(api.remove(kube::services, {"default", "web"}).has_value());
    restart();
    EXPECT_TRUE(tables->frontends.rows().empty());
    EXPECT_TRUE(tables->slots.rows().empty());
    EXPECT_TRUE(tables->backends.rows().empty());
}

TEST_F(ServicesScene, a_service_whose_vpc_is_not_known_yet_keeps_its_rows_over_a_restart) {
    ASSERT_TRUE(api.remove(kube::vpcs, {"", "vpc-a"}).has_value());
    const uint64_t writes = maps.writes();
    restart();
    EXPECT_EQ(maps.writes(), writes);
    EXPECT_EQ(ids().size(), 3u);
}

TEST_F(ServicesScene, source_ranges_come_before_what_they_guard_and_go_after_it) {
    const auto seed = [&](const std::string& more) {
        (void)api.remove(kube::services, {"default", "web"});
        api.seed("apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\nspec: {type: LoadBalancer, "
                 "clusterIP: 172.21.0.20, ports: [{name: http, port: 80}]" + more +
                 "}\nstatus: {loadBalancer: {ingress: [{ip: 203.0.113.10}]}}\n");
        brain->run_until_idle();
    };
    seed(", loadBalancerSourceRanges: [192.0.2.0/24, 198.51.100.0/24]");
    const auto outside = abi::frontend_key_of(0, ip("203.0.113.10"), 80, net::Protocol::tcp);
    const abi::frontend guarded = *tables->frontends.find(outside);
    EXPECT_EQ(guarded.flags, uint32_t(abi::FRONTEND_SOURCE_RANGES));
    EXPECT_EQ(tables->source_ranges.rows().size(), 2u);
    for (const auto& [key, bits] : tables->source_ranges.rows()) {
        EXPECT_EQ(key.service, guarded.service);
        EXPECT_EQ(bits, 96u + 24);
    }
    const uint64_t writes = maps.writes();
    restart();
    EXPECT_EQ(maps.writes(), writes);
    seed(", loadBalancerSourceRanges: [192.0.2.0/24]");
    EXPECT_EQ(tables->source_ranges.rows().size(), 1u);
    seed("");
    EXPECT_TRUE(tables->source_ranges.rows().empty());
    EXPECT_EQ(tables->frontends.find(outside)->flags, 0u);
}

TEST_F(ServicesScene, a_service_that_went_without_an_address_gets_it_when_the_other_lets_go) {
    api.seed("apiVersion: v1\nkind: Service\nmetadata: {name: late, namespace: default}\n"
             "spec: {clusterIP: 172.21.0.20, ports: [{name: http, port: 80}]}\n");
    brain->run_until_idle();
    ASSERT_EQ(services->complaints({"default", "late"}).size(), 2u) << "the address and the port";
    EXPECT_NE(services->complaints({"default", "late"})[1].find("taken by Service default/web"), std::string::npos);
    EXPECT_EQ(row().slots, 3u);
    ASSERT_TRUE(api.remove(kube::services, {"default", "web"}).has_value());
    brain->run_until_idle();
    ASSERT_NE(tables->frontends.find(abi::frontend_key_of(7, ip("172.21.0.20"), 80, net::Protocol::tcp)), nullptr);
    EXPECT_EQ(row().slots, 0u) << "its own list, which is empty";
    EXPECT_TRUE(services->complaints({"default", "late"}).empty());
}

TEST_F(ServicesScene, at_a_start_the_older_of_two_claimants_wins) {
    ASSERT_TRUE(api.remove(kube::services, {"default", "web"}).has_value());
    for (const char* name : {"web", "a-new"}) {
        api.seed(std::string("apiVersion: v1\nkind: Service\nmetadata: {name: ") + name +
                 ", namespace: default}\nspec: {clusterIP: 172.21.0.20, ports: [{name: http, port: 80}]}\n");
        clock.advance(std::chrono::seconds(5));
    }
    restart();
    EXPECT_EQ(row().slots, 3u);
    EXPECT_FALSE(services->complaints({"default", "a-new"}).empty());
}

TEST_F(ServicesScene, a_failed_write_is_made_good_later) {
    auto& backends = static_cast<kernel::FakeMap<__u32, abi::backend>&>(*maps.backends);
    backends.failure = Error{Code::exhausted, "map is full"};
    set_endpoints("[{addresses: [10.0.1.7]}]");
    EXPECT_EQ(ids().size(), 3u) << "nothing changes half-way";
    backends.failure.reset();
    brain->run_until_idle();
    EXPECT_EQ(ids().begin()->first, "10.0.1.7");
    EXPECT_EQ(tables->backends.rows().size(), 1u);
}

}  // namespace
}  // namespace weft::agent
