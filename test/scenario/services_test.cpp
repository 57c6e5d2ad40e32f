// Every way to a Service that is not its plain ClusterIP: nodePorts, Local policies, source ranges, session affinity,
// endpoints that are not ready. Real clients in the three places that differ: the Internet, the node itself, a pod.
//
//   internet (198.51.100.7, 192.0.2.7) ── street ── node-1 198.18.1.1 ── vpc-demo { web x3, client }  vpc-blue { the same }
#include <netinet/in.h>
#include <sys/socket.h>

#include <set>
#include <thread>

#include "base/strings.h"
#include "kernel/netns.h"
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
    wait_for("node-1", "echo hi | nc -u -w1 198.18.1.1 30080", ": hi");
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
    // The node itself is outside of that VPC, and has no socket program for it: by packets.
    wait_for("node-1", curl("198.18.1.1:30081"), "web-");
    EXPECT_NE(world->from("internet", curl("198.18.1.1:30082")).text.find(refused), std::string::npos) << "by the node's kernel";
}

// DP-13.
TEST(NodePort, wins_over_a_program_of_the_node_and_the_service_says_so) {
    const auto netns = MUST(kernel::Netns::open(world->instance().node_netns("node-1")));
    const Fd program = MUST(netns.run([]() -> Result<Fd> {
        Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in any{};
        any.sin_family = AF_INET;
        any.sin_port = htons(30087);
        if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof(any)) != 0 || ::listen(fd.get(), 8) != 0) return fail_errno("listen");
        return fd;
    }));
    EXPECT_TRUE(world->from("internet", "nc -z -w5 198.18.1.1 30087").ok()) << "the node's own port, so far";
    serve("np-taken", "{type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http, nodePort: 30087}]}");
    for (const char* place : {"internet", "node-1"}) wait_for(place, curl("198.18.1.1:30087"), "web-");
    EXPECT_EQ(eventually(20, [] {
                  return world->kubectl("get events --field-selector reason=NodePortInUse").text.find("np-taken") != std::string::npos ? "" : "no Event";
              }),
              "");
    (void)world->kubectl("delete service np-taken");
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

static std::string json_of(const Output& output, const std::string& part) {
    return output.text.find(part) != std::string::npos ? "" : output.text;
}

// DP-17: an address that is routed to the node, and the node's own.
TEST(ExternalAddress, is_taken_from_outside_and_inside_without_being_announced) {
    ASSERT_TRUE(world->from("internet", "ip route replace 192.0.2.50/32 via 198.18.1.1").ok());
    serve("outer", "{externalIPs: [192.0.2.50, 198.18.1.1], selector: {app: web}, ports: [{name: http, port: 8888, targetPort: http}]}");
    wait_for("internet", curl("192.0.2.50:8888", "--interface 198.51.100.7"), "198.51.100.7");
    wait_for("internet", curl("198.18.1.1:8888"), "web-");
    wait_for("client", curl("192.0.2.50:8888"), "web-");
    EXPECT_NE(world->from("internet", curl("192.0.2.50:8889")).text.find(refused), std::string::npos);
    ASSERT_TRUE(world->kubectl("delete service outer").ok());
    wait_for("internet", curl("198.18.1.1:8888"), refused);
    world->from("internet", "ip route del 192.0.2.50/32 via 198.18.1.1");
}

// DP-24, CNI-35: a port of the node for one pod; the second that wants it waits, a nodePort comes before both.
TEST(HostPort, leads_to_its_pod_and_is_had_once) {
    const auto pod = [](const std::string& name, const std::string& more = "") {
        return world->apply("apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec:\n" + more +
                            "  containers: [{name: echo, image: 'echo:demo', ports: [{containerPort: 8080, hostPort: 8099}, "
                            "{containerPort: 9000, hostPort: 8099, protocol: UDP}]}]\n");
    };
    ASSERT_TRUE(pod("port-1").ok());
    wait_for("internet", curl("198.18.1.1:8099", "--interface 192.0.2.7"), "192.0.2.7");
    EXPECT_EQ(pod_of(world->from("internet", curl("198.18.1.1:8099"))), "port-1");
    wait_for("client", curl("198.18.1.1:8099"), "port-1");
    ASSERT_TRUE(pod("port-2").ok());
    EXPECT_EQ(eventually(10, [] { return json_of(world->kubectl("describe pod port-2"), "without free ports for the pod's hostPorts"); }), "");
    ASSERT_TRUE(pod("port-3", "  nodeName: node-1\n").ok());
    EXPECT_EQ(eventually(15, [] { return json_of(world->kubectl("describe pod port-3"), "port 8099 is taken by pod default/port-1"); }), "");
    EXPECT_EQ(eventually(15, [] { return json_of(world->kubectl("describe pod port-3"), "a hostPort of pod default/port-3 is in use"); }), "") << "by the ADD";
    ASSERT_TRUE(world->kubectl("delete pod port-1 port-3 --grace-period=0 --force").ok());
    wait_for("internet", curl("198.18.1.1:8099"), "port-2");
    ASSERT_TRUE(world->kubectl("delete pod port-2 --grace-period=0 --force").ok());
    wait_for("internet", curl("198.18.1.1:8099"), refused);
}

