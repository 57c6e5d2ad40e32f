#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <map>

#include "cni/config.h"
#include "cni/environment.h"
#include "cni/main.h"
#include "cni/one_answer.h"
#include "cni/result.h"

namespace weft::cni {
namespace {

using Variables = std::map<std::string, std::string>;

Variables good_environment() {
    return {{"CNI_COMMAND", "ADD"},
            {"CNI_CONTAINERID", "abc123"},
            {"CNI_NETNS", "/proc/thread-self/ns/net"},
            {"CNI_IFNAME", "eth0"},
            {"CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=u1"}};
}

auto getter(const Variables& variables) {
    return [&variables](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? std::string() : found->second;
    };
}

json::Value run(const Variables& variables, std::string_view input, int expected_status) {
    std::string output;
    EXPECT_EQ(call(getter(variables), input, output), expected_status) << output;
    return output.empty() ? json::Value() : json::parse(output).value();
}

constexpr std::string_view config_v1 = R"({"cniVersion":"1.0.0","name":"weft","agentSocket":"/nowhere/agent.sock"})";

TEST(Cni, VERSION_works_without_stdin) {
    const json::Value answer = run({{"CNI_COMMAND", "VERSION"}}, "", 0);
    EXPECT_EQ(json::find_string(answer, {"cniVersion"}), "1.1.0");
    EXPECT_EQ(json::find_strings(answer, {"supportedVersions"}).size(), 5u);
}

TEST(Cni, all_missing_variables_are_named_in_one_message) {
    const json::Value answer = run({{"CNI_COMMAND", "ADD"}}, config_v1, 1);
    EXPECT_EQ(json::find_int(answer, {"code"}), 4);
    const std::string_view message = json::find_string(answer, {"msg"});
    for (const char* name : {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "K8S_POD_NAME"})
        EXPECT_NE(message.find(name), message.npos) << message;
    EXPECT_EQ(json::find_int(run({}, "", 1), {"code"}), 4);
    EXPECT_EQ(json::find_int(run({{"CNI_COMMAND", "FLY"}}, "", 1), {"code"}), 4);
}

TEST(Cni, bad_environment_values_are_code_4) {
    for (const auto& [name, value] : Variables{{"CNI_CONTAINERID", "-x"},
                                               {"CNI_CONTAINERID", "a/b"},
                                               {"CNI_IFNAME", "sixteen_letters_"},
                                               {"CNI_IFNAME", ".."},
                                               {"CNI_IFNAME", "a:b"},
                                               {"CNI_ARGS", "K8S_POD_NAME"},
                                               {"CNI_ARGS", "MAC=02:00:00:00:00:01;K8S_POD_NAME=a;K8S_POD_NAMESPACE=b"}}) {
        Variables variables = good_environment();
        variables[name] = value;
        EXPECT_EQ(json::find_int(run(variables, config_v1, 1), {"code"}), 4) << name << "=" << value;
    }
}

TEST(Cni, bad_configurations_get_the_codes_of_the_standard) {
    struct Case {
        const char* config;
        const char* command;
        int code;
        const char* word;
    };
    const Case cases[] = {
        {"", "ADD", 6, "JSON"},
        {"[]", "ADD", 6, "object"},
        {"{\"name\":\"x\"}", "ADD", 1, "incompatible"},
        {R"({"cniVersion":"0.2.0","name":"x"})", "ADD", 1, "incompatible"},
        {R"({"cniVersion":7,"name":"x"})", "ADD", 7, "cniVersion"},
        {R"({"cniVersion":"1.0.0"})", "ADD", 7, "name"},
        {R"({"cniVersion":"1.0.0","name":"a b"})", "ADD", 7, "name"},
        {R"({"cniVersion":"1.0.0","name":"x"})", "ADD", 7, "agentSocket"},
        {R"({"cniVersion":"1.0.0","name":"x","agentSocket":"run/a"})", "ADD", 7, "agentSocket"},
        {R"({"cniVersion":"1.0.0","name":"x","agentSocket":"/a","mtu":100})", "ADD", 7, "mtu"},
        {R"({"cniVersion":"1.0.0","name":"x","agentSocket":"/a","prevResult":{}})", "ADD", 7, "prevResult"},
        {R"({"cniVersion":"1.0.0","name":"x","agentSocket":"/a","ipam":{"type":"../sh"}})", "ADD", 7, "ipam"},
        {R"({"cniVersion":"1.0.0","name":"x","agentSocket":"/a","ipam":[]})", "DEL", 7, "ipam"},
        {R"({"cniVersion":"1.0.0","name":"x","agentSocket":"/a","runtimeConfig":{"portMappings":[{}]}})", "ADD", 7,
         "portMappings"},
        {R"({"cniVersion":"0.3.1","name":"x","agentSocket":"/a","prevResult":{}})", "CHECK", 1, "CHECK"},
        {R"({"cniVersion":"1.0.0","name":"x","agentSocket":"/a"})", "CHECK", 7, "prevResult"},
        {R"({"cniVersion":"1.0.0","name":"x","agentSocket":"/a"})", "STATUS", 1, "does not allow STATUS"},  // CNI-7
        {R"({"cniVersion":"1.0.0","name":"x","agentSocket":"/a","cni.dev/valid-attachments":[]})", "GC", 1,
         "does not allow GC"},
        {R"({"cniVersion":"1.1.0","name":"x","agentSocket":"/a"})", "GC", 7, "valid-attachments"},  // CNI-44
        {R"({"cniVersion":"1.1.0","name":"x","agentSocket":"/a","cni.dev/valid-attachments":{}})", "GC", 7, "list"},
        {R"({"cniVersion":"1.1.0","name":"x","agentSocket":"/a","cni.dev/valid-attachments":[{"ifname":"e"}]})", "GC",
         7, "containerID"},
        {R"({"cniVersion":"1.0.0","name":"x","agentSocket":"/a","prevResult":7})", "CHECK", 7, "prevResult"},
    };
    for (const Case& c : cases) {
        Variables variables = good_environment();
        variables["CNI_COMMAND"] = c.command;
        const json::Value answer = run(variables, c.config, 1);
        EXPECT_EQ(json::find_int(answer, {"code"}), c.code) << c.config;
        EXPECT_NE(json::find_string(answer, {"msg"}).find(c.word), std::string_view::npos) << json::serialize(answer);
        EXPECT_FALSE(json::find_string(answer, {"cniVersion"}).empty());
    }
}

TEST(Cni, a_missing_netns_is_code_3_and_the_plugins_own_is_code_8) {
    Variables variables = good_environment();
    variables["CNI_NETNS"] = "/run/netns/weft-no-such-namespace";
    EXPECT_EQ(json::find_int(run(variables, config_v1, 1), {"code"}), 3);
    variables["CNI_NETNS"] = "/proc/thread-self/ns/net";
    EXPECT_EQ(json::find_int(run(variables, config_v1, 1), {"code"}), 8);
}

TEST(Cni, an_agent_that_is_away_means_try_again) {
    Variables variables = good_environment();
    variables["CNI_NETNS_OVERRIDE"] = "1";
    EXPECT_EQ(json::find_int(run(variables, config_v1, 1), {"code"}), 11);
}

TEST(Cni, DEL_without_an_agent_succeeds_and_leaves_word) {
    const std::string folder = "/tmp/weft-cni-test-" + std::to_string(getpid());
    Variables variables = good_environment();
    variables["CNI_COMMAND"] = "DEL";
    variables["CNI_NETNS"] = "";
    const std::string config = R"({"cniVersion":"1.0.0","name":"weft","agentSocket":")" + folder + R"(/agent.sock"})";
    EXPECT_TRUE(run(variables, config, 0).is_null());
    EXPECT_TRUE(run(variables, config, 0).is_null()) << "as often as the runtime likes";
    const auto word = read_file(protocol::cni::tombstone_folder(folder + "/agent.sock") + "/abc123@eth0");
    ASSERT_TRUE(word.has_value());
    EXPECT_EQ(protocol::cni::decode_request(*word)->command, protocol::cni::Command::del);
    EXPECT_TRUE(remove_tree(folder).has_value());
}

const protocol::cni::Wired wired{"wpod1", "02:00:00:00:00:01", "06:77:00:00:00:01", 1450, "10.0.1.4", "169.254.1.1"};

std::string config_v11(const std::string& socket, std::string_view more = "") {
    return R"({"cniVersion":"1.1.0","name":"weft","agentSocket":")" + socket + "\"" + std::string(more) + "}";
}

TEST(Cni, ADD_asks_the_agent_and_prints_its_result) {
    OneAnswer agent({protocol::cni::Answer::ok, "", "", wired});
    Variables variables = good_environment();
    variables["CNI_NETNS_OVERRIDE"] = "1";
    const std::string config = R"({"cniVersion":"1.1.0","name":"weft","agentSocket":")" + agent.socket_path() + R"("})";
    const json::Value result = run(variables, config, 0);
    EXPECT_EQ(json::find_string(result, {"cniVersion"}), "1.1.0");
    const json::Array& ips = *json::find_array(result, {"ips"});
    EXPECT_EQ(json::find_string(ips[0], {"address"}), "10.0.1.4/32");
    EXPECT_FALSE(json::has(ips[0], {"version"}));
    const json::Array& interfaces = *json::find_array(result, {"interfaces"});
    EXPECT_FALSE(json::has(interfaces[0], {"sandbox"}));
    EXPECT_EQ(json::find_int(interfaces[1], {"mtu"}), 1450);
    const auto request = agent.request();
    EXPECT_EQ(request.pod_name, "web-0");
    EXPECT_EQ(request.pod_uid, "u1");
    EXPECT_TRUE(request.host_ports.empty());
}

// CNI-24
TEST(Cni, CNI_24_what_the_runtime_asks_for_goes_to_the_agent_and_unknown_fields_do_not_disturb) {
    OneAnswer agent({protocol::cni::Answer::ok, "", "", wired});
    Variables variables = good_environment();
    variables["CNI_NETNS_OVERRIDE"] = "1";
    variables["CNI_ARGS"] += ";IP=10.0.1.4";
    const std::string more = R"(,"capabilities":{"portMappings":true},"x-vendor":{"a":[1,2]},"args":{"cni":{}},)"
                             R"("runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80}],"x":1})";
    run(variables, config_v11(agent.socket_path(), more), 0);
    const auto request = agent.request();
    EXPECT_EQ(request.address, "10.0.1.4");
    EXPECT_EQ(request.host_ports, (std::vector<protocol::cni::HostPort>{{8080, 80, net::Protocol::tcp, ""}}));
}

