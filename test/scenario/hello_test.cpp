// The first walk of a user: `weft up` with examples/, then kubectl, curl and dig as a person types them.
//
//   internet (198.51.100.7, 192.0.2.7) ---- street ---- node-1: vpc-demo { web x3, client }  vpc-blue { web x3, client }
//
// Both VPCs have the same CIDR, the same Service CIDR and the same names. Everything is seen through real programs.
#include <set>

#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {

static std::string pod_of(const std::string& answer) {
    const auto body = json::parse(trim(answer));
    return body ? std::string(json::find_string(*body, {"pod"})) : "";
}

static std::set<std::string> names_of(const std::string& what, const std::string& ns) {
    std::set<std::string> names;
    const json::Value list = world->get(what, ns);
    if (const json::Array* items = json::find_array(list, {"items"}))
        for (const json::Value& item : *items) names.emplace(json::find_string(item, {"metadata", "name"}));
    return names;
}

TEST(Hello, tables_have_their_columns_filled_in_within_three_seconds) {
    EXPECT_EQ(eventually(3, [] { return world->kubectl("get pods,svc,ing -o wide").ok() ? "" : "get fails"; }), "");
    const Output tables = world->kubectl("get pods,svc,ing,vpc,vsw,ablk -o wide");
    ASSERT_TRUE(tables.ok()) << tables.text;
    for (const char* word : {"NAME", "READY", "STATUS", "IP", "NODE", "CLUSTER-IP", "EXTERNAL-IP", "HOSTS", "ADDRESS", "vpc-demo",
                             "vsw-zone-a", "10.0.", "203.0.113.", "shop.example.test"})
        EXPECT_NE(tables.text.find(word), std::string::npos) << word << " is missing in\n" << tables.text;
    EXPECT_EQ(tables.text.find("<unknown>"), std::string::npos) << tables.text;
}

TEST(Hello, a_service_name_gives_each_vpc_its_own_service) {
    for (const std::string ns : {"default", "blue"}) {
        const auto pods = names_of("pods -l app=web", ns);
        ASSERT_FALSE(pods.empty());
        for (int i = 0; i < 10; i++) {
            const Output answer = world->in_pod(ns, "client", "curl -sS --max-time 3 http://web.default.svc.cluster.local/");
            EXPECT_TRUE(pods.contains(pod_of(answer.text))) << ns << ": " << answer.text;
        }
    }
}

TEST(Hello, the_same_addresses_stand_in_both_vpcs) {
    std::set<std::string> demo;
    std::set<std::string> shared;
    const auto addresses = [](const std::string& ns) {
        const auto words = split_list(world->field("pods", "{range .items[*]}{.status.podIP},{end}", ns));
        return std::set<std::string>(words.begin(), words.end());
    };
    demo = addresses("default");
    for (const std::string& address : addresses("blue"))
        if (demo.contains(address)) shared.insert(address);
    EXPECT_FALSE(shared.empty());
    EXPECT_EQ(world->field("svc web", "{.spec.clusterIP}"), world->field("svc web", "{.spec.clusterIP}", "blue"));
}

// examples/acs/27, facts 1, 2 and 8 on examples/hello.
TEST(Hello, dns_answers_cluster_ip_headless_srv_ptr_and_nxdomain) {
    const std::string cluster_ip = world->field("svc web", "{.spec.clusterIP}");
    EXPECT_EQ(trim(world->in_pod("default", "client", "dig +short web.default.svc.cluster.local").text), cluster_ip);
    EXPECT_EQ(trim(world->in_pod("default", "client", "dig +short +tcp web.default.svc.cluster.local").text), cluster_ip);
    EXPECT_EQ(trim(world->in_pod("default", "client", "dig +search +short web").text), cluster_ip);
    EXPECT_EQ(trim(world->in_pod("default", "client", "dig +short -x " + cluster_ip).text), "web.default.svc.cluster.local.");
    const std::string headless = world->in_pod("default", "client", "dig +short web-headless.default.svc.cluster.local | sort").text;
    const auto pods = split_list(world->field("pods -l app=web", "{range .items[*]}{.status.podIP},{end}"));
    EXPECT_EQ(std::set<std::string>(pods.begin(), pods.end()).size(), size_t(std::count(headless.begin(), headless.end(), '\n')));
    for (const std::string& pod : pods) EXPECT_NE(headless.find(pod + "\n"), std::string::npos) << pod << " in " << headless;
    const Output missing = world->in_pod("default", "client", "dig nothing.default.svc.cluster.local");
    EXPECT_NE(missing.text.find("NXDOMAIN"), std::string::npos) << missing.text;
    const Output outside = world->in_pod("default", "client", "dig www.example.org");
    EXPECT_NE(outside.text.find("REFUSED"), std::string::npos) << outside.text;
}

