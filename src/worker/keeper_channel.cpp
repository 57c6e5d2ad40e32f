#include "worker/keeper_channel.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "worker/sockets.h"

namespace weft::worker {

namespace wire = protocol::keeper;

namespace {

Result<std::vector<Fd>> duplicates_of(const std::vector<Fd>& sockets) {
    std::vector<Fd> duplicates;
    for (const Fd& socket : sockets) duplicates.push_back(TRY(socket.duplicate()));
    return duplicates;
}

bool is_ours(int connection) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

}  // namespace

KeeperChannel::KeeperChannel(std::string_view worker_name, Fd adopt)
    : worker_(worker_name), adopt_(std::move(adopt)), wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

Result<std::unique_ptr<KeeperChannel>> KeeperChannel::open(std::string_view worker_name, Fd connection, Fd adopt) {
    std::unique_ptr<KeeperChannel> channel(new KeeperChannel(worker_name, std::move(adopt)));
    if (!channel->wake_) return fail_errno("eventfd");
    TRY_IN("greeting the keeper", channel->greet(connection.get(), false));
    channel->connection_ = std::make_shared<Fd>(std::move(connection));
    channel->thread_ = std::thread([it = channel.get()] { it->run(); });
    return channel;
}

KeeperChannel::~KeeperChannel() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake();
    if (thread_.joinable()) thread_.join();
}

// A new worker gets what its keeper kept; a new keeper gets what we hold.
Status KeeperChannel::greet(int connection, bool adopted) {
    constexpr auto patience = std::chrono::seconds(wire::hello_timeout_s);
    const timeval send_patience{wire::hello_timeout_s, 0};
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &send_patience, sizeof send_patience);
    const wire::Received hello = TRY(wire::receive(connection, patience));
    if (hello.message.kind != wire::Kind::hello) return fail(Code::invalid, "no hello");
    wire::Message mine_hello;
    mine_hello.kind = wire::Kind::hello;
    mine_hello.set_text(worker_);
    TRY(wire::send(connection, mine_hello));

    if (!adopted) {
        node_ = hello.message.text_view();
        for (;;) {
            wire::Received received = TRY(wire::receive(connection, patience));
            if (received.message.kind == wire::Kind::holding_end) return {};
            if (received.message.kind != wire::Kind::holding) return fail(Code::invalid, "unexpected greeting");
            listeners_[wire::key_of(received.message)] = std::move(received.descriptors);
        }
    }
    std::map<ListenKey, std::vector<Fd>> mine;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [key, sockets] : listeners_) mine[key] = TRY(duplicates_of(sockets));
    }
    for (const auto& [key, sockets] : mine) TRY(wire::send(connection, wire::about(wire::Kind::holding, key), sockets));
    wire::Message end;
    end.kind = wire::Kind::holding_end;
    return wire::send(connection, end);
}

Result<wire::Received> KeeperChannel::call(wire::Message message, Duration patience) {
    const std::lock_guard one_at_a_time(call_mutex_);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
        std::shared_ptr<Fd> connection;
        {
            std::unique_lock lock(mutex_);
            connected_.wait_until(lock, deadline, [this] { return connection_ != nullptr || stopping_; });
            connection = connection_;
        }
        if (!connection) return fail(Code::timeout, "the keeper is away");
        message.sequence = ++sequence_;
        Result<wire::Received> reply = exchange(connection->get(), message);
        if (reply) {
            TRY(wire::status_of(reply->message));
            return reply;
        }
        if (reply.error().code == Code::timeout) return fail(Code::timeout, "the keeper does not answer");
        // It died under the request. Asking the next one again does no harm: every request says what shall be, not what
        // to do.
        const std::lock_guard lock(mutex_);
        if (connection_ == connection) connection_.reset();
    }
}

Result<wire::Received> KeeperChannel::exchange(int connection, const wire::Message& request) {
    const auto deadline = std::chrono::steady_clock::now() + reply_wait;
    TRY(wire::send(connection, request));
    for (;;) {
        wire::Received reply = TRY(wire::receive(connection, deadline - std::chrono::steady_clock::now()));
        // Others answer requests that were given up on; their descriptors close here.
        if (reply.message.sequence == request.sequence && reply.message.kind == wire::Kind::reply) return reply;
    }
}

bool KeeperChannel::holds(const ListenKey& key) const {
    const std::lock_guard lock(mutex_);
    return listeners_.contains(key);
}

Result<std::vector<Fd>> KeeperChannel::listen(const ListenKey& key, unsigned n) {
    wire::Message ask = wire::about(wire::Kind::listen, key);
    ask.count = uint16_t(std::min(n, wire::descriptors_max));
    // With sockets in hand there is no reason to wait for a keeper that is away.
    Result<wire::Received> reply = call(ask, holds(key) ? Duration::zero() : listen_wait);
    if (!reply) {
        const std::lock_guard lock(mutex_);
        // The namespace is gone: what we hold for it would keep it, and its links, alive.
        if (reply.error().code == Code::not_found) listeners_.erase(key);
        const auto mine = listeners_.find(key);
        if (reply.error().code == Code::timeout && mine != listeners_.end()) return duplicates_of(mine->second);
        return fail(std::move(reply).error());
    }
    if (reply->descriptors.empty()) return fail(Code::io, "the keeper sent no socket");
    std::vector<Fd> kept = TRY(duplicates_of(reply->descriptors));
    const std::lock_guard lock(mutex_);
    listeners_[key] = std::move(kept);
    return std::move(reply->descriptors);
}

