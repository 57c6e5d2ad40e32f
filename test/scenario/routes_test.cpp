// Routes and a peering, as examples/peering.yaml declares them: both sides need a route, a table is bound to a vSwitch,
// and what is taken away is away for living connections too. (spec/acs.md §1.3, §1.4)
//
//   vpc-demo 10.0.0.0/16 { client, web x3 } ── peer-demo-green ── vpc-green 10.20.0.0/16 { green/peer }
//   vpc-blue 10.0.0.0/16 { client, web x3 }    not peered
#include <thread>

#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {

static std::string peer_address;

static Output ask(const std::string& ns, const std::string& more = "") {
    return world->in_pod(ns, "client", "curl -sS --max-time 1 " + more + " http://" + peer_address + ":8080/");
}

static std::string reaches(const std::string& ns) {
    const Output answer = ask(ns);
    return answer.ok() && answer.text.find("peer") != std::string::npos ? "" : answer.text;
}

static std::string is_cut(const std::string& ns) { return ask(ns).ok() ? "it still answers" : ""; }

// How often the data plane has dropped for this reason.
static int64_t drops(std::string_view reason) {
    const auto view = json::parse(world->weft("drops -o json").text);
    int64_t packets = 0;
    if (!view || !view->is_array()) return 0;
    for (const json::Value& row : view->get_array())
        if (json::find_string(row, {"reason"}) == reason) packets += json::find_int(row, {"packets"});
    return packets;
}

static std::string set_routes(const std::string& table, const std::string& routes) {
    const Output patched = world->kubectl("patch vrt " + table + " --type merge -p '{\"spec\":{\"routes\":[" + routes + "]}}'");
    return patched.ok() ? "" : patched.text;
}

static const std::string to_green = R"({"destination":"10.20.0.0/16","nextHop":{"type":"VpcPeer","id":"peer-demo-green"}})";
static const std::string to_demo = R"({"destination":"10.0.0.0/16","nextHop":{"type":"VpcPeer","id":"peer-demo-green"}})";

class Routes : public testing::Test {
protected:
    static void SetUpTestSuite() {
        const Output applied = world->kubectl("apply -f " + root() + "/examples/peering.yaml");
        ASSERT_TRUE(applied.ok()) << applied.text;
        const Output ready = world->kubectl("-n green wait --for=condition=Ready pod/peer --timeout=60s", 90);
        ASSERT_TRUE(ready.ok()) << ready.text;
        peer_address = world->field("pod peer", "{.status.podIP}", "green");
        ASSERT_EQ(peer_address.substr(0, 8), "10.20.1.");
    }
    void SetUp() override {
        ASSERT_EQ(set_routes("vrt-vpc-demo", to_green), "");
        ASSERT_EQ(set_routes("vrt-vpc-green", to_demo), "");
        ASSERT_EQ(eventually(30, [] { return reaches("default"); }), "");
    }
};

TEST_F(Routes, a_peering_shows_both_ends_their_real_addresses_and_joins_these_two_only) {
    const std::string client = world->field("pod client", "{.status.podIP}");
    EXPECT_EQ(eventually(20, [&] {
                  const Output answer = ask("default");
                  return answer.text.find("\"peer\":\"" + client + "\"") != std::string::npos ? "" : answer.text;
              }),
              "");
    EXPECT_EQ(world->field("vpeer peer-demo-green", "{.status.state}"), "Activated");
    EXPECT_FALSE(ask("blue").ok()) << "vpc-blue has the addresses of vpc-demo, and no peering";
    EXPECT_EQ(set_routes("vrt-vpc-blue", to_green), "");
    EXPECT_EQ(eventually(20, [] { return world->field("vrt vrt-vpc-blue", "{.status.routes[0].state}") == "NextHopMissing" ? "" : "?"; }), "");
    EXPECT_FALSE(ask("blue").ok()) << "a route over somebody else's peering leads nowhere";
}

