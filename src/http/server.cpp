#include "http/server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/metrics.h"
#include "http/exchange.h"
#include "http/url.h"
#include "io/buffer.h"

namespace weft::http {

namespace {

constexpr size_t head_read_bytes = 4096;
constexpr size_t linger_bytes_max = 64 * 1024;
constexpr Duration linger_time = std::chrono::seconds(1);
constexpr Duration accept_pause = std::chrono::milliseconds(50);  // after EMFILE and the like

struct Listener {
    Fd fd;
    std::shared_ptr<io::TlsContext> tls;
};

struct Connection {
    std::thread thread;
    int fd = -1;       // -1 once its stream is gone; for shutdown() by stop() and evict()
    bool idle = true;  // between requests
    MonotonicTime idle_since{};
    bool evicted = false;  // ends without another request
    bool done = false;
};

class ServerRoom final : public Server {
public:
    ServerRoom(ServerOptions options, RequestHandler handler)
        : options_(std::move(options)),
          handler_(std::move(handler)),
          open_(metrics::gauge("weft_http_connections", {{"server", options_.name}}, "open connections")) {}

    ~ServerRoom() override { stop(); }

    Status listen_unix(const std::string& path, unsigned mode) override {
        return adopt_listener(TRY(io::listen_unix(path, mode, {.nonblocking = true})), nullptr);
    }

    Result<io::SocketAddress> listen_tcp(const io::SocketAddress& at, std::shared_ptr<io::TlsContext> tls) override {
        Fd fd = TRY(io::listen_tcp(at, {.nonblocking = true}));
        const auto bound = TRY(io::local_address(fd.get()));
        TRY(adopt_listener(std::move(fd), std::move(tls)));
        return bound;
    }

    Status adopt_listener(Fd listener, std::shared_ptr<io::TlsContext> tls) override {
        TRY(io::set_nonblocking(listener.get(), true));
        const std::lock_guard lock(mutex_);
        listeners_.push_back(std::make_shared<Listener>(Listener{std::move(listener), std::move(tls)}));
        wake();
        return {};
    }

    void run(std::stop_token stop_token) override {
        start();
        std::mutex mutex;
        std::condition_variable_any wake_up;
        std::unique_lock lock(mutex);
        wake_up.wait(lock, stop_token, [] { return false; });
        lock.unlock();
        stop();
    }

    void start() override {
        if (acceptor_.joinable()) return;
        stop_ = std::stop_source();
        wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        ENSURE(bool(wake_));
        acceptor_ = std::thread([this] { accept_all(); });
    }

    void stop() override {
        if (!acceptor_.joinable()) return;
        stop_.request_stop();
        wake();
        acceptor_.join();
        std::unique_lock lock(mutex_);
        listeners_.clear();
        for (const auto& connection : connections_) {
            if (connection->idle) shut(*connection);
        }
        const auto all_done = [this] {
            return std::all_of(connections_.begin(), connections_.end(), [](const auto& c) { return c->done; });
        };
        if (!changed_.wait_for(lock, options_.stop_grace, all_done)) {
            for (const auto& connection : connections_) shut(*connection);
        }
        changed_.wait(lock, all_done);
        reap(lock);
    }

    size_t connections() const override {
        const std::lock_guard lock(mutex_);
        return size_t(std::count_if(connections_.begin(), connections_.end(), [](const auto& c) { return !c->done; }));
    }

private:
    void wake() {
        const uint64_t one = 1;
        if (wake_) (void)!::write(wake_.get(), &one, sizeof one);
    }

    static void shut(const Connection& connection) {
        if (connection.fd >= 0) ::shutdown(connection.fd, SHUT_RDWR);
    }

    // Joins threads that have finished; they set `done` as their last act under the lock.
    void reap(std::unique_lock<std::mutex>& lock) {
        std::list<std::unique_ptr<Connection>> finished;
        for (auto it = connections_.begin(); it != connections_.end();) {
            const auto next = std::next(it);
            if ((*it)->done) finished.splice(finished.end(), connections_, it);
            it = next;
        }
        lock.unlock();
        for (const auto& connection : finished) connection->thread.join();
        lock.lock();
    }

