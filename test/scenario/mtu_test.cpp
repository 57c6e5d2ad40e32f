// What the wire carries: MTUs from 1280 to 9000, with and without overlay, both families, pods and Services, offloads
// on and off, and nodes whose uplinks differ. Everything sent arrives, or its sender is told the size that fits.
//
//      n1  zone a ── over1, plain1 ──┐
//                                    ├── street ── internet     namespace default: VPC vpc-demo, VXLAN
//      n2  zone b ── over2, plain2 ──┘                          namespace plain: VPC plain, routed by the street
//
// A cell of the matrix: 1 MB over TCP there and back, and UDP datagrams of 100 to 20,000 bytes (test/support/bulk.py).
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <map>

#include "base/strings.h"
#include "kernel/link.h"
#include "kernel/netns.h"
#include "kernel/sysctl.h"
#include "net/address.h"
#include "support/lab.h"
#include "support/traffic.h"
#include "support/world_main.h"

namespace weft::test {

static const bool is_long = std::getenv("WEFT_TEST_LONG") != nullptr;

static const char* const plain_vpc = R"(
apiVersion: weft.dev/v1
kind: VPC
metadata: {name: plain}
spec: {cidrBlock: 10.8.0.0/16, serviceCIDR: 172.28.0.0/20, ipv6CidrBlock: 'fd00:8::/56', ipv6ServiceCIDR: 'fd00:172:28::/112', encapsulation: None}
---
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-plain-a}, spec: {vpc: plain, zone: cn-local-a, cidrBlock: 10.8.1.0/24}}
---
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-plain-b}, spec: {vpc: plain, zone: cn-local-b, cidrBlock: 10.8.2.0/24}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: plain, annotations: {weft.dev/vpc: plain}}}
)";

struct Side {
    std::string ns, name;              // of its pods: over1 on n1, over2 on n2
    std::vector<std::string> targets;  // of the pod on n1: the other pod and its Service, both families
    std::vector<std::string> back;     // of the pod on n2: the pod on n1
    std::vector<std::string> service;
    PodPlace first, second;
};

static std::string service_yaml(const Side& side, const std::string& name, const std::string& more) {
    return fmt::format(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {}, namespace: {}}}\nspec:\n  selector: {{app: {}}}\n  "
        "ipFamilyPolicy: PreferDualStack\n  {}\n",
        name, side.ns, side.name + "2", more);
}

static kernel::Netns netns_of(const std::string& name) {
    return MUST(kernel::Netns::open(name));
}

// Every Ethernet of the namespace but the bridge's and the tunnel's own devices.
static void set_offloads(const std::string& netns_name, bool on) {
    const kernel::Netns netns = netns_of(netns_name);
    kernel::Netlink netlink = MUST(kernel::Netlink::open(netns));
    const Status set = netns.run([&]() -> Status {
        const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        for (const kernel::Link& link : TRY(kernel::list_links(netlink))) {
            if (link.kind != "veth") continue;
            for (const uint32_t command : {ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO}) {
                ethtool_value value{command, on ? 1u : 0u};
                ifreq request{};
                link.name.copy(request.ifr_name, IFNAMSIZ - 1);
                request.ifr_data = reinterpret_cast<char*>(&value);
                if (::ioctl(fd.get(), SIOCETHTOOL, &request) != 0) return fail_errno("offloads of " + link.name);
            }
        }
        return {};
    });
    EXPECT_TRUE(set) << netns_name << ": " << set.error().message;
}

static void set_mtu(const std::string& netns_name, const std::string& link, unsigned mtu) {
    kernel::Netlink netlink = MUST(kernel::Netlink::open(netns_of(netns_name)));
    MUST(kernel::set_link_mtu(netlink, MUST(kernel::find_link(netlink, link)).index, mtu));
}

static unsigned mtu_of(const PodPlace& pod) {
    kernel::Netlink netlink = MUST(kernel::Netlink::open(netns_of(world->instance().pod_netns(pod.uid))));
    return MUST(kernel::find_link(netlink, "eth0")).mtu;
}

// The two uplinks carry so much, and both agents have said so.
static std::string set_uplinks(unsigned n1, unsigned n2) {
    const Instance& instance = world->instance();
    for (const auto& [number, mtu] : {std::pair{1, n1}, {2, n2}}) {
        set_mtu(instance.fabric_netns(), "port" + std::to_string(number), mtu);
        set_mtu(instance.node_netns("n" + std::to_string(number)), "eth0", mtu);
    }
    return eventually(30, [&]() -> std::string {
        for (const auto& [node, mtu] : {std::pair{"n1", n1}, {"n2", n2}}) {
            const std::string said =
                world->field(std::string("node ") + node, "{.metadata.annotations.weft\\.dev/uplink-mtu}");
            if (said != std::to_string(mtu))
                return fmt::format("{} says its uplink carries {}, not {}", node, said, mtu);
        }
        const Output status = world->weft("status");
        return status.ok() ? "" : status.text;
    });
}

