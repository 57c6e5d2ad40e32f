#include "agent/host_ports.h"

#include <algorithm>

namespace weft::agent {
namespace {

constexpr std::string_view prefix = "pod/";

void each_host_port(const kube::Object& pod, const std::function<void(const json::Value&)>& visit) {
    for (const std::string_view kind : {"containers", "initContainers"}) {
        for (const json::Value& container : pod.array({"spec", kind})) {
            // An init container has its ports only when it stays.
            if (kind == "initContainers" && json::find_string(container, {"restartPolicy"}) != "Always") continue;
            const json::Array* const ports = json::find_array(container, {"ports"});
            for (size_t i = 0; ports != nullptr && i < ports->size(); ++i)
                if (json::find_int((*ports)[i], {"hostPort"}) != 0) visit((*ports)[i]);
        }
    }
}

bool has_ended(const kube::Object& pod) {
    const std::string_view phase = pod.string({"status", "phase"});
    return phase == "Succeeded" || phase == "Failed";
}

std::optional<net::Address> pod_address(const kube::Object& pod, bool ipv6) {
    for (const json::Value& entry : pod.array({"status", "podIPs"}))
        if (const auto address = net::Address::parse(json::find_string(entry, {"ip"}));
            address && address->is_v4() != ipv6)
            return *address;
    const auto primary = net::Address::parse(pod.string({"status", "podIP"}));
    return primary && primary->is_v4() != ipv6 ? std::optional(*primary) : std::nullopt;
}

// Of the node's; empty: not one of them.
std::vector<net::Address> wanted_addresses(std::string_view host_ip, const NodeSide& node) {
    if (host_ip.empty()) return node.addresses;
    std::vector<net::Address> wanted;
    const auto named = net::Address::parse(host_ip);
    for (const net::Address& address : node.addresses)
        if (named && (address == *named || (named->is_unspecified() && address.is_v4() == named->is_v4())))
            wanted.push_back(address);
    return wanted;
}

}  // namespace

bool has_host_ports(const kube::Object& pod) {
    bool has = false;
    each_host_port(pod, [&](const json::Value&) { has = true; });
    return has;
}

ServicePlan plan_host_ports(const kube::Object& pod, const cloud::Vpc& vpc, const NodeSide& node) {
    ServicePlan plan;
    if (has_ended(pod) || pod.boolean({"spec", "hostNetwork"})) return plan;
    each_host_port(pod, [&](const json::Value& entry) {
        const int64_t number = json::find_int(entry, {"hostPort"}), target = json::find_int(entry, {"containerPort"});
        const std::string_view host_ip = json::find_string(entry, {"hostIP"});
        const auto protocol = net::parse_protocol(json::find_string(entry, {"protocol"}, "TCP"));
        const std::string what = "hostPort " + std::to_string(number) + ": ";
        const auto addresses = wanted_addresses(host_ip, node);
        if (!protocol) plan.complaints.push_back(what + protocol.error().message);
        if (addresses.empty())
            plan.complaints.push_back(what + "hostIP " + std::string(host_ip) + " is not the node's");
        if (!protocol || number < 1 || number > 65535 || target < 1 || target > 65535) return;
        for (const net::Address& address : addresses) {
            const ListKey list{uint16_t(number), uint8_t(*protocol), Reach::cluster, !address.is_v4()};
            for (const uint32_t world : {uint32_t(VPC_OUTSIDE), vpc.vni})
                plan.frontends[abi::frontend_key_of(world, address, uint16_t(number), *protocol)] = {list, 0, vpc.vni,
                                                                                                     0};
            std::vector<abi::backend>& backends = plan.lists[list];
            const auto to = pod_address(pod, !address.is_v4());
            if (to && backends.empty())
                backends.push_back(
                    {vpc.vni, abi::to_abi(*to), abi::to_abi_port(uint16_t(target)), uint8_t(*protocol), 0});
        }
    });
    return plan;
}

kube::ObjectKey host_port_key(const kube::ObjectKey& pod) {
    return {pod.ns, std::string(prefix) + pod.name};
}

bool is_host_port_key(const kube::ObjectKey& key) {
    return key.name.starts_with(prefix);
}

kube::ObjectKey pod_of(const kube::ObjectKey& key) {
    return {key.ns, key.name.substr(prefix.size())};
}

}  // namespace weft::agent
