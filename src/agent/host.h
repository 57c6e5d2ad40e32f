// Host: the node itself as an endpoint of the default VPC: the pair weft_host / weft_net, its address (the odd one of
// the node's neighbours), the node's routes to the VPCs, and the one row of `node`.
//
// The row must stand before uplink_ingress is attached, or the node would not know its own address; the pair follows
// when the Node's annotation is there. Threads: the brain's. Source: design.md §2, §5.1.
#pragma once
#include <string>
#include <vector>

#include "agent/endpoint_rows.h"
#include "agent/tables.h"
#include "agent/view.h"
#include "agent/wiring.h"

namespace weft::agent {

struct Uplink {
    uint32_t ifindex = 0;
    net::Address address;
    std::optional<net::Address> ipv6 = std::nullopt;  // where the underlay has IPv6 too
    net::Mac mac;
    unsigned mtu = 0;
    uint32_t tunnel_ifindex = 0;  // the VXLAN device (agent/overlay.h)
    bool has_ipsec = false;       // in its namespace: then no hook takes the tunnel's packets past the kernel
};

// Reads the uplink of the calling thread's namespace. not_found: no such link, or it has no IPv4 address yet.
Result<Uplink> find_uplink(const std::string& name);

// Does one of them have addresses of this family? Without any, no interface of ours has IPv6.
bool has_ipv6(const cloud::Vpc& vpc);

abi::node desired_node(const Uplink& uplink, uint32_t host_endpoint);
// Every VPC's blocks (replies of the API server go to all of them) and the default VPC's Service CIDRs; sorted, each
// once.
std::vector<net::Prefix> desired_host_prefixes(const std::vector<cloud::Vpc>& vpcs);

class Host {
public:
    Host(const View& view, Tables& tables, Wiring& wiring, const Uplink& uplink,
         std::function<std::set<uint32_t>()> reserved_ids)
        : view_(view), tables_(tables), wiring_(wiring), uplink_(uplink), reserved_ids_(std::move(reserved_ids)) {}

    Status put_node_row();  // before the uplink's filter
    kube::Outcome reconcile();

private:
    uint32_t endpoint_id() const;  // 0 = none yet
    Status apply(const cloud::Vpc& home, const std::vector<cloud::Vpc>& vpcs, const net::Address& address);

    const View& view_;
    Tables& tables_;
    Wiring& wiring_;
    Uplink uplink_;
    std::function<std::set<uint32_t>()> reserved_ids_;
};

}  // namespace weft::agent
