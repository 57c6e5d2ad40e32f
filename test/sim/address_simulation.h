// Addresses, simulated: the real controller (scheduler, blocks, vSwitches, PodENIs) and the real agents of five nodes over one
// API in memory, one fake clock and five kernels in memory. operate() does one random thing; any process dies between any two
// of its steps: every write of the controller, every step of ADD, DEL, GC, of a status write; nodes reboot, vanish and come
// anew; the wall clock jumps. Everything follows from the seed. Threads: one.
#pragma once
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/strings.h"
#include "controller/test_cluster.h"
#include "sim/address_invariants.h"

namespace weft::sim {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using protocol::cni::Answer;
using protocol::cni::Command;
using protocol::cni::Request;
using std::chrono::seconds;

inline constexpr int nodes_max = 5;
inline constexpr size_t pods_max = 48;
inline constexpr uint64_t steps_to_live_max = 24;

inline constexpr std::string_view objects = R"(
{apiVersion: v1, kind: Namespace, metadata: {name: default}}
---
{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-a},
  spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20, default: true}, status: {vni: 7}}
---
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-a}, spec: {vpc: vpc-a, zone: z, cidrBlock: 10.0.1.0/26}}
---
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-tiny}, spec: {vpc: vpc-a, zone: z, cidrBlock: 10.0.9.0/29}}
)";

struct Pod {
    std::string uid, node;
    int life = 0;        // of its container: an ADD that failed is deleted and made anew
    bool added = false;  // the runtime was told so
    bool leaving = false;
    std::optional<MonotonicTime> deleted_at;  // the first DEL
};

inline std::string node_name(int number) {
    return fmt::format("n{}", number);
}

class Simulation {
public:
    explicit Simulation(uint64_t seed) : rng_(seed), api_(clock_), invariants_(api_, clock_) {
        api_.seed(objects);
        start_controller();
        for (int n = 0; n < nodes_max; ++n) join(n);
        settle();
    }

    void operate() {
        switch (rng_.below(24)) {
            case 0:
            case 1:
            case 2:
            case 3:
                return create_pod();
            case 4:
            case 5:
                return delete_pod();
            case 6:
            case 7:
            case 8:
            case 9:
            case 10:
                return with_node([&](int n) { work_as_runtime(n); });
            case 11:
                return with_node([&](int n) { endanger(n); });
            case 12:
                return with_node([&](int n) { start_agent(n); });
            case 13:
            case 14:
            case 15:
                return run_controller(false);
            case 16:
                return run_controller(true);
            case 17:
            case 18:
            case 19:
                return with_node([&](int n) { run_agent(n); });
            case 20:
                return clock_.advance(seconds(rng_.below(12)));
            case 21:
                return with_node([&](int n) { collect_garbage(n); });
            case 22:
                return with_node([&](int n) { lose_a_link(n); });
            default:
                return rare();
        }
    }

    std::string wrong_now() { return invariants_.wrong(nodes_); }

    // Everything lives again, everything is deleted, time passes: nothing may be left.
    std::string wrong_in_the_end() {
        revive();
        for (const auto& [name, pod] : pods_) remove(name);
        for (const Object& eni : all(kube::pod_enis)) (void)api_.remove(kube::pod_enis, eni.key());
        invariants_.pardon_releases();
        for (int i = 0; i < 6; ++i) {
            settle();
            clock_.advance(seconds(agent::cool_down_s));
        }
        settle();
        if (!pods_.empty()) return fmt::format("{} pods cannot be deleted", pods_.size());
        for (const auto& [name, node] : nodes_) {
            if (!node->links.empty()) return fmt::format("{} has a link of nobody", name);
            if (!node->log->allocations().empty()) return fmt::format("{} remembers an address of nobody", name);
        }
        for (const Object& vswitch : all(kube::vswitches)) {
            if (vswitch.integer({"status", "availableIPCount"}) != vswitch.integer({"status", "totalIPCount"}))
                return fmt::format("{} has {} of {} addresses", vswitch.name(),
                                   vswitch.integer({"status", "availableIPCount"}),
                                   vswitch.integer({"status", "totalIPCount"}));
        }
        return fill();
    }

