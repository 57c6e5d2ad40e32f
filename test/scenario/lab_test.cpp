// Services across nodes: three nodes in two zones, endpoints anywhere.
//
//      n1  zone a ──┐                              pods a1 (n1), b2 (n2), a3 (n3), each with the label app: mesh
//      n2  zone b ──┼── street ── internet         and Services over them
//      n3  zone a ──┘
//
// Pods reach each other by address, ClusterIP, name, and the outside reaches them by Ingress and load balancer, wherever
// client and endpoint are; traffic policies and topology narrow the choice as spec/kubernetes.md §4.1 says.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <set>

#include "base/strings.h"
#include "kernel/bpf_object.h"
#include "support/lab.h"
#include "support/traffic.h"
#include "support/world_main.h"

namespace weft::test {

static const std::vector<std::string> mesh = {"a1", "b2", "a3"};  // on n1, n2, n3

static std::string from_pod(const std::string& pod, const std::string& url, int times) {
    return who_answers(in_place(*world, place_of(*world, "default", pod), "curl -sS --max-time 2 " + url), times);
}

// In the pod's own file system too: its resolv.conf counts.
static std::string by_name(const std::string& pod, const std::string& url, int times) {
    std::set<std::string> names;
    for (int i = 0; i < times; ++i) {
        const Output output = world->in_pod("default", pod, "curl -sS --max-time 2 " + url);
        const size_t at = output.text.find("\"pod\":\"");
        if (at == std::string::npos) return "failed: " + output.text;
        names.insert(output.text.substr(at + 7, output.text.find('"', at + 7) - at - 7));
    }
    return fmt::format("{}", fmt::join(names, " "));
}

static std::string url_of(const std::string& service) { return "http://" + world->field("svc " + service, "{.spec.clusterIP}") + "/"; }

static std::string from_street(const std::string& url, int times) {
    return who_answers(on_street(*world, "curl -sS --max-time 2 " + url), times);
}

// Waits until it is so, and says what it was last.
static std::string becomes(const std::string& wanted, const std::function<std::string()>& now, int timeout_s = 20) {
    return eventually(timeout_s, [&] {
        const std::string is = now();
        return is == wanted ? std::string() : "it is: " + is;
    });
}

static std::string public_address(const std::string& service) {
    std::string address;
    (void)eventually(20, [&] {
        address = world->field("svc " + service, "{.status.loadBalancer.ingress[0].ip}");
        return address.empty() ? "none yet" : "";
    });
    return address;
}

struct Lab : testing::Test {
    static void SetUpTestSuite() {
        std::string yaml;
        for (size_t i = 0; i < mesh.size(); ++i) yaml += pod_on(mesh[i], "n" + std::to_string(i + 1), "mesh");
        for (const char* service : {"mesh", "mesh-local", "mesh-close", "mesh-node"})
            yaml += fmt::format(R"(
apiVersion: v1
kind: Service
metadata: {{name: {}}}
spec:
  selector: {{app: mesh}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
  {}
---
)",
                                service,
                                service == std::string("mesh-local")   ? "internalTrafficPolicy: Local"
                                : service == std::string("mesh-close") ? "trafficDistribution: PreferClose"
                                : service == std::string("mesh-node")  ? "trafficDistribution: PreferSameNode"
                                                                       : "type: LoadBalancer");
        ASSERT_TRUE(world->apply(yaml).ok());
        ASSERT_TRUE(world->kubectl("wait --for=condition=Ready pod -l app=mesh --timeout=30s").ok());
    }
};

TEST_F(Lab, the_nodes_stand_in_their_zones_and_answer) {
    EXPECT_EQ(world->field("nodes", "{range .items[*]}{.metadata.name}={.metadata.labels.topology\\.kubernetes\\.io/zone} {end}"),
              "n1=cn-local-a n2=cn-local-b n3=cn-local-a ");
    const auto status = json::parse(world->weft("status -o json").text);
    ASSERT_TRUE(status);
    const json::Array* nodes = json::find_array(*status, {"nodes"});
    ASSERT_TRUE(nodes != nullptr && nodes->size() == 3);
    for (const json::Value& node : *nodes) {
        EXPECT_TRUE(json::find_bool(node, {"reachable"})) << json::serialize(node);
        EXPECT_EQ(json::find_int(node, {"mtu"}), 1500) << json::serialize(node);
        EXPECT_TRUE(json::has(node, {"syncAgeSeconds"})) << json::serialize(node);
    }
}

TEST_F(Lab, pods_spread_over_the_nodes_of_their_vswitchs_zone) {
    ASSERT_TRUE(world->apply(deployment_yaml("spread", 4, "vsw-zone-a")).ok());
    ASSERT_TRUE(world->kubectl("rollout status deployment spread --timeout=30s").ok());
    std::map<std::string, int> nodes;
    for (const std::string_view node : split(trim(world->field("pods -l app=spread", "{.items[*].spec.nodeName}")), ' ')) nodes[std::string(node)]++;
    EXPECT_EQ(nodes.count("n2"), 0u) << "another zone";
    EXPECT_EQ(nodes.size(), 2u);
    ASSERT_TRUE(world->kubectl("delete deployment,svc spread").ok());
}

TEST_F(Lab, pods_reach_each_other_by_address_on_every_node) {
    for (const std::string& from : mesh)
        for (const std::string& to : mesh) {
            const std::string address = place_of(*world, "default", to).address;
            EXPECT_EQ(becomes(to, [&] { return from_pod(from, "http://" + address + ":8080/", 1); }), "") << from << " to " << to;
        }
}

TEST_F(Lab, a_service_reaches_endpoints_on_every_node_by_address_and_name) {
    for (const std::string& from : mesh) {
        EXPECT_EQ(becomes("a1 a3 b2", [&] { return from_pod(from, url_of("mesh"), 24); }), "") << from;
        EXPECT_EQ(becomes("a1 a3 b2", [&] { return by_name(from, "http://mesh.default.svc.cluster.local/", 24); }), "") << from;
    }
}

// DP-13. Entered without joining a cgroup of ours: every packet is translated, and the answer of a pod elsewhere is believed.
TEST_F(Lab, a_program_on_a_node_reaches_node_ports_and_public_addresses_packet_by_packet) {
    const std::string port = world->field("svc mesh", "{.spec.ports[0].nodePort}");
    const std::string address = public_address("mesh");
    ASSERT_NE(port, "");
    for (int i = 1; i <= 3; ++i) {
        const std::string enter = "nsenter --net=" + Instance::netns_path(world->instance().node_netns(fmt::format("n{}", i))) + " curl -sS --max-time 2 http://";
        for (const std::string& at : {fmt::format("198.18.1.{}:{}", i, port), address, fmt::format("198.18.1.{}:{}", i % 3 + 1, port)})
            EXPECT_EQ(becomes("a1 a3 b2", [&] { return who_answers(enter + at + "/", 24); }), "") << "n" << i << " to " << at;
    }
}

TEST_F(Lab, why_goes_on_to_the_node_that_receives_the_packet) {
    const std::string b2 = place_of(*world, "default", "b2").address;
    const Output shown = world->weft("why default/a1 " + b2 + ":8080");
    EXPECT_TRUE(shown.ok()) << shown.text;
    for (const char* part : {"on n2 (198.18.1.2)", "node n1 (198.18.1.1)", "plain", "(pod default/b2) on n2"})
        EXPECT_NE(shown.text.find(part), std::string::npos) << part << " in:\n" << shown.text;
    const auto there = [&](const std::string& pod, const std::string& target) {
        const auto answer = json::parse(world->weft("why default/" + pod + " " + target + " -o json").text);
        const json::Value* const found = answer ? json::find(*answer, {"there"}) : nullptr;
        return found != nullptr ? *found : json::Value();
    };
    EXPECT_EQ(json::find_string(there("a1", b2 + ":53/udp"), {"node"}), "n2");
    EXPECT_EQ(json::find_string(there("b2", place_of(*world, "default", "a3").address + "/icmp"), {"node"}), "n3");
    EXPECT_TRUE(there("a1", place_of(*world, "default", "a1").address + ":8080").is_null()) << "it stays on its node";
    // What stops it over there has the name of a door over there.
    const std::string dir = world->instance().bpf_dir("n2");
    const auto maps = kernel::open_pinned_maps(dir);
    ASSERT_TRUE(maps);
    const net::Prefix n1 = net::Prefix::host(MUST(net::Address::parse("198.18.1.1")));
    const auto key = abi::location_key_of(VPC_OUTSIDE, n1);
    const auto row = MUST(maps->locations->lookup(key));
    ASSERT_TRUE(row);
    MUST(maps->locations->erase(key));
    const json::Value stopped = there("a1", b2 + ":8080");
    MUST(maps->locations->put(key, *row));
    EXPECT_EQ(json::find_string(stopped, {"door"}), "identify") << json::serialize(stopped);
    EXPECT_EQ(json::find_string(stopped, {"reason"}), "unknown_node") << json::serialize(stopped);
}

// Endpoints on one node at a time, so that each is remote for whoever announces the address.
TEST_F(Lab, the_outside_reaches_endpoints_on_every_node_by_load_balancer_and_ingress) {
    for (size_t i = 0; i < mesh.size(); ++i) {
        ASSERT_TRUE(world->apply(fmt::format(R"(
apiVersion: v1
kind: Service
metadata: {{name: only}}
spec: {{type: LoadBalancer, selector: {{only: {0}}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: only}}
spec:
  ingressClassName: weft
  rules: [{{host: only.example.test, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: only, port: {{number: 80}}}}}}}}]}}}}]
)",
                                             mesh[i]))
                        .ok());
        ASSERT_TRUE(world->kubectl("label --overwrite pod " + mesh[i] + " only=" + mesh[i]).ok());
        const std::string address = public_address("only");
        EXPECT_EQ(becomes(mesh[i], [&] { return from_street("http://" + address + "/", 3); }), "") << mesh[i];
        // DP-14: wherever it is, the endpoint sees the client itself.
        const std::string seen = run(on_street(*world, "curl -sS --max-time 5 --interface 192.0.2.7 http://" + address + "/")).text;
        EXPECT_NE(seen.find("\"peer\":\"192.0.2.7"), std::string::npos) << mesh[i] << ": " << seen;
        std::string ingress;
        EXPECT_EQ(eventually(20, [&] {
                      ingress = world->field("ing only", "{.status.loadBalancer.ingress[0].ip}");
                      return ingress.empty() ? "no address" : "";
                  }),
                  "");
        EXPECT_EQ(becomes(mesh[i], [&] { return from_street("-H 'Host: only.example.test' http://" + ingress + "/", 3); }), "") << mesh[i];
    }
    EXPECT_TRUE(world->kubectl("delete svc,ing only").ok());
}

