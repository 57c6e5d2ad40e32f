// Hands: a few threads that do what would keep the brain waiting: wiring a pod, probing a port. Jobs run in order of
// arrival and tell their outcome by posting to the brain. Threads: submit() any. Destruction waits for running jobs,
// drops the rest.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace weft::runtime {

class Hands {
public:
    explicit Hands(unsigned threads) {
        for (unsigned i = 0; i < threads; i++) threads_.emplace_back([this](std::stop_token stop) { work(stop); });
    }

    ~Hands() {
        for (std::jthread& thread : threads_) thread.request_stop();
    }

    void submit(std::function<void()> job) {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(std::move(job));
        waiting_.notify_one();
    }

private:
    void work(std::stop_token stop) {
        std::unique_lock lock(mutex_);
        while (waiting_.wait(lock, stop, [&] { return !jobs_.empty(); })) {
            if (stop.stop_requested()) return;
            const std::function<void()> job = std::move(jobs_.front());
            jobs_.pop_front();
            lock.unlock();
            job();
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable_any waiting_;
    std::deque<std::function<void()>> jobs_;
    std::vector<std::jthread> threads_;  // last: joined before the rest goes
};

}  // namespace weft::runtime
