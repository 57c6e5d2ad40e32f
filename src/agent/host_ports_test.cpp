#include "agent/host_ports.h"

#include "agent/services_scene.h"

namespace weft::agent {
namespace {

const NodeSide n1{"n1", {ip("198.18.1.1"), ip("fd00:198:18::1")}};

std::string pod_yaml(std::string_view name, std::string_view ports, std::string_view address = "10.0.1.9",
                     std::string_view more = "") {
    return fmt::format(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {}, namespace: default}}\n"
        "spec: {{nodeName: n1, containers: [{{name: a, ports: {}}}]{}}}\nstatus: {{phase: Running, podIP: {}}}\n",
        name, ports, more, address);
}

std::string rows_of(const ServicePlan& plan) {
    std::string text;
    for (const auto& [key, frontend] : plan.frontends)
        text += fmt::format("{}:{}:{}/{} ", key.vpc, abi::from_abi(key.address).text(), abi::from_abi_port(key.port),
                            int(key.protocol));
    return text;
}

// DP-24
TEST(HostPorts, DP24_a_port_stands_on_the_nodes_addresses_and_leads_to_the_pod) {
    const ServicePlan plan = plan_host_ports(object(pod_yaml("p", "[{containerPort: 80, hostPort: 8080}]")), vpc(), n1);
    EXPECT_EQ(rows_of(plan),
              "0:198.18.1.1:8080/6 0:fd00:198:18::1:8080/6 7:198.18.1.1:8080/6 7:fd00:198:18::1:8080/6 ");
    EXPECT_EQ(plan.lists.at({8080, 6, Reach::cluster, false}), Backends{backend("10.0.1.9", 80)});
    EXPECT_TRUE(plan.lists.at({8080, 6, Reach::cluster, true}).empty()) << "the pod has no IPv6: refused at once";
    for (const auto& [key, frontend] : plan.frontends)
        EXPECT_TRUE(frontend.list) << "the node's other ports are its own";
}

TEST(HostPorts, DP24_one_number_with_another_protocol_or_host_ip_is_another_port) {
    const ServicePlan both =
        plan_host_ports(object(pod_yaml("p",
                                        "[{containerPort: 53, hostPort: 53, protocol: UDP, hostIP: 198.18.1.1}, "
                                        "{containerPort: 53, hostPort: 53, hostIP: 'fd00:198:18::1'}]")),
                        vpc(), n1);
    EXPECT_EQ(rows_of(both), "0:198.18.1.1:53/17 0:fd00:198:18::1:53/6 7:198.18.1.1:53/17 7:fd00:198:18::1:53/6 ");
    EXPECT_TRUE(both.complaints.empty());
    const ServicePlan foreign =
        plan_host_ports(object(pod_yaml("p",
                                        "[{containerPort: 53, hostPort: 53, hostIP: 192.0.2.1}, {containerPort: 54, "
                                        "hostPort: 54, protocol: SCTP}]")),
                        vpc(), n1);
    EXPECT_TRUE(foreign.frontends.empty());
    ASSERT_EQ(foreign.complaints.size(), 2u);
    EXPECT_EQ(foreign.complaints[0], "hostPort 53: hostIP 192.0.2.1 is not the node's");
    EXPECT_TRUE(foreign.complaints[1].starts_with("hostPort 54: ")) << foreign.complaints[1];
}

TEST(HostPorts, a_pod_that_has_ended_or_lives_on_the_node_itself_has_none) {
    kube::Object pod = object(pod_yaml("p", "[{containerPort: 80, hostPort: 8080}]"));
    EXPECT_TRUE(has_host_ports(pod));
    pod.set({"status", "phase"}, "Succeeded");
    EXPECT_TRUE(plan_host_ports(pod, vpc(), n1).frontends.empty());
    EXPECT_TRUE(plan_host_ports(
                    object(pod_yaml("p", "[{containerPort: 80, hostPort: 8080}]", "10.0.1.9", ", hostNetwork: true")),
                    vpc(), n1)
                    .frontends.empty());
    EXPECT_FALSE(has_host_ports(object(pod_yaml("p", "[{containerPort: 80}]"))));
}

struct HostPortScene : ServicesScene {
    uint16_t leads_to(uint16_t port) const {  // the port of the one backend; 0 = none
        const abi::frontend* row =
            tables->frontends.find(abi::frontend_key_of(0, ip("198.18.1.1"), port, net::Protocol::tcp));
        const uint32_t* id = row == nullptr || row->slots == 0 ? nullptr : tables->slots.find({row->service, 0});
        const abi::backend* found = id == nullptr ? nullptr : tables->backends.find(*id);
        return found == nullptr ? 0 : abi::from_abi_port(found->port);
    }

    std::vector<std::string> complaints(const std::string& pod) const {
        return services->complaints(host_port_key({"default", pod}));
    }

    void add_node_port(int port) {
        api.seed(fmt::format(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: np, namespace: default}}\n"
            "spec: {{type: NodePort, clusterIP: 172.21.0.44, ports: [{{name: http, port: 80, nodePort: {}}}]}}\n",
            port));
        brain->run_until_idle();
    }
};

