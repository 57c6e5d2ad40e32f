#include "kube/work_queue.h"

#include <algorithm>

namespace weft::kube {

void WorkQueue::add(const ObjectKey& key) {
    if (queued_.insert(key).second) ready_.push_back(key);
}

void WorkQueue::add_after(const ObjectKey& key, MonotonicTime when) {
    const auto [entry, fresh] = delayed_.emplace(key, when);
    if (!fresh) {
        if (entry->second <= when) return;
        by_time_.erase({entry->second, key});
        entry->second = when;
    }
    by_time_.emplace(when, key);
}

void WorkQueue::failed(const ObjectKey& key, MonotonicTime now) {
    const unsigned failures = failures_[key]++;
    const Duration backoff =
        failures >= 13 ? backoff_max : std::min<Duration>(backoff_max, backoff_first * (1u << failures));
    add_after(key, now + backoff);
}

void WorkQueue::succeeded(const ObjectKey& key) { failures_.erase(key); }

std::optional<ObjectKey> WorkQueue::pop(MonotonicTime now) {
    while (!by_time_.empty() && by_time_.begin()->first <= now) {
        const ObjectKey key = by_time_.begin()->second;
        by_time_.erase(by_time_.begin());
        delayed_.erase(key);
        add(key);
    }
    if (ready_.empty()) return std::nullopt;
    ObjectKey key = std::move(ready_.front());
    ready_.pop_front();
    queued_.erase(key);
    return key;
}

std::optional<MonotonicTime> WorkQueue::next_due() const {
    return by_time_.empty() ? std::nullopt : std::optional(by_time_.begin()->first);
}

}  // namespace weft::kube
