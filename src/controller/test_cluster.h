// TestCluster: the controller over an API server in a map and a clock that stands still, with a small agent and runtime
// that play the nodes' part. crash_after(n) lets n more writes of the controller through and then takes the API away,
// as a kill between two writes does; restart() throws the controller away and starts another, which knows only what is
// in the API.
#pragma once
#include <memory>
#include <string>

#include <fmt/format.h>

#include "controller/reconcilers.h"
#include "kube/fake_client.h"

namespace weft::controller {

// Counts the controller's writes, and ends them at a given one.
class CrashingClient : public kube::Client {
public:
    explicit CrashingClient(kube::Client& real) : real_(real) {}

    int writes = 0;
    int allowed = -1;  // -1: all

    Result<kube::Object> get(const kube::Resource& r, const kube::ObjectKey& k) override { return real_.get(r, k); }
    Result<kube::ObjectList> list(const kube::Resource& r, const kube::ListOptions& o = {}) override {
        return real_.list(r, o);
    }
    Result<kube::Object> create(const kube::Resource& r, const kube::Object& o) override {
        TRY(count());
        return real_.create(r, o);
    }
    Result<kube::Object> update(const kube::Resource& r, const kube::Object& o) override {
        TRY(count());
        return real_.update(r, o);
    }
    Result<kube::Object> update_status(const kube::Resource& r, const kube::Object& o) override {
        TRY(count());
        return real_.update_status(r, o);
    }
    Result<kube::Object> patch(const kube::Resource& r, const kube::ObjectKey& k, kube::PatchType t,
                               const json::Value& p, std::string_view sub = {}) override {
        TRY(count());
        return real_.patch(r, k, t, p, sub);
    }
    Status remove(const kube::Resource& r, const kube::ObjectKey& k, const kube::DeleteOptions& o = {}) override {
        TRY(count());
        return real_.remove(r, k, o);
    }
    Status watch(const kube::Resource& r, const kube::ListOptions& o, std::string_view v, std::stop_token s,
                 const std::function<bool(kube::WatchEvent&&)>& e) override {
        return real_.watch(r, o, v, s, e);
    }
    bool is_dead() const { return allowed >= 0 && writes >= allowed; }

private:
    Status count() {
        if (is_dead()) return fail(Code::unavailable, "the controller was killed");
        ++writes;
        return {};
    }

    kube::Client& real_;
};

// Its wall clock can be set; what it counts goes on unmoved.
class JumpingClock : public FakeClock {
public:
    WallTime wall() const override { return FakeClock::wall() + jumped_; }
    void jump(Duration by) { jumped_ += by; }

private:
    Duration jumped_{};
};

class TestCluster {
public:
    TestCluster() : api(clock) { restart(); }

    void restart() {
        world.reset();
        brain.reset();
        client = std::make_unique<CrashingClient>(api);
        brain = kube::Brain::create(*client, clock);
        world = std::make_unique<World>(*brain, "cn-local", boot);
        world->finalize_namespace = [this](const kube::Object& ns) -> Status {
            kube::Object next = ns;
            next.set({"spec", "finalizers"}, json::Array{});
            next.remove_finalizer("test/held");
            TRY(client->update(kube::namespaces, next));
            return {};
        };
        add_reconcilers(*world);
    }

    void crash_after(int writes) { client->allowed = client->writes + writes; }

    // The controller alone, until it has nothing to do at this time and in the next second.
    void settle() {
        for (int i = 0; i < 5; ++i) {
            brain->run_until_idle();
            clock.advance(std::chrono::milliseconds(200));
        }
    }

    // Controller and nodes in turn.
    void live() {
        for (int i = 0; i < 4; ++i) {
            settle();
            play_nodes();
        }
        settle();
    }

    // Three Ready nodes in two zones, the VPC, two vSwitches, a pool and the class.
    void seed_world();
    void play_nodes();

    // As live nodes do; without it they are silent 40 s after their last.
    void renew_leases() {
        for (kube::Object& lease : all(kube::leases)) {
            lease.set({"spec", "renewTime"}, json::Value(rfc3339_micro(WallTime(clock.now().time_since_epoch()))));
            if (lease.ns() == "kube-node-lease") MUST(api.update(kube::leases, lease));
        }
        settle();
    }

    std::vector<kube::Object> all(const kube::Resource& resource, std::string ns = {}) {
        return MUST(api.list(resource, {.ns = std::move(ns), .label_selector = {}, .field_selector = {}})).items;
    }
    kube::Object one(const kube::Resource& resource, std::string ns, std::string name) {
        return MUST(api.get(resource, {std::move(ns), std::move(name)}));
    }
    bool exists(const kube::Resource& resource, std::string ns, std::string name) {
        return api.get(resource, {std::move(ns), std::move(name)}).has_value();
    }
    // "reason: message" of every Event about an object.
    std::vector<std::string> events_on(std::string_view name);
    bool was_told(std::string_view name, std::string_view text);

