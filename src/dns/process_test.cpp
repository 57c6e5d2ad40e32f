// The whole worker process: started as the keeper starts it, in its sandbox, with an API server it reaches only through
// sockets that it is given. The test plays keeper and API server (no watch events: what is listed is all there is).
#include <gtest/gtest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <thread>

#include "base/strings.h"
#include "dns/main.h"
#include "dns_wire/message.h"
#include "http/health.h"
#include "http/server.h"
#include "io/socket.h"
#include "protocol/keeper.h"
#include "worker/sockets.h"

namespace weft::dns {
namespace {

namespace wire = protocol::keeper;
using namespace std::chrono_literals;

net::Address server_address() {
    const auto pid = unsigned(getpid());
    return net::Address::v4(127, uint8_t(1 + (pid >> 7) % 250), uint8_t(pid & 0x7f), 10);
}

std::string items_of(std::string_view path) {
    if (path.ends_with("/vpcs")) {
        return R"({"metadata":{"name":"vpc-demo"},"spec":{"default":true,"vni":7,"serviceCIDR":")" +
               net::Prefix::of(server_address(), 24).text() + R"("}})";
    }
    if (path.ends_with("/namespaces")) return R"({"metadata":{"name":"default"}})";
    if (path.ends_with("/services")) {
        return R"({"metadata":{"name":"web","namespace":"default"},
                   "spec":{"clusterIP":"10.96.0.20","clusterIPs":["10.96.0.20"]}})";
    }
    return "";
}

// Lists as above; watches without events. Remembers the token it was shown.
class ApiServer {
public:
    explicit ApiServer(const std::string& path) {
        server_ = http::Server::create({.name = "test-api"}, [this](http::Request& request, http::Exchange& exchange) {
            if (request.headers().get("Authorization") == "Bearer secret") saw_token = true;
            if (request.query.find("watch=") == std::string_view::npos) {
                const std::string body =
                    R"({"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[)" +
                    items_of(request.path) + "]}";
                (void)exchange.respond(200, "application/json", body);
                return;
            }
            http::ResponseHead head;
            head.headers.add("Content-Type", "application/json");
            (void)exchange.start(head);
            while (!exchange.stop().stop_requested() && !exchange.client_gone()) std::this_thread::sleep_for(10ms);
        });
        EXPECT_TRUE(server_->listen_unix(path));
        server_->start();
    }

    std::atomic<bool> saw_token = false;

private:
    std::unique_ptr<http::Server> server_;
};

class ProcessTest : public testing::Test {
protected:
    ProcessTest() : folder_("/tmp/weft-dns-test-" + std::to_string(getpid())) {
        EXPECT_TRUE(make_directories(folder_, 0700));
    }

    ~ProcessTest() override {
        keeper_ = {};
        if (worker_ > 0) kill(worker_, SIGKILL), waitpid(worker_, nullptr, 0);
        api_.reset();
        EXPECT_TRUE(remove_tree(folder_));
    }

