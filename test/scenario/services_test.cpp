// Every way to a Service that is not its plain ClusterIP: nodePorts, Local policies, source ranges, session affinity,
// endpoints that are not ready. Real clients in the three places that differ: the Internet, the node itself, a pod.
//
//   internet (198.51.100.7, 192.0.2.7) ── street ── node-1 198.18.1.1 ── vpc-demo { web x3, client }  vpc-blue { the same }
#include <set>

#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {

static std::string curl(const std::string& target, const std::string& more = "") {
    return "curl -sS --max-time 2 " + more + " http://" + target + "/";
}

static const std::string refused = "Couldn't connect";  // curl's word for RST at once

static std::string pod_of(const Output& answer) {
    const auto body = json::parse(trim(answer.text));
    return body ? std::string(json::find_string(*body, {"pod"})) : "";
}

static std::string peer_of(const Output& answer) {
    const auto body = json::parse(trim(answer.text));
    return body ? std::string(json::find_string(*body, {"peer"})) : "";
}

// Applies a Service and waits until the node refuses or answers on it as `holds` wants.
static void serve(const std::string& name, const std::string& spec, const std::string& ns = "default") {
    const Output applied = world->apply("apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: " + spec + "\n", "-n " + ns);
    ASSERT_TRUE(applied.ok()) << applied.text;
}

static void wait_for(const std::string& place, const std::string& command, const std::string& word) {
    EXPECT_EQ(eventually(5, [&] {
                  const Output answer = place == "client" ? world->in_pod("default", "client", command) : world->from(place, command);
                  return answer.text.find(word) != std::string::npos ? "" : answer.text;
              }),
              "")
        << place << ": " << command;
}

static std::string drops(const std::string& reason) {
    for (const std::string_view line : split(world->weft("drops").text, '\n'))
        if (std::string lower(line); lower.find(reason) != std::string::npos) return lower;
    return "";
}

// One Service's endpoints by hand: a Service without selector and its slice.
static void slice(const std::string& service, const std::string& endpoints) {
    const Output applied = world->apply("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + service +
                                        "-1, labels: {kubernetes.io/service-name: " + service +
                                        "}}\naddressType: IPv4\nports: [{name: http, port: 8080, protocol: TCP}]\nendpoints: " + endpoints + "\n");
    ASSERT_TRUE(applied.ok()) << applied.text;
}

// DP-13.
TEST(NodePort, answers_on_the_nodes_address_to_the_internet_the_node_and_a_pod) {
    serve("np", "{type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http, nodePort: 30080},"
                " {name: echo, port: 9000, protocol: UDP, targetPort: echo-udp, nodePort: 30080}]}");
    wait_for("internet", curl("198.18.1.1:30080"), "web-");
    const Output outside = world->from("internet", curl("198.18.1.1:30080", "--interface 198.51.100.7"));
    EXPECT_EQ(peer_of(outside), "198.51.100.7") << outside.text;
    const Output itself = world->from("node-1", curl("198.18.1.1:30080"));
    EXPECT_EQ(peer_of(itself).substr(0, 7), "100.64.") << itself.text;
    const Output pod = world->in_pod("default", "client", curl("198.18.1.1:30080"));
    EXPECT_EQ(peer_of(pod), world->field("pod client", "{.status.podIP}")) << pod.text;
    // DP-24: one number, two protocols.
    wait_for("internet", "echo hi | nc -u -w1 198.18.1.1 30080", ": hi");
    wait_for("client", "echo hi | nc -u -w1 198.18.1.1 30080", ": hi");
    // The other VPC's pod is outside of this one, and so is what it asks.
    EXPECT_FALSE(world->in_pod("blue", "client", curl("198.18.1.1:30080", "--max-time 1")).ok());
    std::set<std::string> pods;
    for (int i = 0; i < 20; i++) pods.insert(pod_of(world->from("internet", curl("198.18.1.1:30080"))));
    EXPECT_GE(pods.size(), 2u);
}