TEST_F(Routes, a_peering_carries_ipv6_as_its_own_routes_say) {
    const std::string six = world->field("pod peer", "{.status.podIPs[1].ip}", "green");
    ASSERT_EQ(six.substr(0, 8), "fd00:20:") << six;
    const auto answers = [&] {
        const Output answer = world->in_pod("default", "client", "curl -sS --max-time 1 'http://[" + six + "]:8080/'");
        return answer.ok() && answer.text.find("peer") != std::string::npos;
    };
    EXPECT_FALSE(answers()) << "the routes of the other family say nothing of it";
    const std::string green6 = R"(,{"destination":"fd00:20::/56","nextHop":{"type":"VpcPeer","id":"peer-demo-green"}})";
    const std::string demo6 = R"(,{"destination":"fd00:10::/56","nextHop":{"type":"VpcPeer","id":"peer-demo-green"}})";
    ASSERT_EQ(set_routes("vrt-vpc-demo", to_green + green6), "");
    ASSERT_EQ(set_routes("vrt-vpc-green", to_demo + demo6), "");
    EXPECT_EQ(eventually(20, [&] { return answers() ? "" : "not yet"; }), "");
    // The longest prefix wins here too.
    const std::string hole = ",{\"destination\":\"" + six + "/128\",\"nextHop\":{\"type\":\"Blackhole\"}}";
    ASSERT_EQ(set_routes("vrt-vpc-demo", to_green + green6 + hole), "");
    EXPECT_EQ(eventually(20, [&] { return answers() ? "it still answers" : ""; }), "");
    EXPECT_EQ(reaches("default"), "") << "IPv4 does not notice";
}

TEST_F(Routes, a_route_on_one_side_only_lets_packets_out_and_none_back) {
    ASSERT_EQ(set_routes("vrt-vpc-green", ""), "");
    EXPECT_EQ(eventually(20, [] { return is_cut("default"); }), "");
    ASSERT_EQ(set_routes("vrt-vpc-green", to_demo), "");
    EXPECT_EQ(eventually(20, [] { return reaches("default"); }), "");
}

TEST_F(Routes, a_route_that_goes_ends_the_connection_that_lives) {
    // One UDP connection, ten datagrams a second; /tmp/sent says how many it was.
    const std::string talk = "rm -f /tmp/stop /tmp/sent; i=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); echo $i; echo $i > /tmp/sent;"
                             " sleep 0.1; done | nc -u -w1 -p 4455 " + peer_address + " 9000";
    const auto sent = [] {
        return parse_unsigned(trim(world->in_pod("default", "client", "cat /tmp/sent").text)).value_or(0);
    };
    Output heard;
    std::thread talker([&] { heard = world->in_pod("default", "client", talk, 120); });
    EXPECT_EQ(eventually(20, [&] { return sent() >= 3 ? "" : "it does not live yet"; }), "");
    EXPECT_EQ(set_routes("vrt-vpc-demo", ""), "");
    EXPECT_EQ(eventually(20, [] { return is_cut("default"); }), "");
    const uint64_t when_cut = sent();  // what is sent from here on was sent after the route was gone
    EXPECT_EQ(eventually(20, [&] { return sent() >= when_cut + 5 ? "" : "it does not go on"; }), "");
    EXPECT_TRUE(world->in_pod("default", "client", "touch /tmp/stop").ok());
    talker.join();
    EXPECT_NE(heard.text.find(": 1\n"), std::string::npos) << "it lived: " << heard.text;
    for (uint64_t i = when_cut + 1; i <= when_cut + 5; ++i)
        EXPECT_EQ(heard.text.find(": " + std::to_string(i) + "\n"), std::string::npos) << i << ": " << heard.text;
}

TEST_F(Routes, a_blackhole_has_a_name_and_the_longest_prefix_wins) {
    const int64_t before = drops("blackhole");
    ASSERT_EQ(set_routes("vrt-vpc-demo", to_green + ",{\"destination\":\"" + peer_address + "/32\",\"nextHop\":{\"type\":\"Blackhole\"}}"), "");
    EXPECT_EQ(eventually(20, [] { return is_cut("default"); }), "");
    EXPECT_GT(drops("blackhole"), before);
    const std::string shown = world->weft("route show default/client").text;
    EXPECT_NE(shown.find("Blackhole"), std::string::npos) << shown;
    EXPECT_NE(shown.find("VpcPeer peer-demo-green"), std::string::npos) << shown;
}

