// log and exec through a real server on a unix socket to a runtime of the test's own (spec/kubernetes.md API-140..142).
#include "apiserver/api_fixture.h"
#include "apiserver/serve.h"
#include "http/client.h"
#include "http/websocket.h"
#include "io/socket.h"

namespace weft::apiserver {
namespace {

class ConnectTest : public ApiFixture {
protected:
    ConnectTest() {
        node_ = "n" + std::to_string(getpid());
        EXPECT_TRUE(make_directories(instance_.node_run_dir(node_), 0700));
        runtime_ = http::Server::create({.name = "runtime"}, [this](http::Request& request, http::Exchange& exchange) {
            seen_ = request.head.target;
            if (request.path == "/log/default/web/main") {
                http::ResponseHead head;
                head.headers.add("Content-Type", "text/plain");
                if (!exchange.start(head)) return;
                (void)exchange.write("one\n");
                (void)exchange.write("two\n");
                return;
            }
            if (!request.path.starts_with("/exec/"))
                return (void)exchange.respond(400, "application/json", R"({"reason":"Odd"})");
            auto stream = exchange.take_over(http::upgrade_response(request.head, "v5.channel.k8s.io"));
            if (!stream) return;
            http::WebSocket socket(**stream, http::Side::server);
            while (true) {
                auto message = socket.receive();
                if (!message || message->opcode == http::Opcode::close) return;
                if (!socket.send(http::Opcode::binary, "echo " + message->payload)) return;
            }
        });
        EXPECT_TRUE(runtime_->listen_unix(instance_.runtime_socket(node_)));
        runtime_->start();
        server_ = http::Server::create({.name = "api"}, [this](http::Request& request, http::Exchange& exchange) {
            serve(*api_, request, exchange);
        });
        EXPECT_TRUE(server_->listen_unix(dir_ + "/api.sock"));
        server_->start();
        EXPECT_EQ(post(pods, pod("web", node_)).status, 201);
        EXPECT_EQ(post(pods, pod("away", "nowhere")).status, 201);
    }

    ~ConnectTest() override {
        server_->stop();
        runtime_->stop();
        EXPECT_TRUE(remove_tree(instance_.run_dir()));
    }

    std::unique_ptr<io::Stream> dial() {
        auto stream = io::plain_stream(*io::connect_unix(dir_ + "/api.sock"));
        stream->set_timeouts(std::chrono::seconds(10), std::chrono::seconds(10));
        return stream;
    }

    http::Response ask(std::string_view method, std::string target, std::string_view body = {}) {
        http::RequestHead head;
        head.method = method;
        head.target = std::move(target);
        head.headers = {{"Host", "api"}, {"Authorization", "Bearer root-token"}};
        const auto stream = dial();
        auto response = http::round_trip(*stream, head, body);
        EXPECT_TRUE(response) << response.error().message;
        return response ? std::move(*response) : http::Response{};
    }

    std::string node_, seen_;
    std::unique_ptr<http::Server> runtime_, server_;
};

TEST_F(ConnectTest, a_log_comes_from_the_runtime_of_the_pods_node) {
    const auto log = ask("GET", path_of(pods, "web") + "/log?tailLines=5&container=main&follow=true");
    EXPECT_EQ(log.head.status, 200);
    EXPECT_EQ(log.head.headers.get("Content-Type"), "text/plain");
    EXPECT_EQ(log.body, "one\ntwo\n");
    EXPECT_EQ(seen_, "/log/default/web/main?tailLines=5&follow=true");
    const auto away = ask("GET", path_of(pods, "away") + "/log");
    EXPECT_EQ(away.head.status, 500);
    EXPECT_NE(away.body.find("error dialing backend"), std::string::npos) << away.body;
}

TEST_F(ConnectTest, exec_passes_a_websocket_both_ways) {
    auto upgrade =
        http::upgrade_request("api", path_of(pods, "web") + "/exec?command=sh&stdin=true", {"v5.channel.k8s.io"});
    upgrade.head.headers.add("Authorization", "Bearer root-token");
    const auto stream = dial();
    auto response = http::round_trip(*stream, upgrade.head);
    ASSERT_TRUE(response) << response.error().message;
    ASSERT_EQ(response->head.status, 101) << response->body;
    EXPECT_EQ(*http::check_upgrade_response(response->head, upgrade.key), "v5.channel.k8s.io");
    http::WebSocket socket(*stream, http::Side::client, response->early);
    for (const char* text : {"hello", "again"}) {
        ASSERT_TRUE(socket.send(http::Opcode::binary, text));
        EXPECT_EQ(socket.receive()->payload, std::string("echo ") + text);
    }
    EXPECT_EQ(seen_, "/exec/default/web/main?command=sh&stdin=true");
    socket.close(1000);
}

TEST_F(ConnectTest, exec_without_an_upgrade_is_refused_by_name) {
    const auto plain = ask("POST", path_of(pods, "web") + "/exec?command=sh");
    EXPECT_EQ(plain.head.status, 400);
    EXPECT_NE(plain.body.find("unable to upgrade: missing upgrade headers in request"), std::string::npos);
    // API-140: kubectl tries WebSocket first and shows what SPDY is told.
    const auto spdy = [&] {
        http::RequestHead head{.method = "POST", .target = path_of(pods, "web") + "/exec?command=sh"};
        head.headers = {{"Host", "api"}, {"Authorization", "Bearer root-token"}, {"Connection", "Upgrade"}, {"Upgrade", "SPDY/3.1"}};
        return MUST(http::round_trip(*dial(), head)).body;
    };
    EXPECT_NE(spdy().find("container \\\"main\\\" in pod \\\"web\\\" is not running: the pod is Pending"), std::string::npos) << spdy();
    ASSERT_EQ(send("PATCH " + path_of(pods, "web") + "/status",
                   {.body = R"({"status":{"containerStatuses":[{"name":"main","image":"i","imageID":"","ready":true,"restartCount":0,)"
                            R"("state":{"running":{}}}]}})",
                    .content_type = "application/merge-patch+json"})
                  .status,
              200);
    EXPECT_NE(spdy().find("only WebSocket is spoken here"), std::string::npos) << spdy();
}

TEST_F(ConnectTest, what_is_not_offered_says_what_to_do_instead_API_143_144) {
    for (const char* door : {"attach", "portforward", "proxy"}) {
        const auto refused = ask("POST", path_of(pods, "web") + "/" + door);
        EXPECT_EQ(refused.head.status, 404);
        EXPECT_NE(refused.body.find("is not offered here: use"), std::string::npos) << refused.body;
    }
}

TEST_F(ConnectTest, a_whole_request_over_the_wire_and_a_body_too_large_API_5) {
    EXPECT_EQ(ask("POST", std::string(maps), config_map("wire")).head.status, 201);
    EXPECT_EQ(ask("GET", path_of(maps, "wire")).head.status, 200);
    EXPECT_EQ(ask("POST", std::string(maps), std::string(json::json_bytes_max + 1, ' ')).head.status, 413);
}

}  // namespace
}  // namespace weft::apiserver