    void accept_all() {
        while (!stop_.stop_requested()) {
            std::vector<std::shared_ptr<Listener>> listeners;
            {
                std::unique_lock lock(mutex_);
                listeners = listeners_;
                reap(lock);
            }
            std::vector<pollfd> fds{{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
            for (const auto& listener : listeners)
                fds.push_back({.fd = listener->fd.get(), .events = POLLIN, .revents = 0});
            if (::poll(fds.data(), fds.size(), 1000) < 0) continue;
            uint64_t count = 0;
            if (fds[0].revents != 0) (void)!::read(wake_.get(), &count, sizeof count);
            for (size_t i = 0; i < listeners.size() && !stop_.stop_requested(); ++i) {
                if ((fds[i + 1].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
                    const std::lock_guard lock(mutex_);
                    std::erase(listeners_, listeners[i]);  // shut down by whoever handed it in
                } else if (fds[i + 1].revents != 0) {
                    accept_from(listeners[i]);
                }
            }
        }
    }

    void accept_from(const std::shared_ptr<Listener>& listener) {
        for (;;) {
            auto fd = io::accept(listener->fd.get(), true);
            if (!fd) {
                if (fd.error().code == Code::unavailable) return;
                log::warning("accept failed", {{"server", options_.name}, {"error", fd.error().message}});
                pollfd one{.fd = wake_.get(), .events = POLLIN, .revents = 0};
                ::poll(&one, 1, int(accept_pause / std::chrono::milliseconds(1)));
                return;
            }
            open_connection(listener, std::move(*fd));
        }
    }

    void open_connection(const std::shared_ptr<Listener>& listener, Fd fd) {
        std::unique_lock lock(mutex_);
        const auto open = std::count_if(connections_.begin(), connections_.end(),
                                        [](const auto& c) { return !c->done && !c->evicted; });
        if (size_t(open) >= options_.connections_max && !evict()) {
            lock.unlock();
            static constexpr std::string_view full =
                "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                "Connection: close\r\nRetry-After: 1\r\n\r\n";
            if (!listener->tls) (void)!::send(fd.get(), full.data(), full.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            metrics::counter("weft_http_connections_refused_total", {{"server", options_.name}}).add();
            return;
        }
        auto& connection = *connections_.emplace_back(std::make_unique<Connection>());
        connection.fd = fd.get();
        connection.idle_since = system_clock().now();
        connection.thread = std::thread([this, &connection, tls = listener->tls, owned = std::move(fd)]() mutable {
            open_.add(1);
            serve(connection, std::move(owned), tls);
            open_.add(-1);
            const std::lock_guard done(mutex_);
            connection.done = true;
            changed_.notify_all();
        });
    }

    // Makes room by ending the connection that has been between requests longest. Its thread takes no further request:
    // set_idle() says so under the same lock, so a request that arrives just now is not begun and can be sent again.
    bool evict() {
        Connection* longest = nullptr;
        const MonotonicTime since_max = system_clock().now() - options_.evict_idle_min;
        for (const auto& connection : connections_) {
            if (!connection->idle || connection->done || connection->evicted || connection->fd < 0) continue;
            if (connection->idle_since > since_max) continue;
            if (longest == nullptr || connection->idle_since < longest->idle_since) longest = connection.get();
        }
        if (longest == nullptr) return false;
        longest->evicted = true;
        shut(*longest);
        metrics::counter("weft_http_connections_evicted_total", {{"server", options_.name}},
                         "idle connections that ended to make room for new ones")
            .add();
        return true;
    }

    void serve(Connection& connection, Fd fd, const std::shared_ptr<io::TlsContext>& tls) {
        Request request;
        request.tls = tls != nullptr;
        if (const auto peer = io::peer_credentials(fd.get())) {
            request.peer = *peer;
            request.remote = fmt::format("unix:uid={}", peer->uid);
        } else if (const auto address = io::peer_address(fd.get())) {
            request.remote = address->text();
        }
        std::unique_ptr<io::Stream> stream;
        if (tls) {
            stream = shake_hands(connection, std::move(fd), *tls);
        } else {
            stream = io::plain_stream(std::move(fd));
        }
        if (stream) {
            io::Buffer received;
            while (serve_one(connection, request, *stream, received)) {
            }
            linger(*stream);
        }
        // The number may be reused as soon as the stream closes: forget it first.
        const std::lock_guard lock(mutex_);
        connection.fd = -1;
        stream.reset();
    }

    // A handshake that fails closes its descriptor, whose number may be another's at once: until it is over a second
    // one stands for the connection.
    std::unique_ptr<io::Stream> shake_hands(Connection& connection, Fd fd, io::TlsContext& tls) {
        const int number = fd.get();
        Fd second;
        if (auto made = fd.duplicate()) second = std::move(*made);
        {
            const std::lock_guard lock(mutex_);
            connection.fd = second.get();
        }
        auto opened = tls.accept(std::move(fd), options_.head_timeout);
        const std::lock_guard lock(mutex_);
        connection.fd = opened ? number : -1;
        second = Fd();
        return opened ? std::move(*opened) : nullptr;
    }

    bool set_idle(Connection& connection, bool idle) {
        const std::lock_guard lock(mutex_);
        if (idle && !connection.idle) connection.idle_since = system_clock().now();
        connection.idle = idle;
        return !stop_.stop_requested() && !connection.evicted;
    }

    // One request; false when the connection is to be closed.
    bool serve_one(Connection& connection, Request& request, io::Stream& stream, io::Buffer& received) {
        if (received.empty()) {
            received.release();
            if (!set_idle(connection, true)) return false;
            stream.set_timeouts(options_.idle_timeout, options_.write_timeout);
            const auto n = stream.read(received.prepare(head_read_bytes));
            if (!n || *n == 0) return false;
            received.commit(*n);
        }
        if (!set_idle(connection, false)) return false;
        RequestParser parser(options_.limits);
        request.head.clear();
        if (!receive_head(parser, request.head, stream, received)) return false;
        const auto target = split_target(request.head.target);
        request.path = target ? target->path : std::string_view(request.head.target);
        request.query = target ? target->query : std::string_view{};

        ServerExchange exchange(options_, request.head, parser.framing(), stream, received, stop_.get_token());
        handler_(request, exchange);
        const bool go_on = exchange.complete();
        count(exchange.status());
        return go_on;
    }

    bool receive_head(RequestParser& parser, RequestHead& head, io::Stream& stream, io::Buffer& received) {
        const MonotonicTime deadline = system_clock().now() + options_.head_timeout;
        for (;;) {
            switch (parser.parse(received.view(), head)) {
                case Progress::done: received.consume(parser.consumed()); return true;
                case Progress::rejected: refuse(stream, parser.rejection()); return false;
                case Progress::need_more: break;
            }
            stream.set_timeouts(std::max(deadline - system_clock().now(), Duration(1)), options_.write_timeout);
            const auto n = stream.read(received.prepare(head_read_bytes));
            if (!n && n.error().code == Code::timeout) refuse(stream, {408, "the request head took too long"});
            if (!n || *n == 0) return false;
            received.commit(*n);
        }
    }

    void refuse(io::Stream& stream, const Rejection& rejection) {
        count(rejection.status);
        ResponseHead head{.status = rejection.status};
        const std::string body = rejection.why + "\n";
        head.headers.add("Content-Type", "text/plain");
        head.headers.add("Content-Length", std::to_string(body.size()));
        head.headers.add("Connection", "close");
        std::string out;
        append_head(out, head);
        (void)stream.write(out + body);
    }

    void count(int status) const {
        metrics::counter("weft_http_requests_total", {{"server", options_.name}, {"code", std::to_string(status)}},
                         "answered requests")
            .add();
    }

    // Closing with unread bytes sends a reset, which may overtake the answer: read on for a moment (RFC 9112 §9.6).
    void linger(io::Stream& stream) {
        stream.finish_writing();
        stream.set_timeouts(linger_time, linger_time);
        std::array<char, 4096> bin;
        const MonotonicTime deadline = system_clock().now() + linger_time;
        for (size_t dropped = 0;
             dropped < linger_bytes_max && system_clock().now() < deadline && !stop_.stop_requested();) {
            const auto n = stream.read(bin);
            if (!n || *n == 0) return;
            dropped += *n;
        }
    }

    const ServerOptions options_;
    const RequestHandler handler_;
    metrics::Gauge& open_;
    std::stop_source stop_;
    Fd wake_;
    std::thread acceptor_;
    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    std::vector<std::shared_ptr<Listener>> listeners_;
    std::list<std::unique_ptr<Connection>> connections_;
};

}  // namespace

std::unique_ptr<Server> Server::create(ServerOptions options, RequestHandler handler) {
    return std::make_unique<ServerRoom>(std::move(options), std::move(handler));
}

}  // namespace weft::http
