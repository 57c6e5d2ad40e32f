// The proxy on loopback, for tests: real sockets, small backends. Every test run has its own 127.x.y.z addresses.
//
//   curl / raw bytes ──> front (127.x.y.1:18080, two hands) ──> backends (http::Server or a script) on 127.0.0.1
//
// Threads: the proxy's, the backends' and the test's.
#pragma once
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "alb/limits.h"
#include "alb/proxy.h"
#include "base/log.h"
#include "http/client.h"
#include "http/server.h"
#include "http/websocket.h"

namespace weft::alb {

using std::chrono::seconds;

inline std::string describe(const http::Request& request) {
    std::string out = request.head.method + " " + request.head.target + "\n";
    for (const auto& [name, value] : request.headers()) out += std::string(name) + ": " + std::string(value) + "\n";
    return out;
}

// What the demo backend answers, by path.
inline void serve(http::Request& request, http::Exchange& exchange) {
    if (request.path == "/echo") {
        std::array<char, 8192> bytes;
        auto n = exchange.read_some(bytes);  // before the answer begins: sends 100 Continue
        (void)exchange.start({.status = 200});
        while (n && *n > 0 && exchange.write({bytes.data(), *n})) n = exchange.read_some(bytes);
    } else if (request.path == "/big") {
        (void)exchange.respond(200, "text/plain", std::string(3'000'000, 'b'));
    } else if (request.path == "/empty") {
        (void)exchange.respond({.status = 204}, "");
    } else if (request.path == "/refuse") {
        (void)exchange.respond(413, "text/plain", "too much");
    } else if (request.path == "/ws") {
        const auto stream = exchange.take_over(http::upgrade_response(request.head));
        if (!stream) return;
        http::WebSocket socket(**stream, http::Side::server);
        for (;;) {
            const auto message = socket.receive();
            if (!message || message->opcode == http::Opcode::close) return;
            (void)socket.send(message->opcode, "echo " + message->payload);
        }
    } else {
        (void)exchange.respond(200, "text/plain", describe(request));
    }
}

// A backend that answers every connection's first request with fixed bytes, and counts.
class Script {
public:
    explicit Script(std::string answer, bool keep_open = false) : answer_(std::move(answer)), keep_open_(keep_open) {
        listener_ = MUST(io::listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
        at = MUST(io::local_address(listener_.get()));
        thread_ = std::thread([this] { run(); });
    }

    ~Script() {
        ::shutdown(listener_.get(), SHUT_RDWR);
        thread_.join();
    }

    io::SocketAddress at;
    std::atomic<int> requests{0};

private:
    void run() {
        std::vector<Fd> open;
        for (;;) {
            Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!fd) return;
            std::string head;
            std::array<char, 4096> bytes;
            while (head.find("\r\n\r\n") == std::string::npos) {
                const ssize_t n = ::recv(fd.get(), bytes.data(), bytes.size(), 0);
                if (n <= 0) break;
                head.append(bytes.data(), size_t(n));
            }
            if (!head.empty()) ++requests;
            (void)!::send(fd.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
            if (keep_open_) open.push_back(std::move(fd));
        }
    }

    std::string answer_;
    bool keep_open_;
    Fd listener_;
    std::thread thread_;
};

class ProxyTest : public testing::Test {
protected:
    void SetUp() override {
        log::set_level(log::Level::error);
        const auto pid = uint32_t(::getpid());
        front_ = {net::Address::v4(127, uint8_t(1 + (pid >> 16) % 250), uint8_t(pid >> 8), uint8_t(1 + pid % 250)),
                  18080};
        channel_ = worker::local_channel();
        proxy_ = MUST(Proxy::create(*channel_, 2));
        backend_ = http::Server::create({.name = "backend"}, serve);
        backend_at_ = MUST(backend_->listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
        backend_->start();
    }

    void TearDown() override {
        proxy_.reset();
        backend_->stop();
    }

    // Host "app.test" goes to the given endpoints.
    AlbConfig config(std::vector<io::SocketAddress> endpoints) const {
        AlbConfig out;
        out.groups.push_back({"default/app:80", std::move(endpoints), ""});
        out.groups.push_back({"default/none:80", {}, "Service default/none does not exist"});
        out.listeners.push_back(
            {.vni = 7,
             .at = front_,
             .hosts = {{"app.test", {{PathKind::prefix, "/none", 1}, {PathKind::prefix, "", 0}}, no_group}},
             .fallback = no_group});
        return out;
    }

    void use(std::vector<io::SocketAddress> endpoints) { ASSERT_TRUE(proxy_->apply(config(std::move(endpoints)))); }

    std::unique_ptr<io::Stream> connect() const {
        auto stream = io::plain_stream(MUST(io::connect_tcp(front_, seconds(5))));
        stream->set_timeouts(seconds(10), seconds(10));
        return stream;
    }

    static http::RequestHead request(std::string target, std::string method = "GET") {
        return {.method = std::move(method), .target = std::move(target), .headers = {{"Host", "app.test"}}};
    }

    Result<http::Response> ask(std::string target, std::string method = "GET", std::string_view body = {}) const {
        return http::round_trip(*connect(), request(std::move(target), std::move(method)), body);
    }

    std::string talk(std::string_view bytes) const {
        auto stream = connect();
        (void)stream->write(bytes);
        std::string out;
        std::array<char, 65536> more;
        for (;;) {
            const auto n = stream->read(more);
            if (!n || *n == 0) return out;
            out.append(more.data(), *n);
        }
    }

    struct Ran {
        std::string output;
        int exit_code;
    };
    Ran curl(const std::string& arguments) const {
        const std::string command =
            "curl -s -S --max-time 20 --noproxy '*' --resolve app.test:18080:" + front_.address.text() + " " +
            arguments + " 2>&1";
        FILE* const pipe = ::popen(command.c_str(), "r");
        std::string out;
        std::array<char, 65536> bytes;
        while (const size_t n = std::fread(bytes.data(), 1, bytes.size(), pipe)) out.append(bytes.data(), n);
        const int status = ::pclose(pipe);
        return {out, WEXITSTATUS(status)};
    }

    io::SocketAddress front_, backend_at_;
    std::unique_ptr<worker::Channel> channel_;
    std::unique_ptr<Proxy> proxy_;
    std::unique_ptr<http::Server> backend_;
};

}  // namespace weft::alb