TEST_F(Routes, running_pods_follow_the_binding_of_their_vswitch) {
    const Output applied = world->apply("apiVersion: weft.dev/v1\nkind: RouteTable\nmetadata: {name: vrt-bare}\nspec: {vpc: vpc-demo}\n");
    ASSERT_TRUE(applied.ok()) << applied.text;
    const std::string vswitch = world->field("pod client", R"({.metadata.annotations.weft\.dev/vswitch})");
    const auto bind = [&](const std::string& table) {
        return world->kubectl("patch vsw " + vswitch + " --type merge -p '{\"spec\":{\"routeTable\":" + table + "}}'");
    };
    ASSERT_TRUE(bind("\"vrt-bare\"").ok());
    EXPECT_EQ(eventually(20, [] { return is_cut("default"); }), "");
    EXPECT_EQ(world->field("vsw " + vswitch, "{.status.routeTable}"), "vrt-bare");
    EXPECT_TRUE(world->kubectl("delete vrt vrt-bare --wait=false").ok());
    EXPECT_EQ(eventually(20, [] { return world->field("vrt vrt-bare", "{.status.conditions[?(@.type==\"Ready\")].reason}") == "InUse" ? "" : "?"; }), "");
    ASSERT_TRUE(bind("null").ok());
    EXPECT_EQ(eventually(20, [] { return reaches("default"); }), "");
    EXPECT_EQ(eventually(20, [] { return world->kubectl("get vrt vrt-bare").ok() ? "it is still there" : ""; }), "");
}

// client (vsw-zone-a, bound to vrt-by-fw) → net/fw (vsw-zone-b, the system table) → the peering → green/peer
TEST_F(Routes, a_pod_forwards_for_others_while_the_administrator_allows_it) {
    const Output applied = world->apply(R"(
apiVersion: v1
kind: Namespace
metadata: {name: net}
---
apiVersion: v1
kind: Pod
metadata: {name: fw, namespace: net, annotations: {weft.dev/allow-forwarding: "true",
  network.alibabacloud.com/vswitch-ids: vsw-zone-b}}
spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: client}]}
---
apiVersion: weft.dev/v1
kind: RouteTable
metadata: {name: vrt-by-fw}
spec: {vpc: vpc-demo, routes: [{destination: 10.20.0.0/16, nextHop: {type: Instance, id: net/fw}}]}
)");
    ASSERT_TRUE(applied.ok()) << applied.text;
    ASSERT_TRUE(world->kubectl("-n net wait --for=condition=Ready pod/fw --timeout=60s", 90).ok());
    const std::string netns = Instance::netns_path(world->instance().pod_netns(world->field("pod fw", "{.metadata.uid}", "net")));
    ASSERT_TRUE(run("nsenter --net=" + netns + " sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'").ok());
    EXPECT_EQ(eventually(20, [] { return world->kubectl("-n net get events").text.find("ForwardingNotAllowed") != std::string::npos ? "" : "no Event"; }), "");

    const std::string vswitch = world->field("pod client", R"({.metadata.annotations.weft\.dev/vswitch})");
    const auto bind = [&](const std::string& table) {
        return world->kubectl("patch vsw " + vswitch + " --type merge -p '{\"spec\":{\"routeTable\":" + table + "}}'").ok();
    };
    ASSERT_TRUE(bind("\"vrt-by-fw\""));
    EXPECT_EQ(eventually(20, [] { return is_cut("default"); }), "") << "not allowed yet";
    ASSERT_TRUE(world->kubectl("label ns net weft.dev/allow-forwarding=true").ok());
    EXPECT_EQ(eventually(20, [] { return reaches("default"); }), "");
    ASSERT_TRUE(world->kubectl("label ns net weft.dev/allow-forwarding-").ok());
    EXPECT_EQ(eventually(20, [] { return is_cut("default"); }), "");
    ASSERT_TRUE(bind("null"));
    EXPECT_EQ(eventually(20, [] { return reaches("default"); }), "");
}

TEST_F(Routes, a_peering_that_goes_takes_its_traffic_along_and_a_used_vpc_stays) {
    const Output gone = world->kubectl("delete vpc vpc-green --wait=false");
    ASSERT_TRUE(gone.ok()) << gone.text;
    EXPECT_EQ(eventually(20, [] { return world->field("vpc vpc-green", "{.status.conditions[?(@.type==\"Ready\")].reason}") == "InUse" ? "" : "?"; }), "");
    EXPECT_EQ(eventually(20, [] { return reaches("default"); }), "") << "it is used, and works until it is not";
    ASSERT_TRUE(world->kubectl("delete vpeer peer-demo-green", 60).ok());
    EXPECT_EQ(eventually(20, [] { return is_cut("default"); }), "");
    const std::string shown = world->weft("vpc show vpc-demo").text;
    EXPECT_NE(shown.find("vrt-vpc-demo"), std::string::npos) << shown;
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv); }
