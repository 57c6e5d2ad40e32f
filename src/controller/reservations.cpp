#include "controller/reservations.h"

#include <map>

#include <fmt/format.h>

#include "base/strings.h"
#include "cloud/address_space.h"
#include "cloud/annotations.h"
#include "cloud/pod_networks.h"
#include "controller/pod_profile.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectPtr;

constexpr size_t eni_digits = 20;  // "eni-" + 20, as the cloud's ids look

std::unexpected<cloud::Refusal> refuse(std::string_view reason, std::string message) {
    return std::unexpected(cloud::Refusal{reason, std::move(message)});
}

std::string annotation_field(std::string_view name) {
    return fmt::format("metadata.annotations[{}]", name);
}

// Just written by another: our cache may not have it yet.
Result<Object> find_pod_networking(World& world, std::string_view name) {
    if (const ObjectPtr cached = world.pod_networkings.get(name)) return *cached;
    return world.client().get(kube::pod_networkings, {"", std::string(name)});
}

// What the pod, or the PodNetworking that selected it, says of its address.
std::expected<std::optional<cloud::PodNetworking>, cloud::Refusal> network_of(World& world, const Object& pod) {
    const auto own = cloud::own_network(pod.body());
    if (!own) return refuse("InvalidPodNetworks", own.error().message);
    if (own->spelled_out) {
        if (own->spelled_out->allocation.is_fixed && !has_lasting_name(pod))
            return refuse("InvalidPodNetworks", fmt::format("{}: type Fixed, and this pod's name does not last",
                                                            annotation_field(cloud::pod_networks_annotation)));
        return own->spelled_out;
    }
    if (own->named.empty()) return std::nullopt;
    const auto object = find_pod_networking(world, own->named);
    if (!object) return refuse("PodNetworkingNotFound", fmt::format("PodNetworking {} does not exist", own->named));
    const auto networking = cloud::parse_pod_networking(object->body());
    if (!networking)
        return refuse("PodNetworkingNotFound",
                      fmt::format("PodNetworking {}: {}", own->named, networking.error().message));
    // Once its note says so it is decided, whatever becomes of the PodNetworking.
    if (pod.annotation(cloud::profiled_annotation).empty()) {
        const std::string problem = why_not(world, pod, *object);
        return refuse("PodNetworkingNotReady", fmt::format("PodNetworking {}: {}", own->named,
                                                           problem.empty() ? "looked at again soon" : problem));
    }
    return *networking;
}

struct Claim {
    cloud::Reservation reservation;
    ObjectPtr pod;  // null: a PodENI's
};

// Of two pods that are bound with the same address.
bool comes_before(const World& world, const cloud::VSwitch& vswitch, const Object& pod, const Claim& other) {
    const std::string block_name = cloud::block_name(vswitch.name, net::Prefix::host(other.reservation.address));
    if (const ObjectPtr block = world.address_blocks.get(block_name)) {
        const std::string lent_for =
            index_text(block->string({"spec", "pod", "namespace"}), block->string({"spec", "pod", "name"}));
        if (lent_for == other.reservation.pod) return false;
        if (lent_for == pod.key().text()) return true;
    }
    const auto age = [](const Object& o) { return std::pair(o.string({"metadata", "creationTimestamp"}), o.name()); };
    return age(pod) < age(*other.pod);
}

}  // namespace

bool Membership::has(std::string_view ns) {
    const auto [known, fresh] = known_.try_emplace(std::string(ns), false);
    if (fresh) {
        const auto vpc = world_.vpc_of(ns);
        known->second = vpc && vpc->name == vpc_;
    }
    return known->second;
}

std::string eni_id(std::string_view pod_uid) {
    std::string id = "eni-";
    for (const char c : pod_uid) {
        if (c != '-' && id.size() < 4 + eni_digits) id += c;
    }
    return id;
}

std::optional<Kept> kept_address(const Object& pod_eni) {
    for (const json::Value& allocation : pod_eni.array({"spec", "allocations"})) {
        const auto type = cloud::parse_allocation_type(json::find(allocation, {"allocationType"}));
        const auto address = net::Address::parse(json::find_string(allocation, {"ipv4"}));
        if (type && type->is_fixed && address)
            return Kept{std::string(json::find_string(allocation, {"eni", "vSwitchID"})), *address, *type};
    }
    return std::nullopt;
}

bool has_kept_address(const Object& pod, const Kept& kept, const std::optional<net::Address>& allocated) {
    if (allocated) return *allocated == kept.address;
    const auto reserved = net::Address::parse(pod.annotation(cloud::reserved_address_annotation));
    return reserved && *reserved == kept.address && pod.annotation(cloud::chosen_vswitch_annotation) == kept.vswitch;
}