// CNI-43
TEST(Cni, CNI_43_STATUS_is_silent_when_all_is_well_and_50_or_51_when_not) {
    {
        OneAnswer agent({protocol::cni::Answer::ok, "", "", {}});
        EXPECT_TRUE(run({{"CNI_COMMAND", "STATUS"}}, config_v11(agent.socket_path()), 0).is_null());
        EXPECT_EQ(agent.request().command, protocol::cni::Command::status);
    }
    OneAnswer agent(protocol::cni::Reply::error(protocol::cni::Answer::limited_connectivity, "2 pods are cut off"));
    const json::Value answer = run({{"CNI_COMMAND", "STATUS"}}, config_v11(agent.socket_path()), 1);
    EXPECT_EQ(json::find_int(answer, {"code"}), 51);
    (void)agent.request();
    EXPECT_EQ(json::find_int(run({{"CNI_COMMAND", "STATUS"}}, config_v11("/nowhere/agent.sock"), 1), {"code"}), 50)
        << "no agent: no ADD can work";
}

// CNI-44
TEST(Cni, CNI_44_GC_hands_on_the_list_and_when_it_began) {
    for (const char* key : {"cni.dev/valid-attachments", "cni.dev/attachments"}) {
        OneAnswer agent({protocol::cni::Answer::ok, "", "", {}});
        const std::string list = std::string(",\"") + key + R"(":[{"containerID":"a","ifname":"eth0"}])";
        EXPECT_TRUE(run({{"CNI_COMMAND", "GC"}}, config_v11(agent.socket_path(), list), 0).is_null());
        const auto request = agent.request();
        EXPECT_EQ(request.command, protocol::cni::Command::gc);
        EXPECT_EQ(request.network, "weft");
        EXPECT_EQ(request.valid, (std::vector<protocol::cni::Attachment>{{"a", "eth0"}}));
        EXPECT_GT(request.started_ms, 0u);
    }
    EXPECT_EQ(json::find_int(run({{"CNI_COMMAND", "GC"}},
                                 config_v11("/nowhere/agent.sock", R"(,"cni.dev/valid-attachments":[])"), 1),
                             {"code"}),
              11);
}