TEST(Hello, the_internet_reaches_what_is_exposed_and_its_address_is_seen) {
    const std::string address = world->field("svc web-public", "{.status.loadBalancer.ingress[0].ip}");
    for (const std::string client : {"198.51.100.7", "192.0.2.7"}) {
        const Output answer = world->from("internet", "curl -sS --max-time 3 --interface " + client + " http://" + address + "/");
        EXPECT_NE(answer.text.find(client), std::string::npos) << answer.text;
    }
    const std::string ingress = world->field("ing", "{.items[0].status.loadBalancer.ingress[0].ip}");
    const Output cart =
        world->from("internet", "curl -sS --max-time 3 -H 'Host: shop.example.test' http://" + ingress + "/cart");
    EXPECT_NE(cart.text.find("/cart"), std::string::npos) << cart.text;
    const Output other = world->from(
        "internet", "curl -sS -o /dev/null -w '%{http_code}' --max-time 3 -H 'Host: other.example.test' http://" + ingress + "/");
    EXPECT_EQ(other.text, "404");
}

// Routes added by hand towards everything private; nothing accepts, and each loss has a name.
TEST(Hello, the_internet_reaches_nothing_else) {
    const std::string pod = world->field("pods -l app=web", "{.items[0].status.podIP}");
    const std::string cluster_ip = world->field("svc web", "{.spec.clusterIP}");
    const std::string address = world->field("svc web-public", "{.status.loadBalancer.ingress[0].ip}");
    world->from("internet", "ip route replace 10.0.0.0/16 via 198.18.1.1; ip route replace 172.21.0.0/20 via 198.18.1.1;"
                            "ip route replace 100.64.0.0/10 via 198.18.1.1");
    const auto drops = [](const std::string& reason) {
        const Output metrics = run("curl -s --unix-socket " + world->instance().node_run_dir("node-1") +
                                   "/agent.health.sock http://localhost/metrics | grep weft_drops_total | grep '\"" + reason +
                                   "\"' | grep uplink_ingress | cut -d' ' -f2");
        return parse_unsigned(trim(metrics.text)).value_or(0);
    };
    const uint64_t not_ours = drops("not_ours");
    const uint64_t unlisted = drops("unlisted_port");
    const auto refused = [](const std::string& target) {
        const Output answer = world->from("internet", "curl -sS -o /dev/null --max-time 1 http://" + target + "/");
        return answer.status != 0;
    };
    for (const std::string& target : {pod + ":8080", pod + ":9000", cluster_ip, cluster_ip + ":53", std::string("100.64.0.1:8080"),
                                      std::string("100.64.0.1:10250"), address + ":81", address + ":8080"})
        EXPECT_TRUE(refused(target)) << target;
    // Six targets that are no public address, two ports that no Service lists; each loss has its name.
    EXPECT_GE(drops("not_ours"), not_ours + 6);
    EXPECT_GE(drops("unlisted_port"), unlisted + 2);
    world->from("internet", "ip route del 10.0.0.0/16; ip route del 172.21.0.0/20; ip route del 100.64.0.0/10");
}

TEST(Hello, udp_through_the_cluster_ip_echoes) {
    const Output answer = world->in_pod("default", "client", "echo hi | nc -u -w1 web.default.svc.cluster.local 9000");
    EXPECT_NE(answer.text.find("hi"), std::string::npos) << answer.text;
    EXPECT_NE(answer.text.find("web-"), std::string::npos) << answer.text;
}

TEST(Hello, a_service_without_endpoints_is_refused_at_once) {
    ASSERT_TRUE(world->apply("apiVersion: v1\nkind: Service\nmetadata: {name: empty}\n"
                             "spec: {selector: {app: nobody}, ports: [{port: 80}]}\n")
                    .ok());
    EXPECT_EQ(eventually(5, [] {
                  const Output answer = world->in_pod("default", "client", "nc -vz -w 2 empty.default.svc.cluster.local 80");
                  return answer.text.find("refused") != std::string::npos ? "" : answer.text;
              }),
              "");
}

