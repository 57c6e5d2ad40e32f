// The worker process as the keeper starts it, inside its sandbox: no socket of its own making, no file system. The test
// plays the keeper, the API server and the backend; then the worker is killed and started again under a waiting client.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <map>
#include <thread>

#include "alb/main.h"
#include "base/log.h"
#include "http/client.h"
#include "http/server.h"
#include "io/socket.h"
#include "protocol/keeper.h"
#include "worker/sockets.h"

namespace weft::alb {
namespace {

namespace wire = protocol::keeper;
using namespace std::chrono_literals;

constexpr Duration patience = 20s;

class ProcessTest : public testing::Test {
protected:
    void SetUp() override {
        const auto pid = uint32_t(::getpid());
        folder_ = "/tmp/weft-alb-test-" + std::to_string(pid);
        ASSERT_TRUE(make_directories(folder_, 0700));
        front_ = {net::Address::v4(127, uint8_t(1 + (pid >> 14) % 250), uint8_t(pid >> 7), uint8_t(1 + pid % 127)), 80};
        start_worker();  // before any thread: the child goes on from there
        backend_ = http::Server::create({.name = "backend"}, [](http::Request&, http::Exchange& exchange) {
            (void)exchange.respond(200, "text/plain", "from the backend");
        });
        backend_at_ = MUST(backend_->listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
        backend_->start();
        api_ = http::Server::create({.name = "api", .stop_grace = 1s},
                                    [this](auto& request, auto& exchange) { serve_api(request, exchange); });
        ASSERT_TRUE(api_->listen_unix(folder_ + "/api.sock"));
        api_->start();
    }

    void TearDown() override {
        keeper_ = {};
        end_worker();
        api_->stop();
        backend_->stop();
        EXPECT_TRUE(remove_tree(folder_));
    }

    void end_worker() {
        if (worker_ <= 0) return;
        ::kill(worker_, SIGKILL);
        ::waitpid(worker_, nullptr, 0);
        worker_ = -1;
    }

    void start_worker() {
        std::array<int, 2> pair{};
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
        channel_ = Fd(pair[0]);
        const Fd theirs(pair[1]);
        const Fd token(::memfd_create("token", MFD_CLOEXEC));
        ASSERT_EQ(::write(token.get(), "secret", 6), 6);
        const Fd adopt(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        const sockaddr unnamed{AF_UNIX, {}};
        ASSERT_EQ(::bind(adopt.get(), &unnamed, sizeof(sa_family_t)), 0);
        ASSERT_EQ(::listen(adopt.get(), 1), 0);
        worker_ = ::fork();
        if (worker_ != 0) return;
        std::array<int, 3> high{};
        size_t i = 0;
        for (const Fd* fd : {&theirs, &token, &adopt}) high[i++] = ::fcntl(fd->get(), F_DUPFD, 20);
        for (i = 0; i < high.size(); ++i) ::dup2(high[i], wire::channel_fd + int(i));
        log::set_level(log::Level::error);
        auto start = worker::start("alb");
        if (!start) ::_exit(10);
        const std::stop_source never;
        const Status status = run(std::move(*start), {.health_socket = folder_ + "/health.sock"}, never.get_token());
        ::_exit(status ? 0 : 11);
    }

    void play_keeper() {
        keeper_ = std::jthread([this](const std::stop_token& stop) {
            wire::Message hello;
            hello.set_text("n1");
            (void)wire::send(channel_.get(), hello);
            while (!stop.stop_requested()) {
                const auto request = wire::receive(channel_.get(), 20ms);
                if (request) answer(request->message);
            }
        });
    }

    void answer(const wire::Message& request) {
        wire::Message reply;
        reply.kind = wire::Kind::reply;
        reply.sequence = request.sequence;
        std::vector<Fd> sockets;
        switch (request.kind) {
            case wire::Kind::hello: reply.kind = wire::Kind::holding_end; break;
            case wire::Kind::listen: {
                auto& kept = kept_[wire::key_of(request)];
                while (kept.size() < request.count) kept.push_back(MUST(worker::make_listener(wire::key_of(request))));
                for (const Fd& fd : kept) sockets.push_back(MUST(fd.duplicate()));
                break;
            }
            case wire::Kind::upstream:
                for (unsigned i = 0; i < request.count; ++i)
                    sockets.push_back(MUST(worker::make_upstream(net::Protocol::tcp)));
                break;
            case wire::Kind::api:
                if (auto connected = io::connect_unix(folder_ + "/api.sock")) sockets.push_back(std::move(*connected));
                break;
            default: break;
        }
        (void)wire::send(channel_.get(), reply, sockets);
    }

    std::string items_of(std::string_view path) const {
        if (path.ends_with("/ingressclasses"))
            return R"({"metadata":{"name":"weft"},"spec":{"controller":"weft.dev/ingress"}})";
        if (path.ends_with("/namespaces")) return R"({"metadata":{"name":"default"}})";
        if (path.ends_with("/vpcs")) {
            return R"({"metadata":{"name":"vpc-demo"},"spec":{"default":true},"status":{"vni":7,"ingressAddresses":{"weft.dev/ingress":")" +
                   front_.address.text() + R"("}}})";
        }
        if (path.ends_with("/services")) {
            return R"({"metadata":{"name":"web","namespace":"default"},"spec":{"ports":[{"port":80}]}})";
        }
        if (path.ends_with("/endpointslices")) {
            return R"({"metadata":{"name":"web-1","namespace":"default","labels":{"kubernetes.io/service-name":"web"}},"ports":[{"port":)" +
                   std::to_string(backend_at_.port) + R"(}],"endpoints":[{"addresses":["127.0.0.1"]}]})";
        }
        if (path.ends_with("/ingresses")) {
            return R"({"metadata":{"name":"shop","namespace":"default"},"spec":{"ingressClassName":"weft","defaultBackend":)"
                   R"({"service":{"name":"web","port":{"number":80}}}}})";
        }
        return "";
    }

    void serve_api(http::Request& request, http::Exchange& exchange) const {
        if (request.query.find("watch=") == std::string_view::npos) {
            (void)exchange.respond(200, "application/json",
                                   R"({"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[)" +
                                       items_of(request.path) + "]}");
            return;
        }
        (void)exchange.start({.status = 200, .headers = {{"Content-Type", "application/json"}}});
        while (!exchange.stop().stop_requested() && !exchange.client_gone()) std::this_thread::sleep_for(10ms);
    }

    Result<http::Response> ask(const http::Headers& headers = {{"Host", "any.test"}}) const {
        const auto stream = io::plain_stream(TRY(io::connect_tcp(front_, patience)));
        stream->set_timeouts(patience, patience);
        return http::round_trip(*stream, {.method = "GET", .target = "/", .headers = headers});
    }

    Result<http::Response> health(std::string target) const {
        const auto stream = io::plain_stream(TRY(io::connect_unix(folder_ + "/health.sock")));
        stream->set_timeouts(patience, patience);
        return http::round_trip(*stream,
                                {.method = "GET", .target = std::move(target), .headers = {{"Host", "health"}}});
    }

    // Until the worker says that it is ready; false when it does not in time.
    bool becomes_ready() const {
        for (const MonotonicTime end = system_clock().now() + patience; system_clock().now() < end;) {
            const auto said = health("/readyz");
            if (said && said->head.status == 200) return true;
            std::this_thread::sleep_for(10ms);
        }
        return false;
    }

    std::string folder_;
    io::SocketAddress front_, backend_at_;
    Fd channel_;
    pid_t worker_ = -1;
    std::map<wire::ListenerKey, std::vector<Fd>> kept_;
    std::unique_ptr<http::Server> backend_, api_;
    std::jthread keeper_;
};

