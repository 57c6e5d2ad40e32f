#include "agent/vpcs.h"

#include <algorithm>
#include <charconv>

#include "agent/host.h"
#include "agent/interface_ipv6.h"
#include "base/delta.h"
#include "base/log.h"
#include "cloud/annotations.h"
#include "cloud/route_table.h"
#include "kernel/ownership.h"

namespace weft::agent {
namespace {

std::map<abi::frontend_key, abi::frontend> local_frontends_of(const Tables& tables, uint32_t vni) {
    std::map<abi::frontend_key, abi::frontend> found;
    const auto& rows = tables.frontends.rows();  // by VPC, 0 first
    for (auto at = rows.begin(); at != rows.end() && at->first.vpc == VPC_OUTSIDE; ++at)
        if (at->second.vpc == vni && (at->second.flags & abi::FRONTEND_LOCAL) != 0) found.insert(*at);
    return found;
}

}  // namespace

std::vector<net::Address> ingress_addresses(const json::Value& vpc) {
    std::vector<net::Address> addresses;
    if (const json::Object* by_class = json::find_object(vpc, {"status", "ingressAddresses"})) {
        for (const auto& [name, value] : *by_class) {
            if (!value.is_string()) continue;
            if (const auto address = net::Address::parse(json::view(value.get_string()))) addresses.push_back(*address);
        }
    }
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    return addresses;
}

std::optional<abi::vpc_limits> desired_limits(const json::Value& vpc) {
    const std::string_view text =
        json::find_string(vpc, {"metadata", "annotations", cloud::conntrack_quota_annotation});
    uint32_t quota = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), quota);
    if (error != std::errc() || end != text.data() + text.size() || quota == 0) return std::nullopt;
    return abi::vpc_limits{quota};
}

std::map<abi::frontend_key, abi::frontend> desired_local_frontends(uint32_t vni,
                                                                   const std::vector<net::Address>& addresses) {
    std::map<abi::frontend_key, abi::frontend> rows;
    for (const net::Address& address : addresses) {
        rows[abi::frontend_address_key(VPC_OUTSIDE, address)] = {0, 0, abi::FRONTEND_ADDRESS | abi::FRONTEND_LOCAL,
                                                                 vni, 0};
        for (const uint16_t port : ingress_ports)
            rows[abi::frontend_key_of(VPC_OUTSIDE, address, port, net::Protocol::tcp)] = {0, 0, abi::FRONTEND_LOCAL,
                                                                                          vni, 0};
    }
    return rows;
}

uint32_t find_endpoint(const Tables& tables, uint32_t flag, uint32_t vni) {
    for (const auto& [id, row] : tables.endpoint.rows())
        if ((row.flags & flag) != 0 && row.vpc == vni) return id;
    return 0;
}

kube::Outcome Vpcs::reconcile(const kube::ObjectKey& key) {
    const auto vpc = view_.vpc(key.name);
    // Gone, or not legible any more: the first is removed, the second stays as it was.
    if (!vpc && view_.vpcs.get(key.name)) return kube::Outcome::done();
    // One that was made anew while we looked elsewhere has another number.
    const auto known = numbers_.find(key.name);
    if (known != numbers_.end() && (!vpc || vpc->vni != known->second)) {
        const uint32_t old = known->second;
        if (const Status removed = is_someones(old) ? Status() : remove(old); !removed) return kube::Outcome::from(removed);
        numbers_.erase(known);
    }
    if (!vpc) return kube::Outcome::done();
    numbers_[key.name] = vpc->vni;
    return kube::Outcome::from(apply(*vpc, view_.vpcs.get(key.name)->body()));
}

bool Vpcs::is_someones(uint32_t vni) const {
    const auto vpcs = view_.all_vpcs();
    return std::any_of(vpcs.begin(), vpcs.end(), [&](const cloud::Vpc& vpc) { return vpc.vni == vni; });
}

