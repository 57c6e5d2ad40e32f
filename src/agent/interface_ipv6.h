// IPv6 of an interface of ours, on or off. On: the link-local address and whatever is given to it, usable at once; nothing
// is learned from routers and no duplicate is looked for, because the data plane answers and no router speaks. Off: the
// kernel would send discovery that the data plane drops and counts.
//
// In the calling thread's namespace, or in the one whose net/ipv6/conf is given, for an interface just made: nothing is
// read first. Off on a kernel without IPv6 is success; on is not_found. Setting what is set already
// writes nothing. Source: kernel's ip-sysctl; design.md §5.1 ("A pod's address").
#pragma once
#include <optional>
#include <string>

#include "base/result.h"
#include "kernel/sysctl.h"
#include "net/address.h"

namespace weft::agent {

Status set_ipv6(const std::string& ifname, bool on);
Status set_ipv6_of_new(const kernel::SysctlFolder* conf, const std::string& ifname, bool on);  // null: no IPv6 in this kernel

// The gateway of every IPv6 route of ours: fe80::1, which no interface has.
net::Address gateway_ipv6();
inline constexpr uint32_t ipv6_route_metric = 1024;  // what the kernel makes of none; said, so that the list shows the same

// The IPv6 form of a neighbour address out of 100.64.0.0/10: fd77:6566:7400::/96 and the IPv4 address.
net::Address neighbour_ipv6(const net::Address& v4);
net::Prefix neighbours_ipv6();

}  // namespace weft::agent
