// Addresses by Debian's own host-local and static, with an agent that answers once.
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/json.h"
#include "cni/main.h"
#include "cni/one_answer.h"

namespace weft::cni {
namespace {

namespace wire = protocol::cni;

class IpamTest : public testing::Test {
protected:
    IpamTest() : folder_("/tmp/weft-cni-ipam-" + std::to_string(getpid())) {}
    ~IpamTest() override { (void)remove_tree(folder_); }

    json::Value run(const std::string& command, const std::string& socket, const std::string& ipam, int status,
                    const std::string& path = "/usr/lib/cni") {
        const std::map<std::string, std::string> variables{
            {"CNI_COMMAND", command}, {"CNI_CONTAINERID", "abc123"}, {"CNI_NETNS", "/proc/thread-self/ns/net"},
            {"CNI_IFNAME", "eth0"},   {"CNI_PATH", path},            {"CNI_NETNS_OVERRIDE", "1"},
            {"CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0"}};
        const auto get = [&](const char* name) {
            const auto found = variables.find(name);
            return found == variables.end() ? std::string() : found->second;
        };
        const std::string config =
            R"({"cniVersion":"1.0.0","name":"weft","agentSocket":")" + socket + R"(","ipam":)" + ipam + "}";
        std::string output;
        EXPECT_EQ(call(get, config, output), status) << output;
        return output.empty() ? json::Value() : json::parse(output).value();
    }

    std::string host_local() const {
        return R"({"type":"host-local","dataDir":")" + folder_ +
               R"(","ranges":[[{"subnet":"10.0.1.0/24","rangeStart":"10.0.1.7","rangeEnd":"10.0.1.8"}]]})";
    }

    bool is_reserved(const std::string& address) const { return std::filesystem::exists(folder_ + "/weft/" + address); }

    const std::string folder_;
};

const wire::Wired wired{"wpod1", "02:00:00:00:00:01", "06:77:00:00:00:01", 1450, "10.0.1.7", "169.254.1.1"};

TEST_F(IpamTest, CNI_23_host_local_reserves_what_the_agent_is_asked_for_and_DEL_gives_it_back) {
    {
        OneAnswer agent({wire::Answer::ok, "", "", wired});
        const json::Value result = run("ADD", agent.socket_path(), host_local(), 0);
        EXPECT_EQ(agent.request().address, "10.0.1.7");
        EXPECT_EQ(json::find_string((*json::find_array(result, {"ips"}))[0], {"address"}), "10.0.1.7/32");
        EXPECT_TRUE(is_reserved("10.0.1.7"));
    }
    OneAnswer agent({wire::Answer::ok, "", "", {}});
    run("DEL", agent.socket_path(), host_local(), 0);
    EXPECT_EQ(agent.request().command, wire::Command::del);
    EXPECT_FALSE(is_reserved("10.0.1.7"));
}

TEST_F(IpamTest, CNI_23_when_the_agent_refuses_the_address_goes_back) {
    OneAnswer agent(wire::Reply::error(wire::Answer::address_exhausted, "taken"));
    EXPECT_EQ(json::find_int(run("ADD", agent.socket_path(), host_local(), 1), {"code"}), 111);
    EXPECT_EQ(agent.request().address, "10.0.1.7");
    EXPECT_FALSE(is_reserved("10.0.1.7"));
}

TEST_F(IpamTest, CNI_23_static_says_the_address_itself) {
    OneAnswer agent({wire::Answer::ok, "", "", wired});
    run("ADD", agent.socket_path(), R"({"type":"static","addresses":[{"address":"fd00::7/64"},{"address":"10.0.1.9/24"}]})", 0);
    EXPECT_EQ(agent.request().address, "10.0.1.9");
}

TEST_F(IpamTest, CNI_23_what_the_plugin_cannot_do_is_told_in_its_words) {
    const json::Value failed = run("ADD", "/nowhere/agent.sock", R"({"type":"host-local"})", 1);
    EXPECT_NE(json::find_string(failed, {"msg"}).find("host-local"), std::string_view::npos) << json::serialize(failed);
    EXPECT_EQ(json::find_int(run("ADD", "/nowhere/agent.sock", R"({"type":"no-such"})", 1), {"code"}), 2);
    EXPECT_EQ(json::find_int(run("ADD", "/nowhere/agent.sock", host_local(), 1, ""), {"code"}), 4);
    EXPECT_EQ(json::find_int(run("ADD", "/nowhere/agent.sock", host_local(), 1), {"code"}), 11);
    EXPECT_FALSE(is_reserved("10.0.1.7")) << "the agent was away";
}

}  // namespace
}  // namespace weft::cni
