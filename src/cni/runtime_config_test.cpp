#include "cni/runtime_config.h"

namespace weft::cni {
namespace {

// "ok", or the code and a part of the message.
struct Case {
    const char* runtime_config;
    int code;
    const char* word;
};

Outcome<RuntimeConfig> parsed(const std::string& text, std::string_view wished = "") {
    return parse_runtime_config(json::parse("{\"runtimeConfig\":" + text + "}").value(), wished);
}

TEST(RuntimeConfig, CNI_34_what_cannot_be_meant_is_code_7_and_names_the_field) {
    for (const auto& [text, code, word] : {
             Case{R"([])", 7, "runtimeConfig"},
             Case{R"({"portMappings":{"hostPort":1}})", 7, "portMappings: must be a list"},
             Case{R"({"portMappings":[7]})", 7, "portMappings"},
             Case{R"({"portMappings":[{"hostPort":65536,"containerPort":80}]})", 7, "hostPort"},
             Case{R"({"portMappings":[{"hostPort":-1,"containerPort":80}]})", 7, "hostPort"},
             Case{R"({"portMappings":[{"hostPort":"80","containerPort":80}]})", 7, "hostPort"},
             Case{R"({"portMappings":[{"hostPort":80,"containerPort":0}]})", 7, "containerPort"},
             Case{R"({"portMappings":[{"hostPort":80}]})", 7, "containerPort"},
             Case{R"({"portMappings":[{"hostPort":80,"containerPort":80,"protocol":"sctp"}]})", 7, "protocol"},
             Case{R"({"portMappings":[{"hostPort":80,"containerPort":80,"hostIP":"here"}]})", 7, "hostIP"},
             Case{R"({"portMappings":[{"hostPort":80,"containerPort":80},{"hostPort":80,"containerPort":81}]})", 7,
                  "hostPort 80 is there twice"},
             Case{R"({"portMappings":[{"hostPort":80,"containerPort":80,"hostIP":"192.0.2.1"},
                                      {"hostPort":80,"containerPort":81,"hostIP":"0.0.0.0"}]})", 7, "twice"},
             Case{R"({"mac":"02:00:00:00:00"})", 7, "mac"},
             Case{R"({"mac":"02:00:00:00:00:0g"})", 7, "mac"},
             Case{R"({"mac":7})", 7, "mac"},
             Case{R"({"bandwidth":7})", 7, "bandwidth"},
             Case{R"({"bandwidth":{"ingressRate":-1}})", 7, "ingressRate"},
             Case{R"({"ips":"10.0.0.1"})", 7, "ips"},
             Case{R"({"ips":["10.0.0.300/24"]})", 7, "ips"},
             Case{R"({"ips":[7]})", 7, "ips"},
         }) {
        const auto runtime = parsed(text);
        ASSERT_FALSE(runtime) << text;
        EXPECT_EQ(int(runtime.error().code), code) << text;
        EXPECT_NE(runtime.error().message.find(word), std::string::npos) << runtime.error().message;
    }
    EXPECT_EQ(int(parsed("{}", "10.0.0").error().code), 7);
    EXPECT_EQ(int(parsed(R"({"ips":["10.0.0.7/24"]})", "10.0.0.8").error().code), 7);
}

TEST(RuntimeConfig, CNI_24_what_is_not_done_here_is_code_2_and_nothing_is_asked_by_empty_values) {
    for (const char* text : {R"({"mac":"02:00:00:00:00:01"})", R"({"bandwidth":{"egressRate":1000}})",
                             R"({"ipRanges":[[{"subnet":"10.0.0.0/24"}]]})", R"({"ips":["10.0.0.1/24","10.0.0.2/24"]})",
                             R"({"ips":["fd00::1/64"]})"}) {
        const auto runtime = parsed(text);
        ASSERT_FALSE(runtime) << text;
        EXPECT_EQ(int(runtime.error().code), 2) << text;
    }
    for (const char* text :
         {"null", "{}", R"({"portMappings":[],"bandwidth":{},"ips":[],"mac":"","ipRanges":[]})",
          R"({"bandwidth":{"ingressRate":0}})", R"({"dns":{"servers":["10.0.0.1"]}})",
          R"({"cgroupPath":"/x","io.kubernetes.cri.pod-annotations":{"a":"b"}})"})
        EXPECT_TRUE(parsed(text)) << text;
}

TEST(RuntimeConfig, CNI_24_port_mappings_and_a_wished_address_are_handed_on) {
    const auto runtime = parsed(R"({"ips":["10.0.0.7/24"],"portMappings":[
        {"hostPort":8080,"containerPort":80},
        {"hostPort":0,"containerPort":81},
        {"hostPort":8080,"containerPort":80,"protocol":"UDP","hostIP":"198.18.1.1"}]})");
    ASSERT_TRUE(runtime) << runtime.error().message;
    EXPECT_EQ(runtime->address, "10.0.0.7");
    EXPECT_EQ(runtime->host_ports, (std::vector<protocol::cni::HostPort>{
                                       {8080, 80, net::Protocol::tcp, ""}, {8080, 80, net::Protocol::udp, "198.18.1.1"}}));
    EXPECT_EQ(parsed("{}", "10.0.0.9")->address, "10.0.0.9");
}

}  // namespace
}  // namespace weft::cni