TEST_F(ProcessTest, ASandboxedWorkerServesAndANewOneTakesOverTheWaitingConnections) {
    play_keeper();
    ASSERT_TRUE(becomes_ready());
    EXPECT_EQ(MUST(ask()).body, "from the backend");
    const auto status = MUST(read_file("/proc/" + std::to_string(worker_) + "/status"));
    EXPECT_NE(status.find("CapEff:\t0000000000000000"), std::string::npos) << status;
    EXPECT_NE(status.find("Seccomp:\t2"), std::string::npos);
    const auto metrics = MUST(health("/metrics"));
    EXPECT_NE(metrics.body.find("weft_alb_requests_total{code=\"2xx\"} 1"), std::string::npos) << metrics.body;

    keeper_ = {};
    end_worker();
    // The keeper's sockets take the connection; nobody answers yet.
    const auto waiting = MUST(io::connect_tcp(front_, patience));
    backend_->stop();  // no threads of ours may run across the fork
    api_->stop();
    start_worker();
    backend_->start();
    ASSERT_TRUE(api_->listen_unix(folder_ + "/api.sock"));
    api_->start();
    backend_at_ = MUST(backend_->listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
    play_keeper();
    const auto stream = io::plain_stream(MUST(waiting.duplicate()));
    stream->set_timeouts(patience, patience);
    const auto response =
        http::round_trip(*stream, {.method = "GET", .target = "/", .headers = {{"Host", "any.test"}}});
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, "from the backend");
}

}  // namespace
}  // namespace weft::alb
