// Wiring: the veth between a namespace and this node: made, opened, looked at and taken away.
//
// connect() makes the pair, still down and without a program, so that endpoint rows can be written before the first
// packet; open() attaches pod_egress, brings both ends up and gives the inside its addresses and routes. inspect() says
// whether what is there is what was asked for. The way of an ADD is the short one: one thread enters the pod's namespace,
// once, and what open() needs to know of a pair that connect() has just made is not asked again (wiring_test.cpp counts). KernelWiring is the real one; tests of the brain use their own. Errors: connect
// → already_exists (the interface name is taken in the namespace), not_found (no such namespace). Threads: the brain's;
// disconnect() any. Source: design.md §5.1 ("A pod's address").
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/bpf_object.h"
#include "kernel/netlink.h"
#include "kernel/sysctl.h"
#include "net/address.h"

namespace weft::agent {

struct Plug {
    std::string netns;      // path
    std::string ifname;     // inside
    std::string host_link;  // outside
    net::Mac mac;           // inside; outside is always the gateway's
    net::Address address;   // /32
    std::optional<net::Address> ipv6 = std::nullopt;  // /128
    unsigned mtu = 0;
};

struct Socket {            // what the data plane must know of a plug that is in
    uint32_t ifindex = 0;  // outside
    uint64_t netns_cookie = 0;
};

// The host's own endpoint: the pair weft_host / weft_net in the node's namespace.
struct HostPlug {
    net::Mac mac;  // of weft_host
    net::Address address;
    std::optional<net::Address> ipv6 = std::nullopt;
    unsigned mtu = 0;
    std::vector<net::Prefix> prefixes;  // reached through it; IPv6 ones need `ipv6`
};

class Wiring {
public:
    virtual ~Wiring() = default;
    virtual Result<Socket> connect(const Plug& plug) = 0;
    virtual Status open(const Plug& plug) = 0;
    // not_found: not there at all; conflict: there, but the message names what differs.
    virtual Result<Socket> inspect(const Plug& plug) = 0;
    virtual Status disconnect(const std::string& host_link) = 0;  // absent is success
    virtual Result<std::vector<std::string>> host_links() = 0;    // of every pod-like link on this node

    // Made or brought to this state; whatever agrees already is not touched.
    virtual Result<Socket> ensure_host(const HostPlug& plug) = 0;
    // A VPC's service endpoint namespace, with `locals` as /32 and /128 on its loopback and every port open to its users.
    virtual Status ensure_service_netns(const std::string& name, const std::vector<net::Address>& locals) = 0;
    virtual Status remove_netns(const std::string& name) = 0;  // absent is success
};

class KernelWiring final : public Wiring {
public:
    // In the calling thread's namespace, which is the node's. `pod_egress` must outlive it.
    static Result<std::unique_ptr<KernelWiring>> create(const kernel::Program& pod_egress);

    Result<Socket> connect(const Plug& plug) override;
    Status open(const Plug& plug) override;
    Result<Socket> inspect(const Plug& plug) override;
    Status disconnect(const std::string& host_link) override;
    Result<std::vector<std::string>> host_links() override;
    Result<Socket> ensure_host(const HostPlug& plug) override;
    Status ensure_service_netns(const std::string& name, const std::vector<net::Address>& locals) override;
    Status remove_netns(const std::string& name) override;

    uint64_t netlink_writes() const { return netlink_.writes(); }

private:
    // A pair that connect() has made and open() has not seen.
    struct Fresh {
        std::string host_link;
        int outside = 0;  // ifindex of each end, in its own namespace
        int inside = 0;
        kernel::Netlink netlink;  // in the pod's namespace
    };

    KernelWiring(kernel::Netlink netlink, kernel::Netns node, std::optional<kernel::SysctlFolder> ipv6,
                 const kernel::Program& pod_egress)
        : netlink_(std::move(netlink)), node_(std::move(node)), ipv6_(std::move(ipv6)), pod_egress_(pod_egress) {}

    std::optional<Fresh> take_fresh(const std::string& host_link);
    Status open_fresh(const Plug& plug, Fresh& fresh);
    Result<kernel::Netlink> remover();

    kernel::Netlink netlink_;
    kernel::Netns node_;
    std::optional<kernel::SysctlFolder> ipv6_;  // net/ipv6/conf of the node's namespace
    const kernel::Program& pod_egress_;

    std::mutex mutex_;  // of what disconnect() touches
    std::optional<Fresh> fresh_;
    std::vector<kernel::Netlink> removers_;  // sockets in the node's namespace for the next disconnect()
};

net::Mac gateway_mac();
net::Address gateway_address();

}  // namespace weft::agent
