// Addresses, routes and permanent neighbours, over one Netlink socket. put_* creates or replaces; deleting what is gone
// is success; list_* shows what is there in the same values, so that desired and actual can be compared.
//
// An address is given with the prefix length of its own family (10.0.0.5 / 32). Routes carry our protocol number unless
// told otherwise (kernel/ownership.h), which is how we know them again. Source: rtnetlink(7), ip-route(8).
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "kernel/netlink.h"
#include "kernel/ownership.h"
#include "net/address.h"

namespace weft::kernel {

struct InterfaceAddress {
    int link = 0;  // ifindex
    net::Address address;
    unsigned length = 32;
    bool no_prefix_route = false;
    bool no_dad = false;  // IPv6: usable at once
    auto operator<=>(const InterfaceAddress&) const = default;
};

Status put_address(Netlink& netlink, const InterfaceAddress& address);
Status delete_address(Netlink& netlink, const InterfaceAddress& address);
Result<std::vector<InterfaceAddress>> list_addresses(Netlink& netlink, int link = 0);  // 0 = of every link

enum class RouteScope : uint8_t { universe = 0, link = 253, host = 254 };
enum class RouteType : uint8_t { unicast = 1, local = 2, blackhole = 6, unreachable = 7 };

struct Route {
    net::Prefix destination;  // ::ffff:0.0.0.0/96 is the IPv4 default; see default_v4()
    std::optional<net::Address> gateway;
    std::optional<net::Address> source;  // preferred source
    int link = 0;
    bool onlink = false;  // the gateway needs no route of its own
    bool wraps = false;   // puts something around the packet (lightweight tunnels); only read
    unsigned mtu = 0;
    uint32_t metric = 0;
    RouteScope scope = RouteScope::universe;
    RouteType type = RouteType::unicast;
    uint8_t protocol = route_protocol;
    uint32_t table = 254;  // main
    auto operator<=>(const Route&) const = default;
};

net::Prefix default_v4();
net::Prefix default_v6();

Status put_route(Netlink& netlink, const Route& route);
Status delete_route(Netlink& netlink, const Route& route);
// Of table main; protocol 0 = all.
Result<std::vector<Route>> list_routes(Netlink& netlink, uint8_t protocol = 0);

// Where the kernel would send now what goes to this address by this link: the address itself when it is on the link, else
// the gateway. not_found: no such way; of IPv4 Linux takes an address without any route for one on the link.
Result<net::Address> next_hop(Netlink& netlink, const net::Address& to, int link);
// Are datagrams to this address and port put on that very link for it, with no gateway, and nothing around them?
bool is_on_link(Netlink& netlink, const net::Address& to, uint16_t udp_port, int link);

Status put_neighbour(Netlink& netlink, int link, const net::Address& address, const net::Mac& mac);

}  // namespace weft::kernel
