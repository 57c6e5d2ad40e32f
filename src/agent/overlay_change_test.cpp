// The overlay under change: what one block costs, and that the rows are always those a first look would write.
#include "agent/overlay_scene.h"
#include "base/rng.h"

namespace weft::agent {
namespace {

constexpr std::string_view world = R"(
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 198.18.1.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2, annotations: {weft.dev/host-address: 100.64.0.5}}
status: {addresses: [{type: InternalIP, address: 198.18.1.2}]}
---
apiVersion: v1
kind: Node
metadata: {name: n3}
status: {addresses: [{type: InternalIP, address: 198.18.1.3}]}
---
apiVersion: weft.dev/v1
kind: VPC
metadata: {name: a}
spec: {cidrBlock: 10.0.0.0/16}
status: {vni: 7}
---
apiVersion: weft.dev/v1
kind: VPC
metadata: {name: b}
spec: {cidrBlock: 10.0.0.0/16}
---
apiVersion: weft.dev/v1
kind: VSwitch
metadata: {name: a-1}
spec: {vpc: a, zone: z, cidrBlock: 10.0.0.0/20}
---
apiVersion: weft.dev/v1
kind: VSwitch
metadata: {name: b-1}
spec: {vpc: b, zone: z, cidrBlock: 10.0.0.0/20}
)";

struct OverlayUnderChange : OverlayScene {
    OverlayUnderChange() : OverlayScene(world) {}

    void put(const std::string& name, const std::string& vpc, const std::string& cidr, const std::string& node) {
        kube::Object block = kube::Object::of(kube::address_blocks, {"", name});
        block.set({"spec"}, json::Object{{"vpc", vpc}, {"vSwitch", vpc + "-1"}, {"cidr", cidr}, {"node", node}});
        if (const auto there = api.get(kube::address_blocks, {"", name})) {
            block.set({"metadata"}, *there->find({"metadata"}));
            MUST(api.update(kube::address_blocks, block));
        } else {
            MUST(api.create(kube::address_blocks, block));
        }
    }

    void put_status(const kube::Resource& resource, const std::string& name, json::Path path, json::Value value) {
        kube::Object object = MUST(api.get(resource, {"", name}));
        object.set(path, std::move(value));
        MUST(api.update_status(resource, object));
    }

    // Of the change that `make` does.
    uint64_t writes_of(const std::function<void()>& make) {
        brain->run_until_idle();
        const uint64_t before = maps.writes();
        make();
        brain->run_until_idle();
        return maps.writes() - before;
    }

    // By node's underlay address: numbers of two overlays need not be the same.
    static std::map<abi::location_key, std::string> places(const Tables& of) {
        std::map<abi::location_key, std::string> all;
        for (const auto& [key, number] : of.locations.rows()) {
            const abi::remote_node* const node = of.nodes.find(number);
            all[key] = node == nullptr ? "nowhere" : abi::from_abi(node->underlay).text();
        }
        return all;
    }

    void expect_as_at_a_first_look() {
        brain->run_until_idle();
        kernel::NodeMaps other_maps = kernel::fake_node_maps();
        Tables other(other_maps);
        Overlay fresh(view, brain->watch(kube::nodes), other, 1500, underlay);
        ASSERT_TRUE(fresh.reconcile());
        EXPECT_EQ(places(tables), places(other));
    }

    const abi::remote_node* node_of(uint32_t vni, std::string_view cidr) {
        const uint32_t* const number =
            tables.locations.find(abi::location_key_of(vni, MUST(net::Prefix::parse(cidr))));
        return number == nullptr ? nullptr : tables.nodes.find(*number);
    }
};

