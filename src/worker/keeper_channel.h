// KeeperChannel: the worker's end of the keeper protocol (protocol/keeper.h).
//
// One request is on its way at a time. A thread of its own accepts a new keeper at the adopt socket, notices that the
// old one has died, and keeps the stock of upstream sockets filled. Without a keeper, requests wait a moment for one
// and then fail with Code::timeout; what the worker holds stays in use.
// Threads: any. Sockets of a network namespace that was made anew are dropped from the stock within recheck_period.
#pragma once
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "protocol/keeper.h"
#include "worker/worker.h"

namespace weft::worker {

class KeeperChannel : public Channel {
public:
    static constexpr Duration reply_wait = std::chrono::seconds(2);
    static constexpr Duration reconnect_wait = std::chrono::seconds(1);     // of api(): nobody can do without
    static constexpr Duration listen_wait = std::chrono::milliseconds(100);  // asked for again and again anyway
    static constexpr Duration recheck_period = std::chrono::seconds(2);
    static constexpr unsigned stock_low = 16;   // refilled in the background below this
    static constexpr unsigned stock_batch = 32;  // sockets asked for at once

    // Shakes hands with the keeper that started us. `adopt` is the listening socket where a later keeper connects.
    static Result<std::unique_ptr<KeeperChannel>> open(std::string_view worker_name, Fd connection, Fd adopt);
    ~KeeperChannel() override;

    Result<std::vector<Fd>> listen(const ListenKey& key, unsigned n) override;
    Status unlisten(const ListenKey& key) override;
    Result<Fd> upstream(uint32_t vni, net::Protocol protocol) override;
    Result<Fd> api() override;
    std::vector<ListenKey> held() const override;

    const std::string& node() const { return node_; }

private:
    using StockKey = std::pair<uint32_t, net::Protocol>;
    struct Stock {
        std::deque<Fd> sockets;
        uint64_t netns_cookie = 0;
        bool refilling = false;
    };

    KeeperChannel(std::string_view worker_name, Fd adopt);
    Status greet(int connection, bool adopted);
    // Code::timeout when no keeper is there within `patience`.
    Result<protocol::keeper::Received> call(protocol::keeper::Message message, Duration patience);
    static Result<protocol::keeper::Received> exchange(int connection, const protocol::keeper::Message& request);
    bool holds(const ListenKey& key) const;
    void accept_keeper();
    Status fill(const StockKey& key, unsigned n);
    void tend_stocks(bool recheck);
    void run();
    void wake();

    const std::string worker_;
    std::string node_;
    Fd adopt_, wake_;

    std::mutex call_mutex_;  // one request at a time; guards sequence_
    uint64_t sequence_ = 0;

    mutable std::mutex mutex_;  // guards what follows; never held while waiting for the keeper
    std::condition_variable connected_;
    std::shared_ptr<Fd> connection_;
    std::map<ListenKey, std::vector<Fd>> listeners_;
    std::map<StockKey, Stock> stocks_;
    bool stopping_ = false;

    std::thread thread_;
};

}  // namespace weft::worker
