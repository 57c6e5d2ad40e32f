#include "kernel/route.h"

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weft::kernel {
namespace {

constexpr unsigned v4_bits_before = 96;  // of a v4-mapped prefix

uint8_t family_of(const net::Address& address) { return address.is_v4() ? AF_INET : AF_INET6; }

// An address as rtnetlink wants it: 4 or 16 bytes.
void put_ip(Message& message, uint16_t type, const net::Address& address) {
    if (address.is_v4()) message.put(type, address.bytes.data() + 12, 4);
    else message.put(type, address.bytes.data(), 16);
}

net::Address read_ip(const void* data, size_t bytes) {
    net::Address address;
    if (bytes == 4) {
        uint32_t network = 0;
        std::memcpy(&network, data, 4);
        return net::Address::v4(be32toh(network));
    }
    if (bytes == 16) std::memcpy(address.bytes.data(), data, 16);
    return address;
}

uint32_t u32_of(const void* data, size_t bytes) {
    uint32_t value = 0;
    if (bytes >= sizeof(value)) std::memcpy(&value, data, sizeof(value));
    return value;
}

ifaddrmsg address_header(const InterfaceAddress& address) {
    ifaddrmsg header{};
    header.ifa_family = family_of(address.address);
    header.ifa_prefixlen = uint8_t(address.length);
    header.ifa_index = uint32_t(address.link);
    return header;
}

std::string text_of(const InterfaceAddress& address) {
    return "address " + address.address.text() + "/" + std::to_string(address.length) + " of link " +
           std::to_string(address.link);
}

rtmsg route_header(const Route& route) {
    rtmsg header{};
    header.rtm_family = family_of(route.destination.address);
    header.rtm_dst_len = uint8_t(route.destination.length());
    header.rtm_table = route.table < 256 ? uint8_t(route.table) : uint8_t(RT_TABLE_UNSPEC);
    header.rtm_protocol = route.protocol;
    header.rtm_scope = uint8_t(route.scope);
    header.rtm_type = uint8_t(route.type);
    header.rtm_flags = route.onlink ? unsigned(RTNH_F_ONLINK) : 0u;
    return header;
}

void put_route_key(Message& message, const Route& route) {
    if (route.destination.length() > 0) put_ip(message, RTA_DST, route.destination.address);
    if (route.table >= 256) message.put_u32(RTA_TABLE, route.table);
    if (route.link != 0) message.put_u32(RTA_OIF, uint32_t(route.link));
    if (route.metric != 0) message.put_u32(RTA_PRIORITY, route.metric);
}

Route read_route(const nlmsghdr& message) {
    const auto* header = static_cast<const rtmsg*>(NLMSG_DATA(&message));
    Route route;
    route.destination = header->rtm_family == AF_INET ? default_v4() : default_v6();
    route.scope = RouteScope(header->rtm_scope);
    route.type = RouteType(header->rtm_type);
    route.protocol = header->rtm_protocol;
    route.table = header->rtm_table;
    route.onlink = (header->rtm_flags & RTNH_F_ONLINK) != 0;
    for_each_attribute(message, sizeof(rtmsg), [&](uint16_t type, const void* data, size_t bytes) {
        switch (type) {
            case RTA_DST: route.destination = net::Prefix::of(read_ip(data, bytes), header->rtm_dst_len); break;
            case RTA_GATEWAY: route.gateway = read_ip(data, bytes); break;
            case RTA_VIA:  // a gateway of the other family
                if (bytes > sizeof(uint16_t))
                    route.gateway = read_ip(static_cast<const char*>(data) + sizeof(uint16_t), bytes - sizeof(uint16_t));
                break;
            case RTA_ENCAP: route.wraps = true; break;
            case RTA_PREFSRC: route.source = read_ip(data, bytes); break;
            case RTA_OIF: route.link = int(u32_of(data, bytes)); break;
            case RTA_PRIORITY: route.metric = u32_of(data, bytes); break;
            case RTA_TABLE: route.table = u32_of(data, bytes); break;
            case RTA_METRICS:
                for_each_nested(data, bytes, [&](uint16_t metric, const void* value, size_t value_bytes) {
                    if (metric == RTAX_MTU) route.mtu = u32_of(value, value_bytes);
                });
                break;
            default: break;
        }
    });
    return route;
}

std::string text_of(const Route& route) {
    return "route " + route.destination.text() + " dev " + std::to_string(route.link);
}

}  // namespace

net::Prefix default_v4() { return net::Prefix{net::Address::v4(0), v4_bits_before}; }

net::Prefix default_v6() { return net::Prefix{}; }

Status put_address(Netlink& netlink, const InterfaceAddress& address) {
    Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
    message.header(address_header(address));
    put_ip(message, IFA_LOCAL, address.address);
    put_ip(message, IFA_ADDRESS, address.address);
    const uint32_t flags =
        (address.no_prefix_route ? uint32_t(IFA_F_NOPREFIXROUTE) : 0u) | (address.no_dad ? uint32_t(IFA_F_NODAD) : 0u);
    if (flags != 0) message.put_u32(IFA_FLAGS, flags);
    TRY_IN("put " + text_of(address), netlink.request(message));
    return {};
}

Status delete_address(Netlink& netlink, const InterfaceAddress& address) {
    Message message(RTM_DELADDR, 0);
    message.header(address_header(address));
    put_ip(message, IFA_LOCAL, address.address);
    put_ip(message, IFA_ADDRESS, address.address);
    const Status deleted = netlink.request(message);
    if (deleted || deleted.error().code == Code::not_found || netlink.error_number() == EADDRNOTAVAIL) return {};
    return fail(deleted.error().in("delete " + text_of(address)));
}

Result<std::vector<InterfaceAddress>> list_addresses(Netlink& netlink, int link) {
    Message message(RTM_GETADDR, NLM_F_DUMP);
    ifaddrmsg all{};
    all.ifa_index = uint32_t(link);
    message.header(all);
    std::vector<InterfaceAddress> addresses;
    TRY_IN("list addresses", netlink.dump(message, [&](const nlmsghdr& reply) {
        if (reply.nlmsg_type != RTM_NEWADDR) return;
        const auto* header = static_cast<const ifaddrmsg*>(NLMSG_DATA(&reply));
        if (link != 0 && int(header->ifa_index) != link) return;
        InterfaceAddress found{.link = int(header->ifa_index), .length = header->ifa_prefixlen};
        bool has_local = false;
        uint32_t flags = header->ifa_flags;
        for_each_attribute(reply, sizeof(ifaddrmsg), [&](uint16_t type, const void* data, size_t bytes) {
            if (type == IFA_LOCAL || (type == IFA_ADDRESS && !has_local)) found.address = read_ip(data, bytes);
            if (type == IFA_LOCAL) has_local = true;
            if (type == IFA_FLAGS) flags = u32_of(data, bytes);
        });
        found.no_prefix_route = (flags & IFA_F_NOPREFIXROUTE) != 0;
        found.no_dad = (flags & IFA_F_NODAD) != 0;
        addresses.push_back(found);
    }));
    std::sort(addresses.begin(), addresses.end());
    return addresses;
}

Status put_route(Netlink& netlink, const Route& route) {
    Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    message.header(route_header(route));
    put_route_key(message, route);
    if (route.gateway) put_ip(message, RTA_GATEWAY, *route.gateway);
    if (route.source) put_ip(message, RTA_PREFSRC, *route.source);
    if (route.mtu != 0) {
        const size_t metrics = message.begin(RTA_METRICS);
        message.put_u32(RTAX_MTU, route.mtu);
        message.end(metrics);
    }
    TRY_IN("put " + text_of(route), netlink.request(message));
    return {};
}

Status delete_route(Netlink& netlink, const Route& route) {
    Message message(RTM_DELROUTE, 0);
    rtmsg header = route_header(route);
    header.rtm_scope = RT_SCOPE_NOWHERE;  // any
    header.rtm_flags = 0;
    message.header(header);
    put_route_key(message, route);
    const Status deleted = netlink.request(message);
    if (deleted || deleted.error().code == Code::not_found) return {};
    return fail(deleted.error().in("delete " + text_of(route)));
}

Result<std::vector<Route>> list_routes(Netlink& netlink, uint8_t protocol) {
    std::vector<Route> routes;
    for (const uint8_t family : {AF_INET, AF_INET6}) {
        Message message(RTM_GETROUTE, NLM_F_DUMP);
        rtmsg header{};
        header.rtm_family = family;
        header.rtm_table = RT_TABLE_MAIN;
        message.header(header);
        const Status listed = netlink.dump(message, [&](const nlmsghdr& reply) {
            if (reply.nlmsg_type != RTM_NEWROUTE) return;
            Route route = read_route(reply);
            if (route.table != RT_TABLE_MAIN || (protocol != 0 && route.protocol != protocol)) return;
            routes.push_back(route);
        });
        // A family without a single route may have no table yet, which a strict dump reports as ENOENT.
        if (!listed && listed.error().code != Code::not_found) return fail(listed.error().in("list routes"));
    }
    std::sort(routes.begin(), routes.end());
    return routes;
}

static Message question_about(const net::Address& to) {
    Message message(RTM_GETROUTE, NLM_F_ACK);
    rtmsg header{};
    header.rtm_family = family_of(to);
    header.rtm_dst_len = to.is_v4() ? 32 : 128;
    message.header(header);
    put_ip(message, RTA_DST, to);
    return message;
}

// not_found: the kernel knows no way.
static Result<Route> ask(Netlink& netlink, const net::Address& to, Message message) {
    std::optional<Route> found;
    const Status asked = netlink.dump(message, [&](const nlmsghdr& reply) {
        if (reply.nlmsg_type == RTM_NEWROUTE) found = read_route(reply);
    });
    if (!asked) return fail(Code::not_found, "way to " + to.text() + ": " + asked.error().message);
    if (!found || found->type != RouteType::unicast) return fail(Code::not_found, "no way to " + to.text());
    return *found;
}

Result<net::Address> next_hop(Netlink& netlink, const net::Address& to, int link) {
    Message message = question_about(to);
    message.put_u32(RTA_OIF, uint32_t(link));
    const Route route = TRY(ask(netlink, to, std::move(message)));
    if (route.link != link)  // IPv6 takes the link for a wish only
        return fail(Code::not_found, "no way to " + to.text() + " by link " + std::to_string(link));
    return route.gateway.value_or(to);
}

bool is_on_link(Netlink& netlink, const net::Address& to, uint16_t udp_port, int link) {
    Message message = question_about(to);  // rules may speak of ports
    message.put_u8(RTA_IP_PROTO, IPPROTO_UDP);
    message.put_u16(RTA_DPORT, htons(udp_port));
    const auto route = ask(netlink, to, std::move(message));
    return route && route->link == link && !route->gateway && !route->wraps;
}

Status put_neighbour(Netlink& netlink, int link, const net::Address& address, const net::Mac& mac) {
    Message message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
    ndmsg header{};
    header.ndm_family = family_of(address);
    header.ndm_ifindex = link;
    header.ndm_state = NUD_PERMANENT;
    message.header(header);
    put_ip(message, NDA_DST, address);
    message.put(NDA_LLADDR, mac.bytes.data(), mac.bytes.size());
    TRY_IN("put neighbour " + address.text(), netlink.request(message));
    return {};
}

}  // namespace weft::kernel
