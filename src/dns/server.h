// Server: the brain of `weft dns` and its hands.
//
// The brain watches Services, EndpointSlices, Pods, Namespaces and VPCs, builds a new Snapshot a moment after a change
// (changes within publish_delay share one), and asks the channel for the sockets of every VPC's kube-dns address: at
// once for a new VPC, every retry_period while it has none, and for all every recheck_every periods, because a VPC's
// namespace may appear later or be made anew. Nothing is read from a socket before the first sync, unless that takes
// longer than sync_patience: then everything in the zone is SERVFAIL. Threads: run() is the brain's; hands have their
// own. Source: style.md 2.7; spec/kubernetes.md DNS-15.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "dns/hand.h"
#include "dns/index.h"
#include "kube/brain.h"

namespace weft::dns {

class Server {
public:
    static constexpr Duration publish_delay = std::chrono::milliseconds(5);
    static constexpr Duration retry_period = std::chrono::milliseconds(250);
    static constexpr unsigned recheck_every = 8;  // retry periods

    struct Config {
        Settings settings;
        std::vector<io::SocketAddress> upstreams;
        Policy policy = Policy::round_robin;
        unsigned hands = 1;
        uint16_t port = 53;
        Duration sync_patience = std::chrono::seconds(5);
    };

    // `channel` and `client` must outlive it.
    static Result<std::unique_ptr<Server>> create(Config config, worker::Channel& channel, kube::Client& client);

    void run(std::stop_token stop);
    bool synced() const { return brain_->synced(); }

private:
    Server(Config config, worker::Channel& channel, kube::Client& client);
    void watch();
    void touch(const std::string& ns);
    void touch_all();
    kube::Outcome publish();
    std::shared_ptr<const NamespaceZone> build(const kube::Object& ns) const;
    std::set<worker::ListenKey> wanted_keys() const;
    // Those that are open already are asked for again only if told so: it costs the keeper a turn each.
    void tend_sockets(bool also_open);
    // False when the keeper is away, so that asking further is no use.
    bool tend(const worker::ListenKey& key);
    void give_to_hands(const worker::ListenKey& key, std::vector<Fd> sockets);
    void open_without_sync();

    Config config_;  // its settings point at loops_
    LoopWatch loops_;
    worker::Channel& channel_;
    std::unique_ptr<kube::Brain> brain_;
    const kube::Cache* services_ = nullptr;
    const kube::Cache* slices_ = nullptr;
    const kube::Cache* pods_ = nullptr;
    const kube::Cache* namespaces_ = nullptr;
    const kube::Cache* vpcs_ = nullptr;
    kube::Brain::Queue* queue_ = nullptr;

    std::set<std::string> touched_;  // namespaces to build anew
    std::map<std::string, std::shared_ptr<const NamespaceZone>> zones_;
    std::map<worker::ListenKey, std::vector<uint64_t>> open_;  // cookies of the sockets the hands have
    uint32_t serial_ = 0;
    Published<Snapshot> snapshot_;
    std::vector<std::unique_ptr<Hand>> hands_;
};

}  // namespace weft::dns
