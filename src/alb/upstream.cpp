#include "alb/upstream.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "alb/limits.h"

namespace weft::alb {

namespace {

// Nothing to read and not at the end: what an idle connection must look like.
bool is_quiet(int fd) {
    char byte = 0;
    return ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

}  // namespace

Upstream::Upstream(UpstreamPool& pool, const UpstreamKey& upstream_key, Fd fd)
    : peer(std::move(fd)),
      key(upstream_key),
      pool_(pool),
      idle_timer_([](void* self) { static_cast<Upstream*>(self)->pool_.drop(*static_cast<Upstream*>(self)); }, this) {}

Upstream::~Upstream() { pool_.loop_.unwatch(peer.fd()); }

void Upstream::ready(uint32_t events) {
    peer.note(events);
    if (user == nullptr) {
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) pool_.drop(*this);
        return;
    }
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) writable_seen = true;
    user->upstream_ready();  // may destroy us
}

UpstreamPool::UpstreamPool(io::Loop& loop, worker::Channel& channel)
    : loop_(loop),
      channel_(channel),
      idle_gauge_(metrics::gauge("weft_alb_idle_upstreams", {}, "connections to backends kept open without a request")),
      opened_(metrics::counter("weft_alb_upstreams_opened_total", {}, "connections opened to backends")),
      reused_(metrics::counter("weft_alb_upstreams_reused_total", {}, "requests sent on a connection kept open")) {}

UpstreamPool::~UpstreamPool() { idle_gauge_.add(-int64_t(idle_count_)); }

std::unique_ptr<Upstream> UpstreamPool::take(const UpstreamKey& key, bool fresh_only) {
    const auto found = idle_.find(key);
    if (found == idle_.end()) return nullptr;
    auto& stack = found->second;
    std::unique_ptr<Upstream> taken;
    while (!stack.empty() && !taken) {
        if (fresh_only && loop_.now() - stack.back()->idle_since_ > upstream_fresh_time) break;
        auto candidate = std::move(stack.back());
        stack.pop_back();
        --idle_count_;
        idle_gauge_.add(-1);
        candidate->idle_timer_.disarm();
        if (is_quiet(candidate->peer.fd())) taken = std::move(candidate);
    }
    if (stack.empty()) idle_.erase(found);
    if (taken) reused_.add();
    return taken;
}

Result<std::unique_ptr<Upstream>> UpstreamPool::open(const UpstreamKey& key, UpstreamUser& user) {
    Fd fd = TRY_IN("upstream socket", channel_.upstream(key.vni, net::Protocol::tcp));
    io::set_no_delay(fd.get());
    auto upstream = std::make_unique<Upstream>(*this, key, std::move(fd));
    upstream->user = &user;
    upstream->connected = TRY(io::start_connect(upstream->peer.fd(), key.address));
    TRY(loop_.watch(upstream->peer.fd(), *upstream));
    opened_.add();
    return upstream;
}

void UpstreamPool::give_back(std::unique_ptr<Upstream> upstream) {
    auto& stack = idle_[upstream->key];
    if (stack.size() >= idle_upstreams_per_backend_max) return;
    upstream->user = nullptr;
    upstream->reused = true;
    upstream->peer.rest();
    upstream->idle_since_ = loop_.now();
    upstream->idle_timer_.arm(loop_, upstream_idle_timeout);
    stack.push_back(std::move(upstream));
    ++idle_count_;
    idle_gauge_.add(1);
}

void UpstreamPool::drop(Upstream& upstream) {
    const auto found = idle_.find(upstream.key);
    if (found == idle_.end()) return;
    auto& stack = found->second;
    const auto it = std::find_if(stack.begin(), stack.end(), [&](const auto& one) { return one.get() == &upstream; });
    if (it == stack.end()) return;
    const std::unique_ptr<Upstream> gone =
        std::move(*it);  // outlives the map entry, whose key is compared with its own
    stack.erase(it);
    --idle_count_;
    idle_gauge_.add(-1);
    if (stack.empty()) idle_.erase(found);
}

}  // namespace weft::alb
