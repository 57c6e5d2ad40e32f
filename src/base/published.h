// Published<T>: an immutable snapshot that one thread swaps in whole and others read.
//
// Each reader keeps its own Reader (one per thread), which costs one relaxed version check per use and takes the
// mutex only after a change. Not atomic<shared_ptr>: the one of g++ 12 sets off TSan.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace weft {

template <class T>
class Published {
public:
    explicit Published(std::shared_ptr<const T> first) : value_(std::move(first)) {}

    void publish(std::shared_ptr<const T> next) {
        const std::lock_guard lock(mutex_);
        value_ = std::move(next);
        version_.fetch_add(1, std::memory_order_release);
    }

    std::shared_ptr<const T> get() const {
        const std::lock_guard lock(mutex_);
        return value_;
    }

    uint64_t version() const { return version_.load(std::memory_order_acquire); }

    // One per thread; the Published must outlive it.
    class Reader {
    public:
        explicit Reader(const Published& source) : source_(source) {}

        // Valid until the next call on this Reader; hold() it to keep it longer.
        const T& current() {
            refresh();
            return *mine_;
        }

        std::shared_ptr<const T> hold() {
            refresh();
            return mine_;
        }

    private:
        void refresh() {
            const uint64_t now = source_.version();
            if (mine_ && now == seen_) return;
            seen_ = now;
            mine_ = source_.get();
        }

        const Published& source_;
        std::shared_ptr<const T> mine_;
        uint64_t seen_ = 0;
    };

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const T> value_;
    std::atomic<uint64_t> version_{1};
};

}  // namespace weft