struct Mtu : testing::Test {
    static void SetUpTestSuite() {
        ASSERT_TRUE(world->kubectl("apply -f " + root() + "/examples/world.yaml").ok());
        // A bridge whose packets netfilter sees cuts what is too large for its port; wires do not.
        for (const char* name : {"iptables", "ip6tables", "arptables"})
            (void)kernel::set_sysctl(netns_of(world->instance().fabric_netns()),
                                     std::string("net/bridge/bridge-nf-call-") + name, "0");
        const Output applied = world->apply(plain_vpc);
        ASSERT_TRUE(applied.ok()) << applied.text;
        std::string services;
        for (Side& side : sides)
            services +=
                service_yaml(side, "far", "ports: [{name: tcp, port: 9000}, {name: udp, port: 9000, protocol: UDP}]") +
                "---\n";
        ASSERT_TRUE(world->apply(services).ok());
        for (Side& side : sides)
            side.service = json::find_strings(world->get("svc far", side.ns), {"spec", "clusterIPs"});
        renew_pods();
    }

    // New pods have the MTU that the uplink has now.
    static void renew_pods() {
        std::string yaml;
        for (const Side& side : sides) {
            for (const char* node : {"1", "2"}) {
                std::string pod = pod_on(side.name + node, std::string("n") + node, side.name + node);
                pod.insert(pod.find("labels: {") + 9, "judged: mtu, ");
                yaml += pod.insert(pod.find("metadata: {") + 11, "namespace: " + side.ns + ", ");
            }
        }
        ASSERT_TRUE(world->kubectl("delete pod -A -l judged=mtu --now").ok());
        ASSERT_TRUE(world->apply(yaml).ok());
        const Output ready = world->kubectl("wait -A --for=condition=Ready pod -l judged=mtu --timeout=30s");
        ASSERT_TRUE(ready.ok()) << ready.text;
        const json::Value pods = world->get("pods -A -l judged=mtu");
        for (Side& side : sides) {
            for (const auto& [number, place] : {std::pair{"1", &side.first}, {"2", &side.second}})
                for (const json::Value& pod : *json::find_array(pods, {"items"}))
                    if (json::find_string(pod, {"metadata", "name"}) == side.name + number)
                        *place = {std::string(json::find_string(pod, {"metadata", "uid"})), std::string("n") + number,
                                  std::string(json::find_string(pod, {"status", "podIP"}))};
            side.targets = addresses_of(pods, side.name + "2");
            side.back = addresses_of(pods, side.name + "1");
            side.targets.insert(side.targets.end(), side.service.begin(), side.service.end());
            ASSERT_EQ(side.targets.size(), 4u) << side.ns << ": " << fmt::format("{}", fmt::join(side.targets, " "));
            ASSERT_EQ(side.back.size(), 2u);
        }
    }

    static std::vector<std::string> addresses_of(const json::Value& pods, const std::string& name) {
        std::vector<std::string> addresses;
        for (const json::Value& pod : *json::find_array(pods, {"items"})) {
            if (json::find_string(pod, {"metadata", "name"}) != name) continue;
            for (const json::Value& entry : *json::find_array(pod, {"status", "podIPs"}))
                addresses.emplace_back(json::find_string(entry, {"ip"}));
        }
        return addresses;
    }

    static void offloads(bool on) {
        const Instance& instance = world->instance();
        for (const std::string& name : {instance.node_netns("n1"), instance.node_netns("n2"), instance.fabric_netns()})
            set_offloads(name, on);
        for (const Side& side : sides)
            for (const PodPlace& pod : {side.first, side.second}) set_offloads(instance.pod_netns(pod.uid), on);
    }

    // One row of the matrix: every cell of both VPCs, and back.
    void expect_all_arrives(const std::string& label) {
        for (const Side& side : sides) {
            const std::string bulk = "python3 " + root() + "/test/support/bulk.py ";
            traffic.start(side.name + "1",
                          in_place(*world, side.first, bulk + fmt::format("{}", fmt::join(side.targets, " "))), 120);
            traffic.start(side.name + "2",
                          in_place(*world, side.second, bulk + fmt::format("{}", fmt::join(side.back, " "))), 120);
        }
        for (const Traffic::Result& result : traffic.wait()) {
            printf("%s: %s: %s\n", label.c_str(), result.name.c_str(), result.text.c_str());
            const json::Array* const done = json::find_array(result.counts, {"done"});
            ASSERT_NE(done, nullptr) << label << ": " << result.name << ": " << result.text;
            EXPECT_EQ(done->size(), result.name.ends_with("1") ? 4u : 2u)
                << label << ": " << result.name << ": " << result.text;
        }
    }

