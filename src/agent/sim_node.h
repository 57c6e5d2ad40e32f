// SimNode: the agent's side of a node over a kernel in memory that can die between any two steps. Death freezes
// everything (links, maps, the log file) as it is; start() is the next agent, which adopts it. For tests and
// simulations only. Threads: one.
#pragma once
#include <unistd.h>

#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/block_status.h"
#include "agent/endpoint.h"
#include "kernel/bpf_map_fake.h"
#include "kube/fake_client.h"

namespace weft::agent::sim {

// A VPC with one vSwitch, of which node n1 has a /24.
inline constexpr std::string_view one_block = R"(
apiVersion: weft.dev/v1
kind: VPC
metadata: {name: vpc-a}
spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20, default: true}
status: {vni: 7}
---
apiVersion: weft.dev/v1
kind: VSwitch
metadata: {name: vsw-a}
spec: {vpc: vpc-a, zone: z, cidrBlock: 10.0.0.0/20}
---
apiVersion: weft.dev/v1
kind: AddressBlock
metadata: {name: block}
spec: {vpc: vpc-a, vSwitch: vsw-a, cidr: 10.0.0.0/24, node: n1}
---
apiVersion: v1
kind: Namespace
metadata: {name: default}
)";


// Counts steps and stops the world at one of them. `on_death` runs once, at that moment.
struct Fate {
    uint64_t steps_left = UINT64_MAX;
    bool is_dead = false;
    std::function<void()> on_death;

    // True: this step does not happen any more.
    bool step() {
        if (is_dead) return true;
        if (steps_left-- > 0) return false;
        is_dead = true;
        if (on_death) on_death();
        return true;
    }
};

inline const Error death{Code::io, "the agent is dead"};

template <class K, class V>
class MortalMap final : public kernel::Map<K, V> {
public:
    using Entry = typename kernel::Map<K, V>::Entry;

    MortalMap(Fate& fate, std::map<K, V>& rows) : fate_(fate), rows_(rows) {}

    Result<std::optional<V>> lookup(const K& key) const override {
        const auto found = rows_.find(key);
        return found == rows_.end() ? std::nullopt : std::optional<V>(found->second);
    }

    Status put_all(std::span<const Entry> entries) override {
        for (const auto& [key, value] : entries) {
            if (fate_.step()) return fail(death);
            rows_.insert_or_assign(key, value);
        }
        return {};
    }

    Status erase_all(std::span<const K> keys) override {
        for (const K& key : keys) {
            if (fate_.step()) return fail(death);
            rows_.erase(key);
        }
        return {};
    }

    Result<std::map<K, V>> all() const override { return rows_; }

private:
    Fate& fate_;
    std::map<K, V>& rows_;
};

struct FakeLink {
    Plug plug;
    uint32_t ifindex = 0;
    bool is_open = false;
};

class FakeWiring final : public Wiring {
public:
    explicit FakeWiring(Fate& fate, std::map<std::string, FakeLink>& links) : fate_(fate), links_(links) {}

    Result<Socket> connect(const Plug& plug) override {
        if (fate_.step()) return fail(death);
        for (const auto& [name, link] : links_)
            if (link.plug.netns == plug.netns && link.plug.ifname == plug.ifname)
                return fail(Code::already_exists, plug.ifname);
        const auto ifindex = uint32_t(100 + std::hash<std::string>()(plug.host_link) % 1000000);
        links_[plug.host_link] = {plug, ifindex, false};
        if (fate_.step()) return fail(death);
        return Socket{ifindex, cookie(plug)};
    }

    Status open(const Plug& plug) override {
        if (fate_.step()) return fail(death);
        if (refusal) return fail(*refusal);
        const auto found = links_.find(plug.host_link);
        if (found == links_.end()) return fail(Code::not_found, plug.host_link);
        found->second.is_open = true;
        if (fate_.step()) return fail(death);
        return {};
    }

    Result<Socket> inspect(const Plug& plug) override {
        const auto found = links_.find(plug.host_link);
        if (found == links_.end()) return fail(Code::not_found, plug.host_link);
        if (!found->second.is_open) return fail(Code::conflict, "down");
        return Socket{found->second.ifindex, cookie(plug)};
    }

    Status disconnect(const std::string& host_link) override {
        if (fate_.step()) return fail(death);
        links_.erase(host_link);
        return {};
    }

    Result<std::vector<std::string>> host_links() override {
        std::vector<std::string> names;
        for (const auto& [name, link] : links_) names.push_back(name);
        return names;
    }

    Result<Socket> ensure_host(const HostPlug&) override { return Socket{}; }

