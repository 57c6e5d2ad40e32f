#include "agent/announcer.h"

#include <gtest/gtest.h>

#include "kernel/bpf_map_fake.h"

namespace weft::agent {
namespace {

net::Address ip(std::string_view text) { return MUST(net::Address::parse(text)); }

const net::Address vip = ip("203.0.113.64");
const net::Address ingress = ip("203.0.113.65");

struct Node;

// A wire between nodes: a question is answered at once by whoever announces the address, as the kernel does, whether or
// not that node's agent lives.
struct Street {
    std::vector<Node*> nodes;
};

struct Node : kernel::Wire {
    Node(Street& street, const std::string& name, uint8_t number)
        : street(street), mac{{2, 0, 0, 0, 0, number}}, announcer(name, mac, tables, *this) {
        street.nodes.push_back(this);
    }

    Status ask(const net::Address& address) override {
        ++questions;
        for (Node* other : street.nodes)
            if (other != this && plugged && other->plugged && other->announces(address))
                heard.emplace_back(address, other->mac);
        return {};
    }
    Status tell(const net::Address& address) override {
        told.push_back(address);
        return {};
    }
    std::vector<Answer> answers() override { return std::exchange(heard, {}); }
    bool has_carrier() override { return plugged; }

    void serves(const net::Address& address) {
        MUST(tables.frontends.put(abi::frontend_address_key(VPC_OUTSIDE, address), {0, 0, abi::FRONTEND_ADDRESS, 7, 0}));
        MUST(tables.frontends.put(abi::frontend_key_of(7, address, 80, net::Protocol::tcp), {1, 1, 0, 7, 0}));
    }
    bool announces(const net::Address& address) const {
        return tables.frontends.find({VPC_OUTSIDE, abi::to_abi(address), 0, FRONTEND_ANNOUNCED, 0}) != nullptr;
    }

    Street& street;
    net::Mac mac;
    kernel::NodeMaps maps = kernel::fake_node_maps();
    Tables tables{maps};
    Announcer announcer;
    bool plugged = true;
    int questions = 0;
    std::vector<Answer> heard;
    std::vector<net::Address> told;
};

struct Announcing : testing::Test {
    Announcing() {
        for (Node* node : street.nodes) {
            node->serves(vip);
            node->announcer.set_candidates(all);
        }
    }

    void rounds(int n, const std::vector<Node*>& living) {
        for (int i = 0; i < n; ++i)
            for (Node* node : living) node->announcer.round();
    }
    // "n1", "n1 n3"...
    std::string who(const net::Address& address = vip) {
        std::string names;
        for (size_t i = 0; i < street.nodes.size(); ++i)
            if (street.nodes[i]->announces(address)) names += (names.empty() ? "n" : " n") + std::to_string(i + 1);
        return names;
    }

