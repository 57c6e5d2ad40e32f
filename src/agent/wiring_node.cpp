// The node's own pieces of the wiring: the host's pair and the namespaces of service endpoints.
#include <algorithm>
#include <set>

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

Status set_addresses(Netlink& netlink, int link, const std::vector<kernel::InterfaceAddress>& want) {
    std::vector<kernel::InterfaceAddress> have;
    for (const auto& address : TRY(kernel::list_addresses(netlink, link)))
        if (address.address.is_v4() && address.address != net::Address::v4(127, 0, 0, 1)) have.push_back(address);
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
        for (const auto& [name, value] : {std::pair{std::string("net/ipv6/conf/") + link.name + "/disable_ipv6", "1"},
                                          std::pair{std::string("net/ipv4/conf/") + link.name + "/rp_filter", "0"}}) {
            const auto set = node_.run([&]() -> Result<bool> { return kernel::set_sysctl(name, value); });
            if (!set && set.error().code != Code::not_found) return fail(set.error());
        }
        if (!link.up) TRY(kernel::set_link_up(netlink_, link.index, true));
    }
    TRY(set_addresses(netlink_, inside.index, {{.link = inside.index, .address = plug.address, .length = 32}}));
    std::vector<kernel::Route> routes;
    for (const net::Prefix& prefix : plug.prefixes)
        routes.push_back({.destination = prefix,
                          .gateway = gateway_address(),
                          .source = plug.address,
                          .link = inside.index,
                          .onlink = true,
                          .mtu = plug.mtu});
    TRY(set_routes(netlink_, inside.index, routes));
    return Socket{uint32_t(outside->index), TRY(node_.cookie())};
}

Status KernelWiring::ensure_service_netns(const std::string& name, const std::vector<net::Address>& locals) {
    const Netns netns = TRY(Netns::open_or_create(name));
    return netns.run([&]() -> Status {
        TRY(open_to_all());
        Netlink inside = TRY(Netlink::open());
        std::vector<kernel::InterfaceAddress> want;
        for (const net::Address& address : locals) want.push_back({.link = loopback, .address = address, .length = 32});
        return set_addresses(inside, loopback, want);
    });
}

Status KernelWiring::remove_netns(const std::string& name) { return Netns::remove(name); }

}  // namespace weft::agent