Status KeeperChannel::unlisten(const ListenKey& key) {
    {
        const std::lock_guard lock(mutex_);
        listeners_.erase(key);
    }
    TRY(call(wire::about(wire::Kind::unlisten, key), listen_wait));
    return {};
}

Result<Fd> KeeperChannel::api() {
    wire::Message ask;
    ask.kind = wire::Kind::api;
    wire::Received reply = TRY(call(ask, reconnect_wait));
    if (reply.descriptors.size() != 1) return fail(Code::io, "the keeper sent no socket");
    return std::move(reply.descriptors.front());
}

std::vector<ListenKey> KeeperChannel::held() const {
    const std::lock_guard lock(mutex_);
    std::vector<ListenKey> keys;
    for (const auto& [key, sockets] : listeners_) keys.push_back(key);
    return keys;
}

Result<Fd> KeeperChannel::upstream(uint32_t vni, net::Protocol protocol) {
    const StockKey key{vni, protocol};
    for (int attempt = 0; attempt < 2; ++attempt) {
        {
            const std::lock_guard lock(mutex_);
            Stock& stock = stocks_[key];
            if (!stock.sockets.empty()) {
                Fd socket = std::move(stock.sockets.front());
                stock.sockets.pop_front();
                if (stock.sockets.size() < stock_low && !stock.refilling) {
                    stock.refilling = true;
                    wake();
                }
                return socket;
            }
        }
        if (attempt == 0) TRY(fill(key, stock_batch));
    }
    return fail(Code::unavailable, "upstream sockets are used up faster than the keeper makes them");
}

// Asks for n sockets (0: only whether the namespace is still the same one).
Status KeeperChannel::fill(const StockKey& key, unsigned n) {
    wire::Message ask;
    ask.kind = wire::Kind::upstream;
    ask.vni = key.first;
    ask.protocol = uint8_t(key.second);
    ask.count = uint16_t(n);
    Result<wire::Received> reply = call(ask, Duration::zero());
    const std::lock_guard lock(mutex_);
    Stock& stock = stocks_[key];
    stock.refilling = false;
    if (!reply) {
        if (reply.error().code == Code::not_found) stock.sockets.clear();
        return fail(std::move(reply).error());
    }
    if (stock.netns_cookie != reply->message.netns_cookie) stock.sockets.clear();
    stock.netns_cookie = reply->message.netns_cookie;
    for (Fd& socket : reply->descriptors) stock.sockets.push_back(std::move(socket));
    return {};
}

void KeeperChannel::tend_stocks(bool recheck) {
    std::vector<std::pair<StockKey, unsigned>> wanted;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [key, stock] : stocks_) {
            if (stock.refilling) {
                wanted.emplace_back(key, stock_batch);
            } else if (recheck && !stock.sockets.empty()) {
                wanted.emplace_back(key, 0);
            }
        }
    }
    for (const auto& [key, n] : wanted) {
        if (const Status filled = fill(key, n); !filled && filled.error().code == Code::timeout) return;
    }
}

void KeeperChannel::accept_keeper() {
    Fd connection(accept4(adopt_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) return;
    if (!is_ours(connection.get())) {
        log::warning("adopt socket: refused a stranger");
        return;
    }
    // Greeting before the switch: nobody else speaks on this connection yet.
    if (const Status greeted = greet(connection.get(), true); !greeted) {
        log::warning("adoption by a new keeper failed", {{"error", greeted.error().message}});
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        connection_ = std::make_shared<Fd>(std::move(connection));
    }
    connected_.notify_all();
    log::info("adopted by a new keeper");
}

void KeeperChannel::run() {
    prctl(PR_SET_NAME, "keeper-channel");
    auto next_check = std::chrono::steady_clock::now() + recheck_period;
    for (;;) {
        std::shared_ptr<Fd> connection;
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) return;
            connection = connection_;
        }
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_check - std::chrono::steady_clock::now());
        // No POLLIN on the connection: replies belong to call(); hang-up is reported all the same.
        std::array<pollfd, 3> waiting{pollfd{wake_.get(), POLLIN, 0}, pollfd{adopt_.get(), POLLIN, 0},
                                      pollfd{connection ? connection->get() : -1, 0, 0}};
        poll(waiting.data(), waiting.size(), int(std::max<int64_t>(left.count(), 0)));
        if (waiting[0].revents != 0) {
            uint64_t count = 0;
            [[maybe_unused]] const ssize_t drained = read(wake_.get(), &count, sizeof count);
        }
        if (waiting[2].revents != 0) {
            log::warning("the keeper is gone; going on with what we hold");
            const std::lock_guard lock(mutex_);
            if (connection_ == connection) connection_.reset();
        }
        if (waiting[1].revents != 0) accept_keeper();
        const bool recheck = std::chrono::steady_clock::now() >= next_check;
        if (recheck) next_check = std::chrono::steady_clock::now() + recheck_period;
        tend_stocks(recheck);
    }
}

void KeeperChannel::wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
}

}  // namespace weft::worker
