#include "standalone/topology.h"

#include <sys/mount.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "kernel/cgroup.h"
#include "kernel/link.h"
#include "kernel/netlink.h"
#include "kernel/netns.h"
#include "kernel/route.h"
#include "kernel/sysctl.h"

namespace weft::standalone {

using kernel::Netlink;
using kernel::Netns;

static constexpr std::string_view bridge_name = "street";
static constexpr std::string_view uplink_name = "eth0";
static constexpr long bpf_fs_magic = 0xcafe4a11;

static net::Address internet_address() { return net::Address::v4(198, 18, 0, 1); }

static const net::Address client_addresses[] = {net::Address::v4(198, 51, 100, 7), net::Address::v4(192, 0, 2, 7)};

net::Address underlay_address(const NodeSpec& node) { return net::Address::v4(198, 18, 1, uint8_t(node.number)); }

// The street's IPv6 side: plain addresses beside the IPv4 ones; tunnels stay IPv4.
static net::Address ipv6(std::string_view text) { return MUST(net::Address::parse(text)); }

static constexpr std::string_view ipv6_internet = "fd00:198:18::1";
static constexpr std::string_view ipv6_clients[] = {"2001:db8:51::7", "2001:db8:2::7"};
static constexpr std::string_view ipv6_public_block = "2001:db8:113::/64";

net::Address ipv6_underlay_address(const NodeSpec& node) { return ipv6("fd00:198:18::1:0").plus(node.number); }

static kernel::InterfaceAddress ipv6_interface(int link, const net::Address& address, unsigned length) {
    return {.link = link, .address = address, .length = length, .no_dad = true};
}

// A port of the bridge and its uplink end; port names are numbered because link names are short.
static Status connect(Netlink& fabric_netlink, int bridge, const std::string& port, const Netns& end) {
    Netlink end_netlink = TRY(Netlink::open(end));
    if (!kernel::find_link(end_netlink, uplink_name)) {
        TRY(kernel::delete_link(fabric_netlink, port));
        TRY(kernel::create_veth(fabric_netlink, {.name = port}, {.name = std::string(uplink_name), .netns = &end}));
    }
    const kernel::Link port_link = TRY(kernel::find_link(fabric_netlink, port));
    if (port_link.master != bridge) TRY(kernel::set_link_master(fabric_netlink, port_link.index, bridge));
    if (!port_link.up) TRY(kernel::set_link_up(fabric_netlink, port_link.index, true));
    return {};
}

static Result<int> bring_up(Netlink& netlink, std::string_view name) {
    const kernel::Link link = TRY(kernel::find_link(netlink, name));
    if (!link.up) TRY(kernel::set_link_up(netlink, link.index, true));
    return link.index;
}

static Status configure_internet(const Netns& netns) {
    Netlink netlink = TRY(Netlink::open(netns));
    const int lo = TRY(bring_up(netlink, "lo"));
    const int uplink = TRY(bring_up(netlink, uplink_name));
    TRY(kernel::put_address(netlink, {.link = uplink, .address = internet_address(), .length = 16}));
    for (const net::Address& client : client_addresses)
        TRY(kernel::put_address(netlink, {.link = lo, .address = client, .length = 32}));
    TRY(kernel::set_sysctl(netns, "net/ipv4/conf/all/rp_filter", "0"));
    TRY(kernel::set_sysctl(netns, "net/ipv4/conf/eth0/rp_filter", "0"));
    TRY(kernel::put_address(netlink, ipv6_interface(uplink, ipv6(ipv6_internet), 64)));
    for (const std::string_view client : ipv6_clients)
        TRY(kernel::put_address(netlink, ipv6_interface(lo, ipv6(client), 128)));
    TRY(kernel::put_route(netlink, {.destination = MUST(net::Prefix::parse(ipv6_public_block)),
                                    .source = ipv6(ipv6_clients[0]),
                                    .link = uplink}));
    return kernel::put_route(netlink, {.destination = MUST(net::Prefix::parse("203.0.113.0/24")),
                                       .source = client_addresses[0],
                                       .link = uplink,
                                       .scope = kernel::RouteScope::link});
}

static Status configure_node(const Netns& netns, const NodeSpec& node) {
    Netlink netlink = TRY(Netlink::open(netns));
    TRY(bring_up(netlink, "lo"));
    const int uplink = TRY(bring_up(netlink, uplink_name));
    TRY(kernel::put_address(netlink, {.link = uplink, .address = underlay_address(node), .length = 16}));
    TRY(kernel::set_sysctl(netns, "net/ipv4/conf/all/rp_filter", "0"));
    TRY(kernel::set_sysctl(netns, "net/ipv4/conf/eth0/rp_filter", "0"));
    TRY(kernel::put_address(netlink, ipv6_interface(uplink, ipv6_underlay_address(node), 64)));
    TRY(kernel::put_route(
        netlink, {.destination = kernel::default_v6(), .gateway = ipv6(ipv6_internet), .link = uplink}));
    return kernel::put_route(netlink,
                             {.destination = kernel::default_v4(), .gateway = internet_address(), .link = uplink});
}

Status build_topology(const Instance& instance, const std::vector<NodeSpec>& nodes) {
    const Netns fabric = TRY_IN("fabric", Netns::open_or_create(instance.fabric_netns()));
    Netlink netlink = TRY(Netlink::open(fabric));
    if (!kernel::find_link(netlink, bridge_name)) TRY(kernel::create_bridge(netlink, bridge_name));
    const int bridge = TRY(bring_up(netlink, bridge_name));

    const Netns internet = TRY_IN("internet", Netns::open_or_create(instance.internet_netns()));
    TRY_IN("internet", connect(netlink, bridge, "port0", internet));
    TRY_IN("internet", configure_internet(internet));
    for (const NodeSpec& node : nodes) {
        const Netns netns = TRY_IN(node.name, Netns::open_or_create(instance.node_netns(node.name)));
        TRY_IN(node.name, connect(netlink, bridge, "port" + std::to_string(node.number), netns));
        TRY_IN(node.name, configure_node(netns, node));
    }
    return {};
}

Status leave_street(const Instance& instance, const NodeSpec& node) {
    if (!Netns::exists(instance.fabric_netns())) return {};
    Netlink netlink = TRY(Netlink::open(TRY(Netns::open(instance.fabric_netns()))));
    return kernel::delete_link(netlink, "port" + std::to_string(node.number));
}

Status remove_topology(const Instance& instance) {
    const std::string prefix = "weft-" + instance.name() + "-";
    for (const std::string& name : TRY(Netns::list()))
        if (name.starts_with(prefix)) TRY(Netns::remove(name));
    return {};
}

Result<std::string> mount_file_systems(const Instance& instance, const std::vector<NodeSpec>& nodes) {
    TRY(make_directories("/run/weft"));
    TRY(make_directories(instance.run_dir(), 0700));
    TRY(make_directories(instance.run_dir() + "/tokens", 0700));
    TRY(make_directories(instance.run_dir() + "/log", 0700));
    TRY(make_directories(instance.state_dir(), 0700));
    TRY(make_directories(instance.bpf_mount(), 0700));
    struct statfs info{};
    if (statfs(instance.bpf_mount().c_str(), &info) < 0) return fail_errno("statfs " + instance.bpf_mount());
    if (info.f_type != bpf_fs_magic &&
        ::mount("weft", instance.bpf_mount().c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
        return fail_errno("mount bpf file system on " + instance.bpf_mount());

    const std::string cgroup2 = TRY(kernel::find_cgroup2());
    TRY(kernel::create_cgroup(cgroup2, instance.cgroup() + "/system"));
    for (const NodeSpec& node : nodes) {
        TRY(make_directories(instance.node_run_dir(node.name), 0700));
        TRY(make_directories(instance.node_state_dir(node.name), 0700));
        TRY(make_directories(instance.bpf_dir(node.name), 0700));
        TRY(kernel::create_cgroup(cgroup2, instance.system_cgroup(node.name)));
        TRY(kernel::create_cgroup(cgroup2, instance.pods_cgroup(node.name)));
    }
    return cgroup2;
}

}  // namespace weft::standalone
