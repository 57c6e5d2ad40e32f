// Underlay: what the node's own routing says of the way to other nodes, and the one thing it is told: which nodes on
// the wire take smaller packets than the uplink sends, so that the kernel cuts a tunnel's packet before it leaves.
//
// Ways narrower than the uplink are host routes with an MTU, of our protocol, on the uplink. Beyond a router there is
// none: that router cuts. Errors name the route. Threads: the brain's. Source: docs/design/overlay.md.
#pragma once
#include <map>
#include <optional>

#include "agent/host.h"
#include "kernel/netlink.h"

namespace weft::agent {

class Underlay {
public:
    virtual ~Underlay() = default;
    // Where the kernel sends what goes to that address by the uplink: itself when it is on the wire, else a router's.
    virtual std::optional<net::Address> next_hop(const net::Address& to) = 0;
    // Is it on the uplink's own wire, with nothing but the wire between: no gateway, no route of another link, no IPsec?
    virtual bool is_on_link(const net::Address& to) = 0;
    virtual Status set_narrow(const std::map<net::Address, unsigned>& mtu_of) = 0;  // IPv4; those alone
};

class KernelUnderlay final : public Underlay {
public:
    static Result<KernelUnderlay> open(const Uplink& uplink);  // in the calling thread's namespace
    std::optional<net::Address> next_hop(const net::Address& to) override;
    bool is_on_link(const net::Address& to) override;
    Status set_narrow(const std::map<net::Address, unsigned>& mtu_of) override;

private:
    KernelUnderlay(kernel::Netlink netlink, const Uplink& uplink) : netlink_(std::move(netlink)), uplink_(uplink) {}

    kernel::Netlink netlink_;
    Uplink uplink_;
};

}  // namespace weft::agent
