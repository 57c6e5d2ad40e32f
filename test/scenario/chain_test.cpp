// Chain: weft-cni as the first plugin of a list with Debian's own plugins behind it, called in the order and with the input
// that a container runtime gives (spec/kubernetes.md CNI-9, CNI-51, CNI-52). The test is that runtime.
//
//   node-1:  weft-cni → tuning → portmap → firewall      container: a namespace of the test's own, second one of pod chained
#include "base/fd.h"
#include "base/strings.h"
#include "kernel/netns.h"
#include "support/world_main.h"

namespace weft::test {

static constexpr std::string_view plugin_folder = "/usr/lib/cni";
static const std::string container = "chain-1";

static json::Object agent_plugin() {
    return {{"type", "weft-cni"},
            {"agentSocket", world->instance().agent_socket("node-1")},
            {"dns", json::Object{{"nameservers", json::Array{"172.21.0.10"}}}},
            {"x-vendor", json::Object{{"unknown", json::Array{1, 2}}}}};
}

// What libcni does of a list: each plugin's own configuration with name, version, the capabilities it declares, and the
// result before it.
class Runtime {
public:
    explicit Runtime(std::vector<json::Object> plugins) : plugins_(std::move(plugins)) {}

    struct Answer {
        bool ok = true;
        size_t failed_at = 0;
        json::Value result;
    };

    // Forward; the result of each is the next one's prevResult.
    Answer add() {
        json::Value result;
        for (size_t i = 0; i < plugins_.size(); ++i) {
            const Output said = call("ADD", plugins_[i], result);
            const auto parsed = json::parse(said.text);
            if (!said.ok() || !parsed) return {false, i, parsed ? *parsed : json::Value(json::String(said.text))};
            result = *parsed;
        }
        return {true, 0, result};
    }

    // Forward, each with the final result. "" = all agree. Not asked is portmap 1.1.1, which looks for its IPv4 rules among
    // the IPv6 ones too and never finds them there.
    std::string check(const json::Value& final_result) {
        for (const json::Object& plugin : plugins_)
            if (plugin.at("type") == "portmap") continue;
            else if (const Output said = call("CHECK", plugin, final_result); !said.ok()) return said.text;
        return "";
    }

    // Backward, each with the final result (or none, when ADD failed).
    std::string del(const json::Value& final_result) {
        for (size_t i = plugins_.size(); i-- > 0;)
            if (const Output said = call("DEL", plugins_[i], final_result); !said.ok()) return said.text;
        return "";
    }

    std::string netns() const { return Instance::netns_path(world->instance().pod_netns(container)); }

private:
    Output call(const std::string& command, json::Object config, const json::Value& before) const {
        const std::string type(json::view(config["type"].get_string()));
        config["cniVersion"] = "1.0.0";
        config["name"] = "weft";
        if (config.contains("capabilities")) {
            config["runtimeConfig"] = json::Object{
                {"portMappings",
                 json::Array{json::Object{{"hostPort", 18080}, {"containerPort", 8080}, {"protocol", "tcp"}}}}};
        }
        if (before.is_object()) config["prevResult"] = before;
        const std::string folder(type == "weft-cni" ? std::string_view(WEFT_BIN) : plugin_folder);
        const std::string uid = world->field("pod chained", "{.metadata.uid}");
        return world->from("node-1", "CNI_COMMAND=" + command + " CNI_CONTAINERID=" + container + " CNI_IFNAME=eth0 CNI_NETNS=" +
                                         netns() + " CNI_PATH=" + folder +
                                         " CNI_ARGS='IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=chained;K8S_POD_UID=" +
                                         uid + "' " + folder + "/" + type + " <<'END'\n" + json::serialize(config) + "\nEND");
    }

