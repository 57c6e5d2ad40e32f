// WorkerSlot: one worker's life, seen from the keeper.
//
//   state     meaning                                   leaves by
//   down      no process known                          retry_at: somebody at the adopt socket → adopting; else, once
//                                                       there is a token, spawn → starting
//   starting  spawned, hello sent                       its hello → hand over what we kept → serving; exit → down
//   adopting  connected to a living worker, hello sent  its hello, holdings, holding_end → serving; hang-up → down
//   serving   requests are answered                     hang-up → cut_off; exit → down
//   cut_off   channel lost, process alive               retry_at: connect again → adopting; exit → down
//
// A second worker is never started while the first may live: `down` always knocks at the adopt socket first.
// Back-off: backoff_first doubling to backoff_max, forgotten once a worker has lived for steady_after.
// Threads: the keeper's only one. Source: style.md 2.7 (enum, on_event, enter).
#pragma once
#include <poll.h>

#include <string>

#include "base/clock.h"
#include "base/metrics.h"
#include "keeper/listeners.h"
#include "keeper/main.h"
#include "keeper/spawn.h"

namespace weft::keeper {

inline constexpr Duration backoff_first = std::chrono::milliseconds(100);
inline constexpr Duration backoff_max = std::chrono::seconds(5);
inline constexpr Duration steady_after = std::chrono::seconds(10);

class WorkerSlot {
public:
    enum class State : uint8_t { down, starting, adopting, serving, cut_off };

    // All must outlive the slot.
    WorkerSlot(std::string name, const Options& options, const Namespaces& namespaces, Listeners& listeners);

    pollfd channel_poll() const { return {channel_.get(), POLLIN, 0}; }
    pollfd exit_poll() const { return {pidfd_.get(), POLLIN, 0}; }
    MonotonicTime next_due() const;  // MonotonicTime::max() when only events matter

    void on_readable();
    void on_exit();
    void on_time(MonotonicTime now);

    State state() const { return state_; }

private:
    void enter(State next);
    void on_message(protocol::keeper::Received received);
    void on_hangup(const Error& why);
    void knock_or_spawn();
    void hand_over();
    Result<std::vector<Fd>> answer(const protocol::keeper::Message& request, protocol::keeper::Message& reply);
    Status say_hello();
    Command command(std::string token) const;
    std::string adopt_path() const;

    const std::string name_;
    const Options& options_;
    const Namespaces& namespaces_;
    Listeners& listeners_;

    State state_ = State::down;
    pid_t pid_ = -1;
    Fd channel_, pidfd_;
    MonotonicTime retry_at_{}, started_{};
    Duration backoff_ = backoff_first;
    bool said_no_token_ = false;
    metrics::Counter& starts_;
    metrics::Counter& adoptions_;
};

}  // namespace weft::keeper
