#include "kernel/netns.h"

#include <unistd.h>

#include <atomic>

#include "kernel/link.h"
#include "kernel/route.h"
#include "kernel/sysctl.h"

namespace weft::kernel {
namespace {

// A namespace of this test process only, removed at the end whatever happens.
class ScratchNetns {
public:
    ScratchNetns() : name_("weft-ktest" + std::to_string(getpid()) + "-" + std::to_string(++count_)) {
        netns_.emplace(MUST(Netns::create(name_)));
    }

    ~ScratchNetns() { (void)Netns::remove(name_); }

    const Netns& netns() const { return *netns_; }
    const std::string& name() const { return name_; }

private:
    static inline std::atomic<int> count_ = 0;
    std::string name_;
    std::optional<Netns> netns_;
};

net::Address ip(const char* text) { return MUST(net::Address::parse(text)); }

TEST(Netns, is_made_opened_listed_and_removed_by_name) {
    const ScratchNetns scratch;
    EXPECT_TRUE(Netns::exists(scratch.name()));
    const auto again = Netns::open(scratch.name());
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->inode().value(), scratch.netns().inode().value());
    EXPECT_NE(again->inode().value(), Netns::current()->inode().value());
    const auto names = Netns::list().value();
    EXPECT_NE(std::find(names.begin(), names.end(), scratch.name()), names.end());
    EXPECT_EQ(Netns::create(scratch.name()).error().code, Code::already_exists);
    EXPECT_TRUE(Netns::remove(scratch.name()).has_value());
    EXPECT_FALSE(Netns::exists(scratch.name()));
    EXPECT_TRUE(Netns::remove(scratch.name()).has_value());
}

TEST(Netns, run_never_leaves_the_caller_in_another_namespace) {
    const ScratchNetns scratch;
    const uint64_t home = Netns::current()->inode().value();
    const auto inside = scratch.netns().run([]() -> Result<uint64_t> { return TRY(Netns::current()).inode(); });
    EXPECT_EQ(inside.value(), scratch.netns().inode().value());
    EXPECT_EQ(Netns::current()->inode().value(), home);
}

TEST(Netns, cookies_tell_namespaces_apart) {
    const ScratchNetns a;
    const ScratchNetns b;
    EXPECT_NE(a.netns().cookie().value(), b.netns().cookie().value());
    EXPECT_EQ(a.netns().cookie().value(), a.netns().cookie().value());
}

TEST(Netns, a_file_left_by_a_crash_is_no_namespace_and_is_replaced) {
    const std::string name = "weft-ktest" + std::to_string(getpid()) + "-crash";
    ASSERT_TRUE(write_file("/run/netns/" + name, "").has_value());
    EXPECT_FALSE(Netns::exists(name));
    EXPECT_TRUE(Netns::create(name).has_value());
    EXPECT_TRUE(Netns::exists(name));
    EXPECT_TRUE(Netns::remove(name).has_value());
}

TEST(Netns, refuses_names_that_leave_the_folder) {
    EXPECT_EQ(Netns::create("../x").error().code, Code::invalid);
    EXPECT_EQ(Netns::open("").error().code, Code::invalid);
}

TEST(Link, a_veth_pair_is_made_across_two_namespaces_with_addresses_of_our_choice) {
    const ScratchNetns a;
    const ScratchNetns b;
    Netlink at_a = MUST(Netlink::open(a.netns()));
    Netlink at_b = MUST(Netlink::open(b.netns()));
    const net::Mac mac_a = endpoint_mac(1);
    const net::Mac mac_b = endpoint_mac(2);
    ASSERT_TRUE(create_veth(at_a, {"left", nullptr, mac_a, 1400}, {"eth0", &b.netns(), mac_b, 1300}).has_value());
    const Link left = find_link(at_a, "left").value();
    const Link right = find_link(at_b, "eth0").value();
    EXPECT_EQ(left.kind, "veth");
    EXPECT_EQ(left.mac, mac_a);
    EXPECT_EQ(left.mtu, 1400u);
    EXPECT_FALSE(left.up);
    EXPECT_EQ(left.peer_index, right.index);
    EXPECT_EQ(right.peer_index, left.index);
    EXPECT_EQ(right.mac, mac_b);
    EXPECT_EQ(right.mtu, 1300u);
    EXPECT_EQ(create_veth(at_a, {"left"}, {"right"}).error().code, Code::already_exists);

    ASSERT_TRUE(rename_link(at_b, right.index, "eth7").has_value());
    ASSERT_TRUE(set_link_mtu(at_b, right.index, 1280).has_value());
    ASSERT_TRUE(set_link_up(at_b, right.index, true).has_value());
    const Link changed = find_link(at_b, right.index).value();
    EXPECT_EQ(changed.name, "eth7");
    EXPECT_EQ(changed.mtu, 1280u);
    EXPECT_TRUE(changed.up);

    ASSERT_TRUE(delete_link(at_a, "left").has_value());
    EXPECT_TRUE(delete_link(at_a, "left").has_value()) << "deleting what is gone is success";
    EXPECT_EQ(find_link(at_b, "eth7").error().code, Code::not_found);
}

TEST(Link, a_bridge_takes_ports) {
    const ScratchNetns scratch;
    Netlink netlink = MUST(Netlink::open(scratch.netns()));
    ASSERT_TRUE(create_bridge(netlink, "street", endpoint_mac(9)).has_value());
    ASSERT_TRUE(create_veth(netlink, {"p0"}, {"p1"}).has_value());
    const int bridge = find_link(netlink, "street")->index;
    const int port = find_link(netlink, "p0")->index;
    ASSERT_TRUE(set_link_master(netlink, port, bridge).has_value());
    EXPECT_EQ(find_link(netlink, "p0")->master, bridge);
    EXPECT_EQ(find_link(netlink, "street")->mac, endpoint_mac(9));
    EXPECT_EQ(list_links(netlink)->size(), 4u);  // lo and these three
    ASSERT_TRUE(set_link_master(netlink, port, 0).has_value());
    EXPECT_EQ(find_link(netlink, "p0")->master, 0);
}

TEST(Link, an_error_names_the_link_and_what_the_kernel_said) {
    const ScratchNetns scratch;
    Netlink netlink = MUST(Netlink::open(scratch.netns()));
    EXPECT_EQ(find_link(netlink, "absent").error().code, Code::not_found);
    EXPECT_NE(find_link(netlink, "absent").error().message.find("absent"), std::string::npos);
    EXPECT_EQ(create_bridge(netlink, "a/b").error().code, Code::invalid);
    EXPECT_EQ(create_bridge(netlink, "sixteen_letters_").error().code, Code::invalid);
}

TEST(Route, a_pods_addresses_and_routes_read_back_as_they_were_put) {
    const ScratchNetns scratch;
    Netlink netlink = MUST(Netlink::open(scratch.netns()));
    ASSERT_TRUE(create_veth(netlink, {"p0"}, {"eth0"}).has_value());
    const int link = find_link(netlink, "eth0")->index;
    const InterfaceAddress address{link, ip("10.0.1.4"), 32, true, false};
    ASSERT_TRUE(put_address(netlink, address).has_value());
    ASSERT_TRUE(put_address(netlink, address).has_value()) << "putting twice changes nothing";
    ASSERT_TRUE(set_link_up(netlink, link, true).has_value());
    ASSERT_TRUE(set_link_up(netlink, find_link(netlink, "p0")->index, true).has_value());
    const Route route{.destination = default_v4(),
                      .gateway = ip("169.254.1.1"),
                      .source = ip("10.0.1.4"),
                      .link = link,
                      .onlink = true,
                      .mtu = 1450,
                      .metric = 7};
    ASSERT_TRUE(put_route(netlink, route).has_value());
    EXPECT_EQ(list_routes(netlink, route_protocol).value(), std::vector<Route>{route});
    auto addresses = list_addresses(netlink, link).value();
    std::erase_if(addresses, [](const InterfaceAddress& a) { return !a.address.is_v4(); });
    EXPECT_EQ(addresses, std::vector<InterfaceAddress>{address});

    ASSERT_TRUE(delete_route(netlink, route).has_value());
    EXPECT_TRUE(delete_route(netlink, route).has_value());
    EXPECT_TRUE(list_routes(netlink, route_protocol)->empty());
    ASSERT_TRUE(delete_address(netlink, address).has_value());
    EXPECT_TRUE(delete_address(netlink, address).has_value());
}

TEST(Route, both_families_and_link_scope_work) {
    const ScratchNetns scratch;
    Netlink netlink = MUST(Netlink::open(scratch.netns()));
    ASSERT_TRUE(create_veth(netlink, {"p0"}, {"eth0"}).has_value());
    const int link = find_link(netlink, "eth0")->index;
    ASSERT_TRUE(set_link_up(netlink, link, true).has_value());
    ASSERT_TRUE(set_link_up(netlink, find_link(netlink, "p0")->index, true).has_value());
    const InterfaceAddress v6{link, ip("fd00::5"), 128, false, true};
    ASSERT_TRUE(put_address(netlink, v6).has_value());
    const Route on_link{
        .destination = MUST(net::Prefix::parse("203.0.113.0/24")), .link = link, .scope = RouteScope::link};
    const Route v6_default{
        .destination = default_v6(), .gateway = ip("fe80::1"), .link = link, .onlink = true, .metric = 1024};
    ASSERT_TRUE(put_route(netlink, on_link).has_value());
    ASSERT_TRUE(put_route(netlink, v6_default).has_value());
    const auto routes = list_routes(netlink, route_protocol).value();
    EXPECT_EQ(routes.size(), 2u);
    EXPECT_NE(std::find(routes.begin(), routes.end(), on_link), routes.end());
    EXPECT_NE(std::find(routes.begin(), routes.end(), v6_default), routes.end());
    ASSERT_TRUE(put_neighbour(netlink, link, ip("203.0.113.9"), endpoint_mac(3)).has_value());
}

TEST(Sysctl, is_set_in_its_own_namespace_only_and_not_twice) {
    const ScratchNetns scratch;
    const std::string before = get_sysctl("net/ipv4/ip_unprivileged_port_start").value();
    EXPECT_TRUE(set_sysctl(scratch.netns(), "net/ipv4/ip_unprivileged_port_start", "7").value());
    EXPECT_FALSE(set_sysctl(scratch.netns(), "net/ipv4/ip_unprivileged_port_start", "7").value());
    EXPECT_EQ(get_sysctl(scratch.netns(), "net/ipv4/ip_unprivileged_port_start").value(), "7");
    EXPECT_EQ(get_sysctl("net/ipv4/ip_unprivileged_port_start").value(), before);
    EXPECT_EQ(get_sysctl("net/ipv4/no_such_thing").error().code, Code::not_found);
    EXPECT_EQ(get_sysctl("kernel/hostname").error().code, Code::invalid);
}

TEST(Ownership, pod_links_are_told_from_everything_else) {
    const std::string name = new_pod_link_name();
    EXPECT_EQ(name.size(), 14u);
    EXPECT_TRUE(is_pod_link_name(name));
    EXPECT_NE(name, new_pod_link_name());
    EXPECT_FALSE(is_pod_link_name("wpod12345"));
    EXPECT_FALSE(is_pod_link_name("eth0"));
    EXPECT_FALSE(is_pod_link_name(host_door_link));
}

}  // namespace
}  // namespace weft::kernel
