// The worker process as the keeper starts it, inside its sandbox: no socket of its own making, no file system. The test
// plays the keeper, the API server and the backend; then the worker is killed and started again under a waiting client.
#include <poll.h>
#include <unistd.h>

#include "alb/main.h"
#include "worker/worker_process.h"

namespace weft::alb {
namespace {

using namespace std::chrono_literals;

constexpr Duration patience = 20s;

class ProcessTest : public testing::Test {
protected:
    void SetUp() override {
        const auto pid = uint32_t(::getpid());
        front_ = {net::Address::v4(127, uint8_t(1 + (pid >> 14) % 250), uint8_t(pid >> 7), uint8_t(1 + pid % 127)), 80};
        start_worker();  // before any thread: the child goes on from there
        backend_ = http::Server::create({.name = "backend"}, [](http::Request&, http::Exchange& exchange) {
            (void)exchange.respond(200, "text/plain", "from the backend");
        });
        serve();
    }

    void TearDown() override { backend_->stop(); }

    void start_worker() {
        worker_.start([](worker::Start start, const std::string& folder, std::stop_token stop) {
            return run(std::move(start), {.health_socket = folder + "/health.sock"}, stop);
        });
    }

    void serve() {
        backend_at_ = MUST(backend_->listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
        backend_->start();
        worker_.serve_api([this](std::string_view path) { return items_of(path); });
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

    Result<http::Response> ask(const http::Headers& headers = {{"Host", "any.test"}}) const {
        const auto stream = io::plain_stream(TRY(io::connect_tcp(front_, patience)));
        stream->set_timeouts(patience, patience);
        return http::round_trip(*stream, {.method = "GET", .target = "/", .headers = headers});
    }

    io::SocketAddress front_, backend_at_;
    std::unique_ptr<http::Server> backend_;
    test::WorkerProcess worker_{"alb"};
};

TEST_F(ProcessTest, ASandboxedWorkerServesAndANewOneTakesOverTheWaitingConnections) {
    worker_.play_keeper();
    ASSERT_TRUE(worker_.becomes_ready());
    EXPECT_EQ(MUST(ask()).body, "from the backend");
    const auto status = MUST(read_file("/proc/" + std::to_string(worker_.pid()) + "/status"));
    EXPECT_NE(status.find("CapEff:\t0000000000000000"), std::string::npos) << status;
    EXPECT_NE(status.find("Seccomp:\t2"), std::string::npos);
    const auto metrics = MUST(worker_.health("/metrics"));
    EXPECT_NE(metrics.body.find("weft_alb_requests_total{code=\"2xx\"} 1"), std::string::npos) << metrics.body;

    worker_.stop_keeper();
    worker_.end();
    // The keeper's sockets take the connection; nobody answers yet.
    const auto waiting = MUST(io::connect_tcp(front_, patience));
    backend_->stop();  // no threads of ours may run across the fork
    worker_.stop_api();
    start_worker();
    serve();
    worker_.play_keeper();
    const auto stream = io::plain_stream(MUST(waiting.duplicate()));
    stream->set_timeouts(patience, patience);
    const auto response =
        http::round_trip(*stream, {.method = "GET", .target = "/", .headers = {{"Host", "any.test"}}});
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, "from the backend");
}

// A test that aborts takes its worker with it: a leaked one would keep the test's output open and outlive SIGTERM.
TEST(WorkerProcessTest, TheWorkerEndsWithATestThatAborts) {
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe2(pipe.data(), 0), 0);  // both of the children hold its writing end
    const pid_t aborting = ::fork();
    if (aborting == 0) {
        ::close(pipe[0]);
        test::WorkerProcess worker("alb-abort");
        worker.start([](worker::Start start, const std::string& folder, std::stop_token stop) {
            return run(std::move(start), {.health_socket = folder + "/health.sock"}, stop);
        });
        worker.serve_api([](std::string_view) { return ""; });
        worker.play_keeper();
        if (!worker.becomes_ready()) ::_exit(1);  // from here on it would outlive its keeper
        std::abort();
    }
    ::close(pipe[1]);
    int status = 0;
    ASSERT_EQ(::waitpid(aborting, &status, 0), aborting);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    // The end is seen once the last holder is gone.
    const auto events = io::wait_for(pipe[0], POLLIN, patience);
    char byte = 0;
    EXPECT_TRUE(events && *events != 0 && ::read(pipe[0], &byte, 1) == 0) << "the worker lives on";
    ::close(pipe[0]);
    (void)remove_tree("/tmp/weft-alb-abort-test-" + std::to_string(aborting));
}

}  // namespace
}  // namespace weft::alb