TEST(Cni, the_agents_refusal_is_printed_as_it_is) {
    OneAnswer agent(protocol::cni::Reply::error(protocol::cni::Answer::address_exhausted, "no address", "vsw-a"));
    Variables variables = good_environment();
    variables["CNI_NETNS_OVERRIDE"] = "1";
    const std::string config = R"({"cniVersion":"1.0.0","name":"weft","agentSocket":")" + agent.socket_path() + R"("})";
    const json::Value answer = run(variables, config, 1);
    EXPECT_EQ(json::find_int(answer, {"code"}), 111);
    EXPECT_EQ(json::find_string(answer, {"details"}), "vsw-a");
    (void)agent.request();
}

TEST(CniResult, older_versions_leave_out_what_they_do_not_know) {
    Config config;
    for (const std::string_view version : {"0.3.0", "0.3.1", "0.4.0"}) {
        config.version = version;
        const json::Value result = json::parse(result_json(config, wired, "eth0", "/ns")).value();
        EXPECT_EQ(json::find_string((*json::find_array(result, {"ips"}))[0], {"version"}), "4");
        EXPECT_FALSE(json::has((*json::find_array(result, {"interfaces"}))[0], {"mtu"}));
        EXPECT_FALSE(json::has((*json::find_array(result, {"routes"}))[0], {"mtu"}));
    }
}

