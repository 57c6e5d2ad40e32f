#include "agent/host.h"

#include <algorithm>

#include "agent/interface_ipv6.h"
#include "agent/mtu.h"
#include "kernel/ipsec.h"
#include "kernel/link.h"
#include "kernel/ownership.h"
#include "kernel/route.h"

namespace weft::agent {

Result<Uplink> find_uplink(const std::string& name) {
    kernel::Netlink netlink = TRY(kernel::Netlink::open());
    const kernel::Link link = TRY(kernel::find_link(netlink, name));
    Uplink uplink{.ifindex = uint32_t(link.index), .address = {}, .mac = link.mac, .mtu = link.mtu};
    const net::Prefix link_local = net::Prefix::of(gateway_ipv6(), 10);
    for (const auto& address : TRY(kernel::list_addresses(netlink, link.index)))
        if (address.address.is_v4()) {
            if (uplink.address.is_unspecified()) uplink.address = address.address;
        } else if (!uplink.ipv6 && !link_local.contains(address.address)) {
            uplink.ipv6 = address.address;
        }
    if (uplink.address.is_unspecified()) return fail(Code::not_found, "uplink " + name + " has no IPv4 address");
    uplink.has_ipsec = TRY(kernel::has_ipsec_policies());
    return uplink;
}

bool has_ipv6(const cloud::Vpc& vpc) { return vpc.ipv6_block || vpc.ipv6_service_cidr; }

abi::node desired_node(const Uplink& uplink, uint32_t host_endpoint) {
    abi::node node{};
    node.v4 = abi::to_abi(uplink.address);
    if (uplink.ipv6) node.v6 = abi::to_abi(*uplink.ipv6);
    node.uplink_ifindex = uplink.ifindex;
    node.host_endpoint = host_endpoint;
    node.tunnel_ifindex = uplink.tunnel_ifindex;
    node.uplink_mtu = uplink.mtu;
    node.flags = uplink.has_ipsec ? uint8_t(0) : uint8_t(abi::NODE_WRAPS);
    std::memcpy(node.uplink_mac, uplink.mac.bytes.data(), sizeof(node.uplink_mac));
    return node;
}

std::vector<net::Prefix> desired_host_prefixes(const std::vector<cloud::Vpc>& vpcs) {
    // Beside the VPCs the neighbours: service endpoints speak from there.
    std::vector<net::Prefix> prefixes{net::Prefix::of(net::Address::v4(IDENTITY_V4), 10)};
    for (const cloud::Vpc& vpc : vpcs) {
        prefixes.insert(prefixes.end(), vpc.blocks.begin(), vpc.blocks.end());
        if (vpc.ipv6_block) prefixes.push_back(*vpc.ipv6_block);
        if (has_ipv6(vpc)) prefixes.push_back(neighbours_ipv6());
    }
    if (const cloud::Vpc* home = cloud::default_vpc(vpcs)) {
        prefixes.push_back(home->service_cidr);
        if (home->ipv6_service_cidr) prefixes.push_back(*home->ipv6_service_cidr);
    }
    std::sort(prefixes.begin(), prefixes.end());
    prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
    return prefixes;
}

uint32_t Host::endpoint_id() const {
    for (const auto& [id, row] : tables_.endpoint.rows())
        if ((row.flags & abi::ENDPOINT_HOST) != 0) return id;
    return 0;
}

Status Host::put_node_row() { return tables_.node.put(0, desired_node(uplink_, endpoint_id())); }

kube::Outcome Host::reconcile() {
    const std::vector<cloud::Vpc> vpcs = view_.all_vpcs();
    const cloud::Vpc* home = cloud::default_vpc(vpcs);
    const auto address = view_.host_address();
    // Without both there is no host endpoint; the change that brings them brings us back.
    if (home == nullptr || !address) return kube::Outcome::done();
    return kube::Outcome::from(apply(*home, vpcs, *address));
}

Status Host::apply(const cloud::Vpc& home, const std::vector<cloud::Vpc>& vpcs, const net::Address& address) {
    uint32_t id = endpoint_id();
    if (id == 0) id = TRY(free_endpoint_id(tables_, reserved_ids_()));
    const bool speaks_ipv6 = std::any_of(vpcs.begin(), vpcs.end(), has_ipv6);
    const HostPlug plug{.mac = kernel::endpoint_mac(id),
                        .address = address,
                        .ipv6 = speaks_ipv6 ? std::optional(neighbour_ipv6(address)) : std::nullopt,
                        .mtu = pod_mtu(uplink_.mtu).tunnel,
                        .prefixes = desired_host_prefixes(vpcs)};
    const Socket socket = TRY(wiring_.ensure_host(plug));
    TRY(put_endpoint(tables_, {.id = id,
                               .vpc = home.vni,
                               .ifindex = socket.ifindex,
                               .netns_cookie = socket.netns_cookie,
                               .v4 = address,
                               .v6 = plug.ipv6,
                               .mac = plug.mac,
                               .flags = abi::ENDPOINT_HOST}));
    return put_node_row();
}

}  // namespace weft::agent
