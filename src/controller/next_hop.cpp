#include "controller/next_hop.h"

#include <fmt/format.h>

namespace weft::controller {
namespace {

using kube::ObjectPtr;
using Found = std::expected<cloud::NextHop, std::string>;

constexpr std::string_view interface_prefix = "eni-";

Found peering_hop(const World& world, const cloud::Vpc& vpc, std::string_view id) {
    const ObjectPtr object = world.vpc_peerings.get(id);
    if (!object) return std::unexpected(fmt::format("VPCPeering {} does not exist", id));
    const auto peering = cloud::parse_peering(object->body());
    const std::string beyond(peering ? peering->beyond(vpc.name) : "");
    if (beyond.empty()) return std::unexpected(fmt::format("VPCPeering {} is not one of VPC {}", id, vpc.name));
    if (!peering->is_activated || object->deleting())
        return std::unexpected(fmt::format("VPCPeering {} is not {}", id, cloud::peering_activated));
    const ObjectPtr other = world.vpcs.get(beyond);
    const int64_t vni = other ? other->integer({"status", "vni"}) : 0;
    if (vni == 0) return std::unexpected(fmt::format("VPC {} has no number", beyond));
    return cloud::NextHop{.vni = uint32_t(vni), .via = std::nullopt};
}

// "NAMESPACE/NAME", the id of its interface, or a name that only one pod of the VPC has.
std::expected<ObjectPtr, std::string> find_pod(const World& world, const cloud::Vpc& vpc, cloud::HopType type,
                                               std::string_view id) {
    std::vector<ObjectPtr> pods;
    if (id.starts_with(interface_prefix)) {
        pods = world.pods.under(world.pods_by_interface, id);
        std::erase_if(pods, [](const ObjectPtr& pod) { return is_terminal(*pod); });
    } else if (type == cloud::HopType::network_interface) {
        return std::unexpected(fmt::format("is not the id of an interface ({}...)", interface_prefix));
    } else if (const size_t slash = id.find('/'); slash != id.npos) {
        if (ObjectPtr pod = world.pods.get({std::string(id.substr(0, slash)), std::string(id.substr(slash + 1))}))
            pods.push_back(std::move(pod));
    } else {
        world.pods.for_each([&](const ObjectPtr& pod) {
            if (pod->name() != id || is_terminal(*pod)) return;
            const auto owner = world.vpc_of(pod->ns());
            if (owner && owner->name == vpc.name) pods.push_back(pod);
        });
    }
    if (pods.empty()) return std::unexpected("no pod has this " + std::string(id.find('/') != id.npos ? "name" : "id"));
    if (pods.size() > 1)
        return std::unexpected(fmt::format("is ambiguous: pods {} and {}; write NAMESPACE/NAME",
                                           pods[0]->key().text(), pods[1]->key().text()));
    return pods[0];
}

std::optional<net::Address> address_of(const kube::Object& pod, bool is_v4) {
    std::vector<std::string> texts{std::string(pod.string({"status", "podIP"}))};
    for (const json::Value& entry : pod.array({"status", "podIPs"}))
        texts.emplace_back(json::find_string(entry, {"ip"}));
    for (const std::string& text : texts) {
        if (const auto address = net::Address::parse(text); address && address->is_v4() == is_v4) return *address;
    }
    return std::nullopt;
}

Found pod_hop(const World& world, const cloud::Vpc& vpc, cloud::HopType type, std::string_view id, bool is_v4) {
    const auto pod = find_pod(world, vpc, type, id);
    if (!pod) return std::unexpected(pod.error());
    const kube::Object& object = **pod;
    const std::string name = object.key().text();
    const auto owner = world.vpc_of(object.ns());
    if (!owner || owner->name != vpc.name)
        return std::unexpected(
            fmt::format("pod {} is in VPC {}, not {}", name, owner ? owner->name : "(none)", vpc.name));
    if (is_terminal(object)) return std::unexpected(fmt::format("pod {} has ended", name));
    const ObjectPtr ns = world.namespaces.get(object.ns());
    const std::string refusal = cloud::forwarding_refusal(object.body(), ns ? &ns->body() : nullptr);
    if (!refusal.empty()) return std::unexpected(fmt::format("pod {} may not forward: {}", name, refusal));
    const auto address = address_of(object, is_v4);
    if (!address) return std::unexpected(fmt::format("pod {} has no {} address", name, is_v4 ? "IPv4" : "IPv6"));
    return cloud::NextHop{.vni = 0, .via = *address};
}

}  // namespace

cloud::FindHop hop_finder(const World& world, const cloud::Vpc& vpc) {
    return [&world, &vpc](cloud::HopType type, std::string_view id, bool is_v4) -> Found {
        switch (type) {
            case cloud::HopType::vpc_peer: return peering_hop(world, vpc, id);
            case cloud::HopType::instance:
            case cloud::HopType::network_interface: return pod_hop(world, vpc, type, id, is_v4);
            case cloud::HopType::nat_gateway: return std::unexpected(fmt::format("NATGateway {} does not exist", id));
            case cloud::HopType::blackhole: break;
        }
        return cloud::NextHop{};
    };
}

}  // namespace weft::controller
