// Two families: what a user sees of IPv6 beside IPv4, in two VPCs that are identical in both, and the API server as a
// pod of either sees it.
//
//   internet 198.51.100.7, 2001:db8:51::7 ── street ── node-1 198.18.1.1, fd00:198:18::1:1
//                                                        vpc-demo { web x3, client }  vpc-blue { the same }
//                                                        10.0.0.0/16, fd00:10::/56; Services fd00:172:21::/112
#include <csignal>
#include <set>

#include "base/strings.h"
#include "net/address.h"
#include "support/lab.h"
#include "support/world_main.h"

namespace weft::test {

static const std::string ca = "/tmp/weft-ipv6-ca-";

static std::string digged(const std::string& ns, const std::string& arguments) {
    return std::string(trim(world->in_pod(ns, "client", "dig +short " + arguments).text));
}

static std::string service(const std::string& name, const std::string& spec, const std::string& ns = "default") {
    const Output applied = world->apply("apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: " + spec + "\n",
                                        "-n " + ns);
    return applied.ok() ? "" : applied.text;
}

static std::string field(const std::string& what, const std::string& path, const std::string& ns = "default") {
    return world->field(what, path, ns);
}

static std::string wait_for(const std::string& what, const std::string& path, const std::string& word,
                            const std::string& ns = "default") {
    return eventually(20, [&] {
        const std::string now = field(what, path, ns);
        return now.find(word) != std::string::npos ? std::string() : now;
    });
}

// The CA where a pod can read it, and what curl needs to be root.
static std::string api_curl(const std::string& path, const std::string& more = "") {
    const Instance& instance = world->instance();
    return "curl -sS --max-time 5 --cacert " + ca + instance.name() + ".pem " + more + " https://kubernetes.default.svc" + path;
}

class TwoFamilies : public testing::Test {
protected:
    static void SetUpTestSuite() {
        ASSERT_TRUE(run("install -m 0644 " + world->instance().state_dir() + "/ca.pem " + ca + world->instance().name() + ".pem").ok());
        for (const char* ns : {"default", "blue"}) {
            ASSERT_EQ(service("both", "{ipFamilyPolicy: PreferDualStack, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}", ns), "");
            ASSERT_EQ(service("six", "{ipFamilies: [IPv6], selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}", ns), "");
            ASSERT_EQ(service("heads", "{clusterIP: None, ipFamilyPolicy: PreferDualStack, selector: {app: web}, ports: [{name: http, port: 8080}]}", ns), "");
        }
    }
    static void TearDownTestSuite() { run("rm -f " + ca + world->instance().name() + ".pem"); }
};

TEST_F(TwoFamilies, vpcs_and_vswitches_have_blocks_of_both) {
    for (const char* vpc : {"vpc-demo", "vpc-blue"}) EXPECT_EQ(field(std::string("vpc ") + vpc, "{.spec.ipv6CidrBlock}"), "fd00:10::/56");
    EXPECT_EQ(wait_for("vsw vsw-zone-a", "{.status.ipv6CidrBlock}", "fd00:10::/64"), "");
    EXPECT_EQ(wait_for("vsw vsw-blue-a", "{.status.ipv6CidrBlock}", "fd00:10::/64"), "");
    EXPECT_EQ(wait_for("vsw vsw-zone-b", "{.status.ipv6CidrBlock}", "fd00:10:0:1::/64"), "");
    EXPECT_EQ(field("node node-1", "{.status.addresses[?(@.type==\"InternalIP\")].address}"), "198.18.1.1 fd00:198:18::1:1");
    const Output refused = world->kubectl("patch vpc vpc-demo --type merge -p '{\"spec\":{\"ipv6CidrBlock\":\"fd00:11::/56\"}}'");
    EXPECT_NE(refused.text.find("spec.ipv6CidrBlock"), std::string::npos) << refused.text;
}

// SVC-60, SVC-62, SVC-66
TEST_F(TwoFamilies, services_get_addresses_of_their_families) {
    for (const char* ns : {"default", "blue"}) {
        EXPECT_EQ(field("svc both", "{.spec.ipFamilies[*]}", ns), "IPv4 IPv6");
        const std::string ips = field("svc both", "{.spec.clusterIPs[*]}", ns);
        EXPECT_TRUE(ips.starts_with("172.21.") && ips.find(" fd00:172:21::") != std::string::npos) << ips;
        EXPECT_TRUE(field("svc six", "{.spec.clusterIP}", ns).starts_with("fd00:172:21::"));
    }
    EXPECT_EQ(field("svc kube-dns", "{.spec.clusterIPs[*]}", "kube-system"), "172.21.0.10 fd00:172:21::a");
    const Output downgraded = world->kubectl("patch svc both --type merge -p '{\"spec\":{\"ipFamilyPolicy\":\"SingleStack\"}}'");
    EXPECT_TRUE(downgraded.ok()) << downgraded.text;
    EXPECT_EQ(field("svc both", "{.spec.clusterIPs[*]}").find(':'), std::string::npos);
    EXPECT_EQ(service("both", "{ipFamilyPolicy: RequireDualStack, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}"), "");
    EXPECT_NE(field("svc both", "{.spec.clusterIPs[*]}").find(" fd00:172:21::"), std::string::npos);
}

TEST_F(TwoFamilies, a_balancer_has_a_public_address_of_each) {
    ASSERT_EQ(service("public", "{type: LoadBalancer, ipFamilyPolicy: RequireDualStack, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}"), "");
    EXPECT_EQ(wait_for("svc public", "{.status.loadBalancer.ingress[*].ip}", " 2001:db8:113::4"), "");
    EXPECT_TRUE(field("svc public", "{.status.loadBalancer.ingress[*].ip}").starts_with("203.0.113."));
}

// DNS-1, DNS-7
TEST_F(TwoFamilies, names_have_aaaa_and_reverse_records) {
    for (const char* ns : {"default", "blue"}) {
        const std::string six = field("svc six", "{.spec.clusterIP}", ns);
        EXPECT_EQ(eventually(10, [&] {
                      const std::string answer = digged(ns, "AAAA six.default.svc.cluster.local");
                      return answer == six ? std::string() : answer;
                  }),
                  "")
            << ns;
        EXPECT_EQ(digged(ns, "A six.default.svc.cluster.local"), "");
        EXPECT_EQ(digged(ns, "-x " + six), "six.default.svc.cluster.local.");
        EXPECT_EQ(digged(ns, "-x fd00:172:21::a"), ns == std::string("default") ? "kube-dns.kube-system.svc.cluster.local." : "");
        EXPECT_NE(world->in_pod(ns, "client", "dig -x fd00:10::ffff").text.find("NXDOMAIN"), std::string::npos)
            << "an address of the VPC that nobody has";
        EXPECT_EQ(digged(ns, "AAAA ns.dns.cluster.local"), "fd00:172:21::a");
    }
}

// DNS-13
TEST_F(TwoFamilies, the_api_server_answers_in_every_vpc) {
    for (const char* ns : {"default", "blue"}) {
        EXPECT_EQ(eventually(20, [&] {
                      const Output answer = world->in_pod(ns, "client", api_curl("/version"));
                      return answer.text.find("gitVersion") != std::string::npos ? std::string() : answer.text;
                  }),
                  "")
            << ns;
        const Output anonymous = world->in_pod(ns, "client", api_curl("/api/v1/secrets"));
        EXPECT_NE(anonymous.text.find("Unauthorized"), std::string::npos) << anonymous.text;
        const Output by_address = world->in_pod(
            ns, "client", "curl -sS --max-time 5 --cacert " + ca + world->instance().name() + ".pem https://172.21.0.1/healthz");
        EXPECT_EQ(trim(by_address.text), "ok") << "the certificate names the address too";
    }
    const Output outside = world->from("internet", "curl -sSk --max-time 2 https://198.18.1.1:6443/version");
    EXPECT_FALSE(outside.ok()) << "the street has no way to it: " << outside.text;
}

// API-130: what every container finds, and what it may do with it.
TEST_F(TwoFamilies, a_pods_token_opens_the_api_server_for_its_own_namespace) {
    const std::string script = "D=/var/run/secrets/kubernetes.io/serviceaccount; curl -sS --max-time 5 --cacert $D/ca.crt "
                               "-H \"Authorization: Bearer $(cat $D/token)\" "
                               "https://kubernetes.default.svc/api/v1/namespaces/$1/pods/client";
    const auto as_pod = [&](const std::string& ns, const std::string& of) {
        return world->in_pod(ns, "client", "sh -c '" + script + "' sh " + of).text;
    };
    for (const std::string ns : {"default", "blue"}) {
        const std::string other = ns == "blue" ? "default" : "blue";
        EXPECT_NE(as_pod(ns, ns).find(field("pod client", "{.metadata.uid}", ns)), std::string::npos) << as_pod(ns, ns);
        EXPECT_NE(as_pod(ns, other).find("system:serviceaccount:" + ns + ":default\\\" cannot get"), std::string::npos)
            << as_pod(ns, other);
        EXPECT_EQ(trim(world->in_pod(ns, "client", "cat /var/run/secrets/kubernetes.io/serviceaccount/namespace").text), ns);
    }
    ASSERT_TRUE(world->apply("apiVersion: v1\nkind: Pod\nmetadata: {name: shy}\nspec: {automountServiceAccountToken: false, "
                             "containers: [{name: c, image: client}]}\n")
                    .ok());
    EXPECT_EQ(wait_for("pod shy", "{.status.phase}", "Running"), "");
    EXPECT_FALSE(world->in_pod("default", "shy", "test -e /var/run/secrets/kubernetes.io/serviceaccount/token").ok());
    EXPECT_TRUE(world->kubectl("create token default --duration 10m").ok());
}

// --- packets ---

static std::string web_pod(const std::string& ns, const std::string& path) {
    return field("pods -l app=web", "{.items[0]" + path + "}", ns);
}

// A JSON answer of the web pods.
static std::string word(const Output& answer, const std::string& name) {
    const auto body = json::parse(trim(answer.text));
    return body ? std::string(json::find_string(*body, {name})) : "";
}

static std::string fetch(const std::string& address, int port = 80) {
    return "curl -gsS --max-time 3 http://[" + address + "]:" + std::to_string(port) + "/";
}

// The names of the pods behind an answer belong to this VPC.
static std::string answered_at_home(const std::string& ns, const std::string& command) {
    return eventually(20, [&] {
        const Output answer = world->in_pod(ns, "client", command);
        const std::string pod = word(answer, "pod");
        if (pod.empty()) return answer.text.empty() ? std::string("no answer") : answer.text;
        return field("pod " + pod, "{.metadata.name}", ns) == pod ? std::string() : "answered by a stranger: " + pod;
    });
}

TEST_F(TwoFamilies, pods_reach_each_other) {
    for (const std::string ns : {"default", "blue"}) {
        const std::string ips = field("pod client", "{.status.podIPs[*].ip}", ns);
        EXPECT_NE(ips.find(" fd00:10:"), std::string::npos) << ips;
        EXPECT_EQ(field("pod client", "{.status.hostIPs[*].ip}", ns), "198.18.1.1 fd00:198:18::1:1");
        const std::string web = web_pod(ns, ".status.podIPs[1].ip");
        EXPECT_EQ(answered_at_home(ns, fetch(web, 8080)), "");
        EXPECT_EQ(eventually(10, [&] {
                      const std::string answer(trim(world->in_pod(ns, "client", "python3 " + root() + "/test/support/ping6.py " + web).text));
                      return answer == "pong" ? std::string() : answer;
                  }),
                  "");
    }
    EXPECT_EQ(web_pod("default", ".status.podIPs[1].ip").substr(0, 9), web_pod("blue", ".status.podIPs[1].ip").substr(0, 9))
        << "the same addresses in both";
}

// DP-1, DNS-3
TEST_F(TwoFamilies, pods_reach_services_of_their_own_vpc) {
    for (const std::string ns : {"default", "blue"}) {
        EXPECT_EQ(answered_at_home(ns, fetch(field("svc six", "{.spec.clusterIP}", ns))), "");
        EXPECT_EQ(answered_at_home(ns, "curl -6 -sS --max-time 3 http://both.default.svc.cluster.local/"), "");
        EXPECT_EQ(answered_at_home(ns, "curl -6 -sS --max-time 3 http://heads.default.svc.cluster.local:8080/"), "");
        EXPECT_EQ(eventually(10, [&] {
                      const std::string answer = digged(ns, "@fd00:172:21::a AAAA six.default.svc.cluster.local");
                      return answer == field("svc six", "{.spec.clusterIP}", ns) ? std::string() : answer;
                  }),
                  "");
    }
}

TEST_F(TwoFamilies, the_internet_reaches_a_balancer_and_a_node_port) {
    ASSERT_EQ(service("outside", "{type: LoadBalancer, ipFamilyPolicy: RequireDualStack, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}"), "");
    ASSERT_EQ(wait_for("svc outside", "{.status.loadBalancer.ingress[*].ip}", " 2001:db8:113::4"), "");
    const std::string node_port = field("svc outside", "{.spec.ports[0].nodePort}");
    for (const std::string& target :
         {fetch(field("svc outside", "{.status.loadBalancer.ingress[1].ip}")), fetch("fd00:198:18::1:1", std::stoi(node_port))}) {
        EXPECT_EQ(eventually(20, [&] {
                      const Output answer = world->from("internet", target);
                      const std::string peer = word(answer, "peer");
                      return peer.find("2001:db8:51::7") != std::string::npos || peer.find("fd00:198:18::1") != std::string::npos
                                 ? std::string()
                                 : answer.text;
                  }),
                  "")
            << target;
    }
    // On a real card this is what lets the question in.
    EXPECT_TRUE(listens_for(*world, "node-1", MUST(net::Address::parse(field("svc outside", "{.status.loadBalancer.ingress[1].ip}")))));
}

TEST_F(TwoFamilies, the_api_server_is_found_again_after_it_was_killed) {
    const int pid = world->pid_of("apiserver", "");
    ASSERT_GT(pid, 0);
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    EXPECT_EQ(eventually(30, [&] {
                  const Output answer = world->in_pod("blue", "client", api_curl("/version"));
                  return answer.text.find("gitVersion") != std::string::npos ? std::string() : answer.text;
              }),
              "");
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv); }
