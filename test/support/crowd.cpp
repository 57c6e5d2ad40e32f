// A crowd: many long TCP flows and many new connections a second to echo servers, every loss counted.
//
//   crowd ADDRESS PORT SECONDS FLOWS NEW_PER_SECOND
//
// Each long flow sends a line a second and waits for its echo; each new connection connects, sends one line, reads its
// echo and closes. A flow or connection that gets no answer within 10 s, is reset or refused, counts as failed.
// Prints one JSON line: {"flows", "echoes", "flows_failed", "resets", "refused", "new_done", "new_failed", "late",
// "slowest_ms", "errors"}; "late" are new connections that a starved machine did not open in time: they are left out, not
// made up for in a burst. One thread, epoll: 500 flows and 500 connections a second cost a few hundredths of a core.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

constexpr auto answer_wait = std::chrono::seconds(10);
constexpr auto line_period = std::chrono::seconds(1);
constexpr double flows_opened_per_second = 500;  // not all in one burst
constexpr size_t errors_shown = 5;

struct Connection {
    enum class State : uint8_t { connecting, waiting, idle, closed };

    int fd = -1;
    bool is_long = false;
    State state = State::connecting;
    uint64_t turn = 0;  // timers of an earlier turn mean nothing any more
    uint64_t lines = 0;
    std::string line, data;
    Time started;
};
using ConnectionPtr = std::shared_ptr<Connection>;

struct Timer {
    Time due;
    ConnectionPtr connection;
    uint64_t turn;
};

class Crowd {
public:
    Crowd(const sockaddr_in& target, double flows, double rate)
        : target_(target), flows_wanted_(size_t(flows)), rate_(rate), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

    void run(double seconds) {
        const Time start = Clock::now();
        const Time end = start + std::chrono::microseconds(int64_t(seconds * 1e6));
        for (;;) {
            const Time now = Clock::now();
            is_over_ = now >= end;
            if (!is_over_) open(std::chrono::duration<double>(now - start).count());
            if (is_over_ && (busy_ == 0 || now >= end + answer_wait + line_period)) return;
            // All that is ready is served before anything is given up: a slow reader's fault is not the network's.
            const Time asked = Clock::now();
            serve_events();
            run_timers(wake_ups_, asked);
            run_timers(deadlines_, asked);
        }
    }

    void show() const {
        std::string errors;
        for (const std::string& error : errors_) errors += (errors.empty() ? "\"" : ", \"") + error + "\"";
        std::printf("{\"flows\": %zu, \"echoes\": %lu, \"flows_failed\": %lu, \"resets\": %lu, \"refused\": %lu, \"new_done\": %lu, "
                    "\"new_failed\": %lu, \"late\": %lu, \"slowest_ms\": %ld, \"errors\": [%s]}\n",
                    flows_opened_, echoes_, flows_failed_, resets_, refused_, new_done_, new_failed_, late_,
                    long(std::chrono::duration_cast<std::chrono::milliseconds>(slowest_).count()), errors.c_str());
    }

private:
    void open(double passed_s) {
        while (flows_opened_ < flows_wanted_ && double(flows_opened_) < passed_s * flows_opened_per_second + 1) {
            ++flows_opened_;
            connect(true);
        }
        const auto due = uint64_t(passed_s * rate_);
        const uint64_t at_once = std::max<uint64_t>(1, uint64_t(rate_ / 10));
        if (due > opened_ + at_once) {
            late_ += due - opened_ - at_once;
            opened_ = due - at_once;
        }
        for (; opened_ < due; ++opened_) connect(false);
    }

    void connect(bool is_long) {
        const auto connection = std::make_shared<Connection>();
        connection->is_long = is_long;
        connection->started = Clock::now();
        ++busy_;
        connection->fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const int one = 1;
        (void)::setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (::connect(connection->fd, reinterpret_cast<const sockaddr*>(&target_), sizeof target_) != 0 && errno != EINPROGRESS)
            return fail(connection, errno, "connect");
        watch(connection, EPOLL_CTL_ADD, EPOLLOUT);
        deadlines_.push_back({connection->started + answer_wait, connection, connection->turn});
    }

    void watch(const ConnectionPtr& connection, int how, uint32_t events) {
        epoll_event event{.events = events, .data = {.fd = connection->fd}};
        (void)::epoll_ctl(epoll_, how, connection->fd, &event);
        if (size_t(connection->fd) >= by_fd_.size()) by_fd_.resize(size_t(connection->fd) + 1);
        by_fd_[size_t(connection->fd)] = connection;
    }

    void send(const ConnectionPtr& connection) {
        ++connection->turn;
        connection->started = Clock::now();
        connection->state = Connection::State::waiting;
        connection->data.clear();
        connection->line = std::to_string(++connection->lines) + "\n";
        if (::send(connection->fd, connection->line.data(), connection->line.size(), MSG_NOSIGNAL) < 0)
            return fail(connection, errno, "send");
        deadlines_.push_back({connection->started + answer_wait, connection, connection->turn});
    }

