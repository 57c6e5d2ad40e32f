// Questions and answers of the cluster zone, as a zone file would put them: objects in, question in, records out.
#include <gtest/gtest.h>

#include "dns/index.h"
#include "dns/stages.h"

namespace weft::dns {
namespace {

using dns_wire::Name;
using dns_wire::Type;

constexpr std::string_view shop = R"(
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  clusterIP: 10.96.0.20
  clusterIPs: [10.96.0.20]
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: dns, port: 53, protocol: UDP}
---
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: default}
spec: {clusterIP: 10.96.0.21, clusterIPs: [10.96.0.21, "fd00::21"], ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: default}
spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: early, namespace: default}
spec: {clusterIP: None, publishNotReadyAddresses: true}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: default}
spec: {type: ExternalName, externalName: www.example.test}
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: default}
spec: {type: ExternalName, externalName: web.default.svc.cluster.local}
---
apiVersion: v1
kind: Service
metadata: {name: loop, namespace: default}
spec: {type: ExternalName, externalName: loop.default.svc.cluster.local}
---
apiVersion: v1
kind: Service
metadata: {name: waiting, namespace: default}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: default, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: sql, port: 15432, protocol: TCP}]
endpoints:
- {addresses: [10.0.1.5], hostname: db-0, conditions: {ready: true}}
- {addresses: [10.0.1.6]}
- {addresses: [10.0.1.7], hostname: db-2, conditions: {ready: false}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: early-1, namespace: default, labels: {kubernetes.io/service-name: early}}
addressType: IPv4
ports: []
endpoints: [{addresses: [10.0.1.9], conditions: {ready: false}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.0.1.8], hostname: web-0}]
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: default}
status: {phase: Running, podIP: 10.0.1.5, podIPs: [{ip: 10.0.1.5}]}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: default}
status: {phase: Succeeded, podIP: 10.0.1.99}
)";

NamespaceObjects objects_of(std::string_view yaml) {
    NamespaceObjects objects;
    std::vector<json::Value> documents = *json::parse_yaml(yaml);
    for (json::Value& document : documents) {
        const auto object = std::make_shared<const kube::Object>(std::move(document));
        if (object->kind() == "Service") objects.services.push_back(object);
        if (object->kind() == "EndpointSlice") objects.slices.push_back(object);
        if (object->kind() == "Pod") objects.pods.push_back(object);
    }
    return objects;
}

kube::Object object_of(std::string_view yaml) { return kube::Object((*json::parse_yaml(yaml)).front()); }

