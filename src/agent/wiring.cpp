#include "agent/wiring.h"

#include <utility>

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

constexpr size_t removers_max = 8;  // sockets kept between calls

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
    if (link.mtu != plug.mtu) TRY(kernel::set_link_mtu(inside, link.index, plug.mtu));
    for (const auto& address : own_addresses(plug, link.index)) TRY(kernel::put_address(inside, address));
    TRY(kernel::set_link_up(inside, link.index, true));
    for (const auto& route : default_routes(plug, link.index)) TRY(kernel::put_route(inside, route));
    return {};
}

// The pod's namespace as seen from outside it: opened on the one thread that enters it.
struct Inside {
    Netlink netlink;
    std::optional<kernel::SysctlFolder> ipv6;  // its net/ipv6/conf
    uint64_t cookie = 0;
};

std::optional<kernel::SysctlFolder> ipv6_folder() {
    auto folder = kernel::SysctlFolder::open("net/ipv6/conf");
    return folder ? std::optional(std::move(*folder)) : std::nullopt;
}

Result<Inside> look_into(const Netns& pod) {
    return pod.run([]() -> Result<Inside> {
        Netlink netlink = TRY(Netlink::open());
        const uint64_t cookie = TRY(netlink.netns_cookie());
        return Inside{std::move(netlink), ipv6_folder(), cookie};
    });
}

const kernel::SysctlFolder* pointer_to(const std::optional<kernel::SysctlFolder>& folder) {
    return folder ? &*folder : nullptr;
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
    return std::unique_ptr<KernelWiring>(
        new KernelWiring(std::move(netlink), std::move(node), ipv6_folder(), pod_egress));
}

Result<Socket> KernelWiring::connect(const Plug& plug) {
    const Netns pod = TRY(Netns::open_path(plug.netns));
    Inside inside = TRY(look_into(pod));
    TRY(kernel::create_veth(netlink_, {plug.host_link, nullptr, gateway_mac(), plug.mtu},
                            {plug.ifname, &pod, plug.mac, plug.mtu}));
    Rollback rollback;
    rollback.on_failure([&] { (void)kernel::delete_link(netlink_, plug.host_link); });
    const kernel::Link outside = TRY(kernel::find_link(netlink_, plug.host_link));
    TRY(set_ipv6_of_new(pointer_to(ipv6_), plug.host_link, false));
    TRY(set_ipv6_of_new(pointer_to(inside.ipv6), plug.ifname, plug.ipv6.has_value()));
    rollback.dismiss();
    const std::lock_guard lock(mutex_);
    fresh_ = Fresh{plug.host_link, outside.index, outside.peer_index, std::move(inside.netlink)};
    return Socket{uint32_t(outside.index), inside.cookie};
}

std::optional<KernelWiring::Fresh> KernelWiring::take_fresh(const std::string& host_link) {
    const std::lock_guard lock(mutex_);
    if (!fresh_ || fresh_->host_link != host_link) return std::nullopt;
    return std::exchange(fresh_, std::nullopt);
}

// Outside first: an end that comes up behind the other has its carrier at once, and that shall be the pod's.
Status KernelWiring::open_fresh(const Plug& plug, Fresh& fresh) {
    TRY_IN("open " + plug.host_link, netlink_.together([&]() -> Status {
        TRY(kernel::attach_first_filter(netlink_, fresh.outside, kernel::Direction::ingress, pod_egress_));
        return kernel::set_link_up(netlink_, fresh.outside, true);
    }));
    TRY_IN("open " + plug.ifname + " of " + plug.netns, fresh.netlink.together([&]() -> Status {
        for (const auto& address : own_addresses(plug, fresh.inside)) TRY(kernel::put_address(fresh.netlink, address));
        TRY(kernel::set_link_up(fresh.netlink, fresh.inside, true));
        for (const auto& route : default_routes(plug, fresh.inside)) TRY(kernel::put_route(fresh.netlink, route));
        return {};
    }));
    return {};
}

Status KernelWiring::open(const Plug& plug) {
    if (std::optional<Fresh> fresh = take_fresh(plug.host_link)) return open_fresh(plug, *fresh);
    const kernel::Link outside = TRY(kernel::find_link(netlink_, plug.host_link));
    TRY_IN("attach pod_egress to " + plug.host_link,
           kernel::attach_filter(netlink_, outside.index, kernel::Direction::ingress, pod_egress_));
    if (outside.mtu != plug.mtu) TRY(kernel::set_link_mtu(netlink_, outside.index, plug.mtu));
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

// A socket that nobody else has at the moment: this may run beside the brain, and many at a time.
Result<Netlink> KernelWiring::remover() {
    {
        const std::lock_guard lock(mutex_);
        if (!removers_.empty()) {
            Netlink netlink = std::move(removers_.back());
            removers_.pop_back();
            return netlink;
        }
    }
    return Netlink::open(node_);
}

Status KernelWiring::disconnect(const std::string& host_link) {
    (void)take_fresh(host_link);
    Netlink netlink = TRY(remover());
    TRY(kernel::delete_link(netlink, host_link));
    const std::lock_guard lock(mutex_);
    if (removers_.size() < removers_max) removers_.push_back(std::move(netlink));
    return {};
}

Result<std::vector<std::string>> KernelWiring::host_links() {
    std::vector<std::string> names;
    for (const kernel::Link& link : TRY(kernel::list_links(netlink_)))
        if (kernel::is_pod_link_name(link.name) || link.name.starts_with(kernel::service_link_prefix))
            names.push_back(link.name);
    return names;
}

}  // namespace weft::agent
