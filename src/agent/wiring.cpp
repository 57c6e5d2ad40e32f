#include "agent/wiring.h"

#include "abi/endpoint.h"
#include "agent/interface_ipv6.h"
#include "base/rollback.h"
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

std::vector<kernel::Route> default_routes(const Plug& plug, int link) {
    std::vector<kernel::Route> routes{{.destination = kernel::default_v4(),
                                       .gateway = gateway_address(),
                                       .link = link,
                                       .onlink = true,
                                       .mtu = plug.mtu}};
    if (plug.ipv6)
        routes.push_back({.destination = kernel::default_v6(),
                          .gateway = gateway_ipv6(),
                          .link = link,
                          .onlink = true,
                          .mtu = plug.mtu,
                          .metric = ipv6_route_metric});
    return routes;
}

std::vector<kernel::InterfaceAddress> own_addresses(const Plug& plug, int link) {
    std::vector<kernel::InterfaceAddress> addresses{{.link = link, .address = plug.address, .length = 32}};
    if (plug.ipv6) addresses.push_back({.link = link, .address = *plug.ipv6, .length = 128, .no_dad = true});
    return addresses;
}

// On a thread inside the namespace: the address before the link is up, the route after it.
Status configure_inside(const Plug& plug) {
    Netlink inside = TRY(Netlink::open());
    const kernel::Link link = TRY(kernel::find_link(inside, plug.ifname));
    TRY(set_ipv6(plug.ifname, plug.ipv6.has_value()));
    for (const auto& address : own_addresses(plug, link.index)) TRY(kernel::put_address(inside, address));
    TRY(kernel::set_link_up(inside, link.index, true));
    for (const auto& route : default_routes(plug, link.index)) TRY(kernel::put_route(inside, route));
    return {};
}

Status inspect_inside(const Plug& plug) {
    Netlink inside = TRY(Netlink::open());
    const kernel::Link link = TRY(kernel::find_link(inside, plug.ifname));
    if (!link.up) return fail(Code::conflict, plug.ifname + " is down");
    if (link.mac != plug.mac) return fail(Code::conflict, plug.ifname + " has MAC " + link.mac.text());
    if (link.mtu != plug.mtu) return fail(Code::conflict, plug.ifname + " has MTU " + std::to_string(link.mtu));
    const auto addresses = TRY(kernel::list_addresses(inside, link.index));
    for (const auto& own : own_addresses(plug, link.index))
        if (std::find(addresses.begin(), addresses.end(), own) == addresses.end())
            return fail(Code::conflict, "address " + own.address.text() + "/" + std::to_string(own.length) +
                                            " is gone from " + plug.ifname);
    const auto routes = TRY(kernel::list_routes(inside, kernel::route_protocol));
    for (const auto& route : default_routes(plug, link.index))
        if (std::find(routes.begin(), routes.end(), route) == routes.end())
            return fail(Code::conflict, "the default route via " + route.gateway->text() + " is gone");
    return {};
}

}  // namespace

net::Mac gateway_mac() { return net::Mac{GATEWAY_MAC}; }

net::Address gateway_address() { return net::Address::v4(GATEWAY_V4); }

Result<std::unique_ptr<KernelWiring>> KernelWiring::create(const kernel::Program& pod_egress) {
    Netns node = TRY(Netns::current());
    Netlink netlink = TRY(Netlink::open());
    return std::unique_ptr<KernelWiring>(new KernelWiring(std::move(netlink), std::move(node), pod_egress));
}

Result<Socket> KernelWiring::connect(const Plug& plug) {
    const Netns pod = TRY(Netns::open_path(plug.netns));
    TRY(kernel::create_veth(netlink_, {plug.host_link, nullptr, gateway_mac(), plug.mtu},
                            {plug.ifname, &pod, plug.mac, plug.mtu}));
    Rollback rollback;
    rollback.on_failure([&] { (void)kernel::delete_link(netlink_, plug.host_link); });
    const kernel::Link outside = TRY(kernel::find_link(netlink_, plug.host_link));
    TRY(node_.run([&]() -> Status { return set_ipv6(plug.host_link, false); }));
    const uint64_t cookie = TRY(pod.cookie());
    rollback.dismiss();
    return Socket{uint32_t(outside.index), cookie};
}

Status KernelWiring::open(const Plug& plug) {
    const kernel::Link outside = TRY(kernel::find_link(netlink_, plug.host_link));
    TRY_IN("attach pod_egress to " + plug.host_link,
           kernel::attach_filter(netlink_, outside.index, kernel::Direction::ingress, pod_egress_));
    if (!outside.up) TRY(kernel::set_link_up(netlink_, outside.index, true));
    const Netns pod = TRY(Netns::open_path(plug.netns));
    if (pod.run([&]() -> Status { return inspect_inside(plug); })) return {};
    return pod.run([&]() -> Status { return configure_inside(plug); });
}

Result<Socket> KernelWiring::inspect(const Plug& plug) {
    const kernel::Link outside = TRY(kernel::find_link(netlink_, plug.host_link));
    if (!outside.up) return fail(Code::conflict, plug.host_link + " is down");
    const auto filter = TRY(kernel::find_filter(netlink_, outside.index, kernel::Direction::ingress));
    if (!filter || filter->tag != pod_egress_.tag)
        return fail(Code::conflict, "pod_egress is not attached to " + plug.host_link);
    const Netns pod = TRY(Netns::open_path(plug.netns));
    TRY(pod.run([&]() -> Status { return inspect_inside(plug); }));
    return Socket{uint32_t(outside.index), TRY(pod.cookie())};
}

Status KernelWiring::disconnect(const std::string& host_link) {
    // A socket of its own: this may run beside the brain.
    return node_.run([&]() -> Status {
        Netlink netlink = TRY(Netlink::open());
        return kernel::delete_link(netlink, host_link);
    });
}

Result<std::vector<std::string>> KernelWiring::host_links() {
    std::vector<std::string> names;
    for (const kernel::Link& link : TRY(kernel::list_links(netlink_)))
        if (kernel::is_pod_link_name(link.name) || link.name.starts_with(kernel::service_link_prefix))
            names.push_back(link.name);
    return names;
}

}  // namespace weft::agent
