// WorkerProcess: a worker (`weft alb`, `weft dns`) as the keeper starts it, for tests: a child in its own sandbox that talks
// to a keeper and an API server which the test plays. The child dies with the test, however that ends: it goes with the
// thread that started it, and with this object.
//
//   worker.start([](worker::Start start, const std::string& folder) { return run(std::move(start), {...}); });
//   worker.play_keeper(upstreams);    worker.serve_api(items_of);    worker.health("/readyz");
//
// start() forks: call it before any thread of the test lives. Threads: the keeper's and the API server's own.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <functional>
#include <map>
#include <thread>

#include "base/log.h"
#include "http/client.h"
#include "http/server.h"
#include "io/socket.h"
#include "protocol/keeper.h"
#include "worker/sockets.h"

namespace weft::test {

class WorkerProcess {
public:
    using Run = std::function<Status(worker::Start start, const std::string& folder, std::stop_token stop)>;
    using ItemsOf = std::function<std::string(std::string_view path)>;  // JSON objects of a list, "" = none

    explicit WorkerProcess(std::string name)
        : name_(std::move(name)), folder_("/tmp/weft-" + name_ + "-test-" + std::to_string(::getpid())) {
        EXPECT_TRUE(make_directories(folder_, 0700));
    }

    ~WorkerProcess() {
        stop_keeper();
        end();
        stop_api();
        EXPECT_TRUE(remove_tree(folder_));
    }

    WorkerProcess(const WorkerProcess&) = delete;

    void start(const Run& run) {
        std::array<int, 2> pair{};
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
        channel_ = Fd(pair[0]);
        const Fd theirs(pair[1]);
        const Fd token(::memfd_create("token", MFD_CLOEXEC));
        ASSERT_EQ(::write(token.get(), "secret\n", 7), 7);
        const Fd adopt(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        const sockaddr unnamed{AF_UNIX, {}};
        ASSERT_EQ(::bind(adopt.get(), &unnamed, sizeof(sa_family_t)), 0);  // a name of the kernel's choice
        ASSERT_EQ(::listen(adopt.get(), 1), 0);
        const pid_t test = ::getpid();
        pid_ = ::fork();
        ASSERT_GE(pid_, 0);
        if (pid_ != 0) return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != test) ::_exit(12);  // it ended before we asked
        namespace wire = protocol::keeper;
        std::array<int, 3> high{};
        size_t i = 0;
        for (const Fd* fd : {&theirs, &token, &adopt}) high[i++] = ::fcntl(fd->get(), F_DUPFD, 20);
        for (i = 0; i < high.size(); ++i) ::dup2(high[i], wire::channel_fd + int(i));
        log::set_level(log::Level::error);
        auto begun = worker::start(name_);
        if (!begun) ::_exit(10);
        const std::stop_source never;
        const Status status = run(std::move(*begun), folder_, never.get_token());
        ::_exit(status ? 0 : 11);
    }

    void end() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

    pid_t pid() const { return pid_; }
    bool lives() const { return ::waitpid(pid_, nullptr, WNOHANG) == 0; }

    // Sockets for listeners and the API; of `upstreams` sockets to backends too.
    void play_keeper() {
        keeper_ = std::jthread([this](const std::stop_token& stop) {
            protocol::keeper::Message hello;
            hello.set_text("n1");
            (void)protocol::keeper::send(channel_.get(), hello);
            while (!stop.stop_requested())
                if (const auto request = protocol::keeper::receive(channel_.get(), std::chrono::milliseconds(20)))
                    answer(request->message);
        });
    }

    void stop_keeper() { keeper_ = {}; }
    void cut_channel() { channel_.reset(); }

    // Lists of what `items_of` gives; watches without events.
    void serve_api(ItemsOf items_of) {
        items_of_ = std::move(items_of);
        if (!api_)
            api_ = http::Server::create({.name = "api", .stop_grace = std::chrono::seconds(1)},
                                        [this](http::Request& request, http::Exchange& exchange) { list(request, exchange); });
        ASSERT_TRUE(api_->listen_unix(folder_ + "/api.sock"));
        api_->start();
    }

    void stop_api() {
        if (api_) api_->stop();
    }

    bool saw_token() const { return saw_token_; }

    Result<http::Response> health(std::string target) const {
        const auto stream = io::plain_stream(TRY(io::connect_unix(folder_ + "/health.sock")));
        stream->set_timeouts(std::chrono::seconds(20), std::chrono::seconds(20));
        return http::round_trip(*stream,
                                {.method = "GET", .target = std::move(target), .headers = {{"Host", "health"}}});
    }

    // Until the worker says that it is ready; false when it does not in time.
    bool becomes_ready() const {
        for (const MonotonicTime end = system_clock().now() + std::chrono::seconds(20); system_clock().now() < end;) {
            const auto said = health("/readyz");
            if (said && said->head.status == 200) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }

private:
    void answer(const protocol::keeper::Message& request) {
        namespace wire = protocol::keeper;
        wire::Message reply;
        reply.kind = wire::Kind::reply;
        reply.sequence = request.sequence;
        std::vector<Fd> sockets;
        if (request.kind == wire::Kind::hello) reply.kind = wire::Kind::holding_end;
        if (request.kind == wire::Kind::listen) {
            auto& kept = kept_[wire::key_of(request)];
            while (kept.size() < request.count) kept.push_back(MUST(worker::make_listener(wire::key_of(request))));
            for (const Fd& fd : kept) sockets.push_back(MUST(fd.duplicate()));
        }
        if (request.kind == wire::Kind::upstream)
            for (unsigned i = 0; i < request.count; ++i)
                sockets.push_back(MUST(worker::make_upstream(net::Protocol(request.protocol))));
        if (request.kind == wire::Kind::api)
            if (auto connected = io::connect_unix(folder_ + "/api.sock")) sockets.push_back(std::move(*connected));
        (void)wire::send(channel_.get(), reply, sockets);
    }

    void list(http::Request& request, http::Exchange& exchange) {
        if (request.headers().get("Authorization") == "Bearer secret") saw_token_ = true;
        if (request.query.find("watch=") == std::string_view::npos) {
            (void)exchange.respond(200, "application/json",
                                   R"({"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[)" +
                                       items_of_(request.path) + "]}");
            return;
        }
        (void)exchange.start({.status = 200, .headers = {{"Content-Type", "application/json"}}});
        while (!exchange.stop().stop_requested() && !exchange.client_gone())
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }

    const std::string name_;
    const std::string folder_;
    Fd channel_;
    pid_t pid_ = -1;
    std::map<protocol::keeper::ListenerKey, std::vector<Fd>> kept_;
    ItemsOf items_of_;
    std::atomic<bool> saw_token_ = false;
    std::unique_ptr<http::Server> api_;
    std::jthread keeper_;
};

}  // namespace weft::test
