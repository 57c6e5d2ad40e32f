// Names: examples/acs/27 as it stands, and what a pod's dig sees of every line in its head.
//
//   pod asker in ex-27 -- weft dns on node-1 -- node-1's own namespace ---- street ---- internet 198.51.100.7:53
//                                                                                       a small upstream that counts
//
// Nobody listens at the second upstream, 192.0.2.7: half of the questions ask there first and lose nothing by it (DNS-26).
// The upstream knows db.partner.example.test (TTL 300) and says NXDOMAIN to the rest; its log shows what was asked.
#include <algorithm>
#include <set>

#include "base/fd.h"
#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {

static const std::string zone = ".ex-27.svc.cluster.local";

// test/support/upstream_dns.py in the internet namespace; ended by its own pid.
class Upstream {
public:
    Upstream() : log_(world->instance().run_dir() + "/test-upstream.log") {
        const std::string script = root() + "/test/support/upstream_dns.py";
        world->from("internet", "nohup setsid python3 " + script + " 198.51.100.7 " + log_ + " >" + log_ +
                                    ".err 2>&1 & echo $! >" + log_ + ".pid");
    }
    ~Upstream() { run("kill $(cat " + log_ + ".pid)"); }

    // How often a name was asked for, whatever the type.
    int asked(const std::string& name) const {
        const std::string text = log();
        int times = 0;
        for (const std::string_view line : split(text, '\n')) times += line.starts_with(name + " ");
        return times;
    }
    std::string log() const { return read_file(log_).value_or(""); }
    bool is_up() const { return read_file(log_).has_value(); }

private:
    const std::string log_;
};

static std::string dig(const std::string& arguments) {
    return std::string(trim(world->in_pod("ex-27", "asker", "dig " + arguments).text));
}

static std::set<std::string> lines(const std::string& text) {
    std::set<std::string> found;
    for (const std::string_view line : split(text, '\n'))
        if (!trim(line).empty()) found.emplace(trim(line));
    return found;
}

static std::set<std::string> short_answers(const std::string& arguments) { return lines(dig("+short " + arguments)); }

static std::string pod_ip(const std::string& pod) { return world->field("pod " + pod, "{.status.podIP}", "ex-27"); }

static std::string dashed(std::string address) {
    std::replace(address.begin(), address.end(), '.', '-');
    return address;
}

// The status and the TTLs of the answer section.
struct Reply {
    std::string status;
    std::vector<int> ttls;
    std::string text;
};

static Reply ask(const std::string& arguments) {
    Reply reply;
    reply.text = dig("+noall +comments +answer " + arguments);
    for (const std::string_view line : split(reply.text, '\n')) {
        if (const size_t at = line.find("status: "); at != std::string_view::npos)
            reply.status = line.substr(at + 8, line.find(',', at) - at - 8);
        if (line.empty() || line[0] == ';') continue;
        const size_t number = line.find_first_of("0123456789", line.find_first_of(" \t"));
        const std::string_view ttl = line.substr(number, line.find_first_of(" \t", number) - number);
        reply.ttls.push_back(int(parse_unsigned(ttl).value_or(99999)));
    }
    return reply;
}

class Names : public testing::Test {
protected:
    static void SetUpTestSuite() {
        upstream = std::make_unique<Upstream>();
        ASSERT_TRUE(world->kubectl("apply -f " + root() + "/examples/world.yaml").ok());
        const Output applied = world->kubectl("apply -f " + root() + "/examples/acs/27-dns-names.yaml");
        ASSERT_TRUE(applied.ok()) << applied.text;
        ASSERT_TRUE(world->apply("apiVersion: v1\nkind: Pod\nmetadata: {name: asker, namespace: ex-27}\n"
                                 "spec: {containers: [{name: c, image: client}]}\n")
                        .ok());
        ASSERT_EQ(eventually(30, [] { return ready() && upstream->is_up() ? "" : world->kubectl("-n ex-27 get pods,sts").text; }), "");
    }
    static void TearDownTestSuite() { upstream.reset(); }

    static bool ready() {
        return world->field("sts quorum", "{.status.readyReplicas}", "ex-27") == "2" && !pod_ip("asker").empty() &&
               short_answers("nodes" + zone).size() == 2;
    }

    static inline std::unique_ptr<Upstream> upstream;
};

