// Simulation: the endpoint service over a kernel in memory that can die between any two steps. Death freezes everything
// (links, maps, the log file) as it is; a new agent adopts it. Seeds are printed; the same seed gives the same run.
#include <unistd.h>

#include <fstream>

#include "agent/endpoint.h"
#include "base/rng.h"
#include "kernel/bpf_map_fake.h"
#include "kube/fake_client.h"

namespace weft::agent {
namespace {

using protocol::cni::Answer;
using protocol::cni::Command;
using protocol::cni::Reply;
using protocol::cni::Request;

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

const Error death{Code::io, "the agent is dead"};

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

private:
    static uint64_t cookie(const Plug& plug) { return 1 + std::hash<std::string>()(plug.netns); }

    Fate& fate_;
    std::map<std::string, FakeLink>& links_;
};

constexpr std::string_view objects = R"(
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

constexpr int pods = 6;

class World {
public:
    World() : log_path_("/tmp/weft-agent-sim-" + std::to_string(getpid())) {
        api.seed(objects);
        for (int i = 0; i < pods; ++i) seed_pod(i);
        start();
    }

    ~World() { ::unlink(log_path_.c_str()); }

    void seed_pod(int i) {
        api.seed("apiVersion: v1\nkind: Pod\nmetadata: {name: p" + std::to_string(i) + ", namespace: default, uid: u" +
                 std::to_string(i) + ", annotations: {weft.dev/vswitch: vsw-a}}\nspec: {nodeName: n1}\n");
    }

    void start() {
        service.reset();
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
        brain = kube::Brain::create(api, clock);
        view = std::make_unique<View>(*brain, "n1");
        service =
            std::make_unique<EndpointService>(*view, *tables, *log, *wiring, 1450, clock, [](const std::string&) {});
        brain->run_until_idle();
        service->adopt();
        service->collect("/nowhere");
        fate.on_death = [this] { log_at_death_ = MUST(read_file(log_path_)); };
    }

    void restart() {
        if (fate.is_dead) std::ofstream(log_path_, std::ios::trunc | std::ios::binary) << log_at_death_;
        start();
    }

    Request request(Command command, int pod, int life = 0) const {
        const std::string name = "p" + std::to_string(pod);
        return {command,
                name + "-" + std::to_string(life),
                "eth0",
                "/run/netns/" + name + "-" + std::to_string(life),
                "default",
                name,
                "u" + std::to_string(pod),
                0};
    }

    std::optional<Reply> call(const Request& request) {
        std::optional<Reply> reply;
        service->ask(request, [&](EndpointService::Answered answered) {
            reply = answered.reply;
            if (!answered.link_to_delete.empty()) (void)wiring->disconnect(answered.link_to_delete);
        });
        return reply;
    }

    // Every attachment is whole, and there is nothing else.
    void check(const std::string& when) const {
        ASSERT_EQ(links.size(), log->allocations().size()) << when;
        ASSERT_EQ(endpoint_rows.size(), links.size()) << when;
        ASSERT_EQ(address_rows.size(), links.size()) << when;
        ASSERT_EQ(netns_rows.size(), links.size()) << when;
        ASSERT_EQ(attachment_rows.size(), links.size()) << when;
        std::set<net::Address> addresses;
        for (const auto& [key, allocation] : log->allocations()) {
            ASSERT_TRUE(allocation.confirmed) << when;
            ASSERT_TRUE(addresses.insert(allocation.address).second) << when << ": given twice";
            ASSERT_TRUE(links.at(allocation.host_link).is_open) << when;
            ASSERT_EQ(links.at(allocation.host_link).plug.address, allocation.address) << when;
        }
    }

    kube::FakeClient api;
    FakeClock clock;
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
    std::unique_ptr<EndpointService> service;

private:
    std::string log_path_;
    std::string log_at_death_;
};

TEST(EndpointSim, an_ADD_killed_at_any_step_leaves_a_whole_attachment_or_none) {
    for (uint64_t step = 0; step < 20; ++step) {
        World world;
        ASSERT_EQ(world.call(world.request(Command::add, 0))->answer, Answer::ok);
        world.fate.steps_left = step;
        const auto reply = world.call(world.request(Command::add, 1));
        const bool is_promised = reply && reply->answer == Answer::ok;
        EXPECT_EQ(is_promised, !world.fate.is_dead) << step;
        world.restart();
        world.check("ADD killed at step " + std::to_string(step));
        EXPECT_EQ(world.log->allocations().size(), is_promised ? 2u : 1u) << step;
    }
}

TEST(EndpointSim, a_DEL_killed_at_any_step_is_done_by_the_next_one) {
    for (uint64_t step = 0; step < 12; ++step) {
        World world;
        ASSERT_EQ(world.call(world.request(Command::add, 0))->answer, Answer::ok);
        ASSERT_EQ(world.call(world.request(Command::add, 1))->answer, Answer::ok);
        world.fate.steps_left = step;
        (void)world.call(world.request(Command::del, 1));
        world.restart();
        EXPECT_EQ(world.call(world.request(Command::del, 1))->answer, Answer::ok);
        world.check("DEL killed at step " + std::to_string(step));
        EXPECT_EQ(world.log->allocations().size(), 1u) << step;
    }
}

TEST(EndpointSim, whatever_happens_no_address_is_lost_or_given_twice) {
    const uint64_t seed = uint64_t(getpid()) * 2654435761u + uint64_t(std::time(nullptr));
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
    Rng rng(seed);
    World world;
    int lives[pods] = {};
    for (int round = 0; round < 300; ++round) {
        if (rng.below(3) == 0) world.fate.steps_left = rng.below(25);
        const int pod = int(rng.below(pods));
        const Request request = world.request(rng.below(2) == 0 ? Command::add : Command::del, pod, lives[pod]);
        const auto reply = world.call(request);
        if (request.command == Command::del && reply && reply->answer == Answer::ok && !world.fate.is_dead)
            ++lives[pod];
        // A namespace may vanish with its link at any time.
        if (rng.below(20) == 0 && !world.links.empty()) world.links.erase(world.links.begin());
        if (world.fate.is_dead || rng.below(10) == 0) world.restart();
        world.service->collect("/nowhere");
        if (world.fate.is_dead) world.restart();
        world.check("seed " + std::to_string(seed) + " round " + std::to_string(round));
        if (HasFatalFailure()) return;
    }
}

TEST(EndpointSim, an_ADD_waits_for_its_pod_and_gives_up_in_time) {
    World world;
    std::optional<Reply> reply;
    const auto ask = [&](int pod) {
        reply.reset();
        world.service->ask(world.request(Command::add, pod), [&](EndpointService::Answered a) { reply = a.reply; });
    };
    ask(pods);
    EXPECT_FALSE(reply.has_value());
    world.seed_pod(pods);
    world.brain->run_until_idle();
    world.service->retry_waiting();
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->answer, Answer::ok);