    // Before any thread: the child goes on from here.
    void start_worker() {
        int pair[2];
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        channel_ = Fd(pair[0]);
        const Fd theirs(pair[1]);
        const Fd token(memfd_create("token", MFD_CLOEXEC));
        ASSERT_EQ(write(token.get(), "secret\n", 7), 7);
        const Fd adopt(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        sockaddr abstract{AF_UNIX, {}};
        ASSERT_EQ(bind(adopt.get(), &abstract, sizeof(sa_family_t)), 0);  // a name of the kernel's choice
        ASSERT_EQ(listen(adopt.get(), 1), 0);
        worker_ = fork();
        if (worker_ != 0) return;
        const int high[] = {fcntl(theirs.get(), F_DUPFD, 20), fcntl(token.get(), F_DUPFD, 20),
                            fcntl(adopt.get(), F_DUPFD, 20)};
        for (int i = 0; i < 3; ++i) dup2(high[i], wire::channel_fd + i);
        Result<worker::Start> start = worker::start("dns");
        if (!start) _exit(10);
        std::stop_source never;
        const Status status =
            run(std::move(*start), {.health_socket = folder_ + "/health.sock", .hands = 2}, never.get_token());
        _exit(status ? 0 : 11);
    }

    void play_keeper() {
        api_ = std::make_unique<ApiServer>(folder_ + "/api.sock");
        keeper_ = std::jthread([this](const std::stop_token& stop) {
            wire::Message hello;
            hello.set_text("n1");
            (void)wire::send(channel_.get(), hello);
            while (!stop.stop_requested()) {
                if (auto request = wire::receive(channel_.get(), 20ms)) answer(request->message);
            }
        });
    }

    void answer(const wire::Message& request) {
        wire::Message reply;
        std::vector<Fd> sockets;
        if (request.kind == wire::Kind::hello) {
            reply.kind = wire::Kind::holding_end;
            (void)wire::send(channel_.get(), reply);
            return;
        }
        if (request.kind == wire::Kind::listen) {
            auto& kept = kept_[wire::key_of(request)];
            while (kept.size() < request.count) kept.push_back(*worker::make_listener(wire::key_of(request)));
            for (const Fd& socket : kept) sockets.push_back(*socket.duplicate());
        } else if (request.kind == wire::Kind::api) {
            auto connected = io::connect_unix(folder_ + "/api.sock");
            if (connected) sockets.push_back(std::move(*connected));
        }
        reply.kind = wire::Kind::reply;
        reply.sequence = request.sequence;
        (void)wire::send(channel_.get(), reply, sockets);
    }

    static std::string ask(Duration patience) {
        const Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        (void)io::start_connect(fd.get(), {server_address(), 53});
        dns_wire::Message query;
        query.questions = {
            {*dns_wire::Name::parse("web.default.svc.cluster.local."), dns_wire::Type::a, dns_wire::Class::in}};
        const std::vector<uint8_t> bytes = dns_wire::encode(query, 512);
        send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        const auto events = io::wait_for(fd.get(), POLLIN, patience);
        uint8_t reply[1024];
        const ssize_t got = events && *events != 0 ? recv(fd.get(), reply, sizeof reply, 0) : 0;
        if (got <= 0) return "";
        const auto message = dns_wire::decode_reply({reply, size_t(got)});
        return message && !message->answers.empty() ? message->answers.front().text() : "no answer";
    }

    std::string health(const std::string& path) const {
        const auto connection = io::connect_unix(folder_ + "/health.sock");
        if (!connection) return connection.error().message;
        const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        send(connection->get(), request.data(), request.size(), MSG_NOSIGNAL);
        std::string text;
        char buffer[4096];
        for (ssize_t n = 0; (n = recv(connection->get(), buffer, sizeof buffer, 0)) > 0;)
            text.append(buffer, size_t(n));
        return text;
    }

    const std::string folder_;
    pid_t worker_ = -1;
    Fd channel_;
    std::map<wire::ListenerKey, std::vector<Fd>> kept_;
    std::unique_ptr<ApiServer> api_;
    std::jthread keeper_;
};

TEST_F(ProcessTest, a_worker_in_its_sandbox_syncs_serves_and_outlives_its_keeper) {
    start_worker();
    play_keeper();
    const std::string wanted = "web.default.svc.cluster.local. 5 IN A 10.96.0.20";
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    std::string got;
    while (got != wanted && std::chrono::steady_clock::now() < deadline) got = ask(50ms);
    EXPECT_EQ(got, wanted);
    EXPECT_TRUE(api_->saw_token);
    EXPECT_TRUE(health("/readyz").starts_with("HTTP/1.1 200"));
    EXPECT_NE(
        health("/metrics").find("weft_dns_responses_total{rcode=\"NOERROR\",stage=\"cluster_zone\",transport=\"udp\"}"),
        std::string::npos);

    const auto status = read_file("/proc/" + std::to_string(worker_) + "/status");
    ASSERT_TRUE(status);
    for (const char* line :
         {"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"}) {
        EXPECT_NE(status->find(line), std::string::npos) << line;
    }

    keeper_ = {};
    channel_.reset();
    EXPECT_EQ(ask(2s), wanted);
    EXPECT_EQ(waitpid(worker_, nullptr, WNOHANG), 0);
}

}  // namespace
}  // namespace weft::dns
