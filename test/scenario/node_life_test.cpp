// The life of nodes: they join, lose their wire and get it back, change their address, are killed, reboot, and leave; agents and
// the controller die in turn; the API server goes and returns. Whoever is not concerned is not disturbed: 0 resets and 0
// failures under 500 long flows and 500 new connections a second.
//
//      n1  zone a ── a1 ──┐
//      n2  zone b ── b2 ──┼── street ── internet        Service steady: client a1, endpoint b2
//      n3  zone a ── a3 ──┘                             Service public: a load balancer, endpoints on every node
//
// Of several nodes the one that announces a public address is found on the street, by ARP. With WEFT_TEST_LONG the API server is
// away for ten minutes, and a dead node stays dead until its Lease has run out.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/fd.h"
#include "base/strings.h"
#include "support/lab.h"
#include "support/traffic.h"
#include "support/world_main.h"

namespace weft::test {

static const bool is_long = std::getenv("WEFT_TEST_LONG") != nullptr;
static constexpr int flows = 500;
static constexpr int new_per_second = 500;
static constexpr int lease_s = 40;  // controller/node.cpp, which looks every 5 s

static double seconds_since(MonotonicTime start) { return std::chrono::duration<double>(system_clock().now() - start).count(); }

static unsigned number_of(const std::string& node) { return unsigned(parse_unsigned(std::string_view(node).substr(1)).value_or(0)); }

static std::string becomes(const std::string& wanted, const std::function<std::string()>& now, int timeout_s = 20) {
    return eventually(timeout_s, [&] {
        const std::string is = now();
        return is == wanted ? std::string() : "it is: " + is;
    });
}

// "a1 b2 a3": the pods that are ready endpoints, by address order of the slices.
static std::set<std::string> ready_endpoints(const std::string& service) {
    std::set<std::string> names;
    const std::string text = world->field("endpointslices -l kubernetes.io/service-name=" + service,
                                          "{.items[*].endpoints[?(@.conditions.ready==true)].targetRef.name}");
    for (const std::string_view name : split(text, ' '))
        if (!name.empty()) names.emplace(name);
    return names;
}

// Of the node's agent; "" = it does not say.
static std::string metric_of(const std::string& node, const std::string& name) {
    const Output text = run("curl -s --unix-socket " + world->instance().node_run_dir(node) + "/agent.health.sock http://localhost/metrics");
    for (const std::string_view line : split(text.text, '\n'))
        if (line.starts_with(name + " ")) return std::string(line.substr(name.size() + 1));
    return "";
}

// What the agents have changed in maps and in the kernel's network since each of them began.
static std::string changes_made(const std::vector<std::string>& nodes) {
    std::string text;
    for (const std::string& node : nodes)
        text += node + ": " + metric_of(node, "weft_map_writes_total") + " rows, " + metric_of(node, "weft_netlink_changes_total") + " links; ";
    return text;
}

// A call of weft-cni as a container runtime makes it; the network namespace is there.
static Output cni(const std::string& command, const std::string& node, const std::string& netns, const std::string& pod,
                  const std::string& uid) {
    const std::string config = fmt::format(R"({{"cniVersion": "1.0.0", "name": "weft", "type": "weft-cni", "agentSocket": "{}"}})",
                                           world->instance().agent_socket(node));
    return run(fmt::format("echo '{}' | CNI_COMMAND={} CNI_CONTAINERID={} CNI_NETNS={} CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin "
                           "CNI_ARGS='K8S_POD_NAMESPACE=default;K8S_POD_NAME={};K8S_POD_UID={}' {}/weft-cni",
                           config, command, netns, Instance::netns_path(netns), pod, uid, WEFT_BIN));
}

// How many lines it prints.
static std::string run_kubectl_lines(const std::string& arguments) {
    const std::string text = world->kubectl(arguments).text;
    return std::to_string(std::count(text.begin(), text.end(), '\n'));
}

struct NodeLife : testing::Test {
    static void SetUpTestSuite() {
        ASSERT_TRUE(world->kubectl("apply -f " + root() + "/examples/world.yaml").ok());
        ASSERT_TRUE(world->apply(pod_on("a1", "n1", "mesh") + pod_on("b2", "n2", "mesh") + pod_on("a3", "n3", "mesh") + R"(
apiVersion: v1
kind: Service
metadata: {name: public}
spec: {type: LoadBalancer, trafficDistribution: PreferSameNode, selector: {app: mesh}, ports: [{port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: steady}
spec: {selector: {steady: "yes"}, ports: [{port: 9000}]}
)").ok());
        ASSERT_TRUE(world->kubectl("label pod b2 steady=yes").ok());
        ASSERT_TRUE(world->kubectl("wait --for=condition=Ready pod -l app=mesh --timeout=30s").ok());
        steady_ip = world->field("svc steady", "{.spec.clusterIP}");
        a1 = place_of(*world, "default", "a1");
        // A closed connection keeps its port for a minute: at 500 a second the usual 28,232 would run out.
        ASSERT_TRUE(run(in_place(*world, a1, "sysctl -qw \"net.ipv4.ip_local_port_range=2000 65535\"")).ok());
        ASSERT_EQ(eventually(20, [&]() -> std::string {
                      public_ip = world->field("svc public", "{.status.loadBalancer.ingress[0].ip}");
                      if (public_ip.empty()) return "no public address";
                      const Output probe = run(in_place(*world, a1, traffic_py("tcp-new " + steady_ip + " 9000 0.1")));
                      return probe.text.find("\"failed\": 0") == std::string::npos ? probe.text : "";
                  }),
                  "");
    }

    // The node that answers for the public address, once one does.
    static std::string announcer() {
        std::string node;
        EXPECT_EQ(eventually(20, [&] {
                      node = announcer_of(*world, public_ip);
                      return node.empty() ? "nobody answers" : "";
                  }),
                  "");
        return node;
    }

    static std::string another_than(const std::string& node, const std::string& and_than = "") {
        for (const char* other : {"n3", "n2", "n1"})
            if (other != node && other != and_than) return other;
        return "";
    }

    void start_crowd(int seconds) {
        const std::string arguments = fmt::format("{} 9000 {} {} {}", steady_ip, seconds, flows, new_per_second);
        traffic.start("crowd", in_place(*world, a1, crowd(arguments)), seconds + 60);
    }

    void expect_crowd_untouched() {
        for (const Traffic::Result& result : traffic.wait()) {
            printf("%s: %s\n", result.name.c_str(), result.text.c_str());
            EXPECT_GT(json::find_int(result.counts, {"new_done"}) + json::find_int(result.counts, {"done"}), 10) << result.text;
            if (result.name == "crowd") {
                EXPECT_EQ(json::find_int(result.counts, {"flows"}), flows);
            }
            for (const char* loss : {"flows_failed", "new_failed", "resets", "refused", "failed"})
                EXPECT_EQ(json::find_int(result.counts, {loss}), 0) << result.name << ": " << result.text;
        }
    }

    void TearDown() override {
        for (const int pid : stopped) ::kill(pid, SIGCONT);
    }

    // Stands still from now until cont() or the end of the test.
    void stop(const std::string& process, const std::string& node = "") {
        const int pid = world->pid_of(process, node);
        ASSERT_GT(pid, 0) << process;
        ASSERT_EQ(::kill(pid, SIGSTOP), 0) << process;
        stopped.insert(pid);
    }
    void cont(const std::string& process, const std::string& node = "") {
        const int pid = world->pid_of(process, node);
        ::kill(pid, SIGCONT);
        stopped.erase(pid);
    }

    // The counts once they have come to rest.
    static std::string changes_at_rest(const std::vector<std::string>& nodes) {
        std::string now = changes_made(nodes);
        EXPECT_EQ(eventually(20, [&]() -> std::string {
                      const std::string before = std::exchange(now, changes_made(nodes));
                      if (before == now) return "";
                      std::this_thread::sleep_for(std::chrono::milliseconds(500));
                      return before + " became " + now;
                  }),
                  "");
        return now;
    }

    std::set<int> stopped;
    static inline std::string steady_ip, public_ip;
    static inline PodPlace a1;
    Traffic traffic;
};

TEST_F(NodeLife, another_node_takes_over_a_public_address_within_3_s_and_keeps_it) {
    double took = 0;
    for (int tries = 0; tries < 3; ++tries) {  // a machine that stood still itself proves nothing
        const std::string before = announcer();
        ASSERT_EQ(plug(*world, number_of(before), false), "");
        const MonotonicTime start = system_clock().now();
        std::string after;
        EXPECT_EQ(eventually(20, [&] {
                      after = announcer_of(*world, public_ip);
                      return after.empty() || after == before ? "nobody took over from " + before : std::string();
                  }),
                  "");
        took = seconds_since(start);
        printf("%s lost its wire: %s answers after %.2f s\n", before.c_str(), after.c_str(), took);
        // Where a starved machine let two of them speak up, one falls silent again.
        EXPECT_EQ(eventually(20, [] {
                      std::string who;
                      for (const char* node : {"n1", "n2", "n3"})
                          if (metric_of(node, "weft_announced_addresses") != "0") who += std::string(" ") + node;
                      return std::count(who.begin(), who.end(), ' ') == 1 ? "" : "announced by" + who;
                  }),
                  "");
        after = announcer();
        traffic.start("street", on_street(*world, traffic_py("tcp-long " + public_ip + " 9000 4")), 60);
        ASSERT_EQ(plug(*world, number_of(before), true), "");
        expect_crowd_untouched();
        EXPECT_EQ(announcer_of(*world, public_ip), after) << "the returned node must not take over";
        EXPECT_EQ(becomes("True", [&] { return world->field("node " + before, "{.status.conditions[?(@.type==\"Ready\")].status}"); }), "");
        if (took <= 3) break;
    }
    EXPECT_LE(took, 3);
}

TEST_F(NodeLife, a_node_without_its_wire_leaves_the_services_and_disturbs_nobody_else) {
    const std::string node = "n3";
    start_crowd(5);
    ASSERT_EQ(plug(*world, 3, false), "");
    const MonotonicTime start = system_clock().now();
    EXPECT_EQ(eventually(20, [&] { return ready_endpoints("public").contains("a3") ? "a3 is still an endpoint" : ""; }), "");
    printf("the endpoint on %s left after %.2f s\n", node.c_str(), seconds_since(start));
    EXPECT_EQ(becomes("NO", [&]() -> std::string {
                  const auto status = json::parse(world->weft("status -o json").text);
                  if (!status) return "no status";
                  const json::Array* nodes = json::find_array(*status, {"nodes"});
                  return nodes != nullptr && nodes->size() > 2 && !json::find_bool((*nodes)[2], {"reachable"}) ? "NO" : "yes";
              }),
              "");
    ASSERT_EQ(plug(*world, 3, true), "");
    EXPECT_EQ(eventually(20, [&] { return ready_endpoints("public").contains("a3") ? "" : "a3 is no endpoint again"; }), "");
    EXPECT_EQ(world->field("pod a3", "{.status.containerStatuses[0].restartCount}"), "0");
    expect_crowd_untouched();
}

TEST_F(NodeLife, agents_and_controller_killed_in_turn_disturb_nobody) {
    start_crowd(8);
    traffic.start("street", on_street(*world, traffic_py("tcp-long " + public_ip + " 9000 8")), 60);
    const std::string before = announcer();
    for (const auto& [process, node] : std::vector<std::pair<std::string, std::string>>{
             {"agent", "n1"}, {"controller", ""}, {"agent", "n2"}, {"controller", ""}, {"agent", "n3"}}) {
        const int pid = world->pid_of(process, node);
        ASSERT_GT(pid, 0) << process << " " << node;
        ASSERT_EQ(::kill(pid, SIGKILL), 0);
        EXPECT_EQ(eventually(10, [&, process = process, node = node]() -> std::string {
                      const int now = world->pid_of(process, node);
                      if (now == 0 || now == pid) return process + " is not back";
                      const Output status = world->weft("status");
                      return status.ok() ? "" : status.text;
                  }),
                  "");
    }
    expect_crowd_untouched();
    EXPECT_EQ(announcer(), before);
}

static void kill_everything_of(const std::string& node) {
    const std::string cgroup = run("grep ' - cgroup2 ' /proc/self/mountinfo | head -1 | cut -d' ' -f5").text;
    ASSERT_EQ(run("echo 1 > " + std::string(trim(cgroup)) + "/" + world->instance().node_cgroup(node) + "/cgroup.kill").text, "");
}

// Everything of the node at once, pods too, as when its machine falls over; it starts again by itself.
TEST_F(NodeLife, a_node_that_is_killed_comes_back_with_its_pods_and_disturbs_nobody_else) {
    start_crowd(6);
    const auto started = [] { return world->field("pod a3", "{.status.containerStatuses[0].state.running.startedAt}"); };
    const std::string before = started();
    kill_everything_of("n3");
    EXPECT_EQ(eventually(20, [&]() -> std::string {
                  const Output status = world->weft("status");
                  if (!status.ok()) return status.text;
                  const std::string now = started();
                  return !now.empty() && now != before ? "" : "a3 was not started again: " + now;
              }),
              "");
    EXPECT_EQ(eventually(20, [&] { return ready_endpoints("public").contains("a3") ? "" : "a3 is no endpoint again"; }), "");
    expect_crowd_untouched();
}

// Nobody starts it again, and its wire is there: only its Lease can tell.
TEST_F(NodeLife, the_endpoints_of_a_node_that_stays_dead_leave_the_services_within_its_lease_time) {
    start_crowd(lease_s + 15);
    stop("supervisor");
    kill_everything_of("n3");
    const MonotonicTime start = system_clock().now();
    EXPECT_EQ(eventually(lease_s + 20, [&] { return ready_endpoints("public").contains("a3") ? "a3 is still an endpoint" : ""; }), "");
    const double took = seconds_since(start);
    printf("the endpoint on the dead node left after %.1f s\n", took);
    EXPECT_LE(took, lease_s + 10);
    cont("supervisor");
    EXPECT_EQ(eventually(30, [&] { return ready_endpoints("public").contains("a3") ? "" : "a3 is no endpoint again"; }), "");
    expect_crowd_untouched();
}

// What lies in memory is gone: namespaces, maps, sockets, the allocation log.
TEST_F(NodeLife, a_node_that_reboots_comes_back_with_its_pods_and_disturbs_nobody_else) {
    start_crowd(8);
    const auto started = [] { return world->field("pod a3", "{.status.containerStatuses[0].state.running.startedAt}"); };
    const std::string before = started();
    const Output rebooted = world->weft("node reboot n3");
    EXPECT_TRUE(rebooted.ok()) << rebooted.text;
    EXPECT_EQ(eventually(20, [&]() -> std::string {
                  const std::string now = started();
                  return !now.empty() && now != before ? "" : "a3 was not started again: " + now;
              }),
              "");
    EXPECT_EQ(eventually(20, [&] { return ready_endpoints("public").contains("a3") ? "" : "a3 is no endpoint again"; }), "");
    const std::string address = place_of(*world, "default", "a3").address;
    EXPECT_EQ(eventually(20, [&] { return who_answers(in_place(*world, a1, "curl -sS --max-time 2 http://" + address + ":8080/"), 1) == "a3" ? "" : "no a3"; }),
              "");
    EXPECT_TRUE(world->weft("ipam check").ok());
    expect_crowd_untouched();
}

TEST_F(NodeLife, a_node_may_change_its_address) {
    const std::string netns = "nsenter --net=" + Instance::netns_path(world->instance().node_netns("n3"));
    const int agent = world->pid_of("agent", "n3");
    start_crowd(5);
    ASSERT_EQ(run(netns + " sh -c 'ip addr del 198.18.1.3/16 dev eth0 && ip addr add 198.18.1.33/16 dev eth0 && ip route replace default via "
                          "198.18.0.1 dev eth0'")
                  .text,
              "");
    EXPECT_EQ(becomes("198.18.1.33", [&] {
                  return world->field("node n3", "{.status.addresses[?(@.type==\"InternalIP\")].address}").substr(0, 11);
              }),
              "");
    EXPECT_EQ(eventually(20, [&]() -> std::string {
                  if (world->pid_of("agent", "n3") == agent) return "the agent has not begun anew";
                  const Output status = world->weft("status");
                  if (!status.ok()) return status.text;
                  return status.text.find("198.18.1.33") != std::string::npos ? "" : status.text;
              }),
              "");
    EXPECT_EQ(world->field("pod a3", "{.status.phase}"), "Running");
    expect_crowd_untouched();
    ASSERT_EQ(run(netns + " sh -c 'ip addr del 198.18.1.33/16 dev eth0 && ip addr add 198.18.1.3/16 dev eth0 && ip route replace default via "
                          "198.18.0.1 dev eth0'")
                  .text,
              "");
    EXPECT_EQ(eventually(20, [&] { return world->weft("status").text.find("198.18.1.33") == std::string::npos ? "" : "not yet"; }), "");
}

// late is bound before the API server goes, and first wired by weft-cni alone, then by its runtime.
TEST_F(NodeLife, without_an_api_server_all_goes_on_and_nothing_needless_is_done_when_it_returns) {
    const std::vector<std::string> nodes = {"n1", "n2", "n3"};
    stop("runtime", "n3");
    ASSERT_TRUE(world->apply(pod_on("late", "n3", "late")).ok());
    ASSERT_EQ(eventually(20, [&] { return world->field("pod late", "{.metadata.annotations.weft\\.dev/vswitch}").empty() ? "not bound" : ""; }), "");
    const std::string pods = run_kubectl_lines("get pods -A --field-selector spec.nodeName=n3 -o name");
    ASSERT_EQ(becomes(pods, [] { return metric_of("n3", "weft_pods"); }), "") << "pods of n3 that its agent knows";
    const std::string uid = world->field("pod late", "{.metadata.uid}");
    const std::string dns = world->field("svc kube-dns", "{.spec.clusterIP}", "kube-system");

    stop("supervisor");
    ASSERT_EQ(::kill(world->pid_of("apiserver"), SIGKILL), 0);
    const int seconds = is_long ? 600 : 30;
    start_crowd(seconds);
    traffic.start("street", on_street(*world, traffic_py(fmt::format("tcp-long {} 9000 {}", public_ip, seconds))), seconds + 60);
    traffic.start("DNS", in_place(*world, a1, traffic_py(fmt::format("dns {} 53 {} steady.default.svc.cluster.local", dns, seconds))), seconds + 60);

    const std::string netns = "weft-" + world->instance().name() + "-cni";
    ASSERT_TRUE(run("ip netns add " + netns).ok());
    const Output added = cni("ADD", "n3", netns, "late", uid);
    EXPECT_TRUE(added.ok()) << added.text;
    printf("ADD: %s\n", added.text.c_str());
    const Output talked = run("nsenter --net=" + Instance::netns_path(netns) + " " + traffic_py("tcp-new " + steady_ip + " 9000 1"));
    EXPECT_NE(talked.text.find("\"failed\": 0"), std::string::npos) << talked.text;
    const Output deleted = cni("DEL", "n3", netns, "late", uid);
    EXPECT_TRUE(deleted.ok()) << deleted.text;
    EXPECT_EQ(run("nsenter --net=" + Instance::netns_path(netns) + " ip -4 -o addr show scope global").text, "");
    run("ip netns del " + netns);

    cont("runtime", "n3");
    EXPECT_EQ(eventually(20, [&]() -> std::string {
                  const Output address = run("nsenter --net=" + Instance::netns_path(world->instance().pod_netns(uid)) + " ip -4 -o addr show scope global");
                  return address.text.find("inet ") != std::string::npos ? "" : "late has no address: " + address.text;
              }),
              "");
    const std::string before = changes_at_rest(nodes);
    expect_crowd_untouched();
    EXPECT_FALSE(world->kubectl("get ns --request-timeout=2s", 10).ok()) << "the API server is back too early";

    cont("supervisor");
    const MonotonicTime start = system_clock().now();
    EXPECT_EQ(eventually(20, [&]() -> std::string {
                  const Output status = world->weft("status");
                  return status.ok() ? "" : status.text;
              }),
              "");
    printf("ready again after %.1f s\n", seconds_since(start));
    EXPECT_TRUE(world->kubectl("wait --for=condition=Ready pod late --timeout=20s").ok());
    // Every agent hears the API again: it looks at a Service that somebody has touched, and finds nothing to do.
    std::map<std::string, std::string> looks;
    const auto looks_of = [](const std::string& node) { return metric_of(node, "weft_reconcile_total{outcome=\"done\",reconciler=\"services\"}"); };
    for (const std::string& node : nodes) looks[node] = looks_of(node);
    ASSERT_EQ(eventually(5, []() -> std::string {
                  const Output touched = world->kubectl("annotate svc steady looked=at --overwrite");
                  return touched.ok() ? "" : touched.text;
              }),
              "");
    for (const std::string& node : nodes)
        EXPECT_EQ(eventually(20, [&] { return looks_of(node) != looks[node] ? "" : "the agent of " + node + " does not hear: " + looks[node]; }), "");
    EXPECT_EQ(changes_at_rest(nodes), before);
    EXPECT_TRUE(world->kubectl("delete pod late --wait").ok());
}

TEST_F(NodeLife, a_node_joins_while_all_goes_on) {
    start_crowd(6);
    const std::vector<int> before = {world->pid_of("agent", "n1"), world->pid_of("runtime", "n2"), world->pid_of("apiserver")};
    EXPECT_EQ(world->up("--nodes 4 --zones 2", false, "lab"), "");
    EXPECT_EQ((std::vector<int>{world->pid_of("agent", "n1"), world->pid_of("runtime", "n2"), world->pid_of("apiserver")}), before);
    ASSERT_TRUE(world->apply(pod_on("b4", "n4", "mesh")).ok());
    EXPECT_TRUE(world->kubectl("wait --for=condition=Ready pod b4 --timeout=30s").ok());
    EXPECT_EQ(eventually(20, [&] { return ready_endpoints("public").contains("b4") ? "" : "b4 is no endpoint"; }), "");
    const Output refused = world->weft("lab --instance " + world->instance().name() + " --nodes 2 --zones 2");
    EXPECT_NE(refused.text.find("runs with other nodes"), std::string::npos) << refused.text;
    expect_crowd_untouched();
}

// n4 has a pod of a Deployment, a lone one, leases, and the public addresses.
TEST_F(NodeLife, a_node_leaves_and_its_pods_addresses_and_leases_go_to_others) {
    for (const char* other : {"n1", "n2", "n3"})
        ASSERT_TRUE(world->kubectl(std::string("label node ") + other + " node.kubernetes.io/exclude-from-external-load-balancers=").ok());
    EXPECT_EQ(becomes("n4", [] { return announcer_of(*world, public_ip); }), "");
    ASSERT_TRUE(world->kubectl("label nodes n1 n2 n3 node.kubernetes.io/exclude-from-external-load-balancers-").ok());
    ASSERT_TRUE(world->apply(deployment_yaml("roam", 4, "vsw-zone-b")).ok());
    ASSERT_TRUE(world->kubectl("rollout status deployment roam --timeout=30s").ok());
    ASSERT_NE(world->field("pods -l app=roam", "{.items[*].spec.nodeName}").find("n4"), std::string::npos);
    const Output refused = world->weft("node remove n4");
    EXPECT_EQ(refused.status, 4) << refused.text;
    EXPECT_NE(refused.text.find("default/b4"), std::string::npos) << refused.text;
    ASSERT_TRUE(world->kubectl("delete pod b4").ok());

    start_crowd(8);
    const MonotonicTime start = system_clock().now();
    Output removed;
    std::thread leaving([&] { removed = world->weft("node remove n4", 180); });
    std::string after;
    EXPECT_EQ(eventually(20, [&] {
                  after = announcer_of(*world, public_ip);
                  return after.empty() || after == "n4" ? "nobody took over: " + after : std::string();
              }),
              "");
    const double took = seconds_since(start);
    printf("%s announces %.2f s after the verb began\n", after.c_str(), took);
    leaving.join();
    printf("%s", removed.text.c_str());
    EXPECT_TRUE(removed.ok());
    EXPECT_TRUE(world->weft("status").ok());
    EXPECT_EQ(world->field("nodes", "{.items[*].metadata.name}"), "n1 n2 n3");
    EXPECT_EQ(world->field("ablk", "{.items[?(@.spec.node==\"n4\")].metadata.name}"), "");
    for (const char* node : {"n1", "n2", "n3"})
        EXPECT_EQ(becomes("2", [&] { return metric_of(node, "weft_other_nodes"); }), "") << node;
    EXPECT_TRUE(world->kubectl("rollout status deployment roam --timeout=30s").ok());
    EXPECT_EQ(run("ls -d /run/netns/" + world->instance().node_netns("n4") + "* /run/weft/" + world->instance().name() + "/n4* /run/weft/" +
                  world->instance().name() + "/bpf/n4 2>/dev/null")
                  .text,
              "");
    expect_crowd_untouched();
    // Nothing of ours holds its namespace.
    const std::string log = world->instance().run_dir() + "/log/apiserver.log";
    EXPECT_EQ(becomes("1", [&] { return run("grep -c 'msg=\"door closed\" node=n4' " + log + " | tr -d '\\n'").text; }), "");
    const Output again = world->weft("node add n4=cn-local-b", 120);
    EXPECT_TRUE(again.ok()) << again.text;
    EXPECT_EQ(becomes("True", [] { return world->field("node n4", "{.status.conditions[?(@.type==\"Ready\")].status}"); }), "");
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv, "--nodes 3 --zones 2", false, "lab"); }
