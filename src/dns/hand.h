// Hand: one thread that serves DNS: its share of every VPC's sockets, its own cache and forwarder, its own reader of
// the snapshot. Hands share nothing that changes.
//
// set_sockets() may be called from any thread; all else happens on the thread of run(). Source: style.md 2.7 (hands).
#pragma once
#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <vector>

#include "base/published.h"
#include "dns/cache.h"
#include "dns/forward.h"
#include "dns/rate_limit.h"
#include "dns/respond.h"
#include "io/loop.h"
#include "worker/worker.h"

namespace weft::dns {

class TcpConnection;

class Hand {
public:
    // All must outlive it.
    static Result<std::unique_ptr<Hand>> create(const Settings& settings, const Published<Snapshot>& snapshot,
                                                worker::Channel& channel, ForwardConfig forwarding);
    ~Hand();

    // What this hand reads from for that key from now on; none = stop. TCP connections that are open stay.
    void set_sockets(const worker::ListenKey& key, std::vector<Fd> sockets);
    void run(std::stop_token stop);

    // For the sockets of this hand.
    io::Loop& loop() { return *loop_; }
    const Settings& settings() const { return settings_; }
    std::set<std::shared_ptr<TcpConnection>>& connections() { return connections_; }
    // Of what must be asked upstream, what the cache knows is a whole answer already.
    Response answer(std::span<const uint8_t> query, Transport transport, uint32_t vni);
    // Over UDP, before anything else: does this client get an answer at this moment? nullopt = yes; else what it is
    // told instead, and no bytes are nothing at all.
    std::optional<std::vector<uint8_t>> over_limit(std::span<const uint8_t> query, const net::Address& client,
                                                   uint32_t vni);
    // Asks upstream and calls back with the whole response.
    void forward(Response response, Transport transport, std::function<void(std::vector<uint8_t>)> reply);

private:
    void fill(Response& response, Result<dns_wire::Message> upstream);

    class Listener;
    class UdpListener;
    class TcpListener;

    Hand(const Settings& settings, const Published<Snapshot>& snapshot, worker::Channel& channel,
         std::unique_ptr<io::Loop> loop, ForwardConfig forwarding);

    const Settings& settings_;
    Published<Snapshot>::Reader snapshot_;
    std::unique_ptr<io::Loop> loop_;
    Rng rng_;
    Cache cache_;
    RateLimit rate_limit_;
    Forwarder forwarder_;
    std::map<worker::ListenKey, std::vector<std::shared_ptr<Listener>>> listeners_;
    std::set<std::shared_ptr<TcpConnection>> connections_;
};

}  // namespace weft::dns
