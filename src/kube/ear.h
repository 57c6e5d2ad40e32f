// Ear: keeps one kind in sight of the brain. Lists, then watches from the list's resourceVersion; resumes at the last
// event or bookmark when the stream ends, lists again on `gone`; waits 0.1 s doubling to 5 s after errors. It only
// tells: the brain's thread applies. Threads: run() is one thread's life; last_life() any.
#pragma once
#include <atomic>
#include <functional>
#include <stop_token>
#include <variant>

#include "kube/client.h"

namespace weft::kube {

using EarNews = std::variant<ObjectList, WatchEvent>;

class Ear {
public:
    static constexpr Duration backoff_first = std::chrono::milliseconds(100);
    static constexpr Duration backoff_max = std::chrono::seconds(5);

    Ear(Client& client, const Clock& clock, const Resource& resource, const ListOptions& options);

    void run(std::stop_token stop, const std::function<void(EarNews&&)>& tell);
    MonotonicTime last_life() const { return MonotonicTime(Duration(last_life_.load(std::memory_order_relaxed))); }

private:
    Status listen_once(std::stop_token stop, const std::function<void(EarNews&&)>& tell);
    void note_life();

    Client& client_;
    const Clock& clock_;
    const Resource resource_;
    const ListOptions options_;
    std::string version_;   // "" = list first
    bool heard_ = false;    // something arrived since the last attempt
    std::atomic<int64_t> last_life_;
};

}  // namespace weft::kube
