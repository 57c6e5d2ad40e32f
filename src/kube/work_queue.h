// WorkQueue: keys that want a look, each at most once at a time, with back-off per key after errors (5 ms doubling to
// backoff_max). Told *which*, never *what happened*. Threads: the brain's only. Source: controller-runtime's idea.
#pragma once
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <deque>

#include "base/clock.h"
#include "kube/object.h"

namespace weft::kube {

class WorkQueue {
public:
    static constexpr Duration backoff_first = std::chrono::milliseconds(5);
    static constexpr Duration backoff_max = std::chrono::seconds(30);

    void add(const ObjectKey& key);
    void add_after(const ObjectKey& key, MonotonicTime when);  // an earlier time wins
    void failed(const ObjectKey& key, MonotonicTime now);      // add_after with back-off
    void succeeded(const ObjectKey& key);                      // forgets the back-off

    std::optional<ObjectKey> pop(MonotonicTime now);           // the next due key
    std::optional<MonotonicTime> next_due() const;             // when something delayed becomes due
    bool idle() const { return ready_.empty(); }

private:
    std::deque<ObjectKey> ready_;
    std::set<ObjectKey> queued_;
    std::map<ObjectKey, MonotonicTime> delayed_;
    std::set<std::pair<MonotonicTime, ObjectKey>> by_time_;  // the same, soonest first
    std::map<ObjectKey, unsigned> failures_;
};

}  // namespace weft::kube
