// Hand: one event-loop thread of the proxy with everything it owns: listeners, client connections, backend connections,
// turn counters. Hands share nothing but the published route table (and the metrics' atomics).
//
// Threads: create, start, stop, add_listener and remove_listener belong to the brain's side; the rest to the hand's
// thread.
#pragma once
#include <list>
#include <map>
#include <memory>
#include <stop_token>
#include <thread>
#include <unordered_map>

#include "alb/balancer/round_robin.h"
#include "alb/downstream.h"
#include "alb/limits.h"
#include "alb/phases.h"
#include "alb/route.h"
#include "alb/upstream.h"
#include "base/metrics.h"
#include "base/published.h"
#include "io/loop.h"
#include "worker/worker.h"

namespace weft::alb {

struct HandMetrics {
    HandMetrics();
    metrics::Gauge& connections;
    metrics::Counter& accepted;
    metrics::Counter& retries;
    metrics::Counter& aborted;
    std::array<metrics::Counter*, 6> requests_by_class;  // index: status / 100; 0 = client gone before an answer
    std::array<metrics::Counter*, phase_count> phase_microseconds;
};

class Hand {
public:
    static Result<std::unique_ptr<Hand>> create(unsigned number, worker::Channel& channel,
                                                const Published<RouteTable>& routes, const Timeouts& timeouts = {});
    ~Hand();

    void start();
    // Listeners close, idle connections close, exchanges in flight have drain_time.
    void stop();
    void add_listener(const worker::ListenKey& key, Fd fd);
    void remove_listener(const worker::ListenKey& key);

    // For the connections of this hand.
    io::Loop& loop() { return *loop_; }
    UpstreamPool& pool() { return pool_; }
    RoundRobin& round_robin() { return round_robin_; }
    HandMetrics& metrics() { return metrics_; }
    std::shared_ptr<const RouteTable> routes() { return routes_.hold(); }
    const Timeouts& timeouts() const { return timeouts_; }
    bool draining() const { return draining_; }
    // A backend that did not take a connection is passed over for a while.
    void let_rest(const UpstreamKey& key);
    bool is_resting(const UpstreamKey& key);
    void close(Downstream& downstream);  // destroys it

private:
    class Listener;
    Hand(unsigned number, std::unique_ptr<io::Loop> loop, worker::Channel& channel,
         const Published<RouteTable>& routes, const Timeouts& timeouts);
    void accept_from(Listener& listener);
    void drain();

    const unsigned number_;
    const Timeouts timeouts_;
    std::unique_ptr<io::Loop> loop_;
    Published<RouteTable>::Reader routes_;
    UpstreamPool pool_;
    RoundRobin round_robin_;
    HandMetrics metrics_;
    std::unordered_map<UpstreamKey, MonotonicTime, UpstreamKeyHash> resting_;
    std::map<worker::ListenKey, std::unique_ptr<Listener>> listeners_;
    std::list<Downstream> connections_;
    bool accepting_paused_ = false;
    bool draining_ = false;
    io::Timer pause_timer_, drain_timer_;
    std::stop_source stop_;
    std::thread thread_;
};

}  // namespace weft::alb
