// StatusWriter: the hand that writes AddressBlock statuses, so that the brain never waits for the API server in the
// middle of an ADD. Of one block only the newest status is kept; a failed write is told, and the brain decides what to
// write then. Threads: write() on the brain's; one of its own; `on_failure` is called on that one. Destroying it drops
// what waits.
#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "base/json.h"
#include "kube/client.h"

namespace weft::agent {

// Where statuses go.
class StatusSink {
public:
    virtual ~StatusSink() = default;
    // `uid` is the block's that the status speaks of: a block's name comes again, perhaps on another node.
    virtual void write(const kube::ObjectKey& block, std::string_view uid, json::Object status) = 0;
};

class StatusWriter final : public StatusSink {
public:
    StatusWriter(kube::Client& client, std::function<void(const kube::ObjectKey& block)> on_failure);
    ~StatusWriter() override;

    void write(const kube::ObjectKey& block, std::string_view uid, json::Object status) override;

private:
    void run(std::stop_token stop);

    kube::Client& client_;
    std::function<void(const kube::ObjectKey&)> on_failure_;
    std::mutex mutex_;
    std::condition_variable_any arrived_;
    std::map<kube::ObjectKey, json::Object> pending_;  // patches
    std::jthread thread_;
};

}  // namespace weft::agent