// DP-31
TEST(NodeHealth, is_asked_at_port_10256) {
    const Output well = world->from("internet", "curl -sS --max-time 2 -i http://198.18.1.1:10256/healthz");
    EXPECT_NE(well.text.find("200 OK"), std::string::npos) << well.text;
    EXPECT_NE(well.text.find("\"nodeEligible\":true"), std::string::npos) << well.text;
    ASSERT_TRUE(world->kubectl("taint node node-1 ToBeDeletedByClusterAutoscaler=1:PreferNoSchedule").ok());
    wait_for("internet", "curl -sS --max-time 2 -o /dev/null -w '%{http_code}' http://198.18.1.1:10256/healthz", "503");
    EXPECT_EQ(world->from("internet", "curl -sS --max-time 2 -o /dev/null -w '%{http_code}' http://198.18.1.1:10256/livez").text, "200");
    ASSERT_TRUE(world->kubectl("taint node node-1 ToBeDeletedByClusterAutoscaler-").ok());
    wait_for("internet", "curl -sS --max-time 2 -o /dev/null -w '%{http_code}' http://198.18.1.1:10256/healthz", "200");
}

// EPS-11, EPS-14: the old form of endpoints, read and written.
TEST(OldEndpoints, show_what_slices_say_and_lead_where_a_user_says) {
    const std::string pod = world->field("pods -l app=web", "{.items[0].status.podIP}");
    EXPECT_EQ(eventually(10, [&] { return json_of(world->kubectl("get endpoints web"), pod + ":8080"); }), "");
    serve("byhand", "{ports: [{name: http, port: 80}]}");
    wait_for("client", curl("byhand"), refused);
    ASSERT_TRUE(world->apply("apiVersion: v1\nkind: Endpoints\nmetadata: {name: byhand}\nsubsets: [{addresses: [{ip: " + pod +
                             "}], ports: [{name: http, port: 8080}]}]\n")
                    .ok());
    wait_for("client", curl("byhand"), "web-");
    ASSERT_TRUE(world->kubectl("delete endpoints byhand").ok());
    wait_for("client", curl("byhand"), refused);
    ASSERT_TRUE(world->kubectl("delete service byhand").ok());
}

// SVC-74, and one address through all types of a Service (SVC-47).
TEST(Types, change_under_one_address_and_take_their_ports_along) {
    const std::string ports = "selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}, {name: u, port: 80, protocol: UDP, targetPort: echo-udp}]";
    serve("turns", "{" + ports + "}");
    const std::string cluster_ip = world->field("svc turns", "{.spec.clusterIP}");
    serve("turns", "{type: LoadBalancer, externalTrafficPolicy: Local, " + ports + "}");
    std::string address;
    EXPECT_EQ(eventually(10, [&] {
                  address = world->field("svc turns", "{.status.loadBalancer.ingress[0].ip}");
                  return address.empty() ? "no address" : "";
              }),
              "");
    wait_for("internet", curl(address), "web-");
    wait_for("internet", "echo hi | nc -u -w1 " + address + " 80", ": hi");  // SVC-74: both in one
    const std::string node_port = world->field("svc turns", "{.spec.ports[0].nodePort}");
    EXPECT_NE(world->field("svc turns", "{.spec.healthCheckNodePort}"), "");
    wait_for("internet", curl("198.18.1.1:" + node_port), "web-");
    serve("turns", "{type: NodePort, " + ports + "}");
    wait_for("internet", curl("198.18.1.1:" + node_port), "web-");
    EXPECT_EQ(world->field("svc turns", "{.spec.ports[0].nodePort}"), node_port);
    EXPECT_EQ(eventually(10, [&] { return world->field("svc turns", "{.status.loadBalancer.ingress}"); }), "");
    EXPECT_EQ(world->field("svc turns", "{.spec.healthCheckNodePort}"), "");
    serve("turns", "{" + ports + "}");
    wait_for("internet", curl("198.18.1.1:" + node_port), refused);
    EXPECT_EQ(world->field("svc turns", "{.spec.clusterIP}"), cluster_ip);
    wait_for("client", curl("turns"), "web-");
    ASSERT_TRUE(world->kubectl("delete service turns").ok());
}