// DP-5
TEST_F(Lab, DP5_prefer_close_keeps_to_the_zone_and_prefer_same_node_to_the_node) {
    const std::map<std::string, std::string> zone = {{"a1", "a1 a3"}, {"a3", "a1 a3"}, {"b2", "b2"}};
    for (const std::string& from : mesh) {
        EXPECT_EQ(becomes(zone.at(from), [&] { return from_pod(from, url_of("mesh-close"), 12); }), "") << from;
        EXPECT_EQ(becomes(from, [&] { return from_pod(from, url_of("mesh-node"), 8); }), "") << from;
    }
}

// DP-2, DP-4
TEST_F(Lab, DP2_internal_traffic_policy_local_uses_this_nodes_endpoints_or_drops) {
    for (const std::string& from : mesh)
        EXPECT_EQ(becomes(from, [&] { return from_pod(from, url_of("mesh-local"), 6); }), "") << from;
    ASSERT_TRUE(world->kubectl("label --overwrite pod b2 app=elsewhere").ok());
    EXPECT_EQ(eventually(20, [&]() -> std::string {
                  const std::string answer = from_pod("b2", url_of("mesh-local"), 1);
                  return answer.find("timed out") != std::string::npos ? "" : answer;
              }),
              "")
        << "endpoints on other nodes only: dropped, not refused";
    ASSERT_TRUE(world->kubectl("label --overwrite pod b2 app=mesh").ok());
}