    Street street;
    Node n1{street, "n1", 3}, n2{street, "n2", 2}, n3{street, "n3", 1};
    Candidates all{.everyone = {"n1", "n2", "n3"}, .is_alone = false, .of_address = {}};
};

TEST_F(Announcing, the_first_candidate_announces_and_tells_so_several_times) {
    rounds(8, {&n3, &n2, &n1});
    EXPECT_EQ(who(), "n1");
    EXPECT_EQ(n1.told, std::vector<net::Address>(5, vip));
    EXPECT_TRUE(n2.told.empty());
}

TEST_F(Announcing, a_lone_node_announces_at_once_and_asks_nobody) {
    n1.announcer.set_candidates({.everyone = {"n1"}, .is_alone = true, .of_address = {}});
    rounds(1, {&n1});
    EXPECT_EQ(who(), "n1");
    EXPECT_EQ(n1.questions, 0);
}

// 3 s are ten rounds.
TEST_F(Announcing, when_the_announcer_is_lost_the_next_takes_over_within_three_seconds) {
    rounds(8, {&n1, &n2, &n3});
    n1.plugged = false;
    int took = 0;
    while (!n2.announces(vip) && took < 10) rounds(1, {&n2, &n3}), ++took;
    EXPECT_LE(took, 6);
    rounds(8, {&n2, &n3});
    EXPECT_EQ(who(), "n1 n2") << "n1 is dead: its map says what it said";
    n2.plugged = false;
    rounds(9, {&n3});
    EXPECT_TRUE(n3.announces(vip));
}

TEST_F(Announcing, who_moves_up_still_waits_for_the_one_before_it) {
    rounds(8, {&n1, &n2, &n3});
    n1.plugged = false;
    rounds(3, {&n2, &n3});
    rounds(2, {&n3});  // their rounds have no common beat
    for (Node* node : {&n3, &n2}) node->announcer.set_candidates({.everyone = {"n2", "n3"}, .is_alone = false, .of_address = {}});
    rounds(9, {&n3, &n2});
    EXPECT_FALSE(n3.announces(vip));
    EXPECT_TRUE(n3.told.empty()) << "not even for a while";
    EXPECT_TRUE(n2.announces(vip));
}

TEST_F(Announcing, a_dead_agent_is_no_loss_its_kernel_answers) {
    rounds(8, {&n1, &n2, &n3});
    rounds(50, {&n2, &n3});
    EXPECT_EQ(who(), "n1");
}

TEST_F(Announcing, who_was_cut_off_says_nothing_when_it_returns) {
    rounds(8, {&n1, &n2, &n3});
    n1.plugged = false;
    rounds(8, {&n1, &n2, &n3});
    EXPECT_EQ(who(), "n2") << "n1 saw its wire unplugged";
    n1.plugged = true;
    rounds(20, {&n1, &n2, &n3});
    EXPECT_EQ(who(), "n2") << "connections go through it now";
}

TEST_F(Announcing, of_two_that_announce_one_stays) {
    rounds(8, {&n1, &n2, &n3});
    n1.plugged = false;
    rounds(9, {&n2, &n3});  // n1's agent is away, it keeps its row
    n1.plugged = true;
    EXPECT_EQ(who(), "n1 n2");
    rounds(3, {&n1, &n2, &n3});
    EXPECT_EQ(who(), "n2") << "the smaller MAC";
}

TEST_F(Announcing, a_node_that_may_not_any_more_withdraws_and_another_follows) {
    rounds(8, {&n1, &n2, &n3});
    Candidates fewer = all;
    fewer.of_address[vip] = {"n3"};
    for (Node* node : street.nodes) node->announcer.set_candidates(fewer);
    rounds(5, {&n1, &n2, &n3});
    EXPECT_EQ(who(), "n3");
}

TEST_F(Announcing, an_address_that_is_gone_is_withdrawn_and_a_new_one_announced) {
    rounds(8, {&n1, &n2, &n3});
    for (Node* node : street.nodes) {
        MUST(node->tables.frontends.erase(abi::frontend_address_key(VPC_OUTSIDE, vip)));
        node->serves(ingress);
    }
    rounds(6, {&n1, &n2, &n3});
    EXPECT_EQ(who(), "");
    EXPECT_EQ(who(ingress), "n1");
}

TEST_F(Announcing, an_ipv6_address_goes_with_the_ipv4_ones) {
    const net::Address v6 = ip("2001:db8:113::40");
    for (Node* node : street.nodes) node->serves(v6);
    rounds(8, {&n1, &n2, &n3});
    EXPECT_EQ(who(v6), "n1");
    n1.plugged = false;
    rounds(8, {&n1, &n2, &n3});
    EXPECT_EQ(who(v6), "n2");
    EXPECT_EQ(who(), "n2");
    for (Node* node : street.nodes) MUST(node->tables.frontends.erase(abi::frontend_address_key(VPC_OUTSIDE, vip)));
    n1.plugged = true;
    rounds(8, {&n1, &n2, &n3});
    EXPECT_EQ(who(v6), "n1") << "alone it stands with the first candidate";
}

TEST_F(Announcing, a_new_agent_goes_on_with_what_stands_in_the_map) {
    rounds(8, {&n1, &n2, &n3});
    Announcer again("n1", n1.mac, n1.tables, n1);
    again.round();  // candidates are not known yet
    EXPECT_EQ(who(), "n1");
    again.set_candidates(all);
    const size_t told = n1.told.size();
    for (int i = 0; i < 5; ++i) again.round();
    EXPECT_EQ(who(), "n1");
    EXPECT_EQ(n1.told.size(), told) << "nothing has changed for the neighbours";
}

kube::ObjectPtr object(std::string_view yaml) {
    return std::make_shared<const kube::Object>(MUST(json::parse_yaml(yaml))[0]);
}

kube::ObjectPtr node(std::string_view name, bool ready) {
    return object("metadata: {name: " + std::string(name) + "}\nstatus: {conditions: [{type: Ready, status: '" +
                  (ready ? "True" : "False") + "'}]}");
}

TEST(Candidates, are_the_ready_nodes_and_for_local_services_those_that_serve) {
    const auto service = object(R"(
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, externalTrafficPolicy: Local}
status: {loadBalancer: {ingress: [{ip: 203.0.113.64}]}})");
    EXPECT_TRUE(is_announced_where_it_serves(*service));
    std::string endpoints;
    const auto candidates = [&](std::string_view text) {
        const auto slice = object("endpoints: " + std::string(text));
        return find_candidates({node("n1", true), node("n2", true), node("n3", false)}, {service},
                               [&](const kube::ObjectKey&) { return std::vector{slice}; });
    };
    using Names = std::vector<std::string>;
    const std::string leaving = "conditions: {ready: false, serving: true, terminating: true}";
    EXPECT_EQ(candidates("[]").everyone, (Names{"n1", "n2"}));
    EXPECT_TRUE(candidates("[]").of_address.empty());
    EXPECT_EQ(candidates("[{nodeName: n2}, {nodeName: n3}]").of_address.at(vip), Names{"n2"});
    EXPECT_EQ(candidates("[{nodeName: n2, " + leaving + "}, {nodeName: n1}]").of_address.at(vip), Names{"n1"});
    EXPECT_EQ(candidates("[{nodeName: n2, " + leaving + "}]").of_address.at(vip), Names{"n2"});
    EXPECT_EQ(find_candidates({node("n1", false), node("n2", false)}, {}, {}).everyone, (Names{"n1", "n2"}));
    EXPECT_TRUE(find_candidates({node("n1", false)}, {}, {}).is_alone);
}

// SVC-73
TEST(Candidates, are_no_nodes_that_are_excluded_from_load_balancing) {
    kube::Object leaving = *node("n1", true);
    leaving.set_label(exclusion_label, "");
    const auto gone_soon = std::make_shared<const kube::Object>(leaving);
    using Names = std::vector<std::string>;
    EXPECT_EQ(find_candidates({gone_soon, node("n2", true)}, {}, {}).everyone, Names{"n2"});
    EXPECT_FALSE(find_candidates({gone_soon, node("n2", true)}, {}, {}).is_alone);
    EXPECT_EQ(find_candidates({gone_soon}, {}, {}).everyone, Names{"n1"}) << "better than nobody";
}

}  // namespace
}  // namespace weft::agent