    void expect_all_arrives_with_offloads_on_and_off(const std::string& label) {
        expect_all_arrives(label);
        offloads(false);
        expect_all_arrives(label + ", offloads off");
        offloads(true);
    }

    void expect_pods_have(unsigned overlay, unsigned routed) {
        for (const Side& side : sides)
            EXPECT_EQ(mtu_of(side.first), side.ns == "plain" ? routed : overlay) << side.name;
    }

    static inline std::vector<Side> sides{{"default", "over", {}, {}, {}, {}, {}},
                                          {"plain", "plain", {}, {}, {}, {}, {}}};
    Traffic traffic;
};

static uint64_t tunnel_bytes(const std::string& node) {
    const std::string text = run("nsenter --net=" + Instance::netns_path(world->instance().node_netns(node)) +
                                 " ip -s -j link show weft_tunnel")
                                 .text;
    const auto links = json::parse(text);
    return links && links->is_array() ? uint64_t(json::find_int(links->as_array().at(0), {"stats64", "rx", "bytes"}))
                                      : 0;
}

TEST_F(Mtu, without_overlay_nothing_is_wrapped_and_the_wire_knows_the_pods) {
    const Side& plain = sides[1];
    EXPECT_EQ(world->field("vpc plain", "{.spec.encapsulation}"), "None");
    EXPECT_EQ(world->field("vpc plain", "{.status.conditions[?(@.type==\"Programmed\")].reason}"), "Routed");
    const uint64_t before = tunnel_bytes("n2");
    traffic.start(
        "plain1",
        in_place(*world, plain.first,
                 "python3 " + root() + "/test/support/bulk.py " + fmt::format("{}", fmt::join(plain.targets, " "))),
        120);
    for (const auto& result : traffic.wait())
        EXPECT_NE(result.text.find("\"failed\": {}"), std::string::npos) << result.text;
    EXPECT_LT(tunnel_bytes("n2") - before, 400'000u) << "of 4 MB each way";
    // A fabric that has the VPC's block on-link finds each pod's node, in both families.
    ASSERT_EQ(run(on_street(*world, "ip route add 10.8.2.0/24 dev eth0")).text, "");
    EXPECT_EQ(announcer_of(*world, plain.second.address), "n2");
    const net::Address ipv6 = MUST(
        net::Address::parse(plain.targets[1].find(':') != std::string::npos ? plain.targets[1] : plain.targets[0]));
    EXPECT_TRUE(listens_for(*world, "n2", ipv6)) << ipv6.text();
}

// Asks again until the pod on n2 answers.
static std::string answered_by_plain2(const std::function<Output()>& ask) {
    return eventually(20, [&]() -> std::string {
        const Output output = ask();
        return output.text.find("\"pod\":\"plain2\"") != std::string::npos ? "" : output.text;
    });
}

TEST_F(Mtu, without_overlay_services_names_balancers_and_ingresses_work) {
    const Side& plain = sides[1];
    const std::string http = "ports: [{name: http, port: 80, targetPort: 8080}]";
    const std::string balancer = service_yaml(plain, "public", "type: LoadBalancer\n  " + http);
    const Output applied = world->apply(service_yaml(plain, "web", http) + "---\n" + balancer + R"(---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: plain}
spec: {ingressClassName: weft, defaultBackend: {service: {name: web, port: {number: 80}}}}
)");
    ASSERT_TRUE(applied.ok()) << applied.text;
    const std::string curl = "curl -sS --max-time 3 ";
    for (const char* family : {"-4 ", "-6 "})
        EXPECT_EQ(answered_by_plain2([&] {
                      return world->in_pod("plain", "plain1", curl + family + "http://web.plain.svc.cluster.local/");
                  }),
                  "")
            << family;
    const auto addresses = [](const std::string& object, size_t wanted) {
        std::vector<std::string> found;
        EXPECT_EQ(eventually(20,
                             [&]() -> std::string {
                                 const json::Value value = world->get(object, "plain");
                                 found.clear();
                                 if (const json::Array* shown =
                                         json::find_array(value, {"status", "loadBalancer", "ingress"}))
                                     for (const json::Value& entry : *shown)
                                         found.emplace_back(json::find_string(entry, {"ip"}));
                                 return found.size() == wanted ? "" : std::to_string(found.size()) + " addresses";
                             }),
                  "")
            << object;
        return found;
    };
    for (const auto& [object, wanted] : {std::pair{"svc public", 2u}, {"ingress web", 1u}})
        for (const std::string& address : addresses(object, wanted)) {
            const std::string host = address.find(':') == std::string::npos ? address : "'[" + address + "]'";
            EXPECT_EQ(answered_by_plain2([&] { return run(on_street(*world, curl + "http://" + host + "/")); }), "")
                << object << " " << address;
        }
}

TEST_F(Mtu, a_peering_joins_a_vpc_without_overlay_to_one_with) {
    const auto route = [](const char* table, const char* destination) {
        return world->kubectl(std::string("patch vrt ") + table +
                              " --type merge -p '{\"spec\":{\"routes\":[{\"destination\":\"" + destination +
                              "\",\"nextHop\":{\"type\":\"VpcPeer\",\"id\":\"both\"}}]}}'");
    };
    const Output joined = world->apply(
        "apiVersion: weft.dev/v1\nkind: VPCPeering\nmetadata: {name: both}\nspec: {vpc: plain, peerVpc: vpc-demo}\n");
    ASSERT_TRUE(joined.ok()) << joined.text;
    ASSERT_TRUE(route("vrt-plain", "10.0.0.0/16").ok() && route("vrt-vpc-demo", "10.8.0.0/16").ok());
    for (const auto& [from, to] : {std::pair{&sides[0], &sides[1]}, {&sides[1], &sides[0]}})
        EXPECT_EQ(
            eventually(20,
                       [&, from = from, to = to]() -> std::string {
                           const Output output = run(in_place(
                               *world, from->first, "curl -sS --max-time 3 http://" + to->second.address + ":8080/"));
                           return output.text.find("\"pod\":\"" + to->name + "2\"") != std::string::npos ? ""
                                                                                                         : output.text;
                       }),
            "")
            << from->name;
    ASSERT_TRUE(world->kubectl("delete vpeer both --wait=false").ok());
}

TEST_F(Mtu, at_1500_all_arrives) {
    expect_pods_have(1450, 1500);
    expect_all_arrives_with_offloads_on_and_off("1500");
}

TEST_F(Mtu, at_9000_all_arrives_from_old_pods_and_new) {
    ASSERT_EQ(set_uplinks(9000, 9000), "");
    expect_pods_have(1450, 1500);
    expect_all_arrives("9000, pods of 1500");
    renew_pods();
    expect_pods_have(8950, 9000);
    expect_all_arrives_with_offloads_on_and_off("9000");
}

TEST_F(Mtu, at_1280_all_arrives_from_old_pods_and_new_and_no_connection_ends_by_the_change) {
    for (const Side& side : sides)
        traffic.start(side.name, in_place(*world, side.first, traffic_py("tcp-long " + side.targets[0] + " 9000 8")),
                      60);
    ASSERT_EQ(set_uplinks(1280, 1280), "");
    for (const auto& result : traffic.wait()) {
        EXPECT_EQ(json::find_int(result.counts, {"failed"}), 0) << result.name << ": " << result.text;
        EXPECT_GT(json::find_int(result.counts, {"done"}), 10) << result.name << ": " << result.text;
    }
    expect_all_arrives("1280, pods of 9000");
    renew_pods();
    expect_pods_have(1280, 1280);
    expect_all_arrives_with_offloads_on_and_off("1280");
}

TEST_F(Mtu, nodes_of_different_uplinks_know_each_others) {
    ASSERT_EQ(set_uplinks(9000, 1500), "");
    renew_pods();
    expect_pods_have(8950, 9000);
    expect_all_arrives_with_offloads_on_and_off("9000 and 1500");
    ASSERT_EQ(set_uplinks(9000, 1280), "");
    expect_all_arrives("9000 and 1280, pods of 9000 and 1500");
}

TEST_F(Mtu, at_every_mtu_between_all_arrives) {
    std::vector<unsigned> mtus{1329};  // a tunnel's inside is one byte short of what IPv6 needs
    if (is_long) mtus = {1281, 1329, 1330, 1331, 1400, 1492, 1501, 4000, 8999};
    for (const unsigned mtu : mtus) {
        ASSERT_EQ(set_uplinks(mtu, mtu), "");
        renew_pods();
        expect_all_arrives_with_offloads_on_and_off(std::to_string(mtu));
    }
}

}  // namespace weft::test

int main(int argc, char** argv) {
    return weft::test::run_scenario(argc, argv, "--nodes 2 --zones 2", false, "lab");
}