TEST_F(Names, fact_1_a_service_is_its_cluster_ip) {
    const std::set<std::string> expected{world->field("svc plain", "{.spec.clusterIP}", "ex-27")};
    EXPECT_EQ(short_answers("+search plain"), expected);
    EXPECT_EQ(short_answers("plain" + zone), expected);
    EXPECT_EQ(short_answers("+tcp plain" + zone), expected);
    EXPECT_EQ(trim(world->in_pod("ex-27", "asker", "getent ahostsv4 plain | head -1 | cut -d' ' -f1").text), *expected.begin());
}

TEST_F(Names, fact_2_a_headless_service_is_its_ready_pods) {
    const std::set<std::string> both{pod_ip("quorum-0"), pod_ip("quorum-1")};
    EXPECT_EQ(short_answers("+search nodes.ex-27"), both);
    std::set<std::string> first;
    for (int i = 0; i < 20 && first.size() < 2; ++i) first.insert(std::string(split(dig("+short nodes" + zone), '\n').front()));
    EXPECT_EQ(first, both);
}

TEST_F(Names, fact_3_a_stateful_pod_keeps_its_name_and_shows_its_new_address) {
    EXPECT_EQ(short_answers("quorum-0.nodes" + zone), std::set<std::string>{pod_ip("quorum-0")});
    const std::string before = world->field("pod quorum-0", "{.metadata.uid}", "ex-27");
    ASSERT_TRUE(world->kubectl("-n ex-27 delete pod quorum-0 --wait=false").ok());
    EXPECT_EQ(eventually(30, [&] {
                  const std::string uid = world->field("pod quorum-0", "{.metadata.uid}", "ex-27");
                  const std::string address = pod_ip("quorum-0");
                  if (uid.empty() || uid == before || address.empty()) return std::string("not back yet");
                  const std::string answer = dig("+short quorum-0.nodes" + zone);
                  return answer == address ? std::string() : answer;
              }),
              "");
}

TEST_F(Names, fact_4_a_named_port_has_a_srv_record_for_each_pod) {
    ASSERT_EQ(eventually(10, [] { return short_answers("nodes" + zone).size() == 2 ? "" : "not both ready"; }), "");
    EXPECT_EQ(short_answers("SRV _http._tcp.nodes" + zone),
              (std::set<std::string>{"0 50 8080 quorum-0.nodes.ex-27.svc.cluster.local.", "0 50 8080 quorum-1.nodes.ex-27.svc.cluster.local."}));
}

TEST_F(Names, fact_5_an_external_name_is_a_cname_that_the_upstream_resolves) {
    EXPECT_EQ(lines(dig("+short elsewhere" + zone)), (std::set<std::string>{"db.partner.example.test.", "192.0.2.99"}));
    EXPECT_EQ(lines(dig("+short +search elsewhere")), (std::set<std::string>{"db.partner.example.test.", "192.0.2.99"}));
}

TEST_F(Names, fact_6_a_load_balancer_service_is_its_cluster_ip_though_its_balancer_is_refused) {
    EXPECT_EQ(short_answers("front" + zone), std::set<std::string>{world->field("svc front", "{.spec.clusterIP}", "ex-27")});
    EXPECT_EQ(world->field("svc front", "{.status.loadBalancer.ingress}", "ex-27"), "");
    EXPECT_NE(world->kubectl("-n ex-27 get events").text.find("SyncLoadBalancerFailed"), std::string::npos);
}

TEST_F(Names, fact_7_pod_addresses_have_names_while_they_live) {
    const std::string address = pod_ip("quorum-1");
    EXPECT_EQ(short_answers(dashed(address) + ".ex-27.pod.cluster.local"), std::set<std::string>{address});
    EXPECT_EQ(ask("10-0-3-250.ex-27.pod.cluster.local").status, "NXDOMAIN");
    EXPECT_EQ(ask(dashed(address) + ".default.pod.cluster.local").status, "NXDOMAIN");
}

TEST_F(Names, fact_8_an_unknown_name_of_the_zone_is_denied_and_never_leaves) {
    EXPECT_EQ(ask("nothing" + zone).status, "NXDOMAIN");
    EXPECT_EQ(ask("AAAA plain" + zone).status, "NOERROR");
    EXPECT_EQ(ask("-x 10.0.3.250").status, "NXDOMAIN");  // DNS-7: nobody upstream knows our addresses
    EXPECT_EQ(upstream->asked("nothing" + zone), 0);
    EXPECT_EQ(upstream->asked("plain" + zone), 0);
    EXPECT_EQ(upstream->asked("250.3.0.10.in-addr.arpa"), 0) << upstream->log();
    EXPECT_EQ(ask("unknown.example.test").status, "NXDOMAIN");
    EXPECT_EQ(upstream->asked("unknown.example.test"), 1);
}

