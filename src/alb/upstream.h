// Upstream: connections to backends, kept open between requests. Each hand has its own pool.
//
// Key: the VPC and the endpoint's address, since two VPCs may hold the same addresses. An idle connection on which
// anything arrives (the end, or bytes nobody asked for) is dropped at once; one handed out has just been looked at, so
// a stale one is rarely met, and what then still fails is for the exchange to retry. Limits:
// idle_upstreams_per_backend_max, upstream_idle_timeout. Threads: one hand's.
#pragma once
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "alb/peer.h"
#include "base/metrics.h"
#include "io/loop.h"
#include "io/socket.h"
#include "worker/worker.h"

namespace weft::alb {

struct UpstreamKey {
    uint32_t vni = 0;
    io::SocketAddress address;

    bool operator==(const UpstreamKey&) const = default;
};

struct UpstreamKeyHash {
    size_t operator()(const UpstreamKey& key) const {
        return std::hash<net::Address>()(key.address.address) ^ (size_t(key.vni) << 20) ^
               (size_t(key.address.port) << 1);
    }
};

class UpstreamPool;

// Whoever uses a connection is told of its events.
class UpstreamUser {
public:
    virtual void upstream_ready() = 0;

protected:
    ~UpstreamUser() = default;
};

class Upstream final : public io::Handler {
public:
    Upstream(UpstreamPool& pool, const UpstreamKey& key, Fd fd);
    ~Upstream();

    void ready(uint32_t events) override;

    Peer peer;
    const UpstreamKey key;
    UpstreamUser* user = nullptr;  // nullptr = idle
    bool connected = false;
    bool writable_seen = false;  // the connect has come to an end
    bool reused = false;         // has served a request before

private:
    friend class UpstreamPool;
    UpstreamPool& pool_;
    MonotonicTime idle_since_{};
    io::Timer idle_timer_;
};

class UpstreamPool {
public:
    UpstreamPool(io::Loop& loop, worker::Channel& channel);
    ~UpstreamPool();

    // An idle connection, the most recently used first; nullptr when there is none, or none used within `fresh` if
    // given.
    std::unique_ptr<Upstream> take(const UpstreamKey& key, bool fresh_only);
    // A new one whose connect is under way (see Upstream::connected).
    Result<std::unique_ptr<Upstream>> open(const UpstreamKey& key, UpstreamUser& user);
    void give_back(std::unique_ptr<Upstream> upstream);

    io::Loop& loop() { return loop_; }
    size_t idle() const { return idle_count_; }

private:
    friend class Upstream;
    void drop(Upstream& upstream);  // idle ones only

    io::Loop& loop_;
    worker::Channel& channel_;
    std::unordered_map<UpstreamKey, std::vector<std::unique_ptr<Upstream>>, UpstreamKeyHash> idle_;
    size_t idle_count_ = 0;
    metrics::Gauge& idle_gauge_;
    metrics::Counter& opened_;
    metrics::Counter& reused_;
};

}  // namespace weft::alb