class AnswersTest : public testing::Test {
protected:
    AnswersTest() {
        View view = *build_view(object_of(R"(
{metadata: {name: vpc-demo},
 spec: {cidrBlock: 10.0.0.0/20, secondaryCidrBlocks: [172.30.0.0/16], serviceCIDR: 10.96.0.0/24, vni: 7}})"));
        add_namespace(view, std::make_shared<const NamespaceZone>(build_namespace("default", objects_of(shop))));
        add_namespace(view, std::make_shared<const NamespaceZone>(build_namespace("quiet", {})));
        add_kubernetes(view);
        snapshot_.synced = true;
        snapshot_.serial = 42;
        snapshot_.views[7] = std::make_shared<const View>(std::move(view));
    }

    Answered ask(std::string_view name, Type type, uint32_t vni = 7) {
        const dns_wire::Question question{*Name::parse(name), type, dns_wire::Class::in};
        return walk({question, snapshot_, snapshot_.view(vni), settings_, rng_});
    }

    // "NOERROR\n<answers, sorted>\n; <additionals, sorted>"; a negative answer ends in "; SOA".
    std::string answer(std::string_view name, Type type) {
        const Answered answered = ask(name, type);
        if (answered.verdict == Verdict::forward) return "forward " + answered.answer.upstream.text();
        std::string text(dns_wire::rcode_text(answered.answer.rcode));
        const auto add = [&text](const std::vector<dns_wire::Record>& records, std::string_view prefix) {
            std::set<std::string> lines;
            for (const dns_wire::Record& record : records) lines.insert(record.text());
            for (const std::string& line : lines) text += "\n" + std::string(prefix) + line;
        };
        add(answered.answer.answers, "");
        add(answered.answer.additionals, "; ");
        for (const dns_wire::Record& record : answered.answer.authorities)
            text += "\n; " + dns_wire::type_text(record.type);
        return text;
    }

    Settings settings_;
    Snapshot snapshot_;
    Rng rng_{1};
};

constexpr std::string_view nx = "NXDOMAIN\n; SOA";
constexpr std::string_view nodata = "NOERROR\n; SOA";

TEST_F(AnswersTest, every_name_rule_of_the_specification_holds) {
    struct Row {
        std::string_view rule, name;
        Type type;
        std::string answer;
    };
    const Row rows[] = {
        {"DNS-1", "web.default.svc.cluster.local.", Type::a,
         "NOERROR\nweb.default.svc.cluster.local. 5 IN A 10.96.0.20"},
        {"DNS-1 other family", "web.default.svc.cluster.local.", Type::aaaa, std::string(nodata)},
        {"DNS-1 case kept", "WEB.default.SVC.cluster.local.", Type::a,
         "NOERROR\nWEB.default.SVC.cluster.local. 5 IN A 10.96.0.20"},
        {"DNS-1 two families", "plain.default.svc.cluster.local.", Type::aaaa,
         "NOERROR\nplain.default.svc.cluster.local. 5 IN AAAA fd00::21"},
        {"DNS-1 unknown", "nope.default.svc.cluster.local.", Type::a, std::string(nx)},
        {"DNS-1 without address", "waiting.default.svc.cluster.local.", Type::a, std::string(nx)},
        {"DNS-2", "_http._tcp.web.default.svc.cluster.local.", Type::srv,
         "NOERROR\n_http._tcp.web.default.svc.cluster.local. 5 IN SRV 0 100 80 web.default.svc.cluster.local.\n"
         "; web.default.svc.cluster.local. 5 IN A 10.96.0.20"},
        {"DNS-2 udp", "_dns._udp.web.default.svc.cluster.local.", Type::srv,
         "NOERROR\n_dns._udp.web.default.svc.cluster.local. 5 IN SRV 0 100 53 web.default.svc.cluster.local.\n"
         "; web.default.svc.cluster.local. 5 IN A 10.96.0.20"},
        {"DNS-2 another type", "_http._tcp.web.default.svc.cluster.local.", Type::a, std::string(nodata)},
        {"DNS-2 wrong protocol", "_http._udp.web.default.svc.cluster.local.", Type::srv, std::string(nx)},
        {"DNS-2 no such port", "_sql._tcp.web.default.svc.cluster.local.", Type::srv, std::string(nx)},
        {"DNS-3", "db.default.svc.cluster.local.", Type::a,
         "NOERROR\ndb.default.svc.cluster.local. 5 IN A 10.0.1.5\ndb.default.svc.cluster.local. 5 IN A 10.0.1.6"},
        {"DNS-3 other family", "db.default.svc.cluster.local.", Type::aaaa, std::string(nodata)},
        {"DNS-3 none ready", "empty.default.svc.cluster.local.", Type::a, std::string(nx)},
        {"DNS-3 published unready", "early.default.svc.cluster.local.", Type::a,
         "NOERROR\nearly.default.svc.cluster.local. 5 IN A 10.0.1.9"},
        {"DNS-4", "db-0.db.default.svc.cluster.local.", Type::a,
         "NOERROR\ndb-0.db.default.svc.cluster.local. 5 IN A 10.0.1.5"},
        {"DNS-4 dashed", "10-0-1-6.db.default.svc.cluster.local.", Type::a,
         "NOERROR\n10-0-1-6.db.default.svc.cluster.local. 5 IN A 10.0.1.6"},
        {"DNS-4 hostname instead of dashes", "10-0-1-5.db.default.svc.cluster.local.", Type::a, std::string(nx)},
        {"DNS-4 unready", "db-2.db.default.svc.cluster.local.", Type::a, std::string(nx)},
        {"DNS-4 not of a ClusterIP Service", "web-0.web.default.svc.cluster.local.", Type::a, std::string(nx)},
        {"DNS-5", "_sql._tcp.db.default.svc.cluster.local.", Type::srv,
         "NOERROR\n_sql._tcp.db.default.svc.cluster.local. 5 IN SRV 0 50 15432 10-0-1-6.db.default.svc.cluster.local.\n"
         "_sql._tcp.db.default.svc.cluster.local. 5 IN SRV 0 50 15432 db-0.db.default.svc.cluster.local.\n"
         "; 10-0-1-6.db.default.svc.cluster.local. 5 IN A 10.0.1.6\n"
         "; db-0.db.default.svc.cluster.local. 5 IN A 10.0.1.5"},
        {"DNS-5 no ports", "early.default.svc.cluster.local.", Type::srv, std::string(nodata)},
        {"DNS-6", "plain.default.svc.cluster.local.", Type::srv,
         "NOERROR\nplain.default.svc.cluster.local. 5 IN SRV 0 100 80 plain.default.svc.cluster.local.\n"
         "; plain.default.svc.cluster.local. 5 IN A 10.96.0.21\n; plain.default.svc.cluster.local. 5 IN AAAA fd00::21"},
        {"DNS-7 ClusterIP", "20.0.96.10.in-addr.arpa.", Type::ptr,
         "NOERROR\n20.0.96.10.in-addr.arpa. 5 IN PTR web.default.svc.cluster.local."},
        {"DNS-7 endpoint", "5.1.0.10.in-addr.arpa.", Type::ptr,
         "NOERROR\n5.1.0.10.in-addr.arpa. 5 IN PTR db-0.db.default.svc.cluster.local."},
        {"DNS-7 IPv6", "1.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.D.f.ip6.arpa.", Type::ptr,
         "NOERROR\n1.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.D.f.ip6.arpa. 5 IN PTR "
         "plain.default.svc.cluster.local."},
        {"DNS-7 unknown", "99.1.0.10.in-addr.arpa.", Type::ptr, std::string(nx)},
        {"DNS-7 unknown Service", "99.0.96.10.in-addr.arpa.", Type::ptr, std::string(nx)},
        {"DNS-7 unknown, secondary", "99.1.30.172.in-addr.arpa.", Type::ptr, std::string(nx)},
        {"DNS-7 above our addresses", "1.0.10.in-addr.arpa.", Type::ptr, std::string(nodata)},
        {"DNS-7 somebody else's", "9.16.0.10.in-addr.arpa.", Type::ptr, "REFUSED"},
        {"DNS-7 malformed", "x.1.0.10.in-addr.arpa.", Type::ptr, "REFUSED"},
        {"DNS-7 other type", "20.0.96.10.in-addr.arpa.", Type::a, std::string(nodata)},
        {"DNS-7 no address", "0.10.in-addr.arpa.", Type::ptr, "REFUSED"},
        {"DNS-8", "outside.default.svc.cluster.local.", Type::a,
         "NOERROR\noutside.default.svc.cluster.local. 5 IN CNAME www.example.test."},
        {"DNS-8 chased", "alias.default.svc.cluster.local.", Type::a,
         "NOERROR\nalias.default.svc.cluster.local. 5 IN CNAME web.default.svc.cluster.local.\n"
         "web.default.svc.cluster.local. 5 IN A 10.96.0.20"},
        {"DNS-8 loop", "loop.default.svc.cluster.local.", Type::a, "SERVFAIL"},
        {"DNS-8 no port names", "_http._tcp.outside.default.svc.cluster.local.", Type::srv, std::string(nx)},
        {"DNS-9", "10-0-1-5.default.pod.cluster.local.", Type::a,
         "NOERROR\n10-0-1-5.default.pod.cluster.local. 5 IN A 10.0.1.5"},
        {"DNS-9 no such pod", "10-0-1-44.default.pod.cluster.local.", Type::a, std::string(nx)},
        {"DNS-9 ended pod", "10-0-1-99.default.pod.cluster.local.", Type::a, std::string(nx)},
        {"DNS-9 other namespace", "10-0-1-5.quiet.pod.cluster.local.", Type::a, std::string(nx)},
        {"DNS-9 malformed", "10-0-1.default.pod.cluster.local.", Type::a, std::string(nx)},
        {"DNS-10", "dns-version.cluster.local.", Type::txt,
         "NOERROR\ndns-version.cluster.local. 28800 IN TXT \"1.1.0\""},
        {"DNS-11 SOA", "cluster.local.", Type::soa,
         "NOERROR\ncluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 42 7200 1800 86400 5"},
        {"DNS-11 NS", "cluster.local.", Type::ns,
         "NOERROR\ncluster.local. 5 IN NS ns.dns.cluster.local.\n; ns.dns.cluster.local. 5 IN A 10.96.0.10"},
        {"DNS-11 server", "ns.dns.cluster.local.", Type::a, "NOERROR\nns.dns.cluster.local. 5 IN A 10.96.0.10"},
        {"DNS-12", "cluster.local.", Type::a, std::string(nodata)},
        {"DNS-12", "svc.cluster.local.", Type::a, std::string(nodata)},
        {"DNS-12", "pod.cluster.local.", Type::a, std::string(nodata)},
        {"DNS-12", "quiet.svc.cluster.local.", Type::a, std::string(nodata)},
        {"DNS-12", "quiet.pod.cluster.local.", Type::a, std::string(nodata)},
        {"DNS-12", "_tcp.web.default.svc.cluster.local.", Type::srv, std::string(nodata)},
        {"DNS-12 protocol without ports", "_sctp.web.default.svc.cluster.local.", Type::srv, std::string(nx)},
        {"DNS-12 unknown namespace", "nope.svc.cluster.local.", Type::a, std::string(nx)},
        {"DNS-12 too many labels", "a.b.c.d.default.svc.cluster.local.", Type::a, std::string(nx)},
        {"DNS-12 unknown branch", "other.cluster.local.", Type::a, std::string(nx)},
        {"DNS-13", "kubernetes.default.svc.cluster.local.", Type::a,
         "NOERROR\nkubernetes.default.svc.cluster.local. 5 IN A 10.96.0.1"},
        {"DNS-24 ANY", "web.default.svc.cluster.local.", Type::any,
         "NOERROR\nweb.default.svc.cluster.local. 5 IN HINFO \"RFC8482\" \"\""},
        {"DNS-24 unknown type", "web.default.svc.cluster.local.", Type(65), std::string(nodata)},
        {"outside of the zone", "www.example.test.", Type::a, "REFUSED"},
        {"a neighbour's suffix", "mycluster.local.", Type::a, "REFUSED"},
    };
    for (const Row& row : rows) EXPECT_EQ(answer(row.name, row.type), row.answer) << row.rule << " " << row.name;
}

TEST_F(AnswersTest, with_an_upstream_the_rest_is_forwarded_and_the_zone_never) {
    settings_.forwarding = true;
    EXPECT_EQ(answer("www.example.test.", Type::a), "forward www.example.test. A");
    EXPECT_EQ(answer("99.1.0.10.in-addr.arpa.", Type::ptr), nx);
    EXPECT_EQ(answer("9.16.0.10.in-addr.arpa.", Type::ptr), "forward 9.16.0.10.in-addr.arpa. PTR");
    EXPECT_EQ(answer("nope.default.svc.cluster.local.", Type::a), nx);
    // Our CNAME stays in front of what the upstream will say.
    const Answered chased = ask("outside.default.svc.cluster.local.", Type::a);
    EXPECT_EQ(chased.verdict, Verdict::forward);
    EXPECT_EQ(chased.answer.upstream.text(), "www.example.test. A");
    EXPECT_EQ(chased.answer.answers.size(), 1u);
}

// RFC 2308: the SOA's owner stands above the name, else a resolver may not keep the answer.
TEST_F(AnswersTest, the_soa_of_a_reverse_answer_is_of_a_zone_above_the_name) {
    const auto soa_of = [this](std::string_view name) {
        return ask(name, Type::ptr).answer.authorities.at(0).name.text();
    };
    EXPECT_EQ(soa_of("99.1.0.10.in-addr.arpa."), "1.0.10.in-addr.arpa.");  // 10.0.0.0/20
    EXPECT_EQ(soa_of("99.1.30.172.in-addr.arpa."), "30.172.in-addr.arpa.");
    EXPECT_EQ(soa_of("99.0.96.10.in-addr.arpa."), "0.96.10.in-addr.arpa.");
}

TEST_F(AnswersTest, DNS_14_the_time_to_live_is_the_administrators_for_data_and_denials) {
    for (const uint32_t ttl_s : {0u, 60u, 3600u}) {
        settings_.ttl_s = ttl_s;
        const std::string ttl = " " + std::to_string(ttl_s) + " IN ";
        EXPECT_EQ(answer("db-0.db.default.svc.cluster.local.", Type::a),
                  "NOERROR\ndb-0.db.default.svc.cluster.local." + ttl + "A 10.0.1.5");
        const Answered denial = ask("nope.default.svc.cluster.local.", Type::a);
        const std::string soa = denial.answer.authorities.at(0).text();
        EXPECT_NE(soa.find("cluster.local." + ttl + "SOA "), std::string::npos) << soa;
        EXPECT_TRUE(soa.ends_with(" " + std::to_string(ttl_s))) << soa;
    }
}

TEST_F(AnswersTest, before_the_first_sync_nothing_is_denied) {
    snapshot_.synced = false;
    settings_.forwarding = true;
    EXPECT_EQ(answer("web.default.svc.cluster.local.", Type::a), "SERVFAIL");
    EXPECT_EQ(answer("20.0.96.10.in-addr.arpa.", Type::ptr), "SERVFAIL");
    EXPECT_EQ(answer("www.example.test.", Type::a), "forward www.example.test. A");
}

TEST_F(AnswersTest, a_vpc_that_is_not_known_yet_denies_nothing) {
    EXPECT_EQ(ask("web.default.svc.cluster.local.", Type::a, 99).answer.rcode, dns_wire::Rcode::serv_fail);
}

TEST_F(AnswersTest, the_order_of_addresses_varies) {
    std::set<std::string> first;
    for (int i = 0; i < 64; ++i)
        first.insert(ask("db.default.svc.cluster.local.", Type::a).answer.answers.front().text());
    EXPECT_EQ(first.size(), 2u);
}

TEST(ViewTest, a_borrowed_namespace_name_is_the_one_in_the_view) {
    const kube::Object ns = object_of(
        R"({metadata: {name: Blue, annotations: {weft.dev/vpc: vpc-blue, weft.dev/dns-namespace: default}}})");
    EXPECT_EQ(dns_name_of(ns), "default");
    EXPECT_EQ(vpc_of(ns), "vpc-blue");
    EXPECT_EQ(dns_name_of(object_of(R"({metadata: {name: blue}})")), "blue");
}

TEST(ViewTest, a_vpc_without_number_or_service_range_has_no_view) {
    EXPECT_FALSE(build_view(object_of(R"({metadata: {name: a}, spec: {serviceCIDR: 10.96.0.0/16}})")));
    EXPECT_FALSE(build_view(object_of(R"({metadata: {name: a}, status: {vni: 3}})")));
    const auto view =
        build_view(object_of(R"({metadata: {name: a}, spec: {serviceCIDR: 10.96.0.0/16}, status: {vni: 3}})"));
    ASSERT_TRUE(view);
    EXPECT_EQ(view->vni, 3u);
    EXPECT_EQ(view->server_address.text(), "10.96.0.10");
    EXPECT_EQ(view->kubernetes_address.text(), "10.96.0.1");
    EXPECT_FALSE(view->ipv6_server_address);
}

TEST(ViewTest, a_vpc_of_two_families_is_served_on_both_and_owns_both_reverse_zones) {
    const auto view = build_view(object_of(
        R"({metadata: {name: a}, spec: {serviceCIDR: 10.96.0.0/16, ipv6CidrBlock: 'fd00:10::/56', ipv6ServiceCIDR: 'fd00:172::/112'}, status: {vni: 3}})"));
    ASSERT_TRUE(view);
    EXPECT_EQ(view->ipv6_server_address, MUST(net::Address::parse("fd00:172::a")));
    for (const char* own : {"fd00:10::/56", "fd00:172::/112"})
        EXPECT_NE(std::find(view->own_cidrs.begin(), view->own_cidrs.end(), MUST(net::Prefix::parse(own))),
                  view->own_cidrs.end())
            << own;
}

}  // namespace
}  // namespace weft::dns
