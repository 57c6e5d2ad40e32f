// Loop: one thread's event loop: edge-triggered epoll, timers, and work posted by other threads.
//
//   watch(fd, handler)  ready() is called with EPOLL* bits after each edge; read or write until EAGAIN
//   Timer               intrusive; arming later than before costs nothing (the loop re-sorts it when it comes up)
//   post(work)          from any thread; runs on the loop's thread, in order
//
// Inside a callback everything may be added, removed or destroyed, also the handler being called: an event that was
// already collected for a removed descriptor is dropped by generation. Threads: all but post() belong to the thread of
// run().
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace weft::io {

class Loop;

class Handler {
public:
    virtual void ready(uint32_t events) = 0;

protected:
    ~Handler() = default;
};

// Calls `fire` once when it is due. Disarms itself when destroyed; must not outlive its loop while armed.
class Timer {
public:
    using Fire = void (*)(void* owner);

    Timer(Fire fire, void* owner) : fire_(fire), owner_(owner) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { disarm(); }

    void arm(Loop& loop, Duration after);
    void disarm();
    bool armed() const { return deadline_ != MonotonicTime{}; }

private:
    friend class Loop;
    static constexpr uint32_t not_queued = UINT32_MAX;

    Fire fire_;
    void* owner_;
    Loop* loop_ = nullptr;
    MonotonicTime deadline_{};  // when it shall fire; zero = disarmed
    MonotonicTime key_{};       // where it stands in the heap: never later than deadline_
    uint32_t index_ = not_queued;
};

class Loop {
public:
    static Result<std::unique_ptr<Loop>> create();
    ~Loop();

    // Reports EPOLLIN and EPOLLOUT edges, and RDHUP/HUP/ERR. The descriptor must be non-blocking and stay open until
    // unwatch().
    Status watch(int fd, Handler& handler);
    void unwatch(int fd);

    // Time of the current turn; cheap.
    MonotonicTime now() const { return now_; }

    void post(std::function<void()> work);

    void run(std::stop_token stop);
    // One turn, waiting at most `wait`; for tests and for draining.
    void turn(Duration wait);

private:
    friend class Timer;
    struct Slot {
        Handler* handler = nullptr;
        uint32_t generation = 0;
    };

    Loop(Fd epoll, Fd wake);
    void insert(Timer& timer);
    void erase(Timer& timer);
    void sift_up(size_t i);
    void sift_down(size_t i);
    void place(size_t i, Timer* timer);
    void fire_due();
    Duration until_next_timer() const;
    void run_posted();

    Fd epoll_, wake_;
    MonotonicTime now_;
    std::vector<Slot> slots_;   // by descriptor
    std::vector<Timer*> heap_;  // by key_
    std::mutex mutex_;          // guards posted_
    std::vector<std::function<void()>> posted_;
};

}  // namespace weft::io