TEST(NodePort, of_the_other_vpc_leads_there_and_the_nodes_own_ports_stay_its_own) {
    serve("np", "{type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http, nodePort: 30081}]}", "blue");
    wait_for("internet", curl("198.18.1.1:30081"), "web-");
    const std::string pod = pod_of(world->from("internet", curl("198.18.1.1:30081")));
    EXPECT_NE(world->kubectl("-n blue get pod " + pod + " -o name").text.find(pod), std::string::npos) << pod;
    EXPECT_NE(world->from("internet", curl("198.18.1.1:30082")).text.find(refused), std::string::npos) << "by the node's kernel";
}

TEST(NodePort, goes_with_its_service) {
    serve("brief", "{type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: http, nodePort: 30083}]}");
    wait_for("internet", curl("198.18.1.1:30083"), "web-");
    ASSERT_TRUE(world->kubectl("delete service brief").ok());
    wait_for("internet", curl("198.18.1.1:30083"), refused);
}

// DP-4, DP-6: by hand, an endpoint on a node that is not this one.
TEST(LocalPolicy, with_endpoints_elsewhere_only_is_dropped_from_outside_and_with_none_refused) {
    serve("away", "{type: NodePort, externalTrafficPolicy: Local, ports: [{name: http, port: 80, nodePort: 30084}]}");
    wait_for("internet", curl("198.18.1.1:30084"), refused);
    const std::string pod = world->field("pods -l app=web", "{.items[0].status.podIP}");
    slice("away", "[{addresses: [" + pod + "], nodeName: node-9, conditions: {ready: true}}]");
    wait_for("internet", curl("198.18.1.1:30084", "--max-time 1"), "timed out");
    EXPECT_NE(drops("no_local_backend"), "");
    // Inside counts as internal: all endpoints, wherever they are.
    wait_for("client", curl("198.18.1.1:30084"), "web-");
    wait_for("node-1", curl("198.18.1.1:30084"), "web-");
    slice("away", "[{addresses: [" + pod + "], nodeName: node-1, conditions: {ready: true}}]");
    wait_for("internet", curl("198.18.1.1:30084", "--interface 192.0.2.7"), "192.0.2.7");
}

TEST(LocalPolicy, internal_drops_what_has_no_endpoint_here) {
    serve("inner", "{internalTrafficPolicy: Local, ports: [{name: http, port: 80}]}");
    const std::string pod = world->field("pods -l app=web", "{.items[0].status.podIP}");
    wait_for("client", curl("inner"), refused);
    slice("inner", "[{addresses: [" + pod + "], nodeName: node-9}]");
    wait_for("client", curl("inner", "--max-time 1"), "timed out");
    slice("inner", "[{addresses: [" + pod + "], nodeName: node-1}]");
    wait_for("client", curl("inner"), "web-");
}

// DP-1..DP-3.
TEST(Endpoints, that_end_but_serve_are_used_when_no_ready_one_is_left) {
    serve("ending", "{ports: [{name: http, port: 80}]}");
    const std::string first = world->field("pods -l app=web", "{.items[0].status.podIP}");
    const std::string second = world->field("pods -l app=web", "{.items[1].status.podIP}");
    const std::string first_name = world->field("pods -l app=web", "{.items[0].metadata.name}");
    const std::string second_name = world->field("pods -l app=web", "{.items[1].metadata.name}");
    const std::string ends = "[{addresses: [" + first + "], conditions: {ready: false, serving: true, terminating: true}}";
    slice("ending", ends + "]");
    wait_for("client", curl("ending"), first_name);
    slice("ending", ends + ", {addresses: [" + second + "], conditions: {ready: true}}]");
    wait_for("client", curl("ending"), second_name);
    for (int i = 0; i < 10; i++) EXPECT_EQ(pod_of(world->in_pod("default", "client", curl("ending"))), second_name);
    slice("ending", "[{addresses: [" + first + "], conditions: {ready: false, serving: false, terminating: true}}]");
    wait_for("client", curl("ending"), refused);
}

TEST(Endpoints, that_are_not_ready_are_used_where_the_service_publishes_them) {
    const Output pod = world->apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: never, labels: {app: never}}\nspec:\n  containers:\n"
        "    - {name: echo, image: 'echo:demo', ports: [{name: http, containerPort: 8080}],"
        " readinessProbe: {httpGet: {path: /no, port: 1}, periodSeconds: 1}}\n");
    ASSERT_TRUE(pod.ok()) << pod.text;
    serve("hidden", "{selector: {app: never}, ports: [{port: 80, targetPort: http}]}");
    serve("published", "{publishNotReadyAddresses: true, selector: {app: never}, ports: [{port: 80, targetPort: http}]}");
    wait_for("client", curl("published"), "never");
    wait_for("client", curl("hidden"), refused);
    EXPECT_TRUE(world->kubectl("delete pod never --grace-period=0 --force").ok());
}

