#include "agent/health_ports.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "io/socket.h"

#include <unistd.h>

namespace weft::agent {
namespace {

kube::ObjectPtr object(std::string_view yaml) {
    return std::make_shared<const kube::Object>(MUST(json::parse_yaml(yaml))[0]);
}

kube::ObjectPtr service(std::string_view policy = "Local", int port = 30200) {
    return object(fmt::format("metadata: {{name: web, namespace: default}}\n"
                              "spec: {{type: LoadBalancer, externalTrafficPolicy: {}, healthCheckNodePort: {}}}",
                              policy, port));
}

std::map<uint16_t, HealthPort> wanted(const kube::ObjectPtr& service, std::string_view endpoints) {
    const auto slice = object("endpoints: " + std::string(endpoints));
    return wanted_health_ports({service}, [&](const kube::ObjectKey&) { return std::vector{slice}; }, "n1");
}

// DP-30
TEST(HealthPorts, DP30_counts_the_ready_endpoints_of_this_node_only) {
    const auto at = [](std::string_view endpoints) { return wanted(service(), endpoints).at(30200).local_endpoints; };
    EXPECT_EQ(at("[]"), 0u);
    EXPECT_EQ(at("[{addresses: [10.0.1.1], nodeName: n1}, {addresses: [10.0.1.2], nodeName: n1}]"), 2u);
    EXPECT_EQ(at("[{addresses: [10.0.1.1], nodeName: n1}, {addresses: [10.0.1.1], nodeName: n1}]"), 1u);
    EXPECT_EQ(at("[{addresses: [10.0.1.1], nodeName: n2}]"), 0u);
    EXPECT_EQ(at("[{addresses: [10.0.1.1], nodeName: n1, conditions: {ready: false, serving: true, terminating: true}}]"), 0u)
        << "a node with only terminating ones is to be left alone";
    EXPECT_TRUE(wanted(service("Cluster"), "[]").empty());
    EXPECT_TRUE(wanted(service("Local", 0), "[]").empty());
}

std::string get(uint16_t port) {
    const Fd socket = MUST(io::connect_tcp({net::Address::v4(127, 0, 0, 1), port}, std::chrono::seconds(5)));
    const std::string_view request = "GET /anything HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    EXPECT_EQ(::write(socket.get(), request.data(), request.size()), ssize_t(request.size()));
    std::string text;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(socket.get(), buffer, sizeof buffer)) > 0;) text.append(buffer, size_t(n));
    return text;
}

// DP-30. Port 0 lets the kernel choose, so that two runs do not meet.
TEST(HealthPorts, DP30_answers_200_with_endpoints_503_without_and_says_how_many) {
    bool healthy = true;
    std::vector<std::string> complaints;
    HealthPorts ports(net::Address::v4(127, 0, 0, 1), [&] { return healthy; },
                      [&](const kube::ObjectKey& key, std::string_view) { complaints.push_back(key.text()); });
    const kube::ObjectKey web{"default", "web"};
    EXPECT_TRUE(ports.set({{0, {web, 2}}}));
    const uint16_t port = ports.listening_on(0);
    std::string reply = get(port);
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 200")) << reply;
    EXPECT_NE(reply.find("X-Load-Balancing-Endpoint-Weight: 2"), std::string::npos) << reply;
    EXPECT_NE(reply.find("X-Content-Type-Options: nosniff"), std::string::npos) << reply;
    EXPECT_NE(reply.find("Content-Type: application/json"), std::string::npos) << reply;
    EXPECT_TRUE(reply.ends_with(
        R"({"service":{"namespace":"default","name":"web"},"localEndpoints":2,"serviceProxyHealthy":true})"))
        << reply;
    EXPECT_TRUE(ports.set({{0, {web, 0}}}));
    EXPECT_EQ(ports.listening_on(0), port) << "a change of numbers moves nothing";
    EXPECT_TRUE(get(port).starts_with("HTTP/1.1 503"));
    EXPECT_TRUE(ports.set({{0, {web, 1}}}));
    healthy = false;
    EXPECT_TRUE(get(port).starts_with("HTTP/1.1 503"));
    EXPECT_TRUE(complaints.empty());

    HealthPorts others(net::Address::v4(127, 0, 0, 1), [] { return true; },
                       [&](const kube::ObjectKey& key, std::string_view) { complaints.push_back(key.text()); });
    EXPECT_FALSE(others.set({{port, {{"default", "other"}, 1}}, {0, {web, 1}}}));
    EXPECT_EQ(complaints, std::vector<std::string>{"default/other"});
    EXPECT_NE(others.listening_on(0), 0) << "the others are served";
    EXPECT_TRUE(ports.set({}));
    EXPECT_TRUE(others.set({{port, {{"default", "other"}, 1}}})) << "and it too once the port is free";
}

}  // namespace
}  // namespace weft::agent