TEST_F(OverlayUnderChange, a_block_costs_its_own_row_and_nothing_else) {
    for (int i = 0; i < 200; ++i)
        put("a-" + std::to_string(i), "a", "10.0." + std::to_string(i / 16) + "." + std::to_string(i % 16 * 16) + "/28", "n2");
    EXPECT_EQ(writes_of([&] { put("a-new", "a", "10.0.15.0/28", "n3"); }), 1u);
    EXPECT_EQ(writes_of([&] { put("a-new", "a", "10.0.15.0/28", "n2"); }), 1u) << "it moves";
    EXPECT_EQ(abi::from_abi(node_of(7, "10.0.15.0/28")->underlay).text(), "198.18.1.2");
    EXPECT_EQ(writes_of([&] { put_status(kube::address_blocks, "a-new", {"status", "free"}, 3); }), 0u);
    EXPECT_EQ(writes_of([&] { put("a-new", "a", "10.0.15.0/28", "n1"); }), 1u) << "here there is none";
    EXPECT_EQ(node_of(7, "10.0.15.0/28"), nullptr);
    EXPECT_EQ(writes_of([&] { MUST(api.remove(kube::address_blocks, {"", "a-3"})); }), 1u);
    expect_as_at_a_first_look();
}

TEST_F(OverlayUnderChange, a_node_costs_its_own_rows_and_those_of_its_blocks) {
    for (int i = 0; i < 32; ++i)
        put("a-" + std::to_string(i), "a", "10.0." + std::to_string(i / 16) + "." + std::to_string(i % 16 * 16) + "/28",
            i < 30 ? "n2" : "n4");
    const auto n4 = [](std::string_view address) {
        return "{apiVersion: v1, kind: Node, metadata: {name: n4}, status: {addresses: [{type: InternalIP, address: " +
               std::string(address) + "}]}}";
    };
    EXPECT_EQ(writes_of([&] { api.seed(n4("198.18.1.4")); }), 4u) << "its way, who is believed, two blocks";
    expect_as_at_a_first_look();
    EXPECT_EQ(writes_of([&] { put_status(kube::nodes, "n4", {"status", "addresses"},
                                         json::Array{json::Object{{"type", "InternalIP"}, {"address", "198.18.1.44"}}}); }),
              3u)
        << "its way; who is believed: one more, one less";
    expect_as_at_a_first_look();
    EXPECT_EQ(writes_of([&] { MUST(api.remove(kube::nodes, {"", "n4"})); }), 4u);
    expect_as_at_a_first_look();
}

TEST_F(OverlayUnderChange, a_node_costs_one_question_to_the_kernel_and_the_others_are_asked_about_by_the_clock) {
    const auto asked_for = [&](const std::function<void()>& make) {
        brain->run_until_idle();
        underlay.asked = 0;
        make();
        brain->run_until_idle();
        return underlay.asked;
    };
    EXPECT_EQ(asked_for([&] {
                  api.seed("{apiVersion: v1, kind: Node, metadata: {name: n4}, status: {addresses: [{type: InternalIP, "
                           "address: 198.18.1.4}]}}");
              }),
              1u);
    EXPECT_EQ(asked_for([&] {
                  kube::Object n2 = MUST(api.get(kube::nodes, {"", "n2"}));
                  n2.set({"metadata", "annotations", "weft.dev/host-address"}, "100.64.0.9");
                  MUST(api.update(kube::nodes, n2));
              }),
              0u);
    EXPECT_EQ(asked_for([&] { clock.advance(std::chrono::seconds(6)); }), 3u) << "n2, n3, n4";
}