TEST(Hello, kubectl_scales_deletes_reads_logs_and_execs) {
    ASSERT_TRUE(world->kubectl("scale deployment web --replicas=4").ok());
    EXPECT_EQ(eventually(15, [] {
                  const std::string ready = world->field("deployment web", "{.status.readyReplicas}");
                  return ready == "4" ? "" : "ready: " + ready;
              }),
              "");
    const std::string victim = world->field("pods -l app=web", "{.items[0].metadata.name}");
    EXPECT_TRUE(world->kubectl("delete pod " + victim).ok());
    EXPECT_EQ(eventually(15, [&] {
                  const auto pods = names_of("pods -l app=web", "default");
                  return pods.size() == 4 && !pods.contains(victim) ? "" : "pods: " + std::to_string(pods.size());
              }),
              "");
    EXPECT_EQ(eventually(15, [] { return world->field("deployment web", "{.status.readyReplicas}") == "4" ? "" : "not ready"; }), "");
    const Output who = world->kubectl("exec client -- hostname");
    EXPECT_EQ(who.text, "client\n");
    EXPECT_EQ(world->kubectl("exec client -- sh -c 'exit 7'").status, 7);
    EXPECT_TRUE(world->kubectl("logs deployment/web").ok());
    const Output describe = world->kubectl("describe pod client");
    EXPECT_NE(describe.text.find("Node:"), std::string::npos) << describe.text;
    EXPECT_TRUE(world->kubectl("explain vpc.spec").ok());
    EXPECT_TRUE(world->kubectl("wait --for=condition=Available deployment/web --timeout=20s").ok());
    EXPECT_TRUE(world->kubectl("api-resources").ok());
}

// examples/acs/01, facts 1 and 2; no security groups yet.
TEST(Acs, a_pod_is_placed_in_the_vswitch_it_names) {
    const Output applied = world->kubectl("apply -f " + root() + "/examples/acs/01-pod-vswitch-security-group.yaml");
    ASSERT_TRUE(applied.ok()) << applied.text;
    EXPECT_EQ(eventually(15, [] {
                  const Output wait = world->kubectl("-n ex-01 wait --for=condition=Ready pod --all --timeout=1s");
                  return wait.ok() ? "" : wait.text + world->kubectl("-n ex-01 describe pods").text;
              }),
              "");
    EXPECT_TRUE(world->field("pod placed", "{.status.podIP}", "ex-01").starts_with("10.0.2."));
    const std::string defaulted = world->field("pod defaulted", "{.status.podIP}", "ex-01");
    EXPECT_TRUE(defaulted.starts_with("10.0.1.") || defaulted.starts_with("10.0.2.")) << defaulted;
    const auto annotation = [](const std::string& name) {
        const json::Value pod = world->get("pod placed", "ex-01");
        return std::string(json::find_string(pod, {"metadata", "annotations", name}));
    };
    EXPECT_EQ(eventually(5, [&] { return annotation("network.alibabacloud.com/vswitch-id") == "vsw-zone-b" ? "" : "no vswitch-id"; }), "");
    EXPECT_EQ(annotation("network.alibabacloud.com/vpc-id"), "vpc-demo");
    EXPECT_FALSE(annotation("network.alibabacloud.com/allocated-eni-id").empty());
    EXPECT_EQ(annotation("topology.kubernetes.io/zone"), "cn-local-b");
}

// examples/acs/12, the basic facts: one public address in status, reached from outside, every pod answers, peer is the client.
TEST(Acs, a_public_tcp_load_balancer_is_reached_and_keeps_the_client_address) {
    const Output applied = world->kubectl("apply -f " + root() + "/examples/acs/12-clb-public-tcp.yaml");
    ASSERT_TRUE(applied.ok()) << applied.text;
    std::string address;
    EXPECT_EQ(eventually(15, [&] {
                  address = world->field("svc hello", "{.status.loadBalancer.ingress[0].ip}", "ex-12");
                  return address.starts_with("203.0.113.") ? "" : "address: " + address;
              }),
              "");
    EXPECT_EQ(eventually(15, [] { return world->field("deployment hello", "{.status.readyReplicas}", "ex-12") == "3" ? "" : "not ready"; }), "");
    EXPECT_EQ(world->field("svc hello", "{.spec.ports[0].port}", "ex-12"), "80");
    const json::Value service = world->get("svc hello", "ex-12");
    EXPECT_FALSE(json::find_string(service, {"metadata", "labels", "service.k8s.alibaba/loadbalancer-id"}).empty());
    const auto finalizers = json::find_strings(service, {"metadata", "finalizers"});
    EXPECT_NE(std::find(finalizers.begin(), finalizers.end(), "service.k8s.alibaba/resources"), finalizers.end());
    EXPECT_NE(world->kubectl("-n ex-12 get events").text.find("EnsuredLoadBalancer"), std::string::npos);

    std::map<std::string, int> answers;
    const Output many = world->from("internet", "for i in $(seq 300); do curl -s --max-time 3 http://" + address + "/; echo; done", 120);
    for (const std::string_view line : split(many.text, '\n')) {
        if (line.empty()) continue;
        EXPECT_NE(line.find("198.51.100.7"), std::string::npos) << line;
        answers[pod_of(std::string(line))]++;
    }
    EXPECT_EQ(answers.size(), 3u);
    int total = 0;
    for (const auto& [pod, count] : answers) {
        total += count;
        EXPECT_NEAR(count, 100, 45) << pod;  // random choice per connection: 5.5 standard deviations
    }
    EXPECT_EQ(total, 300);
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv); }