    ask(pods + 1);
    world.clock.advance(EndpointService::patience - std::chrono::milliseconds(1));
    world.service->expire_waiting();
    EXPECT_FALSE(reply.has_value());
    world.clock.advance(std::chrono::milliseconds(1));
    world.service->expire_waiting();
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->answer, Answer::try_again);
    EXPECT_FALSE(world.service->next_deadline().has_value());
}

TEST(EndpointSim, a_DEL_ends_the_ADD_that_still_waits) {
    World world;
    std::optional<Reply> added;
    world.service->ask(world.request(Command::add, pods), [&](EndpointService::Answered a) { added = a.reply; });
    EXPECT_EQ(world.call(world.request(Command::del, pods))->answer, Answer::ok);
    ASSERT_TRUE(added.has_value());
    EXPECT_EQ(added->answer, Answer::try_again);
    world.seed_pod(pods);
    world.brain->run_until_idle();
    world.service->retry_waiting();
    world.check("after DEL");
}

TEST(EndpointSim, a_pod_of_another_uid_or_vpc_is_not_wired) {
    World world;
    Request request = world.request(Command::add, 0);
    request.pod_uid = "of-the-dead";
    EXPECT_FALSE(world.call(request).has_value());
    world.clock.advance(EndpointService::patience);
    world.service->expire_waiting();
    world.api.seed(R"(
apiVersion: weft.dev/v1
kind: VPC
metadata: {name: vpc-b}
spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20}
status: {vni: 8}
---
apiVersion: v1
kind: Namespace
metadata: {name: blue, annotations: {weft.dev/vpc: vpc-b}}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: blue, uid: u, annotations: {weft.dev/vswitch: vsw-a}}
spec: {nodeName: n1}
)");
    world.brain->run_until_idle();
    std::optional<Reply> reply;
    world.service->ask({Command::add, "c", "eth0", "/run/netns/c", "blue", "p", "u", 0},
                       [&](EndpointService::Answered a) { reply = a.reply; });
    world.clock.advance(EndpointService::patience);
    world.service->expire_waiting();
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->answer, Answer::vswitch_not_found);
    EXPECT_NE(reply->message.find("vpc-b"), std::string::npos) << reply->message;
    world.check("nothing was wired");
}

TEST(EndpointSim, an_ADD_repeated_gives_the_same_and_CHECK_agrees) {
    World world;
    const auto first = world.call(world.request(Command::add, 0));
    EXPECT_EQ(world.call(world.request(Command::add, 0)), first);
    EXPECT_EQ(world.call(world.request(Command::check, 0)), first);
    EXPECT_EQ(world.call(world.request(Command::check, 1))->answer, Answer::check_difference);
    world.attachment_rows.clear();
    MUST(world.tables->load());
    EXPECT_EQ(world.call(world.request(Command::check, 0))->answer, Answer::check_difference);
    world.restart();
    world.check("the lost row is back");
}

TEST(EndpointSim, word_of_a_DEL_without_an_agent_is_obeyed) {
    World world;
    const std::string folder = "/tmp/weft-agent-tombs-" + std::to_string(getpid());
    MUST(make_directories(folder));
    ASSERT_EQ(world.call(world.request(Command::add, 0))->answer, Answer::ok);
    MUST(write_file(folder + "/p0-0@eth0", protocol::cni::encode(world.request(Command::del, 0))));
    MUST(write_file(folder + "/half", "{\"comm"));
    world.service->collect(folder);
    EXPECT_TRUE(world.log->allocations().empty());
    EXPECT_FALSE(read_file(folder + "/p0-0@eth0").has_value());
    EXPECT_FALSE(read_file(folder + "/half").has_value());
    world.check("after the tombstone");
    MUST(remove_tree(folder));
}

}  // namespace
}  // namespace weft::agent