    void describe() {
        for (const Object& block : all(kube::address_blocks))
            std::printf("  %s\n", json::serialize(block.body()).c_str());
        for (const Object& pod : all(kube::pods)) std::printf("  %s\n", json::serialize(pod.body()).c_str());
    }

    uint64_t adds = 0, dels = 0, deaths = 0;

private:
    std::vector<Object> all(const kube::Resource& resource) { return MUST(api_.list(resource, {})).items; }

    void with_node(const std::function<void(int)>& work) { work(int(rng_.below(nodes_max))); }

    agent::sim::SimNode* node(int number) {
        const auto found = nodes_.find(node_name(number));
        return found == nodes_.end() ? nullptr : found->second.get();
    }

    void start_controller() {
        world_.reset();
        brain_.reset();
        client_ = std::make_unique<controller::CrashingClient>(api_);
        brain_ = kube::Brain::create(*client_, clock_);
        world_ = std::make_unique<controller::World>(*brain_, "r");
        controller::add_vswitch_reconciler(*world_);
        controller::add_scheduler(*world_);
        controller::add_block_reconciler(*world_);
        controller::add_pod_eni_reconciler(*world_);
    }

    void run_controller(bool dies) {
        if (dies) client_->allowed = client_->writes + int(rng_.below(8));
        brain_->run_until_idle();
        if (!client_->is_dead()) {
            client_->allowed = -1;
            return;
        }
        ++deaths;
        start_controller();
    }

    void join(int number) {
        const std::string name = node_name(number);
        api_.seed(fmt::format(
            "{{apiVersion: v1, kind: Node, metadata: {{name: {}, labels: {{topology.kubernetes.io/zone: z}}}}, "
            "status: {{conditions: [{{type: Ready, status: \"True\"}}]}}}}",
            name));
        nodes_[name] = std::make_unique<agent::sim::SimNode>(
            api_, clock_, name, fmt::format("/tmp/weft-sim-{}-{}-{}", getpid(), name, ++joined_));
    }

    void endanger(int number) {
        if (agent::sim::SimNode* const it = node(number)) it->fate.steps_left = rng_.below(steps_to_live_max);
    }

    void start_agent(int number) {
        agent::sim::SimNode* const it = node(number);
        if (it == nullptr) return;
        deaths += it->fate.is_dead ? 1 : 0;
        it->restart();
    }

    void run_agent(int number) {
        agent::sim::SimNode* const it = node(number);
        if (it == nullptr || it->fate.is_dead) return;
        it->brain->run_until_idle();
        it->service->collect("/nowhere");
    }

    std::string fresh_name(std::string_view prefix, uint64_t of) {
        for (int i = 0; i < 8; ++i) {
            const std::string name = fmt::format("{}-{}", prefix, rng_.below(of));
            if (!pods_.contains(name)) return name;
        }
        return "";
    }

    void create_pod() {
        if (pods_.size() >= pods_max) return;
        const uint64_t kind = rng_.below(10);
        const char* const vswitches[] = {"vsw-a", "vsw-tiny,vsw-a", "vsw-tiny", "vsw-a,vsw-tiny"};
        std::string more;
        std::string name = fresh_name("p", 200);
        if (kind == 0) {
            name = fresh_name("fixed", 6);
            more =
                fmt::format(", k8s.aliyun.com/eci-fixed-ip: \"true\", k8s.aliyun.com/eci-fixed-ip-retain-hour: \"{}\"",
                            rng_.below(2));
        } else if (kind == 1) {
            name = fresh_name("chosen", 3);
            more = fmt::format(", k8s.aliyun.com/eci-private-ip-address: 10.0.1.{}", 1 + rng_.below(60));
        }
        if (!name.empty()) create(name, vswitches[rng_.below(4)], more);
    }

    void create(const std::string& name, std::string_view vswitches, const std::string& more) {
        Object pod = Object::of(kube::pods, {"default", name});
        pod.set_annotation("network.alibabacloud.com/vswitch-ids", vswitches);
        for (const std::string& pair : split_list(more)) {
            const size_t colon = pair.find(": ");
            std::string value = pair.substr(colon + 2);
            std::erase(value, '"');
            pod.set_annotation(pair.substr(0, colon), value);
        }
        pods_[name].uid = MUST(api_.create(kube::pods, pod)).uid();
    }