// What an outside balancer sees of a node.
static std::string health_of(size_t node, const std::string& port) {
    return run(on_street(*world, fmt::format("curl -s -o /dev/null -w '%{{http_code}}' http://198.18.1.{}:{}/", node, port))).text;
}

// DP-2, DP-30 and the announcer: the address stands where the endpoints are, and goes with them.
TEST_F(Lab, DP2_external_traffic_policy_local_is_announced_where_its_endpoint_is) {
    ASSERT_TRUE(world->apply(R"(
apiVersion: v1
kind: Service
metadata: {name: here}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {here: "yes"}, ports: [{port: 80, targetPort: 8080}]}
)").ok());
    const std::string address = public_address("here");
    const std::string port = world->field("svc here", "{.spec.healthCheckNodePort}");
    for (size_t i = 0; i < mesh.size(); ++i) {
        ASSERT_TRUE(world->kubectl("label pod -l app=mesh here-").ok());
        ASSERT_TRUE(world->kubectl("label --overwrite pod " + mesh[i] + " here=yes").ok());
        EXPECT_EQ(becomes("n" + std::to_string(i + 1), [&] { return announcer_of(*world, address); }), "");
        EXPECT_EQ(becomes(mesh[i], [&] { return from_street("http://" + address + "/", 3); }), "");
        for (size_t node = 0; node < mesh.size(); ++node)
            EXPECT_EQ(becomes(node == i ? "200" : "503", [&] { return health_of(node + 1, port); }), "") << "DP-30 on n" << node + 1;
    }
    EXPECT_TRUE(world->kubectl("delete svc here").ok());
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv, "--nodes 3 --zones 2", true, "lab"); }