Status Vpcs::apply(const cloud::Vpc& vpc, const json::Value& object) {
    const std::vector<net::Address> public_addresses = ingress_addresses(object);
    std::vector<net::Address> locals = public_addresses;
    locals.push_back(cloud::dns_address(vpc));
    if (const auto ipv6 = cloud::ipv6_dns_address(vpc)) locals.push_back(*ipv6);
    if (const auto limits = desired_limits(object)) TRY_IN("limits", tables_.vpc_limits.put(vpc.vni, *limits));
    else TRY_IN("limits", tables_.vpc_limits.erase(vpc.vni));
    TRY_IN("service endpoint", apply_service_endpoint(vpc, locals));
    const auto want = desired_local_frontends(vpc.vni, public_addresses);
    TRY_IN("frontends", tables_.frontends.apply(diff(local_frontends_of(tables_, vpc.vni), want)));
    return {};
}

Status Vpcs::apply_service_endpoint(const cloud::Vpc& vpc, const std::vector<net::Address>& locals) {
    const auto address = view_.service_address();
    if (!address) return {};  // the Node's annotation brings us back
    uint32_t id = find_endpoint(tables_, abi::ENDPOINT_SERVICE, vpc.vni);
    if (id == 0) id = TRY(free_endpoint_id(tables_, reserved_ids_()));
    const std::string name = instance_.vpc_netns(view_.node_name, vpc.vni);
    TRY(wiring_.ensure_service_netns(name, locals));
    const Plug plug{.netns = Instance::netns_path(name),
                    .ifname = std::string(kernel::pod_interface),
                    .host_link = kernel::service_link_name(vpc.vni),
                    .mac = kernel::endpoint_mac(id),
                    .address = *address,
                    .ipv6 = has_ipv6(vpc) ? std::optional(neighbour_ipv6(*address)) : std::nullopt,
                    .mtu = mtu_};
    auto socket = wiring_.inspect(plug);
    const bool is_new = !socket && socket.error().code == Code::not_found;
    if (is_new) {
        TRY(wiring_.disconnect(plug.host_link));  // its other end was in a namespace that is gone
        socket = wiring_.connect(plug);
        if (!socket) return fail(socket.error());
    }
    const auto row = [&](const Socket& at) {
        return Endpoint{.id = id,
                        .vpc = vpc.vni,
                        .ifindex = at.ifindex,
                        .netns_cookie = at.netns_cookie,
                        .v4 = *address,
                        .v6 = plug.ipv6,
                        .local_addresses = locals,
                        .mac = plug.mac,
                        .flags = abi::ENDPOINT_SERVICE};
    };
    if (socket) TRY(put_endpoint(tables_, row(*socket)));
    if (is_new || !socket) TRY(wiring_.open(plug));
    if (!socket) TRY(put_endpoint(tables_, row(TRY(wiring_.inspect(plug)))));
    return {};
}

Status Vpcs::remove(uint32_t vni) {
    std::vector<abi::frontend_key> frontends;
    for (const auto& [key, row] : local_frontends_of(tables_, vni)) frontends.push_back(key);
    TRY(tables_.frontends.erase_all(frontends));
    if (const uint32_t id = find_endpoint(tables_, abi::ENDPOINT_SERVICE, vni); id != 0)
        TRY(remove_endpoint(tables_, id));
    TRY(tables_.vpc_limits.erase(vni));
    TRY(wiring_.disconnect(kernel::service_link_name(vni)));
    return wiring_.remove_netns(instance_.vpc_netns(view_.node_name, vni));
}

Status Vpcs::adopt() {
    std::set<uint32_t> living;
    for (const cloud::Vpc& vpc : view_.all_vpcs()) living.insert(vpc.vni);
    // A VPC that is there but not legible keeps everything: which number is its own cannot be told.
    if (living.size() != view_.vpcs.size()) return {};
    std::set<uint32_t> traces;
    for (const auto& [key, row] : tables_.routes.rows())
        if (key.table < cloud::custom_table_first) traces.insert(key.table);
    for (const auto& [id, row] : tables_.endpoint.rows())
        if ((row.flags & abi::ENDPOINT_SERVICE) != 0) traces.insert(row.vpc);
    for (const uint32_t vni : traces)
        if (!living.contains(vni)) TRY(remove(vni));
    return {};
}

}  // namespace weft::agent