    void delete_pod() {
        if (pods_.empty()) return;
        auto at = pods_.begin();
        std::advance(at, rng_.below(pods_.size()));
        remove(at->first);
    }

    void remove(const std::string& name) {
        const ObjectKey key{"default", name};
        if (pods_[name].leaving) return;
        (void)api_.remove(kube::pods, key);
        if (api_.get(kube::pods, key))
            pods_[name].leaving = true;
        else
            gone_.push_back(name);  // it was on no node
    }

    Request request(Command command, const std::string& name, const Pod& pod) {
        const std::string container = fmt::format("{}-{}", pod.uid, pod.life);
        return {command, container, "eth0", "/run/netns/" + container, "default", name, pod.uid, 0};
    }

    // ADD and DEL of one node's pods, as a runtime would.
    void work_as_runtime(int number) {
        for (const std::string& name : gone_) pods_.erase(name);
        gone_.clear();
        agent::sim::SimNode* const it = node(number);
        if (it == nullptr || it->fate.is_dead) return;
        std::vector<std::string> ended;
        const kube::Cache& known = invariants_.pods();
        for (auto& [name, pod] : pods_) {
            if (it->fate.is_dead) break;
            const ObjectPtr object = known.get(ObjectKey{"default", name});
            if (!object || object->string({"spec", "nodeName"}) != it->name) continue;
            if (pod.leaving) {
                if (!pod.deleted_at) pod.deleted_at = clock_.now();  // an agent that dies in a DEL may have released it
                const auto reply = it->call(request(Command::del, name, pod));
                if (it->fate.is_dead || !reply || reply->answer != Answer::ok) continue;
                ++dels;
                if (pod.added) rested_since_[address_of(*object)] = {*pod.deleted_at, name};
                (void)api_.remove(kube::pods, {"default", name},
                                  {.uid = {}, .propagation_policy = {}, .grace_period_s = 0});
                ended.push_back(name);
            } else if (!pod.added) {
                add(*it, name, pod, *object);
            }
        }
        for (const std::string& name : ended) pods_.erase(name);
    }

    void add(agent::sim::SimNode& on, const std::string& name, Pod& pod, const Object& object) {
        const auto reply = on.call(request(Command::add, name, pod));
        if (on.fate.is_dead) return;
        if (!reply || reply->answer != Answer::ok) {
            (void)on.call(
                request(Command::del, name, pod));  // the runtime gives up, and tries again with a new container
            if (!on.fate.is_dead) ++pod.life;
            return;
        }
        ++adds;
        pod.added = true;
        pod.node = on.name;
        const net::Address address = MUST(net::Address::parse(reply->wired.address));
        if (const auto rested = rested_since_.find(address); rested != rested_since_.end()) {
            if (rested->second.second != name && clock_.now() - rested->second.first < seconds(agent::cool_down_s - 1))
                ADD_FAILURE() << address.text() << " of " << rested->second.second << " has not rested before " << name
                              << " got it";
        }
        Object running = object;
        running.set({"status", "podIP"}, json::Value(reply->wired.address));
        running.set({"status", "phase"}, "Running");
        (void)api_.update_status(kube::pods, running);
    }

    net::Address address_of(const Object& pod) {
        return net::Address::parse(pod.string({"status", "podIP"})).value_or(net::Address());
    }

    void collect_garbage(int number) {
        agent::sim::SimNode* const it = node(number);
        if (it == nullptr || it->fate.is_dead) return;
        Request gc{Command::gc};
        gc.network = "";
        gc.started_ms = agent::uptime_ms(clock_);
        for (const auto& [name, pod] : pods_) gc.valid.push_back({fmt::format("{}-{}", pod.uid, pod.life), "eth0"});
        (void)it->call(gc);
    }

    // A namespace dies with its program; the runtime makes the pod anew.
    void lose_a_link(int number) {
        agent::sim::SimNode* const it = node(number);
        if (it == nullptr || it->links.empty()) return;
        auto at = it->links.begin();
        std::advance(at, rng_.below(it->links.size()));
        const std::string netns = at->second.plug.netns;
        const net::Address address = at->second.plug.address;
        it->links.erase(at);
        for (auto& [name, pod] : pods_) {
            if (!netns.ends_with(fmt::format("{}-{}", pod.uid, pod.life))) continue;
            rested_since_[address] = {MonotonicTime{}, name};
            pod.added = false;
            ++pod.life;
        }
    }