    JumpingClock clock;
    std::string boot = "boot-1";  // another one at the next restart(): the machine was started anew
    kube::FakeClient api;
    std::unique_ptr<CrashingClient> client;
    std::unique_ptr<kube::Brain> brain;
    std::unique_ptr<World> world;
};

inline void TestCluster::seed_world() {
    api.seed(R"(
{apiVersion: v1, kind: Namespace, metadata: {name: default}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}
---
{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-demo},
  spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20, default: true}}
---
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-zone-a},
  spec: {vpc: vpc-demo, zone: zone-a, cidrBlock: 10.0.1.0/24}}
---
{apiVersion: weft.dev/v1, kind: VSwitch, metadata: {name: vsw-zone-b},
  spec: {vpc: vpc-demo, zone: zone-b, cidrBlock: 10.0.2.0/24}}
---
{apiVersion: weft.dev/v1, kind: AddressPool, metadata: {name: pool-demo}, spec: {cidrs: [203.0.113.64/28]}}
---
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: weft}, spec: {controller: weft.dev/ingress}}
)");
    for (const auto& [name, zone] : {std::pair("node-1", "zone-a"), {"node-2", "zone-a"}, {"node-3", "zone-b"}}) {
        api.seed(fmt::format(R"(
{{apiVersion: v1, kind: Node, metadata: {{name: {}, labels: {{topology.kubernetes.io/zone: {}}}}},
  status: {{conditions: [{{type: Ready, status: "True"}}]}}}}
---
{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: {}, namespace: kube-node-lease}},
  spec: {{renewTime: "1"}}}}
)",
                             name, zone, name));
    }
}

// Agents give bound pods addresses from their blocks and hand asked-for blocks back; runtimes start pods and end
// deleted ones.
inline void TestCluster::play_nodes() {
    for (const kube::Object& pod : all(kube::pods)) {
        if (pod.deleting())
            (void)api.remove(kube::pods, pod.key(), {.uid = {}, .propagation_policy = {}, .grace_period_s = 0});
    }
    for (const kube::Object& block : all(kube::address_blocks)) {
        json::Array kept;
        for (const json::Value& allocation : block.array({"status", "allocations"})) {
            const auto pod = api.get(kube::pods, {std::string(json::find_string(allocation, {"namespace"})),
                                                  std::string(json::find_string(allocation, {"name"}))});
            if (pod && pod->uid() == json::find_string(allocation, {"uid"})) kept.push_back(allocation);
        }
        kube::Object next = block;
        next.set({"status", "allocations"}, kept);
        next.set({"status", "observedGeneration"}, block.generation());
        if (block.deleting()) {
            next.set({"status", "free"}, 0);
            next.set({"status", "used"}, int64_t(kept.size()));
        }
        if (!(next == block)) MUST(api.update_status(kube::address_blocks, next));
    }
    for (const kube::Object& pod : all(kube::pods)) {
        if (pod.string({"spec", "nodeName"}).empty() || !pod.string({"status", "podIP"}).empty()) continue;
        for (const kube::Object& object : all(kube::address_blocks)) {
            if (object.string({"spec", "vSwitch"}) != pod.annotation("weft.dev/vswitch") || object.deleting() ||
                object.string({"spec", "node"}) != pod.string({"spec", "nodeName"}))
                continue;
            const bool is_reserved = !pod.annotation("weft.dev/address").empty();
            if (object.string({"spec", "pod", "name"}) != (is_reserved ? pod.name() : "")) continue;
            const auto vswitch = MUST(
                cloud::parse_vswitch(one(kube::vswitches, "", std::string(object.string({"spec", "vSwitch"}))).body()));
            const auto range =
                cloud::usable_addresses(vswitch.cidr, MUST(net::Prefix::parse(object.string({"spec", "cidr"}))));
            std::set<std::string> taken;
            for (const json::Value& a : object.array({"status", "allocations"}))
                taken.insert(std::string(json::find_string(a, {"address"})));
            for (const std::string& a : json::find_strings(object.body(), {"spec", "withheld"})) taken.insert(a);
            std::string address;
            for (uint64_t i = 0; i < range.count && address.empty(); ++i) {
                if (!taken.contains(range.first.plus(i).text())) address = range.first.plus(i).text();
            }
            if (address.empty()) continue;
            kube::Object block = object;
            json::Array allocations = block.array({"status", "allocations"});
            allocations.push_back(
                json::Object{{"address", address}, {"namespace", pod.ns()}, {"name", pod.name()}, {"uid", pod.uid()}});
            block.set({"status", "allocations"}, std::move(allocations));
            MUST(api.update_status(kube::address_blocks, block));
            kube::Object running = pod;
            running.set({"status", "podIP"}, json::Value(address));
            running.set({"status", "phase"}, "Running");
            kube::set_condition(running, "Ready", true, "", "", clock);
            MUST(api.update_status(kube::pods, running));
            break;
        }
    }
}

inline std::vector<std::string> TestCluster::events_on(std::string_view name) {
    std::vector<std::string> texts;
    for (const kube::Object& event : all(kube::events)) {
        if (event.string({"involvedObject", "name"}) == name)
            texts.push_back(fmt::format("{}: {}", event.string({"reason"}), event.string({"message"})));
    }
    return texts;
}

inline bool TestCluster::was_told(std::string_view name, std::string_view text) {
    for (const std::string& event : events_on(name))
        if (event.find(text) != std::string::npos) return true;
    return false;
}

}  // namespace weft::controller