TEST_F(Names, fact_9_ttls_are_short_and_forwarded_answers_come_from_the_cache) {
    for (const std::string& question : {"plain" + zone, "nodes" + zone, "SRV _http._tcp.nodes" + zone}) {
        const Reply reply = ask(question);
        ASSERT_FALSE(reply.ttls.empty()) << reply.text;
        for (const int ttl : reply.ttls) EXPECT_LE(ttl, 5) << reply.text;
    }
    const std::string twice = "twice.example.test";
    for (int i = 0; i < 30; ++i) {
        const Reply reply = ask(twice);
        ASSERT_FALSE(reply.ttls.empty()) << reply.text;
        for (const int ttl : reply.ttls) EXPECT_LE(ttl, 30) << reply.text;
    }
    // A cache each hand; the upstream hears of it once from each at the most.
    EXPECT_GE(upstream->asked(twice), 1);
    EXPECT_LE(upstream->asked(twice), 8);
}

// A client that waits for nobody: dnsperf in a pod, on names of the zone, of the cache and of nobody. Nothing is lost and
// every answer has its right status; how fast it goes is the machine's business.
TEST_F(Names, DNS_20_a_crowd_of_questions_loses_none) {
    const std::string file = world->instance().run_dir() + "/test-dnsperf.txt";
    std::string questions;
    for (const std::string& question : {"plain" + zone + " A", "nodes" + zone + " A", "_http._tcp.nodes" + zone + " SRV",
                                        std::string("db.partner.example.test A"), "nothing" + zone + " A"})
        questions += question + "\n";
    MUST(write_file(file, questions));
    const std::string server = "$(sed -n 's/^nameserver //p' /etc/resolv.conf | head -1)";
    for (const char* mode : {"udp", "tcp"}) {
        const Output ran = world->in_pod("ex-27", "asker", "dnsperf -m " + std::string(mode) + " -s " + server + " -d " + file +
                                                               " -n 400 -c 4 -q 50 -t 10");
        ASSERT_TRUE(ran.ok()) << ran.text;
        EXPECT_NE(ran.text.find("Queries sent:         2000\n"), std::string::npos) << ran.text;
        EXPECT_NE(ran.text.find("Queries completed:    2000 (100.00%)"), std::string::npos) << ran.text;
        EXPECT_NE(ran.text.find("NOERROR 1600 (80.00%), NXDOMAIN 400 (20.00%)"), std::string::npos) << ran.text;
    }
}

// Fact 2's second half, by one more pod that is looked at every second: not ready is gone from the name, ready again is
// back; the pod's own name stays, for it lives.
TEST_F(Names, headless_names_follow_readiness) {
    ASSERT_TRUE(world->apply("apiVersion: v1\nkind: Pod\nmetadata: {name: extra, namespace: ex-27, labels: {app: quorum}}\n"
                             "spec: {containers: [{name: echo, image: 'echo:demo', readinessProbe: {periodSeconds: 1,"
                             " failureThreshold: 1, httpGet: {path: /healthz, port: 8080}}}]}\n")
                    .ok());
    std::string address;
    const auto listed = [&] {
        address = pod_ip("extra");
        return !address.empty() && short_answers("nodes" + zone).contains(address);
    };
    const auto tell = [](const std::string& status) {
        return world->in_pod("ex-27", "extra", "curl -sS -X PUT http://127.0.0.1:8080/healthz/" + status);
    };
    ASSERT_EQ(eventually(15, [&] { return listed() ? "" : "not listed"; }), "");
    const Output told = tell("503");
    EXPECT_EQ(eventually(15, [&] { return listed() ? "still listed" : ""; }), "") << told.text;
    EXPECT_EQ(short_answers(dashed(address) + ".ex-27.pod.cluster.local"), std::set<std::string>{address});
    tell("200");
    EXPECT_EQ(eventually(15, [&] { return listed() ? "" : "not back"; }), "");
    world->kubectl("-n ex-27 delete pod extra --wait=false");
    EXPECT_EQ(eventually(15, [&] { return ask(dashed(address) + ".ex-27.pod.cluster.local").status == "NXDOMAIN" ? "" : "lives on"; }), "");
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv, "--dns-upstream 198.51.100.7:53,192.0.2.7:53 --dns-policy random", false); }
