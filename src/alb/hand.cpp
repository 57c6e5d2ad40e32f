#include "alb/hand.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "alb/limits.h"
#include "base/log.h"

namespace weft::alb {

namespace {

constexpr Duration accept_pause = std::chrono::milliseconds(50);  // after a failed accept (descriptors used up)
constexpr size_t resting_max = 4096;

}  // namespace

class Hand::Listener final : public io::Handler {
public:
    Listener(Hand& hand, const worker::ListenKey& listen_key, Fd listen_fd)
        : key(listen_key), fd(std::move(listen_fd)), hand_(hand) {}
    ~Listener() { hand_.loop().unwatch(fd.get()); }

    void ready(uint32_t) override { hand_.accept_from(*this); }

    const worker::ListenKey key;
    const Fd fd;

private:
    Hand& hand_;
};

HandMetrics::HandMetrics()
    : connections(metrics::gauge("weft_alb_connections", {}, "client connections open now")),
      accepted(metrics::counter("weft_alb_connections_total", {}, "client connections accepted")),
      retries(metrics::counter("weft_alb_retries_total", {}, "requests tried again on another endpoint or connection")),
      aborted(metrics::counter("weft_alb_aborted_total", {}, "exchanges that broke off before the answer was whole")) {
    static constexpr std::array<const char*, 6> classes{"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (size_t i = 0; i < classes.size(); ++i) {
        requests_by_class[i] =
            &metrics::counter("weft_alb_requests_total", {{"code", classes[i]}}, "requests by answer");
    }
    for (size_t i = 0; i < phase_count; ++i) {
        phase_microseconds[i] =
            &metrics::counter("weft_alb_phase_microseconds_total", {{"phase", std::string(phase_names[i])}},
                              "time that requests spent in each phase");
    }
}

Result<std::unique_ptr<Hand>> Hand::create(unsigned number, worker::Channel& channel,
                                           const Published<RouteTable>& routes, const Timeouts& timeouts) {
    auto loop = TRY(io::Loop::create());
    return std::unique_ptr<Hand>(new Hand(number, std::move(loop), channel, routes, timeouts));
}

Hand::Hand(unsigned number, std::unique_ptr<io::Loop> loop, worker::Channel& channel,
           const Published<RouteTable>& routes, const Timeouts& timeouts)
    : number_(number),
      timeouts_(timeouts),
      loop_(std::move(loop)),
      routes_(routes),
      pool_(*loop_, channel),
      round_robin_(number),
      pause_timer_(
          [](void* self) {
              auto& hand = *static_cast<Hand*>(self);
              hand.accepting_paused_ = false;
              for (const auto& [key, listener] : hand.listeners_) hand.accept_from(*listener);
          },
          this),
      drain_timer_([](void* self) { static_cast<Hand*>(self)->stop_.request_stop(); }, this) {}

Hand::~Hand() { stop(); }

void Hand::start() {
    thread_ = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), fmt::format("alb-hand-{}", number_).c_str());
        loop_->run(stop_.get_token());
    });
}

void Hand::stop() {
    if (!thread_.joinable()) return;
    loop_->post([this] { drain(); });
    thread_.join();
    metrics_.connections.add(-int64_t(connections_.size()));
    connections_.clear();
}

void Hand::drain() {
    draining_ = true;
    listeners_.clear();
    for (auto it = connections_.begin(); it != connections_.end();) (it++)->close_if_idle();
    if (connections_.empty()) stop_.request_stop();
    drain_timer_.arm(*loop_, drain_time);
}

void Hand::add_listener(const worker::ListenKey& key, Fd fd) {
    auto listener = std::make_shared<std::unique_ptr<Listener>>(std::make_unique<Listener>(*this, key, std::move(fd)));
    loop_->post([this, listener] {
        Listener& added = **listener;
        listeners_[added.key] = std::move(*listener);
        if (const auto watched = loop_->watch(added.fd.get(), added); !watched) {
            log::error("cannot watch a listener", {{"error", watched.error().message}});
        }
    });
}

void Hand::remove_listener(const worker::ListenKey& key) {
    loop_->post([this, key] { listeners_.erase(key); });
}

void Hand::accept_from(Listener& listener) {
    while (!accepting_paused_ && !draining_) {
        if (connections_.size() >= connections_per_hand_max) {
            accepting_paused_ = true;  // close() goes on
            return;
        }
        io::SocketAddress client;
        auto fd = io::accept(listener.fd.get(), true, &client);
        if (!fd) {
            if (fd.error().code == Code::unavailable) return;
            log::warning("accept failed", {{"error", fd.error().message}});
            accepting_paused_ = true;
            pause_timer_.arm(*loop_, accept_pause);
            return;
        }
        io::set_no_delay(fd->get());
        std::unique_ptr<io::TlsSession> tls;
        const auto table = routes();
        if (const auto* context = table->tls(listener.key.vni, {listener.key.address, listener.key.port})) {
            auto session = (*context)->session(fd->get());
            if (!session) {
                log::warning("no TLS session", {{"error", session.error().message}});
                continue;
            }
            tls = std::move(*session);
        }
        metrics_.accepted.add();
        metrics_.connections.add(1);
        Downstream& connection =
            connections_.emplace_back(*this, std::move(*fd), std::move(tls), listener.key, client);
        connection.self = std::prev(connections_.end());
        if (const auto watched = loop_->watch(connection.peer.fd(), connection); !watched) close(connection);
    }
}

void Hand::close(Downstream& downstream) {
    connections_.erase(downstream.self);
    metrics_.connections.add(-1);
    if (draining_ && connections_.empty()) stop_.request_stop();
    if (accepting_paused_ && !pause_timer_.armed()) pause_timer_.arm(*loop_, Duration(1));
}

void Hand::let_rest(const UpstreamKey& key) {
    if (resting_.size() >= resting_max) resting_.clear();
    resting_[key] = loop_->now() + endpoint_rest_time;
}

bool Hand::is_resting(const UpstreamKey& key) {
    const auto found = resting_.find(key);
    if (found == resting_.end()) return false;
    if (found->second > loop_->now()) return true;
    resting_.erase(found);
    return false;
}

}  // namespace weft::alb
