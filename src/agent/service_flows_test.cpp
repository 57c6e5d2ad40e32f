// What of a Service stays for the flows it has when its choice of endpoints changes (DP-19, DP-20), and externalIPs
// (DP-17).
#include "agent/services_scene.h"

namespace weft::agent {
namespace {

const NodeSide n1{"n1", {ip("198.18.1.1")}};
const ListKey all{80, 6, Reach::cluster};
const ListKey here{80, 6, Reach::local};

constexpr const char* ending = "{addresses: [10.0.1.1], conditions: {ready: false, serving: true, terminating: true}}";

// DP-20: those that serve but are not chosen, whatever the reason, keep their flows; those that do not serve, do not.
TEST(ServicePlan, DP20_what_serves_and_is_not_chosen_is_known) {
    const auto unchosen = [](std::string_view spec, std::string_view endpoints, const ListKey& list) {
        const ServicePlan plan = plan_service(
            object("spec: {clusterIP: 172.21.0.20, ports: [{name: http, port: 80}]" + std::string(spec) + "}"),
            slice(endpoints), vpc(), n1);
        const auto found = plan.unchosen.find(list);
        return found == plan.unchosen.end() ? Backends{} : found->second;
    };
    EXPECT_EQ(unchosen("", std::string("[") + ending + ", {addresses: [10.0.1.2]}]", all),
              Backends{backend("10.0.1.1")})
        << "terminating, but serving";
    EXPECT_EQ(unchosen("",
                       "[{addresses: [10.0.1.1], conditions: {ready: false, serving: false, terminating: true}}, "
                       "{addresses: [10.0.1.2]}]",
                       all),
              Backends{});
    EXPECT_EQ(unchosen("", "[{addresses: [10.0.1.1], conditions: {ready: false}}, {addresses: [10.0.1.2]}]", all),
              Backends{});
    EXPECT_EQ(unchosen("", std::string("[") + ending + "]", all), Backends{}) << "chosen for want of a better one";
    EXPECT_EQ(unchosen(", internalTrafficPolicy: Local",
                       "[{addresses: [10.0.1.1], nodeName: n2}, {addresses: [10.0.1.2], nodeName: n1}]", here),
              Backends{backend("10.0.1.1")})
        << "only the policy passes it over";
    EXPECT_EQ(unchosen("",
                       "[{addresses: [10.0.1.1], hints: {forNodes: [{name: n2}]}}, {addresses: [10.0.1.2], hints: "
                       "{forNodes: [{name: n1}]}}]",
                       all),
              Backends{backend("10.0.1.1")})
        << "only topology does";
}

struct Flows : ServicesScene {
    // The row of a backend by its id, as UDP flows ask for it; "" when it is gone, "lingers" with protocol 0.
    std::string state_of(uint32_t id) const {
        const abi::backend* backend = tables->backends.find(id);
        if (backend == nullptr) return "";
        return abi::from_abi(backend->address).text() + (backend->protocol == 0 ? " lingers" : "");
    }