    Status ensure_service_netns(const std::string&, const std::vector<net::Address>&) override { return {}; }

    Status remove_netns(const std::string&) override { return {}; }

    std::optional<Error> refusal;  // what the kernel says to open()

private:
    static uint64_t cookie(const Plug& plug) { return 1 + std::hash<std::string>()(plug.netns); }

    Fate& fate_;
    std::map<std::string, FakeLink>& links_;
};

// The one block status at a time that a StatusWriter would write, at once; a step of the agent's life.
class DirectSink final : public StatusSink {
public:
    DirectSink(Fate& fate, kube::Client& api) : fate_(fate), api_(api) {}

    void write(const kube::ObjectKey& block, std::string_view uid, json::Object status) override {
        if (fate_.step()) return;
        (void)api_.patch(kube::address_blocks, block, kube::PatchType::merge,
                         json::Object{{"metadata", json::Object{{"uid", uid}}}, {"status", std::move(status)}},
                         "status");
        if (fate_.step()) return;
    }

private:
    Fate& fate_;
    kube::Client& api_;
};

class SimNode {
public:
    SimNode(kube::Client& client, const Clock& clock, std::string node, std::string log_path)
        : api(client), clock_(clock), name(std::move(node)), log_path_(std::move(log_path)) {
        start();
    }

    ~SimNode() { ::unlink(log_path_.c_str()); }

    void start() {
        service.reset();
        statuses.reset();
        fate = Fate{};
        maps = kernel::fake_node_maps();
        maps.endpoint = std::make_unique<MortalMap<__u32, abi::endpoint>>(fate, endpoint_rows);
        maps.endpoints = std::make_unique<MortalMap<abi::endpoint_key, __u32>>(fate, address_rows);
        maps.netns = std::make_unique<MortalMap<__u64, __u32>>(fate, netns_rows);
        maps.attachments = std::make_unique<MortalMap<__u32, __u32>>(fate, attachment_rows);
        tables = std::make_unique<Tables>(maps);
        MUST(tables->load());
        log.emplace(MUST(AllocationLog::open(log_path_, "boot")));
        wiring = std::make_unique<FakeWiring>(fate, links);
        brain = kube::Brain::create(api, clock_);
        view = std::make_unique<View>(*brain, name);
        sink = std::make_unique<DirectSink>(fate, api);
        statuses = std::make_unique<BlockStatus>(*view, *log, *sink, clock_);
        auto& queue =
            brain->add_reconciler("blocks", [this](const kube::ObjectKey& key) { return statuses->reconcile(key); });
        brain->on_change(view->blocks, [&queue](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
            queue.add((after ? after : before)->key());
        });
        service = std::make_unique<EndpointService>(*view, *tables, *log, *wiring, pod_mtu(1500), clock_,
                                                    [&queue](const std::string& block) { queue.add({"", block}); });
        fate.on_death = [this] { log_at_death_ = MUST(read_file(log_path_)); };
        brain->on_synced([this] {
            service->adopt();
            service->collect("/nowhere");
        });
        brain->run_until_idle();
    }

    void restart() {
        if (fate.is_dead) std::ofstream(log_path_, std::ios::trunc | std::ios::binary) << log_at_death_;
        start();
    }

    std::optional<protocol::cni::Reply> call(const protocol::cni::Request& request) {
        // It may come later, when nobody asks any more.
        const auto reply = std::make_shared<std::optional<protocol::cni::Reply>>();
        service->ask(request, [this, reply](EndpointService::Answered answered) {
            *reply = answered.reply;
            for (const std::string& link : answered.links_to_delete) (void)wiring->disconnect(link);
        });
        return *reply;
    }

    kube::Client& api;
    const Clock& clock_;
    const std::string name;
    Fate fate;
    std::map<std::string, FakeLink> links;
    std::map<__u32, abi::endpoint> endpoint_rows;
    std::map<abi::endpoint_key, __u32> address_rows;
    std::map<__u64, __u32> netns_rows;
    std::map<__u32, __u32> attachment_rows;
    kernel::NodeMaps maps;
    std::unique_ptr<Tables> tables;
    std::optional<AllocationLog> log;
    std::unique_ptr<FakeWiring> wiring;
    std::unique_ptr<kube::Brain> brain;
    std::unique_ptr<View> view;
    std::unique_ptr<DirectSink> sink;
    std::unique_ptr<BlockStatus> statuses;
    std::unique_ptr<EndpointService> service;

private:
    std::string log_path_;
    std::string log_at_death_;
};

}  // namespace weft::agent::sim
