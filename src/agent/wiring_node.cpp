// The node's own pieces of the wiring: the host's pair and the namespaces of service endpoints.
#include <algorithm>
#include <set>

#include "agent/interface_ipv6.h"
#include "agent/wiring.h"
#include "base/delta.h"
#include "kernel/link.h"
#include "kernel/netns.h"
#include "kernel/ownership.h"
#include "kernel/route.h"
#include "kernel/sysctl.h"
#include "kernel/tc.h"

namespace weft::agent {
namespace {

using kernel::Netlink;
using kernel::Netns;

constexpr int loopback = 1;  // ifindex of lo in every namespace

// Desired against actual, for values that are their own keys.
template <class T>
Delta<T, bool> differences(const std::vector<T>& have, const std::vector<T>& want) {
    std::map<T, bool> actual;
    std::map<T, bool> desired;
    for (const T& value : have) actual.emplace(value, true);
    for (const T& value : want) desired.emplace(value, true);
    return diff(actual, desired);
}

// Of the loopback, or of the link itself.
bool is_kernels_own(const net::Address& address) {
    const bool is_link_local = !address.is_v4() && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
    return is_link_local || address == net::Address::v4(127, 0, 0, 1) || address == net::Address{}.plus(1);
}

kernel::InterfaceAddress address_on(int link, const net::Address& address) {
    const bool is_v4 = address.is_v4();
    return {.link = link, .address = address, .length = is_v4 ? 32u : 128u, .no_dad = !is_v4};
}

Status set_addresses(Netlink& netlink, int link, const std::vector<kernel::InterfaceAddress>& want) {
    std::vector<kernel::InterfaceAddress> have;
    for (const auto& address : TRY(kernel::list_addresses(netlink, link)))
        if (!is_kernels_own(address.address)) have.push_back(address);
    const auto delta = differences(have, want);
    for (const auto& [address, yes] : delta.puts) TRY(kernel::put_address(netlink, address));
    for (const auto& address : delta.deletes) TRY(kernel::delete_address(netlink, address));
    return {};
}

Status set_routes(Netlink& netlink, int link, const std::vector<kernel::Route>& want) {
    std::vector<kernel::Route> have;
    for (const auto& route : TRY(kernel::list_routes(netlink, kernel::route_protocol)))
        if (route.link == link) have.push_back(route);
    const auto delta = differences(have, want);
    for (const auto& route : delta.deletes) TRY(kernel::delete_route(netlink, route));
    for (const auto& [route, yes] : delta.puts) TRY(kernel::put_route(netlink, route));
    return {};
}

// The service endpoint answers for addresses that came in by eth0 and stand on lo, to whoever asks.
Status open_to_all() {
    for (const auto& [name, value] :
         {std::pair{"net/ipv4/ip_unprivileged_port_start", "0"}, std::pair{"net/ipv4/conf/all/rp_filter", "0"},
          std::pair{"net/ipv4/conf/default/rp_filter", "0"}})
        TRY(kernel::set_sysctl(name, value));
    return {};
}

}  // namespace

Result<Socket> KernelWiring::ensure_host(const HostPlug& plug) {
    const std::string host(kernel::host_link);
    const std::string door(kernel::host_door_link);
    auto outside = kernel::find_link(netlink_, door);
    if (!outside && outside.error().code == Code::not_found) {
        TRY(kernel::create_veth(netlink_, {host, nullptr, plug.mac, plug.mtu},
                                {door, nullptr, gateway_mac(), plug.mtu}));
        outside = kernel::find_link(netlink_, door);
    }
    if (!outside) return fail(outside.error());
    const kernel::Link inside = TRY(kernel::find_link(netlink_, host));
    TRY_IN("attach pod_egress to " + door,
           kernel::attach_filter(netlink_, outside->index, kernel::Direction::ingress, pod_egress_));
    if (inside.mac != plug.mac) TRY(kernel::set_link_mac(netlink_, inside.index, plug.mac));
    for (const kernel::Link& link : {inside, *outside}) {
        if (link.mtu != plug.mtu) TRY(kernel::set_link_mtu(netlink_, link.index, plug.mtu));
        TRY(node_.run([&]() -> Status {
            TRY(kernel::set_sysctl("net/ipv4/conf/" + link.name + "/rp_filter", "0"));
            // A nodePort asked for on the node itself answers from the node's own address.
            if (link.name == host) TRY(kernel::set_sysctl("net/ipv4/conf/" + link.name + "/accept_local", "1"));
            return set_ipv6(link.name, plug.ipv6 && link.name == host);
        }));
        if (!link.up) TRY(kernel::set_link_up(netlink_, link.index, true));
    }
    std::vector<kernel::InterfaceAddress> addresses{address_on(inside.index, plug.address)};
    if (plug.ipv6) addresses.push_back(address_on(inside.index, *plug.ipv6));
    TRY(set_addresses(netlink_, inside.index, addresses));
    std::vector<kernel::Route> routes;
    for (const net::Prefix& prefix : plug.prefixes) {
        if (!prefix.is_v4() && !plug.ipv6) continue;
        routes.push_back({.destination = prefix,
                          .gateway = prefix.is_v4() ? gateway_address() : gateway_ipv6(),
                          .source = prefix.is_v4() ? plug.address : *plug.ipv6,
                          .link = inside.index,
                          .onlink = true,
                          .mtu = plug.mtu,
                          .metric = prefix.is_v4() ? 0 : ipv6_route_metric});
    }
    TRY(set_routes(netlink_, inside.index, routes));
    return Socket{uint32_t(outside->index), TRY(node_.cookie())};
}

Status KernelWiring::ensure_service_netns(const std::string& name, const std::vector<net::Address>& locals) {
    const Netns netns = TRY(Netns::open_or_create(name));
    return netns.run([&]() -> Status {
        TRY(open_to_all());
        Netlink inside = TRY(Netlink::open());
        std::vector<kernel::InterfaceAddress> want;
        for (const net::Address& address : locals) want.push_back(address_on(loopback, address));
        // An IPv6 address stands only on an interface that is up.
        if (std::any_of(locals.begin(), locals.end(), [](const net::Address& address) { return !address.is_v4(); })) {
            TRY(set_ipv6("lo", true));
            if (!TRY(kernel::find_link(inside, "lo")).up) TRY(kernel::set_link_up(inside, loopback, true));
        }
        return set_addresses(inside, loopback, want);
    });
}

Status KernelWiring::remove_netns(const std::string& name) { return Netns::remove(name); }

}  // namespace weft::agent
