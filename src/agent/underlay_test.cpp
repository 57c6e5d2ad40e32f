// The node's routing, asked and told, in a real namespace.
//
//   eth0 198.18.1.1/16, fd00:18::1:1/64 ── 198.18.0.1, fd00:18::1 (the way to everything else)
#include "agent/underlay.h"

#include "agent/self.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "kernel/ipsec.h"
#include "kernel/link.h"
#include "kernel/netns.h"
#include "kernel/route.h"

namespace weft::agent {
namespace {

net::Address ip(std::string_view text) {
    return MUST(net::Address::parse(text));
}

struct UnderlayInKernel : testing::Test {
    UnderlayInKernel() {
        netns.emplace(MUST(kernel::Netns::create(name)));
        for (const char* command :
             {"link add eth0 type veth peer name wire", "link set eth0 up", "link set wire up",
              "addr add 198.18.1.1/16 dev eth0", "route add default via 198.18.0.1",
              "-6 addr add fd00:18::1:1/64 dev eth0 nodad", "-6 route add default via fd00:18::1 dev eth0",
              "link add other type veth peer name other-wire", "link set other up", "link set other-wire up",
              "-6 route add fd00:99::/64 dev other", "route add 10.0.0.0/16 dev other"}) {
            const std::string line = "ip -n " + name + " " + command;
            if (std::system(line.c_str()) != 0) ADD_FAILURE() << line;
        }
        const Status opened = netns->run([&]() -> Status {
            uplink = TRY(find_uplink("eth0"));
            underlay.emplace(TRY(KernelUnderlay::open(uplink)));
            netlink.emplace(TRY(kernel::Netlink::open()));
            return {};
        });
        EXPECT_TRUE(opened) << opened.error().message;
    }

    ~UnderlayInKernel() override { (void)kernel::Netns::remove(name); }

    std::vector<kernel::Route> ours() { return MUST(kernel::list_routes(*netlink, kernel::route_protocol)); }

    const std::string name = "weft-utest" + std::to_string(getpid());
    std::optional<kernel::Netns> netns;
    Uplink uplink;
    std::optional<KernelUnderlay> underlay;
    std::optional<kernel::Netlink> netlink;
};

TEST_F(UnderlayInKernel, the_next_hop_is_the_node_itself_on_the_wire_and_else_the_router) {
    EXPECT_EQ(underlay->next_hop(ip("198.18.1.2")), ip("198.18.1.2"));
    EXPECT_EQ(underlay->next_hop(ip("198.51.100.9")), ip("198.18.0.1"));
    EXPECT_EQ(underlay->next_hop(ip("fd00:18::1:2")), ip("fd00:18::1:2"));
    EXPECT_EQ(underlay->next_hop(ip("2001:db8::9")), ip("fd00:18::1"));
    EXPECT_EQ(underlay->next_hop(ip("fd00:99::2")), ip("fd00:18::1")) << "by the uplink, whatever other links offer";
    EXPECT_EQ(underlay->next_hop(ip("10.0.0.9")), ip("198.18.0.1"));
}

TEST_F(UnderlayInKernel, on_the_uplinks_wire_is_only_what_nothing_stands_before) {
    EXPECT_TRUE(underlay->is_on_link(ip("198.18.1.2")));
    EXPECT_FALSE(underlay->is_on_link(ip("198.51.100.9"))) << "beyond the router";
    EXPECT_FALSE(underlay->is_on_link(ip("10.0.0.9"))) << "by another link";
    for (const char* in_front : {"via 198.18.0.1", "dev other", "via inet6 fd00:18::1 dev eth0"}) {
        const std::string route = "ip -n " + name + " route %s 198.18.1.2/32 " + in_front;
        const auto change = [&](const char* verb) {
            std::string line = route;
            line.replace(line.find("%s"), 2, verb);
            EXPECT_EQ(std::system(line.c_str()), 0) << line;
        };
        change("add");
        EXPECT_FALSE(underlay->is_on_link(ip("198.18.1.2"))) << in_front;
        change("del");
        EXPECT_TRUE(underlay->is_on_link(ip("198.18.1.2")));
    }
    for (const char* command : {"route add default via 198.18.0.1 table 99", "rule add ipproto udp dport 4789 table 99"}) {
        const std::string line = "ip -n " + name + " " + command;
        ASSERT_EQ(std::system(line.c_str()), 0) << line;
    }
    EXPECT_FALSE(underlay->is_on_link(ip("198.18.1.2"))) << "a rule about the tunnel's port";
}

TEST_F(UnderlayInKernel, no_hook_takes_the_tunnels_packets_past_ipsec) {
    EXPECT_FALSE(uplink.has_ipsec);
    EXPECT_EQ(desired_node(uplink, 1).flags, abi::NODE_WRAPS);
    const std::string policy = "ip -n " + name + " xfrm policy add src 198.18.1.1 dst 198.18.1.2 dir out tmpl proto esp mode transport";
    ASSERT_EQ(std::system(policy.c_str()), 0);
    ASSERT_TRUE(netns->run([&]() -> Status {
        EXPECT_TRUE(has_changed("eth0", uplink)) << "the agent begins anew";
        uplink = TRY(find_uplink("eth0"));
        underlay.emplace(TRY(KernelUnderlay::open(uplink)));
        return {};
    }));
    EXPECT_TRUE(uplink.has_ipsec);
    ASSERT_EQ(std::system(("ip -n " + name + " xfrm policy flush").c_str()), 0);
    for (const auto& [action, has] : {std::pair{"block", true}, {"accept", false}}) {
        ASSERT_EQ(std::system(("ip -n " + name + " xfrm policy setdefault out " + action).c_str()), 0);
        EXPECT_EQ(MUST(netns->run([] { return kernel::has_ipsec_policies(); })), has) << action;
    }
    EXPECT_FALSE(underlay->is_on_link(ip("198.18.1.2")));
    EXPECT_EQ(desired_node(uplink, 1).flags, 0);
}

TEST_F(UnderlayInKernel, what_goes_to_a_narrower_node_on_the_wire_is_cut_for_it) {
    const std::map<net::Address, unsigned> two{{ip("198.18.1.2"), 1280}, {ip("198.51.100.9"), 1400}};
    ASSERT_TRUE(underlay->set_narrow(two));
    ASSERT_EQ(ours().size(), 1u) << "a router cuts for the other";
    EXPECT_EQ(ours()[0].destination, net::Prefix::host(ip("198.18.1.2")));
    EXPECT_EQ(ours()[0].mtu, 1280u);
    EXPECT_EQ(underlay->next_hop(ip("198.18.1.2")), ip("198.18.1.2")) << "it changes no way";
    ASSERT_TRUE(underlay->set_narrow({{ip("198.18.1.2"), 1400}}));
    ASSERT_EQ(ours().size(), 1u);
    EXPECT_EQ(ours()[0].mtu, 1400u);
    ASSERT_TRUE(underlay->set_narrow({}));
    EXPECT_TRUE(ours().empty());
}

}  // namespace
}  // namespace weft::agent
