#include "agent/node_health.h"

#include <gtest/gtest.h>

#include "io/socket.h"

#include <unistd.h>

namespace weft::agent {
namespace {

using std::chrono::seconds;

kube::ObjectPtr node(std::string_view more = "") {
    return std::make_shared<const kube::Object>(MUST(json::parse_yaml("metadata: {name: n1" + std::string(more)))[0]);
}

struct Beating {
    FakeClock clock;
    NodeHealth health{net::Address::v4(127, 0, 0, 1), 0, clock};

    int healthz() const { return health.answer("/healthz").status; }

    int livez() const { return health.answer("/livez").status; }
};

TEST(NodeHealth, DP31_is_200_while_the_data_plane_follows_and_503_once_it_is_stale) {
    Beating b;
    b.health.set_node(node("}"));
    b.health.beat(std::nullopt);
    EXPECT_EQ(b.healthz(), 200);
    EXPECT_EQ(b.livez(), 200);
    const MonotonicTime failing = b.clock.now();
    for (int i = 0; i < 60; ++i) {
        b.clock.advance(seconds(1));
        b.health.beat(failing);
    }
    EXPECT_EQ(b.healthz(), 200) << "it is being tried again";
    const std::string before = b.health.answer("/healthz").body;
    b.clock.advance(seconds(1));
    b.health.beat(failing);
    EXPECT_EQ(b.healthz(), 503);
    EXPECT_EQ(b.livez(), 503);
    const auto shown = MUST(json::parse(b.health.answer("/healthz").body));
    EXPECT_LT(json::find_string(shown, {"lastUpdated"}), json::find_string(shown, {"currentTime"}));
    b.health.beat(std::nullopt);
    EXPECT_EQ(b.healthz(), 200) << "made good";
    b.clock.advance(seconds(61));
    EXPECT_EQ(b.healthz(), 503) << "the brain does not come by any more";
}

TEST(NodeHealth, DP31_a_node_that_is_about_to_leave_gets_no_more_and_is_alive) {
    Beating b;
    b.health.beat(std::nullopt);
    for (const char* more : {", deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [a/b]}",
                             "}\nspec: {taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]}"}) {
        b.health.set_node(node(more));
        EXPECT_EQ(b.healthz(), 503) << more;
        EXPECT_EQ(b.livez(), 200) << more;
        EXPECT_NE(b.health.answer("/healthz").body.find(R"("nodeEligible":false)"), std::string::npos);
    }
    b.health.set_node(node("}\nspec: {taints: [{key: other, effect: NoSchedule}]}"));
    EXPECT_EQ(b.healthz(), 200);
    b.health.set_node(nullptr);
    EXPECT_EQ(b.healthz(), 503);
    EXPECT_EQ(b.health.answer("/other").status, 404);
}

TEST(NodeHealth, DP31_is_asked_over_http_on_the_nodes_address) {
    NodeHealth health(net::Address::v4(127, 0, 0, 1), 0);
    health.set_node(node("}"));
    EXPECT_EQ(health.listening_on(), 0);
    health.beat(std::nullopt);
    ASSERT_NE(health.listening_on(), 0);
    const Fd socket = MUST(io::connect_tcp({net::Address::v4(127, 0, 0, 1), health.listening_on()}, seconds(5)));
    const std::string_view request = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    ASSERT_EQ(::write(socket.get(), request.data(), request.size()), ssize_t(request.size()));
    std::string text;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(socket.get(), buffer, sizeof buffer)) > 0;) text.append(buffer, size_t(n));
    EXPECT_TRUE(text.starts_with("HTTP/1.1 200")) << text;
    EXPECT_NE(text.find("X-Content-Type-Options: nosniff"), std::string::npos) << text;
    EXPECT_NE(text.find("\"currentTime\""), std::string::npos) << text;
}

}  // namespace
}  // namespace weft::agent
