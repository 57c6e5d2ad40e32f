// NodeHealth: port 10256 of the node, where an outside balancer or an installer asks whether Services work here.
//   /healthz  200 while the data plane follows the API and the node is to get traffic from outside; else 503
//   /livez    the same without the node's own state: it is about to leave, but what comes in is served
// The data plane is stale when what the brain wanted to program has failed for longer than `stale_after`, or when the
// brain itself has not come by for so long. An API that is away is no reason: the data path does not need it.
// A port that cannot be had (another service proxy on this machine) is tried again with every beat.
//
// Threads: beat() and set_node() the brain's; requests are answered on threads of their own.
// Source: spec/kubernetes.md DP-31.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "agent/view.h"
#include "base/clock.h"
#include "http/server.h"
#include "kube/brain.h"

namespace weft::agent {

inline constexpr uint16_t node_health_port = 10256;

class NodeHealth {
public:
    static constexpr Duration beat_period = std::chrono::seconds(1);
    static constexpr Duration stale_after = std::chrono::seconds(60);  // twice the longest back-off of a retry

    struct Answer {
        int status = 0;
        std::string body;
    };

    NodeHealth(const net::Address& address, uint16_t port, const Clock& clock = system_clock());

    // The brain is alive; `failing_since`: what could not be programmed so far.
    void beat(std::optional<MonotonicTime> failing_since);
    // Null: not heard of yet, or gone.
    void set_node(const kube::ObjectPtr& node);

    Answer answer(std::string_view path) const;

    uint16_t listening_on() const { return listening_on_; }  // 0: not yet

private:
    void open();

    const net::Address address_;
    const uint16_t port_;
    const Clock& clock_;
    mutable std::mutex mutex_;
    MonotonicTime last_beat_;
    std::optional<MonotonicTime> failing_since_;
    WallTime last_updated_;
    bool eligible_ = true;
    uint16_t listening_on_ = 0;
    bool complained_ = false;
    std::unique_ptr<http::Server> server_;  // last: it ends before what its threads look at
};

// Among the agent's reconcilers; before the brain runs, all must outlive it.
void add_node_health(kube::Brain& brain, const View& view, NodeHealth& health,
                     std::function<std::optional<MonotonicTime>()> failing_since);

}  // namespace weft::agent
