#include "agent/underlay.h"

#include <algorithm>
#include <set>

#include "kernel/route.h"

namespace weft::agent {

Result<KernelUnderlay> KernelUnderlay::open(const Uplink& uplink) {
    return KernelUnderlay(TRY(kernel::Netlink::open()), uplink);
}

std::optional<net::Address> KernelUnderlay::next_hop(const net::Address& to) {
    const auto hop = kernel::next_hop(netlink_, to, int(uplink_.ifindex));
    return hop ? std::optional(*hop) : std::nullopt;
}

bool KernelUnderlay::is_on_link(const net::Address& to) {
    return !uplink_.has_ipsec && kernel::is_on_link(netlink_, to, TUNNEL_PORT, int(uplink_.ifindex));
}

Status KernelUnderlay::set_narrow(const std::map<net::Address, unsigned>& mtu_of) {
    std::set<kernel::Route> want, have;
    for (const auto& [address, mtu] : mtu_of)
        if (next_hop(address) == address)
            want.insert({.destination = net::Prefix::host(address),
                         .gateway = std::nullopt,
                         .source = uplink_.address,
                         .link = int(uplink_.ifindex),
                         .mtu = mtu,
                         .scope = kernel::RouteScope::link});
    for (const auto& route : TRY(kernel::list_routes(netlink_, kernel::route_protocol)))
        if (route.link == int(uplink_.ifindex) && !route.gateway) have.insert(route);  // the node's default route is not ours
    for (const auto& route : have)
        if (!want.contains(route)) TRY(kernel::delete_route(netlink_, route));
    for (const auto& route : want)
        if (!have.contains(route)) TRY(kernel::put_route(netlink_, route));
    return {};
}

}  // namespace weft::agent