    const std::string others = "{addresses: [10.0.1.2]}, {addresses: [10.0.1.3]}]";
};

TEST_F(Flows, DP20_a_terminating_backend_that_serves_keeps_its_row_without_a_slot_until_it_serves_no_more) {
    const uint32_t id = ids().at("10.0.1.1");
    set_endpoints("[" + std::string(ending) + ", " + others);
    brain->run_until_idle();
    EXPECT_EQ(row().slots, 2u) << "nothing new goes there";
    EXPECT_FALSE(ids().contains("10.0.1.1"));
    EXPECT_EQ(state_of(id), "10.0.1.1 lingers");
    set_endpoints("[{addresses: [10.0.1.1], conditions: {ready: false, serving: false, terminating: true}}, " + others);
    brain->run_until_idle();
    EXPECT_EQ(state_of(id), "") << "now its flows move";
    EXPECT_EQ(tables->backends.rows().size(), 2u);
}

TEST_F(Flows, DP20_one_that_comes_back_is_the_same_backend_again) {
    const uint32_t id = ids().at("10.0.1.1");
    set_endpoints("[" + std::string(ending) + ", " + others);
    brain->run_until_idle();
    set_endpoints("[{addresses: [10.0.1.1]}, " + others);
    brain->run_until_idle();
    EXPECT_EQ(ids().at("10.0.1.1"), id);
    EXPECT_EQ(state_of(id), "10.0.1.1");
    EXPECT_EQ(tables->backends.rows().size(), 3u);
}

TEST_F(Flows, DP20_those_that_linger_are_known_again_after_a_restart_and_leave_nothing_at_the_end) {
    const uint32_t id = ids().at("10.0.1.1");
    set_endpoints("[" + std::string(ending) + ", " + others);
    brain->run_until_idle();
    const uint64_t writes = maps.writes();
    restart();
    EXPECT_EQ(maps.writes(), writes);
    EXPECT_EQ(state_of(id), "10.0.1.1 lingers");
    set_endpoints("[" + others);
    brain->run_until_idle();
    EXPECT_EQ(state_of(id), "");
    set_endpoints("[" + std::string(ending) + ", " + others);
    brain->run_until_idle();
    EXPECT_EQ(tables->backends.rows().size(), 2u) << "one that was never chosen is none";
    ASSERT_TRUE(api.remove(kube::services, {"default", "web"}).has_value());
    brain->run_until_idle();
    EXPECT_TRUE(tables->backends.rows().empty());
    EXPECT_TRUE(tables->slots.rows().empty());
}

TEST_F(Flows, DP20_a_service_that_goes_while_one_lingers_leaves_nothing) {
    set_endpoints("[" + std::string(ending) + ", " + others);
    brain->run_until_idle();
    ASSERT_TRUE(api.remove(kube::services, {"default", "web"}).has_value());
    brain->run_until_idle();
    EXPECT_TRUE(tables->backends.rows().empty());
}

constexpr std::string_view external =
    "{clusterIP: 172.21.0.20, ipFamilies: [IPv4], externalIPs: [192.0.2.50, 198.18.1.1, '2001:db8::5'], "
    "externalTrafficPolicy: Local, ports: [{name: http, port: 80}]}";

TEST(ServicePlan, DP17_external_addresses_are_taken_outside_and_in_the_owners_vpc_and_not_announced) {
    const ServicePlan plan = plan_service(object("spec: " + std::string(external)),
                                          slice("[{addresses: [10.0.1.2], nodeName: n2}]"), vpc(), n1);
    for (const char* address : {"192.0.2.50", "198.18.1.1"}) {
        EXPECT_EQ(plan.frontends.at(abi::frontend_key_of(0, ip(address), 80, net::Protocol::tcp)).list, here)
            << address;
        EXPECT_EQ(plan.frontends.at(abi::frontend_key_of(7, ip(address), 80, net::Protocol::tcp)).list, all)
            << "DP-6 " << address;
        EXPECT_FALSE(plan.frontends.contains(abi::frontend_address_key(7, ip(address))))
            << "its other ports are not ours";
    }
    EXPECT_EQ(plan.frontends.at(abi::frontend_address_key(0, ip("192.0.2.50"))).flags,
              abi::FRONTEND_ADDRESS | frontend_is_external);
    EXPECT_FALSE(plan.frontends.contains(abi::frontend_address_key(0, ip("198.18.1.1")))) << "the node's own";
    EXPECT_EQ(plan.complaints, std::vector<std::string>{"externalIPs: 2001:db8::5: the Service has no such family"});
    for (const char* none : {"{clusterIP: None, externalIPs: [192.0.2.50], ports: [{port: 80}]}",
                             "{type: ExternalName, externalName: a.b, externalIPs: [192.0.2.50], ports: [{port: 80}]}"})
        EXPECT_TRUE(plan_service(object("spec: " + std::string(none)), {}, vpc(), n1).frontends.empty()) << none;
}

TEST_F(ServicesScene, DP17_services_share_an_external_address_by_port_and_of_one_port_the_first_has_it) {
    const auto seed = [&](const std::string& name, const std::string& cluster_ip, int port,
                          const std::string& ns = "default") {
        api.seed(
            fmt::format("apiVersion: v1\nkind: Service\nmetadata: {{name: {}, namespace: {}}}\nspec: {{clusterIP: {}, "
                        "externalIPs: [192.0.2.50], "
                        "ports: [{{name: http, port: {}}}]}}\n",
                        name, ns, cluster_ip, port));
        brain->run_until_idle();
    };
    const auto taken = [&](int port) {
        return tables->frontends.find(abi::frontend_key_of(0, ip("192.0.2.50"), uint16_t(port), net::Protocol::tcp)) !=
               nullptr;
    };
    const auto has_address = [&] {
        return tables->frontends.find(abi::frontend_address_key(0, ip("192.0.2.50"))) != nullptr;
    };
    seed("first", "172.21.0.31", 80);
    seed("second", "172.21.0.32", 81);
    EXPECT_TRUE(taken(80) && taken(81) && has_address());
    EXPECT_TRUE(services->complaints({"default", "second"}).empty());
    seed("third", "172.21.0.33", 80);
    ASSERT_EQ(services->complaints({"default", "third"}).size(), 1u);
    EXPECT_EQ(services->complaints({"default", "third"})[0], "192.0.2.50 port 80 is taken by Service default/first");
    ASSERT_TRUE(api.remove(kube::services, {"default", "first"}).has_value());
    brain->run_until_idle();
    EXPECT_TRUE(taken(80) && taken(81) && has_address()) << "the others have it now";
    EXPECT_TRUE(services->complaints({"default", "third"}).empty());
    for (const char* name : {"second", "third"}) ASSERT_TRUE(api.remove(kube::services, {"default", name}).has_value());
    brain->run_until_idle();
    EXPECT_FALSE(taken(80) || taken(81) || has_address());
}

TEST_F(ServicesScene, DP17_an_address_of_another_vpc_is_not_shared) {
    api.seed(
        "apiVersion: weft.dev/v1\nkind: VPC\nmetadata: {name: vpc-b}\nspec: {cidrBlock: 10.0.0.0/16, serviceCIDR: "
        "172.21.0.0/20}\nstatus: {vni: 8}\n"
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b, annotations: {weft.dev/vpc: vpc-b}}\n"
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: owner, namespace: default}\nspec: {type: LoadBalancer, "
        "clusterIP: 172.21.0.30, "
        "ports: [{name: http, port: 80}]}\nstatus: {loadBalancer: {ingress: [{ip: 203.0.113.10}]}}\n");
    brain->run_until_idle();
    api.seed(
        "apiVersion: v1\nkind: Service\nmetadata: {name: thief, namespace: b}\nspec: {clusterIP: 172.21.0.31, "
        "externalIPs: [203.0.113.10], "
        "ports: [{name: http, port: 8080}]}\n");
    brain->run_until_idle();
    EXPECT_EQ(tables->frontends.find(abi::frontend_key_of(0, ip("203.0.113.10"), 8080, net::Protocol::tcp)), nullptr);
    EXPECT_NE(tables->frontends.find(abi::frontend_key_of(8, ip("203.0.113.10"), 8080, net::Protocol::tcp)), nullptr)
        << "in its own VPC it may";
    EXPECT_FALSE(services->complaints({"b", "thief"}).empty());
    EXPECT_NE(tables->frontends.find(abi::frontend_key_of(0, ip("203.0.113.10"), 80, net::Protocol::tcp)), nullptr);
}

}  // namespace
}  // namespace weft::agent
