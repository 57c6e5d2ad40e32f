// weft echo, the image echo:demo: what tests and examples talk to.
//
//   HTTP 8080 and 8081   JSON {pod, peer, host, path, query, headers}; /healthz answers 200 until PUT /healthz/N says
//                        otherwise; /slow?s=N waits; /status/N answers N
//   TCP and UDP 9000     echo; each line (UDP: each datagram) begins with "<pod>: "
// --http=P and --tcp=P or P-P replace the ports, each may be given again. Source: spec/acs.md §10.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>

#include "base/json.h"
#include "base/log.h"
#include "base/strings.h"
#include "http/server.h"
#include "http/url.h"
#include "io/socket.h"
#include "runtime/main.h"

namespace weft::runtime {

namespace {

constexpr uint64_t slow_s_max = 3600;
constexpr size_t connections_max = 4096;
constexpr size_t unsent_bytes_max = 1 << 20;  // a peer that does not read is not read from

struct EchoOptions {
    std::vector<uint16_t> http, tcp;
};

Result<EchoOptions> parse_arguments(int argc, char** argv) {
    EchoOptions options;
    for (int i = 1; i < argc; i++) {
        const std::string_view argument = argv[i];
        const bool http = argument.starts_with("--http=");
        if (!http && !argument.starts_with("--tcp="))
            return fail(Code::invalid,
                        fmt::format("unknown argument \"{}\"; there are --http=P and --tcp=P[-P]", argument));
        const std::string_view text = argument.substr(argument.find('=') + 1);
        const size_t dash = text.find('-');
        const auto first = parse_unsigned(text.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : parse_unsigned(text.substr(dash + 1));
        if (!first || !last || *first < 1 || *last > 65535 || *first > *last ||
            (http && dash != std::string_view::npos) || *last - *first > 1000)
            return fail(Code::invalid,
                        fmt::format("{}: not a port{}", argument, http ? "" : " or a range of at most 1001"));
        for (uint64_t port = *first; port <= *last; port++)
            (http ? options.http : options.tcp).push_back(uint16_t(port));
    }
    if (options.http.empty()) options.http = {8080, 8081};
    if (options.tcp.empty()) options.tcp = {9000};
    return options;
}

std::string pod_name() {
    char name[256] = "";
    (void)::gethostname(name, sizeof name - 1);
    return name;
}

class HttpEcho {
public:
    explicit HttpEcho(std::string pod) : pod_(std::move(pod)) {}

    void serve(http::Request& request, http::Exchange& exchange) {
        const std::string_view path = request.path;
        if (path == "/healthz") return answer_health(exchange);
        if (path.starts_with("/healthz/")) return set_health(request, exchange);
        if (path.starts_with("/status/")) return answer_status(path.substr(8), exchange);
        if (path == "/slow") wait(request.query, exchange.stop());
        (void)exchange.respond(200, "application/json", describe(request, exchange));
    }

private:
    void answer_health(http::Exchange& exchange) {
        (void)exchange.respond(health_, "text/plain", health_ == 200 ? "ok\n" : "not ok\n");
    }

    void set_health(const http::Request& request, http::Exchange& exchange) {
        const auto status = parse_unsigned(request.path.substr(9));
        const bool asked = request.method() == "PUT" || request.method() == "POST";
        if (!asked || !status || *status < 200 || *status > 599)
            return void(exchange.respond(400, "text/plain", "PUT /healthz/N with N from 200 to 599\n"));
        health_ = int(*status);
        (void)exchange.respond(200, "text/plain", "told\n");
    }

    static void answer_status(std::string_view text, http::Exchange& exchange) {
        const auto status = parse_unsigned(text);
        if (!status || *status < 200 || *status > 599)
            return void(exchange.respond(400, "text/plain", "/status/N with N from 200 to 599\n"));
        (void)exchange.respond(int(*status), "text/plain", fmt::format("{}\n", *status));
    }

    static void wait(std::string_view query, std::stop_token stop) {
        const auto parsed = http::Query::parse(query);
        const uint64_t seconds = std::min(parse_unsigned(parsed ? parsed->get("s") : "").value_or(1), slow_s_max);
        std::mutex mutex;
        std::condition_variable_any never;
        std::unique_lock lock(mutex);
        never.wait_for(lock, stop, std::chrono::seconds(seconds), [] { return false; });
    }

    std::string describe(const http::Request& request, http::Exchange& exchange) const {
        const Result<io::SocketAddress> peer = io::peer_address(exchange.fd());
        json::Object headers;
        for (const auto& [name, value] : request.headers()) headers[name] = json::Value(value);
        const json::Object body{{"pod", pod_},
                                {"peer", peer ? peer->address.text() : ""},
                                {"host", request.headers().get("Host")},
                                {"path", request.path},
                                {"query", request.query},
                                {"headers", std::move(headers)}};
        return json::serialize(body) + "\n";
    }

    const std::string pod_;
    std::atomic<int> health_{200};
};

// All TCP and UDP echo on one thread.
class StreamEcho {
public:
    explicit StreamEcho(const std::string& pod) : prefix_(pod + ": ") {}

    Status listen(uint16_t port) {
        Fd tcp = TRY(io::listen_tcp({net::Address{}, port}, {.nonblocking = true}));
        Fd udp(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!udp) return fail_errno("socket");
        const int off = 0, on = 1;
        (void)::setsockopt(udp.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        (void)::setsockopt(udp.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
        sockaddr_in6 address{.sin6_family = AF_INET6, .sin6_port = htons(port)};
        if (::bind(udp.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            return fail_errno(fmt::format("bind UDP port {}", port));
        listeners_.push_back(std::move(tcp));
        datagrams_.push_back(std::move(udp));
        return {};
    }

    void run(std::stop_token stop) {
        int wake[2];
        if (::pipe2(wake, O_CLOEXEC) != 0) return;
        const Fd wake_read(wake[0]), wake_write(wake[1]);
        const std::stop_callback waker(stop, [&] { (void)!::write(wake_write.get(), "x", 1); });
        while (!stop.stop_requested()) {
            std::vector<pollfd> polls{{wake_read.get(), POLLIN, 0}};
            const bool room = connections_.size() < connections_max;
            for (const Fd& udp : datagrams_) polls.push_back({udp.get(), POLLIN, 0});
            for (const Fd& tcp : listeners_) polls.push_back({room ? tcp.get() : -1, POLLIN, 0});
            for (const Connection& connection : connections_)
                polls.push_back({connection.fd.get(), connection.events(), 0});
            if (::poll(polls.data(), polls.size(), -1) < 0) continue;
            size_t at = 1;
            for (const Fd& udp : datagrams_)
                if (polls[at++].revents != 0) answer_datagrams(udp.get());
            const size_t before = connections_.size();
            for (const Fd& tcp : listeners_)
                if (polls[at++].revents != 0) accept_from(tcp.get());
            for (size_t i = 0; i < before; i++)
                if (polls[at++].revents != 0) serve(connections_[i]);
            std::erase_if(connections_, [](const Connection& connection) { return connection.over; });
        }
    }

private:
    struct Connection {
        Fd fd;
        std::string unsent;
        bool at_line_start = true, peer_done = false, over = false;

        short events() const {
            return short((unsent.empty() ? 0 : POLLOUT) | (peer_done || unsent.size() > unsent_bytes_max ? 0 : POLLIN));
        }
    };

    void accept_from(int listener) {
        if (Result<Fd> peer = io::accept(listener, true))
            connections_.push_back({std::move(*peer), "", true, false, false});
    }

    // The prefix goes before each line; half a line is answered at once, too.
    void append(Connection& connection, std::string_view bytes) const {
        for (const char c : bytes) {
            if (connection.at_line_start) connection.unsent += prefix_;
            connection.unsent += c;
            connection.at_line_start = c == '\n';
        }
    }

    void serve(Connection& connection) const {
        char buffer[16384];
        if (connection.events() & POLLIN) {
            const ssize_t n = ::recv(connection.fd.get(), buffer, sizeof buffer, 0);
            if (n > 0) append(connection, {buffer, size_t(n)});
            if (n == 0) connection.peer_done = true;
            if (n < 0 && errno != EAGAIN && errno != EINTR) connection.over = true;
        }
        while (!connection.unsent.empty() && !connection.over) {
            const ssize_t n =
                ::send(connection.fd.get(), connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
            if (n < 0) connection.over = errno != EAGAIN && errno != EINTR;
            if (n < 0) break;
            connection.unsent.erase(0, size_t(n));
        }
        if (connection.peer_done && connection.unsent.empty()) connection.over = true;
    }

    // Answered from the address that was asked, whichever of the pod's it was.
    void answer_datagrams(int udp) const {
        for (int i = 0; i < 64; i++) {
            char data[65536];
            alignas(cmsghdr) char control[256];
            sockaddr_in6 peer{};
            iovec piece{data, sizeof data};
            msghdr message{.msg_name = &peer, .msg_namelen = sizeof peer, .msg_iov = &piece, .msg_iovlen = 1,
                           .msg_control = control, .msg_controllen = sizeof control, .msg_flags = 0};
            const ssize_t n = ::recvmsg(udp, &message, 0);
            if (n < 0) return;
            std::string answer = prefix_ + std::string(data, size_t(n));
            piece = {answer.data(), answer.size()};
            (void)::sendmsg(udp, &message, MSG_NOSIGNAL);
        }
    }

    const std::string prefix_;
    std::vector<Fd> listeners_, datagrams_;
    std::vector<Connection> connections_;
};

Status serve_echo(const EchoOptions& options) {
    const std::string pod = pod_name();
    HttpEcho http(pod);
    http::ServerOptions server_options;
    server_options.name = "echo";
    const auto server = http::Server::create(
        server_options, [&](http::Request& request, http::Exchange& exchange) { http.serve(request, exchange); });
    for (const uint16_t port : options.http) TRY(server->listen_tcp({net::Address{}, port}));
    StreamEcho streams(pod);
    for (const uint16_t port : options.tcp) TRY(streams.listen(port));
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    server->start();
    std::jthread echo([&](std::stop_token stop) { streams.run(stop); });
    int signal = 0;
    sigwait(&signals, &signal);
    echo.request_stop();
    server->stop();
    return {};
}

}  // namespace

int echo_main(int argc, char** argv) {
    log::set_process("echo");
    const Result<EchoOptions> options = parse_arguments(argc, argv);
    const Status served = options ? serve_echo(*options) : fail(options.error());
    if (served) return 0;
    log::error("echo cannot run", {{"error", served.error().message}});
    return 1;
}

}  // namespace weft::runtime