// DP-16.
TEST(SourceRanges, let_in_who_is_named_and_nobody_else) {
    serve("guarded", "{type: LoadBalancer, loadBalancerSourceRanges: [192.0.2.0/24], selector: {app: web},"
                     " ports: [{name: http, port: 80, targetPort: http}]}");
    std::string address;
    EXPECT_EQ(eventually(5, [&] {
                  address = world->field("svc guarded", "{.status.loadBalancer.ingress[0].ip}");
                  return address.starts_with("203.0.113.") ? "" : "address: " + address;
              }),
              "");
    wait_for("internet", curl(address, "--interface 192.0.2.7"), "192.0.2.7");
    EXPECT_NE(world->from("internet", curl(address, "--max-time 1 --interface 198.51.100.7")).text.find("timed out"), std::string::npos);
    EXPECT_NE(drops("source_range"), "");
    EXPECT_FALSE(world->in_pod("default", "client", curl(address, "--max-time 1")).ok()) << "a pod is a source like any other";
    EXPECT_TRUE(world->from("node-1", curl(address)).ok()) << "the node is not";
    EXPECT_TRUE(world->in_pod("default", "client", curl("guarded")).ok()) << "the ClusterIP is not meant";
    EXPECT_EQ(world->kubectl("describe service guarded").text.find("NotProgrammed"), std::string::npos);
    // A change takes force without a new address; no range at all is open.
    ASSERT_TRUE(world->kubectl("patch service guarded -p '{\"spec\":{\"loadBalancerSourceRanges\":[\"198.51.100.0/24\"]}}'").ok());
    wait_for("internet", curl(address, "--interface 198.51.100.7"), "198.51.100.7");
    EXPECT_FALSE(world->from("internet", curl(address, "--max-time 1 --interface 192.0.2.7")).ok());
    ASSERT_TRUE(world->kubectl("patch service guarded -p '{\"spec\":{\"loadBalancerSourceRanges\":null}}'").ok());
    wait_for("internet", curl(address, "--interface 192.0.2.7"), "192.0.2.7");
}

// DP-18: over TCP at the socket, over UDP and from outside packet by packet.
TEST(SessionAffinity, keeps_a_client_at_its_pod_until_the_timeout) {
    serve("sticky", "{type: NodePort, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 1}}, selector: {app: web},"
                    " ports: [{name: http, port: 80, targetPort: http, nodePort: 30085},"
                    " {name: echo, port: 9000, protocol: UDP, targetPort: echo-udp}]}");
    wait_for("client", curl("sticky"), "web-");
    const auto many = [](const std::string& command) { return "for i in $(seq 10); do " + command + "; echo; done"; };
    const auto pods_in = [](const Output& output) {
        std::set<std::string> pods;
        for (const std::string_view line : split(output.text, '\n'))
            if (const size_t at = line.find("web-"); at != std::string::npos) pods.emplace(line.substr(at, 20));
        return pods;
    };
    const Output tcp = world->in_pod("default", "client", many(curl("sticky")));
    EXPECT_EQ(pods_in(tcp).size(), 1u) << tcp.text;
    const Output udp = world->in_pod("default", "client", "for i in 1 2 3; do echo hi | nc -u -w1 sticky 9000; done");
    EXPECT_EQ(pods_in(udp).size(), 1u) << udp.text;
    const Output outside = world->from("internet", many(curl("198.18.1.1:30085", "--interface 192.0.2.7")));
    EXPECT_EQ(pods_in(outside).size(), 1u) << outside.text;
    // Away for longer than the timeout, the client is anybody again: sooner or later it goes elsewhere.
    std::set<std::string> later;
    EXPECT_EQ(eventually(40, [&] {
                  const Output answer = world->in_pod("default", "client", "sleep 2; " + curl("sticky"));
                  later.insert(pod_of(answer));
                  return later.size() > 1 ? "" : "always " + *later.begin();
              }),
              "");
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv); }
