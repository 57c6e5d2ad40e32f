// The life of nodes: they join, lose their wire and get it back, change their address, are killed and come again; agents and
// the controller die in turn. Whoever is not concerned is not disturbed: 0 resets and 0 failures under many flows.
//
//      n1  zone a ── a1 ──┐
//      n2  zone b ── b2 ──┼── street ── internet        Service steady: client a1, endpoint b2
//      n3  zone a ── a3 ──┘                             Service public: a load balancer, endpoints on every node
//
// Of several nodes the one that announces a public address is found on the street, by ARP.
#include <fmt/format.h>
#include <signal.h>

#include <set>

#include "base/clock.h"
#include "base/strings.h"
#include "support/lab.h"
#include "support/traffic.h"
#include "support/world_main.h"

namespace weft::test {

// A busy machine's own delays are no news: the long form is for one that is left alone.
static const bool is_long = std::getenv("WEFT_TEST_LONG") != nullptr;
static const int flows = is_long ? 500 : 200;
static const int new_per_second = is_long ? 500 : 200;

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
        traffic.start("crowd", in_place(*world, a1, crowd_py(arguments)), seconds + 60);
    }

    void expect_crowd_untouched() {
        for (const Traffic::Result& result : traffic.wait()) {
            printf("%s: %s\n", result.name.c_str(), result.text.c_str());
            EXPECT_GT(json::find_int(result.counts, {"new_done"}) + json::find_int(result.counts, {"done"}), 10) << result.text;
            for (const char* loss : {"flows_failed", "new_failed", "resets", "refused", "failed"})
                EXPECT_EQ(json::find_int(result.counts, {loss}), 0) << result.name << ": " << result.text;
        }
    }

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

// Everything of the node at once, pods too, as when its machine falls over; it starts again by itself.
TEST_F(NodeLife, a_node_that_is_killed_comes_back_with_its_pods_and_disturbs_nobody_else) {
    start_crowd(6);
    const std::string cgroup = run("grep ' - cgroup2 ' /proc/self/mountinfo | head -1 | cut -d' ' -f5").text;
    const std::string kill_file = std::string(trim(cgroup)) + "/" + world->instance().node_cgroup("n3") + "/cgroup.kill";
    const auto started = [] { return world->field("pod a3", "{.status.containerStatuses[0].state.running.startedAt}"); };
    const std::string before = started();
    ASSERT_EQ(run("echo 1 > " + kill_file).text, "");
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

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv, "--nodes 3 --zones 2", false, "lab"); }