    std::vector<json::Object> plugins_;
};

static std::string inside(const std::string& command) {
    const std::string name = world->instance().pod_netns(container);
    return std::string(trim(world->from("node-1", "nsenter --net=" + Instance::netns_path(name) + " " + command).text));
}

static bool has_link(const std::string& name) { return world->from("node-1", "ip link show " + name).ok(); }

class Chain : public testing::Test {
protected:
    static void SetUpTestSuite() {
        ASSERT_TRUE(world->kubectl("apply -f " + root() + "/examples/world.yaml").ok());
        ASSERT_TRUE(world->apply("apiVersion: v1\nkind: Pod\nmetadata: {name: chained}\nspec: {containers: [{name: c, image: client}]}\n")
                        .ok());
        ASSERT_EQ(eventually(30, [] { return world->field("pod chained", "{.status.phase}") == "Running" ? "" : "not running"; }), "");
        MUST(kernel::Netns::create(world->instance().pod_netns(container)));
    }
    static void TearDownTestSuite() { (void)kernel::Netns::remove(world->instance().pod_netns(container)); }
};

TEST_F(Chain, CNI_9_51_52_plugins_behind_ours_get_its_result_and_pass_it_on) {
    Runtime runtime({agent_plugin(),
                     {{"type", "tuning"}, {"sysctl", json::Object{{"net.ipv4.conf.eth0.arp_filter", "1"}}}},
                     {{"type", "portmap"}, {"capabilities", json::Object{{"portMappings", true}}}},
                     {{"type", "firewall"}, {"backend", "iptables"}}});
    const Runtime::Answer added = runtime.add();
    ASSERT_TRUE(added.ok) << added.failed_at << ": " << json::serialize(added.result);

    // What ours said is still there behind three plugins: names, addresses, routes and the resolver of its configuration.
    const std::string text = json::serialize(added.result);
    const json::Array* interfaces = json::find_array(added.result, {"interfaces"});
    ASSERT_TRUE(interfaces != nullptr && interfaces->size() == 2) << text;
    const std::string host_link(json::find_string((*interfaces)[0], {"name"}));
    EXPECT_FALSE(json::has((*interfaces)[0], {"sandbox"}));
    EXPECT_TRUE(has_link(host_link)) << host_link;
    EXPECT_EQ(json::find_string((*interfaces)[1], {"name"}), "eth0");
    EXPECT_EQ(json::find_string((*interfaces)[1], {"sandbox"}), runtime.netns());
    const json::Array* ips = json::find_array(added.result, {"ips"});
    ASSERT_TRUE(ips != nullptr && !ips->empty()) << text;
    EXPECT_EQ(json::find_string((*ips)[0], {"gateway"}), "169.254.1.1");
    EXPECT_EQ(json::find_strings(added.result, {"dns", "nameservers"}), std::vector<std::string>{"172.21.0.10"});

    // Each did its part, and the network works as before.
    EXPECT_EQ(inside("cat /proc/sys/net/ipv4/conf/eth0/arp_filter"), "1");
    EXPECT_NE(world->from("node-1", "iptables-save -t nat").text.find("18080"), std::string::npos);
    EXPECT_EQ(inside("dig +short @172.21.0.10 kubernetes.default.svc.cluster.local"), "172.21.0.1");

    EXPECT_EQ(runtime.check(added.result), "");
    EXPECT_EQ(runtime.del(added.result), "");
    EXPECT_EQ(eventually(5, [&] { return has_link(host_link) ? host_link + " is there" : std::string(); }), "");
    EXPECT_EQ(world->from("node-1", "iptables-save -t nat").text.find("18080"), std::string::npos);
    EXPECT_EQ(runtime.del(added.result), "") << "as often as the runtime likes";
}

// A limit on what a pod sends needs the qdisc that the data plane already has on the host's side: that plugin refuses, and
// the chain ends as every failed one does, with nothing left.
TEST_F(Chain, CNI_51_a_chain_that_fails_half_way_is_undone_by_the_DEL_of_all_of_it) {
    Runtime runtime({agent_plugin(), {{"type", "bandwidth"}, {"egressRate", 8000000}, {"egressBurst", 800000}}});
    const auto links = [] { return world->from("node-1", "ip -o link | grep -c wpod").text; };
    const std::string before = links();
    const Runtime::Answer added = runtime.add();
    ASSERT_FALSE(added.ok) << json::serialize(added.result);
    EXPECT_EQ(added.failed_at, 1u);
    EXPECT_NE(json::serialize(added.result).find("ingress qdisc"), std::string::npos) << json::serialize(added.result);
    EXPECT_EQ(runtime.del(json::Value()), "");
    EXPECT_EQ(eventually(5, [&] { return links() == before ? "" : links(); }), "");
    EXPECT_EQ(inside("ip -br link show eth0 2>/dev/null"), "");
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv, "", false); }