// spec/kubernetes.md §4.4: a rollout of the only pod of a Local balancer loses nobody's request: the old one serves until
// the new one is ready, and goes on serving what still comes while it ends.
TEST(Termination, DP2_a_rollout_behind_a_local_balancer_fails_no_request) {
    ASSERT_TRUE(world->apply("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: solo}\nspec:\n  replicas: 1\n  selector: {matchLabels: {app: solo}}\n"
                             "  template:\n    metadata: {labels: {app: solo}}\n    spec:\n      terminationGracePeriodSeconds: 30\n      containers:\n"
                             "        - {name: echo, image: 'echo:demo', ports: [{name: http, containerPort: 8080}],\n"
                             "           readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1},\n"
                             "           lifecycle: {preStop: {exec: {command: [sleep, '3']}}}}\n")
                    .ok());
    serve("solo", "{type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: solo}, ports: [{port: 80, targetPort: http}]}");
    std::string address;
    EXPECT_EQ(eventually(10, [&] {
                  address = world->field("svc solo", "{.status.loadBalancer.ingress[0].ip}");
                  return address.empty() ? "no address" : "";
              }),
              "");
    wait_for("internet", curl(address), "solo-");
    // Asks until it is told to stop, and says how often nobody answered.
    const std::string stop = world->instance().run_dir() + "/test-stop";
    Output asked;
    std::thread client([&] {
        asked = world->from("internet", "n=0; lost=0; while [ ! -e " + stop + " ]; do n=$((n+1)); curl -sS -o /dev/null --max-time 5 http://" + address +
                                            "/ || lost=$((lost+1)); done; echo asked=$n lost=$lost", 60);
    });
    const bool restarted = world->kubectl("rollout restart deployment solo").ok() &&
                           world->kubectl("rollout status deployment solo --timeout=30s").ok();
    EXPECT_EQ(eventually(20, [] {
                  const std::string pods = world->field("pods -l app=solo", "{.items[*].metadata.name}");
                  return !pods.empty() && pods.find(' ') == std::string::npos ? "" : pods;
              }),
              "")
        << "the old one is gone";
    run("touch " + stop);
    client.join();
    EXPECT_TRUE(restarted);
    EXPECT_NE(asked.text.find(" lost=0"), std::string::npos) << asked.text;
    ASSERT_TRUE(world->kubectl("delete deployment,service solo").ok());
}

// EPS-10: a named port is each pod's own number.
TEST(NamedPorts, differ_from_pod_to_pod) {
    const auto pod = [](const std::string& name, const std::string& port) {
        return world->apply("apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", labels: {app: named}}\nspec:\n  containers: "
                            "[{name: echo, image: 'echo:demo', ports: [{name: here, containerPort: " + port + "}]}]\n");
    };
    ASSERT_TRUE(pod("named-1", "8080").ok());
    ASSERT_TRUE(pod("named-2", "8081").ok());
    serve("named", "{selector: {app: named}, ports: [{port: 80, targetPort: here}]}");
    std::set<std::string> seen;
    EXPECT_EQ(eventually(20, [&] {
                  seen.insert(pod_of(world->in_pod("default", "client", curl("named"))));
                  return seen.contains("named-1") && seen.contains("named-2") ? "" : "not both yet";
              }),
              "");
    ASSERT_TRUE(world->kubectl("delete pod named-1 named-2 --grace-period=0 --force").ok());
    ASSERT_TRUE(world->kubectl("delete service named").ok());
}

// DP-27: each change is in force within ten seconds; how long it took is told, bench/api says how long it takes.
TEST(Propagation, DP27_a_change_of_endpoints_is_in_force_within_ten_seconds) {
    serve("moves", "{ports: [{name: http, port: 80}]}");
    double longest = 0;
    for (int i = 0; i < 5; i++) {
        const std::string item = std::to_string(i % 3);
        const std::string name = world->field("pods -l app=web", "{.items[" + item + "].metadata.name}");
        slice("moves", "[{addresses: [" + world->field("pods -l app=web", "{.items[" + item + "].status.podIP}") + "]}]");
        const auto began = std::chrono::steady_clock::now();
        EXPECT_EQ(eventually(10, [&] { return json_of(world->in_pod("default", "client", curl("moves")), name); }), "");
        longest = std::max(longest, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    }
    printf("the longest of five changes took %.2f s, the question included\n", longest);
    ASSERT_TRUE(world->kubectl("delete service moves").ok());
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv); }
