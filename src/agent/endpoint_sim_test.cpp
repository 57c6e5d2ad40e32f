// Simulation: the endpoint service over a kernel in memory that can die between any two steps. Death freezes everything
// (links, maps, the log file) as it is; a new agent adopts it. Seeds are printed; the same seed gives the same run.
#include <unistd.h>

#include <cerrno>

#include "agent/sim_node.h"
#include "base/rng.h"

namespace weft::agent {
namespace {

using protocol::cni::Answer;
using protocol::cni::Command;
using protocol::cni::Reply;
using protocol::cni::Request;

constexpr int pods = 6;

struct Api {
    Api() { api.seed(sim::one_block); }

    FakeClock clock;
    kube::FakeClient api;
};

class World : private Api, public sim::SimNode {
public:
    World() : SimNode(Api::api, Api::clock, "n1", "/tmp/weft-agent-sim-" + std::to_string(getpid())) {
        for (int i = 0; i < pods; ++i) seed_pod(i);
        brain->run_until_idle();
    }

    using Api::api;
    using Api::clock;

    void seed_pod(int i) {
        api.seed("apiVersion: v1\nkind: Pod\nmetadata: {name: p" + std::to_string(i) + ", namespace: default, uid: u" +
                 std::to_string(i) + ", annotations: {weft.dev/vswitch: vsw-a}}\nspec: {nodeName: n1}\n");
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

// CNI-30
TEST(EndpointSim, CNI_30_an_ADD_repeated_is_refused_and_changes_nothing_and_CHECK_agrees) {
    World world;
    const auto first = world.call(world.request(Command::add, 0));
    const auto again = world.call(world.request(Command::add, 0));
    EXPECT_EQ(int(again->answer), 110);
    EXPECT_NE(again->message.find("eth0"), std::string::npos) << again->message;
    world.check("after the second ADD");
    EXPECT_EQ(world.call(world.request(Command::check, 0)), first);
    EXPECT_EQ(world.call(world.request(Command::check, 1))->answer, Answer::check_difference);
    world.attachment_rows.clear();
    MUST(world.tables->load());
    EXPECT_EQ(world.call(world.request(Command::check, 0))->answer, Answer::check_difference);
    world.restart();
    world.check("the lost row is back");
}

// CNI-30: an interface of somebody else's.
TEST(EndpointSim, CNI_30_a_name_that_is_taken_in_the_container_is_refused_and_nothing_stays) {
    World world;
    world.links["foreign"].plug = {.netns = world.request(Command::add, 0).netns, .ifname = "eth0"};
    EXPECT_EQ(int(world.call(world.request(Command::add, 0))->answer), 110);
    EXPECT_EQ(world.links.size(), 1u) << "theirs is not touched";
    world.links.clear();
    world.check("nothing of ours");
    EXPECT_EQ(world.call(world.request(Command::add, 0))->answer, Answer::ok);
}

// CNI-32
TEST(EndpointSim, CNI_32_no_address_is_try_again_while_one_may_come_and_111_when_none_can) {
    World world;
    const auto answer_in_the_end = [&](int pod) {
        std::optional<Reply> reply;
        world.service->ask(world.request(Command::add, pod), [&](EndpointService::Answered a) { reply = a.reply; });
        EXPECT_FALSE(reply.has_value()) << "it may come within its patience";
        world.clock.advance(EndpointService::patience);
        world.service->expire_waiting();
        return reply ? int(reply->answer) : -1;
    };
    const auto set_available = [&](int64_t count) {
        auto vswitch = MUST(world.api.get(kube::vswitches, {"", "vsw-a"}));
        vswitch.set({"status", "availableIPCount"}, count);
        MUST(world.api.update_status(kube::vswitches, vswitch));
        world.brain->run_until_idle();
    };
    ASSERT_EQ(world.call(world.request(Command::add, 0))->answer, Answer::ok);
    (void)world.api.remove(kube::address_blocks, {"", "block"});
    set_available(7);
    EXPECT_EQ(answer_in_the_end(1), 11) << "the controller can lease another block";
    set_available(0);
    EXPECT_EQ(answer_in_the_end(2), 111);
    ASSERT_EQ(world.call(world.request(Command::del, 0))->answer, Answer::ok);
    EXPECT_EQ(answer_in_the_end(3), 11) << "one rests";
    world.check("no address, no trace");
}

// CNI-34
TEST(EndpointSim, CNI_34_a_wished_address_is_given_or_refused_by_its_reason) {
    World world;
    const auto add = [&](int pod, const std::string& address) {
        Request request = world.request(Command::add, pod);
        request.address = address;
        std::optional<Reply> reply;
        world.service->ask(request, [&](EndpointService::Answered a) { reply = a.reply; });
        if (!reply) {
            world.clock.advance(EndpointService::patience);
            world.service->expire_waiting();
        }
        return *reply;
    };
    EXPECT_EQ(add(0, "10.0.0.77").wired.address, "10.0.0.77");
    EXPECT_EQ(int(add(1, "10.0.0.77").answer), 111) << "taken";
    EXPECT_EQ(int(add(1, "10.9.0.1").answer), 7) << "of another network";
    EXPECT_EQ(int(add(1, "10.0.15.255").answer), 7) << "kept back by the vSwitch";
    EXPECT_EQ(int(add(1, "10.0.1.1").answer), 11) << "no block of it is lent to this node";
    ASSERT_EQ(world.call(world.request(Command::del, 0))->answer, Answer::ok);
    EXPECT_EQ(int(add(1, "10.0.0.77").answer), 111) << "it rests";
    world.check("only whole ones");
    EXPECT_TRUE(world.links.empty());
}

// CNI-34: portMappings are the Pod's, which the agent reads itself (CNI-25).
TEST(EndpointSim, CNI_34_a_port_that_the_pod_does_not_ask_for_is_refused) {
    World world;
    world.api.seed(R"(
apiVersion: v1
kind: Pod
metadata: {name: p0, namespace: default, uid: u0, annotations: {weft.dev/vswitch: vsw-a}}
spec: {nodeName: n1, containers: [{name: c, image: i, ports: [{containerPort: 80, hostPort: 8080, protocol: TCP}]}]}
)");
    world.brain->run_until_idle();
    Request request = world.request(Command::add, 0);
    request.host_ports = {{8081, 80, net::Protocol::tcp, ""}};
    const auto refused = world.call(request);
    ASSERT_TRUE(refused) << "nothing to wait for";
    EXPECT_EQ(int(refused->answer), 7);
    EXPECT_NE(refused->message.find("hostPort 8081"), std::string::npos) << refused->message;
    request.host_ports.front().number = 8080;
    EXPECT_EQ(world.call(request)->answer, Answer::ok);
}

// CNI-36
TEST(EndpointSim, CNI_36_what_the_kernel_refuses_is_told_in_its_words_and_undone) {
    World world;
    struct Case {
        Error refusal;
        int code;
    };
    for (const auto& [refusal, code] :
         {Case{errno_error(EIO, "attach pod_egress to wpod7"), 5}, Case{errno_error(EPERM, "attach pod_egress"), 999},
          Case{errno_error(ENOSPC, "attach pod_egress"), 999}, Case{errno_error(EINVAL, "load pod_egress"), 999}}) {
        world.wiring->refusal = refusal;
        const auto reply = world.call(world.request(Command::add, 0));
        ASSERT_TRUE(reply);
        EXPECT_EQ(int(reply->answer), code) << refusal.message;
        EXPECT_EQ(reply->details, refusal.message);
        EXPECT_NE(reply->message.find("p0: open the interface"), std::string::npos) << reply->message;
        world.check("undone after " + refusal.message);
        EXPECT_TRUE(world.links.empty());
    }
    world.wiring->refusal.reset();
    EXPECT_EQ(world.call(world.request(Command::add, 0))->answer, Answer::ok);
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

// CNI-44
TEST(EndpointSim, CNI_44_GC_releases_what_is_not_listed_and_of_this_network) {
    World world;
    for (int pod = 0; pod < 4; ++pod) {
        Request add = world.request(Command::add, pod);
        add.network = pod == 3 ? "other" : "weft";
        ASSERT_EQ(world.call(add)->answer, Answer::ok);
    }
    world.clock.advance(std::chrono::seconds(1));
    Request gc{Command::gc};
    gc.network = "weft";
    gc.valid = {{"p0-0", "eth0"}, {"p1-0", "eth1"}};
    gc.started_ms = uptime_ms(world.clock);
    EXPECT_EQ(world.call(gc)->answer, Answer::ok);
    EXPECT_EQ(world.log->allocations().size(), 2u) << "the listed one and the other network's";
    EXPECT_NE(world.log->find({"p0-0", "eth0"}), nullptr);
    EXPECT_NE(world.log->find({"p3-0", "eth0"}), nullptr);
    world.check("after GC");
    gc.valid.clear();
    EXPECT_EQ(world.call(gc)->answer, Answer::ok);
    EXPECT_EQ(world.log->allocations().size(), 1u) << "an empty list: all of this network go";
}

// CNI-46
TEST(EndpointSim, CNI_46_GC_leaves_alone_what_is_younger_than_itself) {
    World world;
    Request gc{Command::gc};
    gc.network = "weft";
    gc.started_ms = uptime_ms(world.clock);
    Request add = world.request(Command::add, 0);
    add.network = "weft";
    ASSERT_EQ(world.call(add)->answer, Answer::ok);
    EXPECT_EQ(world.call(gc)->answer, Answer::ok);
    EXPECT_EQ(world.log->allocations().size(), 1u);
    world.restart();  // its age is in the log
    EXPECT_EQ(world.call(gc)->answer, Answer::ok);
    EXPECT_EQ(world.log->allocations().size(), 1u);
}

TEST(EndpointSim, a_GC_killed_at_any_step_is_finished_by_the_next_one) {
    for (uint64_t step = 0; step < 20; ++step) {
        World world;
        for (int pod = 0; pod < 3; ++pod) ASSERT_EQ(world.call(world.request(Command::add, pod))->answer, Answer::ok);
        world.clock.advance(std::chrono::seconds(1));
        Request gc{Command::gc};
        gc.valid = {{"p1-0", "eth0"}};
        gc.started_ms = uptime_ms(world.clock);
        world.fate.steps_left = step;
        (void)world.call(gc);
        world.restart();
        EXPECT_EQ(world.call(gc)->answer, Answer::ok);
        world.check("GC killed at step " + std::to_string(step));
        EXPECT_EQ(world.log->allocations().size(), 1u);
    }
}

// CNI-43
TEST(EndpointSim, CNI_43_STATUS_tells_whether_an_ADD_can_work_and_whether_a_pod_is_cut_off) {
    World world;
    const Request status{Command::status};
    EXPECT_EQ(world.call(status)->answer, Answer::ok);
    ASSERT_EQ(world.call(world.request(Command::add, 0))->answer, Answer::ok);
    EXPECT_EQ(world.call(status)->answer, Answer::ok);
    world.links.begin()->second.is_open = false;
    const auto cut = world.call(status);
    EXPECT_EQ(int(cut->answer), 51);
    EXPECT_NE(cut->details.find("default/p0"), std::string::npos) << cut->details;
    world.restart();
    EXPECT_EQ(world.call(status)->answer, Answer::ok) << "repaired";

    // No address anywhere: the block goes, and the vSwitch is dry.
    (void)world.api.remove(kube::address_blocks, {"", "block"});
    auto vswitch = MUST(world.api.get(kube::vswitches, {"", "vsw-a"}));
    vswitch.set({"status", "availableIPCount"}, 0);
    MUST(world.api.update_status(kube::vswitches, vswitch));
    world.brain->run_until_idle();
    EXPECT_EQ(int(world.call(status)->answer), 50);
}

}  // namespace
}  // namespace weft::agent