// CNI-21
TEST(CniResult, both_families_stand_in_every_version) {
    protocol::cni::Wired both = wired;
    both.ipv6 = "fd00:10::104";
    both.ipv6_gateway = "fe80::1";
    Config config;
    for (const std::string_view version : {"0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
        config.version = version;
        const json::Value result = json::parse(result_json(config, both, "eth0", "/ns")).value();
        const json::Array& ips = *json::find_array(result, {"ips"});
        ASSERT_EQ(ips.size(), 2u);
        EXPECT_EQ(json::find_string(ips[1], {"address"}), "fd00:10::104/128");
        EXPECT_EQ(json::find_string(ips[1], {"gateway"}), "fe80::1");
        EXPECT_EQ(json::find_string(ips[1], {"version"}), version < "1.0.0" ? "6" : "");
        const json::Array& routes = *json::find_array(result, {"routes"});
        ASSERT_EQ(routes.size(), 2u);
        EXPECT_EQ(json::find_string(routes[1], {"dst"}), "::/0");
        EXPECT_EQ(json::find_string(routes[1], {"gw"}), "fe80::1");
    }
    EXPECT_TRUE(compare({{"10.0.1.4", "fd00:10::104"}, "", ""}, both).has_value());
    EXPECT_EQ(compare({{"10.0.1.4"}, "", ""}, both).error().code, Answer::check_difference);
}

TEST(CniResult, CHECK_names_the_difference) {
    EXPECT_TRUE(compare({{"10.0.1.4"}, wired.mac, wired.host_link}, wired).has_value());
    EXPECT_TRUE(compare({{"10.9.9.9", "10.0.1.4"}, "", ""}, wired).has_value()) << "other plugins may add to it";
    EXPECT_EQ(compare({{"10.0.1.5"}, wired.mac, ""}, wired).error().code, Answer::check_difference);
    EXPECT_NE(compare({{"10.0.1.4"}, "06:00:00:00:00:00", ""}, wired).error().message.find("MAC"), std::string::npos);
    EXPECT_NE(compare({{"10.0.1.4"}, "", "veth9"}, wired).error().message.find("veth9"), std::string::npos);
}

}  // namespace
}  // namespace weft::cni
