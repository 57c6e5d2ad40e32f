#include "agent/wiring.h"

#include "abi/endpoint.h"
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

kernel::Route default_route(const Plug& plug, int link) {
    return {.destination = kernel::default_v4(),
            .gateway = gateway_address(),
            .link = link,
            .onlink = true,
            .mtu = plug.mtu};
}

kernel::InterfaceAddress own_address(const Plug& plug, int link) {
    return {.link = link, .address = plug.address, .length = 32};
}

// No IPv6 on a link that has no IPv6 address: the kernel would send discovery that the data plane drops and counts.
Status quiet_ipv6(const std::string& ifname) {
    const auto set = kernel::set_sysctl("net/ipv6/conf/" + ifname + "/disable_ipv6", "1");
    if (!set && set.error().code != Code::not_found) return fail(set.error());  // a kernel without IPv6
    return {};
}

// On a thread inside the namespace: the address before the link is up, the route after it.
Status configure_inside(const Plug& plug) {
    Netlink inside = TRY(Netlink::open());
    const kernel::Link link = TRY(kernel::find_link(inside, plug.ifname));
    TRY(quiet_ipv6(plug.ifname));
    TRY(kernel::put_address(inside, own_address(plug, link.index)));
    TRY(kernel::set_link_up(inside, link.index, true));
    TRY(kernel::put_route(inside, default_route(plug, link.index)));
    return {};
}

Status inspect_inside(const Plug& plug) {
    Netlink inside = TRY(Netlink::open());
    const kernel::Link link = TRY(kernel::find_link(inside, plug.ifname));
    if (!link.up) return fail(Code::conflict, plug.ifname + " is down");
    if (link.mac != plug.mac) return fail(Code::conflict, plug.ifname + " has MAC " + link.mac.text());
    if (link.mtu != plug.mtu) return fail(Code::conflict, plug.ifname + " has MTU " + std::to_string(link.mtu));
    const auto addresses = TRY(kernel::list_addresses(inside, link.index));
    const auto own = own_address(plug, link.index);
    if (std::find(addresses.begin(), addresses.end(), own) == addresses.end())
        return fail(Code::conflict, "address " + plug.address.text() + "/32 is gone from " + plug.ifname);
    const auto routes = TRY(kernel::list_routes(inside, kernel::route_protocol));
    if (std::find(routes.begin(), routes.end(), default_route(plug, link.index)) == routes.end())
        return fail(Code::conflict, "the default route via " + gateway_address().text() + " is gone");
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
    TRY(node_.run([&]() -> Status { return quiet_ipv6(plug.host_link); }));
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