TEST_F(HostPortScene, DP24_comes_and_goes_with_its_pod_and_stays_over_a_restart) {
    api.seed(pod_yaml("p", "[{containerPort: 80, hostPort: 8080}]"));
    brain->run_until_idle();
    EXPECT_EQ(leads_to(8080), 80);
    const uint64_t writes = maps.writes();
    restart();
    EXPECT_EQ(maps.writes(), writes);
    EXPECT_EQ(leads_to(8080), 80);
    ASSERT_TRUE(api.remove(kube::pods, {"default", "p"}, {.uid = {}, .propagation_policy = {}, .grace_period_s = 0})
                    .has_value());
    brain->run_until_idle();
    EXPECT_EQ(tables->frontends.find(abi::frontend_key_of(0, ip("198.18.1.1"), 8080, net::Protocol::tcp)), nullptr);
    EXPECT_EQ(tables->backends.rows().size(), 3u) << "those of the Service";
}

TEST_F(HostPortScene, DP24_of_two_pods_the_first_has_it_and_the_other_when_it_goes) {
    api.seed(pod_yaml("one", "[{containerPort: 81, hostPort: 8080}]"));
    brain->run_until_idle();
    const kube::Object second = object(pod_yaml("two", "[{containerPort: 82, hostPort: 8080}]", "10.0.1.10"));
    EXPECT_EQ(services->host_port_owner(second), "198.18.1.1 port 8080 is taken by pod default/one")
        << "CNI-35: what an ADD is refused with";
    api.seed(pod_yaml("two", "[{containerPort: 82, hostPort: 8080}]", "10.0.1.10"));
    brain->run_until_idle();
    EXPECT_EQ(leads_to(8080), 81);
    EXPECT_EQ(complaints("two"), std::vector<std::string>{"198.18.1.1 port 8080 is taken by pod default/one"});
    EXPECT_EQ(services->host_port_owner(object(pod_yaml("one", "[{containerPort: 81, hostPort: 8080}]"))), "");
    ASSERT_TRUE(api.remove(kube::pods, {"default", "one"}, {.uid = {}, .propagation_policy = {}, .grace_period_s = 0})
                    .has_value());
    brain->run_until_idle();
    EXPECT_EQ(leads_to(8080), 82);
    EXPECT_TRUE(complaints("two").empty());
}

TEST_F(HostPortScene, DP24_a_node_port_wins_whichever_was_first) {
    api.seed(pod_yaml("p", "[{containerPort: 80, hostPort: 30080}]"));
    brain->run_until_idle();
    EXPECT_EQ(leads_to(30080), 80);
    add_node_port(30080);
    EXPECT_EQ(leads_to(30080), 0) << "the Service's, which has no endpoints";
    EXPECT_EQ(complaints("p"), std::vector<std::string>{"198.18.1.1 port 30080 is taken by Service default/np"});
    EXPECT_TRUE(services->complaints({"default", "np"}).empty());
    restart();
    EXPECT_EQ(leads_to(30080), 0);
    EXPECT_FALSE(complaints("p").empty());
    ASSERT_TRUE(api.remove(kube::services, {"default", "np"}).has_value());
    brain->run_until_idle();
    EXPECT_EQ(leads_to(30080), 80);
    EXPECT_TRUE(complaints("p").empty());
}

// EPS-12
TEST(ServicePlan, EPS12_the_union_of_all_slices_counts_each_endpoint_once_and_the_ready_one_of_two) {
    const auto service = object("spec: {clusterIP: 172.21.0.20, ports: [{name: http, port: 80}]}");
    const auto chosen = [&](std::initializer_list<const char*> slices) {
        std::vector<kube::ObjectPtr> all;
        for (const char* endpoints : slices) all.push_back(slice(endpoints).at(0));
        return plan_service(service, all, vpc(), n1).lists.at({80, 6, Reach::cluster});
    };
    const Backends both{backend("10.0.1.1"), backend("10.0.1.2")};
    EXPECT_EQ(chosen({"[{addresses: [10.0.1.1]}]", "[{addresses: [10.0.1.2]}]"}), both);
    EXPECT_EQ(chosen({"[{addresses: [10.0.1.1]}, {addresses: [10.0.1.2]}]", "[{addresses: [10.0.1.2]}]"}), both)
        << "while it moves";
    EXPECT_EQ(chosen({"[{addresses: [10.0.1.1]}]", "[]"}), Backends{backend("10.0.1.1")}) << "while it is in none";
    EXPECT_EQ(chosen({"[{addresses: [10.0.1.1], conditions: {ready: false}}]",
                      "[{addresses: [10.0.1.1], conditions: {ready: true}}]"}),
              Backends{backend("10.0.1.1")});
    EXPECT_EQ(chosen({"[{addresses: [10.0.1.1], conditions: {ready: true}}]",
                      "[{addresses: [10.0.1.1], conditions: {ready: false}}]"}),
              Backends{backend("10.0.1.1")});
    EXPECT_EQ(chosen({}), Backends{});
}

}  // namespace
}  // namespace weft::agent
