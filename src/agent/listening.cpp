#include "agent/listening.h"

#include "agent/announcer.h"
#include "base/log.h"

namespace weft::agent {

std::set<net::Mac> desired_groups(const Tables& tables) {
    std::set<net::Mac> groups;
    const auto listen_for = [&](const abi::ip_addr& row) {
        const net::Address address = abi::from_abi(row);
        if (!address.is_v4()) groups.insert(kernel::solicited_node_group(address));
    };
    // Both by VPC, 0 first.
    const auto& frontends = tables.frontends.rows();
    for (auto at = frontends.begin(); at != frontends.end() && at->first.vpc == VPC_OUTSIDE; ++at)
        if (at->first.port == 0 && at->first.protocol == FRONTEND_ANNOUNCED) listen_for(at->first.address);
    const auto& endpoints = tables.endpoints.rows();
    for (auto at = endpoints.begin(); at != endpoints.end() && at->first.vpc == VPC_OUTSIDE; ++at)
        listen_for(at->first.address);
    return groups;
}

void add_listening(kube::Brain& brain, const Tables& tables, kernel::MulticastGroups& groups) {
    brain.every(announcer_round, [&] {
        if (const Status joined = groups.set(desired_groups(tables)); !joined)
            log::warning("listen for IPv6 addresses", {{"error", joined.error().message}});
    });
}

}  // namespace weft::agent