    void rare() {
        const int number = int(rng_.below(nodes_max));
        switch (rng_.below(7)) {
            case 6:
                return clock_.jump(std::chrono::hours(1) * (rng_.below(2) == 0 ? 1 : -1));
            case 0:
                return vanish(number);
            case 1:
                return node(number) == nullptr ? join(number) : void();
            case 2:
                return clock_.advance(std::chrono::minutes(rng_.below(50)));
            case 3:
                return delete_a_block();
            default:
                return settle();
        }
    }

    // The machine is gone for good, its pods with it.
    void vanish(int number) {
        const std::string name = node_name(number);
        if (!nodes_.contains(name) || rng_.below(4) != 0) return;
        nodes_.erase(name);
        (void)api_.remove(kube::nodes, {"", name});
        for (const Object& pod : all(kube::pods)) {
            if (pod.string({"spec", "nodeName"}) != name) continue;
            rested_since_.erase(address_of(pod));
            (void)api_.remove(kube::pods, pod.key(), {.uid = {}, .propagation_policy = {}, .grace_period_s = 0});
            pods_.erase(std::string(pod.name()));
        }
        std::erase_if(rested_since_, [](const auto&) { return true; });  // nobody is left to know
    }

    // By hand, with kubectl: no more than a wish to have it back.
    void delete_a_block() {
        const auto blocks = all(kube::address_blocks);
        if (!blocks.empty()) (void)api_.remove(kube::address_blocks, blocks[rng_.below(blocks.size())].key());
    }

    void revive() {
        for (int n = 0; n < nodes_max; ++n) {
            if (node(n) == nullptr)
                join(n);
            else if (node(n)->fate.is_dead || node(n)->fate.steps_left < UINT64_MAX / 2)
                start_agent(n);
        }
        client_->allowed = -1;
    }

    // All processes in turn, until nothing changes any more at this time.
    void settle() {
        for (int round = 0; round < 6; ++round) {
            run_controller(false);
            for (int n = 0; n < nodes_max; ++n) {
                run_agent(n);
                work_as_runtime(n);
                run_agent(n);
            }
            clock_.advance(seconds(1));
        }
        run_controller(false);
    }

    // As many pods as there are addresses, in two waves and with some deleted between: free ones lie everywhere.
    std::string fill() {
        const auto make = [&](int from, int to) {
            for (int i = from; i < to; ++i) create(fmt::format("fill-{}", i), "vsw-a", "");
            for (int i = 0; i < 8; ++i) settle();
        };
        make(0, 40);
        for (int i = 0; i < 40; i += 3) remove(fmt::format("fill-{}", i));
        for (int i = 0; i < 6; ++i) {
            settle();
            clock_.advance(seconds(7));
        }
        make(100, 134);
        std::string lacking;
        for (const auto& [name, pod] : pods_)
            if (!pod.added) lacking += " " + name;
        if (pods_.size() != 60 || !lacking.empty())
            return fmt::format("{} pods for 60 addresses; without one:{}", pods_.size(), lacking);
        for (const auto& [name, pod] : pods_) remove(name);
        for (int i = 0; i < 3; ++i) settle();
        for (const Object& event : all(kube::events)) (void)api_.remove(kube::events, event.key());
        api_.compact();
        api_.clear_log();
        return wrong_now();
    }

    Rng rng_;
    controller::JumpingClock clock_;
    kube::FakeClient api_;
    AddressInvariants invariants_;
    std::unique_ptr<controller::CrashingClient> client_;
    std::unique_ptr<kube::Brain> brain_;
    std::unique_ptr<controller::World> world_;
    Nodes nodes_;
    std::map<std::string, Pod> pods_;  // by name
    std::vector<std::string> gone_;
    std::map<net::Address, std::pair<MonotonicTime, std::string>> rested_since_;  // DEL of an address: when, whose
    int joined_ = 0;
};

}  // namespace weft::sim