    void serve_events() {
        epoll_event events[512];
        int timeout_ms = 5;
        for (;;) {
            const int n = ::epoll_wait(epoll_, events, 512, timeout_ms);
            for (int i = 0; i < n; ++i) {
                // A descriptor closed in this round may be another connection's by now: at worst it finds nothing to read.
                if (const ConnectionPtr connection = by_fd_[size_t(events[i].data.fd)]) serve(connection);
            }
            if (n < 512) return;
            timeout_ms = 0;
        }
    }

    void serve(const ConnectionPtr& connection) {
        if (connection->state == Connection::State::connecting) {
            int error = 0;
            socklen_t size = sizeof error;
            (void)::getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error != 0) return fail(connection, error, "connect");
            sockaddr_in peer{};
            size = sizeof peer;
            if (::getpeername(connection->fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return;  // not yet
            watch(connection, EPOLL_CTL_MOD, EPOLLIN);
            return send(connection);
        }
        char buffer[4096];
        const ssize_t n = ::recv(connection->fd, buffer, sizeof buffer, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n < 0) return fail(connection, errno, "receive");
        if (n == 0) return fail(connection, ECONNRESET, "closed by the other side");
        connection->data.append(buffer, size_t(n));
        if (connection->state == Connection::State::waiting && connection->data.ends_with(connection->line))
            answered(connection);
    }

    void answered(const ConnectionPtr& connection) {
        slowest_ = std::max(slowest_, Clock::now() - connection->started);
        ++connection->turn;
        --busy_;
        if (!connection->is_long) {
            ++new_done_;
            return close(connection);
        }
        ++echoes_;
        connection->state = Connection::State::idle;
        wake_ups_.push_back({connection->started + line_period, connection, connection->turn});
    }

    void run_timers(std::deque<Timer>& timers, Time asked) {
        while (!timers.empty() && timers.front().due <= asked) {
            const Timer timer = timers.front();
            timers.pop_front();
            const ConnectionPtr& connection = timer.connection;
            if (connection->turn != timer.turn || connection->state == Connection::State::closed) continue;
            if (connection->state != Connection::State::idle) {
                fail(connection, ETIMEDOUT, connection->state == Connection::State::connecting ? "connect" : "no echo");
            } else if (!is_over_) {
                ++busy_;
                send(connection);
            }
        }
    }

    void fail(const ConnectionPtr& connection, int error, const char* doing) {
        ++(connection->is_long ? flows_failed_ : new_failed_);
        if (error == ECONNRESET) ++resets_;
        if (error == ECONNREFUSED) ++refused_;
        if (errors_.size() < errors_shown) {
            const time_t now = ::time(nullptr);
            char clock[16];
            (void)::strftime(clock, sizeof clock, "%H:%M:%S", ::gmtime(&now));
            sockaddr_in own{};
            socklen_t size = sizeof own;
            (void)::getsockname(connection->fd, reinterpret_cast<sockaddr*>(&own), &size);
            errors_.push_back(std::string(clock) + (connection->is_long ? " flow" : " new") + " from port " +
                              std::to_string(ntohs(own.sin_port)) + ", line " + std::to_string(connection->lines) + ": " + doing +
                              ": " + std::strerror(error));
        }
        if (connection->state != Connection::State::idle) --busy_;
        close(connection);
    }

    void close(const ConnectionPtr& connection) {
        ++connection->turn;
        connection->state = Connection::State::closed;
        if (connection->fd < 0) return;
        if (size_t(connection->fd) < by_fd_.size() && by_fd_[size_t(connection->fd)] == connection)
            by_fd_[size_t(connection->fd)].reset();
        (void)::close(connection->fd);
        connection->fd = -1;
    }

    const sockaddr_in target_;
    const size_t flows_wanted_;
    const double rate_;
    const int epoll_;
    std::vector<ConnectionPtr> by_fd_;
    std::deque<Timer> deadlines_, wake_ups_;  // each in order: the waits are all alike
    std::vector<std::string> errors_;
    bool is_over_ = false;
    size_t busy_ = 0;  // connecting, or waiting for an echo
    size_t flows_opened_ = 0;
    uint64_t opened_ = 0, late_ = 0, echoes_ = 0, flows_failed_ = 0, resets_ = 0, refused_ = 0, new_done_ = 0, new_failed_ = 0;
    Clock::duration slowest_{};
};

}  // namespace

int main(int argc, char** argv) {
    sockaddr_in target{};
    target.sin_family = AF_INET;
    if (argc != 6 || inet_pton(AF_INET, argv[1], &target.sin_addr) != 1) {
        std::fputs("crowd ADDRESS PORT SECONDS FLOWS NEW_PER_SECOND\n", stderr);
        return 2;
    }
    target.sin_port = htons(uint16_t(std::atoi(argv[2])));
    Crowd crowd(target, std::atof(argv[4]), std::atof(argv[5]));
    crowd.run(std::atof(argv[3]));
    crowd.show();
    return 0;
}