std::vector<cloud::Reservation> reservations_of(const World& world, const cloud::VSwitch& vswitch) {
    std::map<net::Address, Claim> claims;
    for (const ObjectPtr& eni : world.pod_enis.under(world.enis_by_vswitch, vswitch.name)) {
        const auto kept = kept_address(*eni);
        if (kept && kept->vswitch == vswitch.name)
            claims.insert({kept->address, {{kept->address, eni->key().text(), ""}, nullptr}});
    }
    Membership members(world, vswitch.vpc);
    for (const ObjectPtr& pod : world.pods.under(world.pods_with_reservation, vswitch.name)) {
        const auto address = net::Address::parse(pod->annotation(cloud::reserved_address_annotation));
        if (!address || !cloud::usable_addresses(vswitch).contains(*address)) continue;
        // What it has it keeps, whatever has become of its namespace's VPC.
        const bool is_its = members.has(pod->ns());
        const ObjectPtr block = is_its ? nullptr : world.block_of(*pod);
        if (!is_its && (!block || block->string({"spec", "vSwitch"}) != vswitch.name)) continue;
        const Claim mine{{*address, pod->key().text(), ""}, pod};
        const auto [claim, first] = claims.insert({*address, mine});
        if (!first && claim->second.pod && comes_before(world, vswitch, *pod, claim->second)) claim->second = mine;
        cloud::Reservation& reservation = claim->second.reservation;
        if (reservation.pod == pod->key().text()) reservation.node = pod->string({"spec", "nodeName"});
    }
    std::vector<cloud::Reservation> list;
    for (auto& [address, claim] : claims) list.push_back(std::move(claim.reservation));
    return list;
}

std::expected<AddressWish, cloud::Refusal> address_wish(World& world, const Object& pod) {
    AddressWish wish;
    const auto network = network_of(world, pod);
    if (!network) return std::unexpected(network.error());
    if (*network) {
        wish.policy = (*network)->policy;
        if ((*network)->allocation.is_fixed) wish.fixed = (*network)->allocation;
    }
    const auto by_annotation = cloud::fixed_by_annotation(pod.body());
    if (!by_annotation) return refuse("AddressNotAvailable", by_annotation.error().message);
    if (*by_annotation && has_lasting_name(pod)) wish.fixed = **by_annotation;
    if (const std::string_view text = pod.annotation(cloud::eci_address_annotation); !text.empty()) {
        const auto address = net::Address::parse(trim(text));
        if (!address || !address->is_v4())
            return refuse("AddressNotAvailable", fmt::format("{}: {}: not an IPv4 address",
                                                             annotation_field(cloud::eci_address_annotation), text));
        wish.chosen = *address;
    }
    if (!wish.fixed) return wish;
    if (const ObjectPtr eni = world.pod_enis.get(pod.key()); eni && !eni->deleting()) wish.kept = kept_address(*eni);
    return wish;
}

Pick pick_address(World& world, const cloud::VSwitch& vswitch, const Object& pod, const AddressWish& wish) {
    if (wish.kept) return {wish.kept->address, "", false};
    const auto blocks = world.blocks_of(vswitch);
    const auto reserved = reservations_of(world, vswitch);
    if (wish.chosen) {
        const net::Address& address = *wish.chosen;
        const std::string field = annotation_field(cloud::eci_address_annotation);
        if (!cloud::usable_addresses(vswitch).contains(address))
            return {std::nullopt,
                    fmt::format("{}: {}: not an address that a pod of vSwitch {} may have", field, address.text(),
                                vswitch.name),
                    false};
        for (const cloud::Reservation& reservation : reserved) {
            if (reservation.address == address && reservation.pod != pod.key().text())
                return {std::nullopt, fmt::format("{}: {} is kept for pod {}", field, address.text(), reservation.pod),
                        false};
        }
        for (const cloud::Block& block : blocks) {
            if (std::find(block.allocated.begin(), block.allocated.end(), address) != block.allocated.end())
                return {std::nullopt, fmt::format("{}: {} is in use", field, address.text()), false};
        }
        return {address, "", false};
    }
    if (const auto loose = cloud::AddressSpace(vswitch, blocks, reserved).lowest_loose()) return {*loose, "", false};
    // A node may have to give one back first. Asked of no node in particular, hence for none that has some itself.
    if (cloud::capacity_on_node(vswitch, blocks, world.needs_of(vswitch), "", reserved) == 0)
        return {std::nullopt, "", true};
    world.want_loose(vswitch.name, pod.key());
    return {std::nullopt, fmt::format("waits for a node to give back an address of vSwitch {}", vswitch.name), false};
}

Object new_pod_eni(const World& world, const Object& pod, const cloud::VSwitch& vswitch, const net::Address& address,
                   const cloud::AllocationType& type) {
    Object eni = Object::of(kube::pod_enis, pod.key());
    json::Array groups;
    for (const std::string& group : split_list(pod.annotation(cloud::security_group_ids_annotation)))
        groups.emplace_back(group);
    const ObjectPtr profile = world.acs_profile();
    if (groups.empty() && profile && !profile->string({"data", "securityGroupId"}).empty())
        groups.emplace_back(profile->string({"data", "securityGroupId"}));
    eni.set({"spec"}, json::Object{{"zone", vswitch.zone},
                                   {"allocations",
                                    json::Array{json::Object{{"ipv4", address.text()},
                                                             {"interface", "eth0"},
                                                             {"defaultRoute", true},
                                                             {"eni", json::Object{{"id", eni_id(pod.uid())},
                                                                                  {"zone", vswitch.zone},
                                                                                  {"vSwitchID", vswitch.name},
                                                                                  {"vpcID", vswitch.vpc},
                                                                                  {"securityGroupIDs", groups}}},
                                                             {"allocationType", cloud::allocation_type_json(type)}}}}});
    return eni;
}

}  // namespace weft::controller