TEST_F(OverlayUnderChange, blocks_wait_for_their_node_and_for_the_number_of_their_vpc) {
    put("b-1", "b", "10.0.1.0/28", "n2");
    put("a-1", "a", "10.0.1.0/28", "n4");
    EXPECT_EQ(writes_of([&] { put_status(kube::vpcs, "b", {"status", "vni"}, 9); }), 1u);
    EXPECT_NE(node_of(9, "10.0.1.0/28"), nullptr);
    EXPECT_EQ(node_of(7, "10.0.1.0/28"), nullptr);
    api.seed("{apiVersion: v1, kind: Node, metadata: {name: n4}, status: {addresses: [{type: InternalIP, address: 198.18.1.4}]}}");
    brain->run_until_idle();
    ASSERT_NE(node_of(7, "10.0.1.0/28"), nullptr);
    EXPECT_EQ(abi::from_abi(node_of(7, "10.0.1.0/28")->underlay).text(), "198.18.1.4");
    put_status(kube::vswitches, "a-1", {"status", "ipv6CidrBlock"}, "fd00:1:2:3::/64");
    brain->run_until_idle();
    EXPECT_NE(node_of(7, "fd00:1:2:3::100/124"), nullptr);
    expect_as_at_a_first_look();
}

TEST_F(OverlayUnderChange, a_row_that_two_claim_stays_while_one_of_them_does) {
    put("a-one", "a", "10.0.1.0/28", "n2");
    put("a-two", "a", "10.0.1.0/28", "n3");
    expect_as_at_a_first_look();
    MUST(api.remove(kube::address_blocks, {"", "a-two"}));
    expect_as_at_a_first_look();
    ASSERT_NE(node_of(7, "10.0.1.0/28"), nullptr);
    EXPECT_EQ(abi::from_abi(node_of(7, "10.0.1.0/28")->underlay).text(), "198.18.1.2");
}

TEST_F(OverlayUnderChange, after_a_failed_write_everything_is_looked_at_again) {
    put("a-one", "a", "10.0.1.0/28", "n2");
    brain->run_until_idle();
    auto& map = dynamic_cast<kernel::FakeMap<abi::location_key, uint32_t>&>(*maps.locations);
    map.failure = Error{Code::exhausted, "map is full"};
    put("a-two", "a", "10.0.2.0/28", "n2");
    MUST(api.remove(kube::address_blocks, {"", "a-one"}));
    brain->run_until_idle();
    EXPECT_EQ(node_of(7, "10.0.2.0/28"), nullptr);
    map.failure.reset();
    clock.advance(std::chrono::minutes(1));
    expect_as_at_a_first_look();
    EXPECT_NE(node_of(7, "10.0.2.0/28"), nullptr);
}

TEST_F(OverlayUnderChange, whatever_happens_in_whatever_order_the_rows_are_those_of_a_first_look) {
    Rng rng(20261125);
    const auto pick = [&](std::initializer_list<const char*> of) { return std::string(of.begin()[rng.below(of.size())]); };
    for (int step = 0; step < 400; ++step) {
        const std::string name = "x-" + std::to_string(rng.below(12));
        switch (rng.below(8)) {
            case 0:
                (void)api.remove(kube::address_blocks, {"", name});
                break;
            case 1:
                put_status(kube::vpcs, pick({"a", "b"}), {"status", "vni"}, int64_t(rng.below(3) + 7));
                break;
            case 2:
                put_status(kube::vswitches, pick({"a-1", "b-1"}), {"status", "ipv6CidrBlock"},
                          json::Value(pick({"", "fd00:1:2:3::/64", "fd00:1:2:4::/64"})));
                break;
            case 3: {
                const std::string node = pick({"n2", "n3"});
                if (api.get(kube::nodes, {"", node})) (void)api.remove(kube::nodes, {"", node});
                else
                    api.seed("{apiVersion: v1, kind: Node, metadata: {name: " + node +
                             "}, status: {addresses: [{type: InternalIP, address: 198.18.1." + node.substr(1) + "}]}}");
                break;
            }
            default:
                put(name, pick({"a", "b"}), pick({"10.0.1.0/28", "10.0.1.16/28", "10.0.1.3/32", "10.0.2.0/28"}),
                    pick({"n1", "n2", "n3", "n9"}));
        }
        expect_as_at_a_first_look();
        if (HasFailure()) FAIL() << "step " << step;
    }
}

}  // namespace
}  // namespace weft::agent
