#include "controller/fabric.h"

#include <algorithm>

#include <fmt/format.h>

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectPtr;

using Claim = cloud::BlockField;  // what the VPC speaks on the wire

// Does what `other` has or wants come before the VPC's claim?
bool is_before(const cloud::Vpc& other, const cloud::Vpc& vpc, const Claim& claim) {
    const bool claim_is_in_effect =
        vpc.vni != 0 && (claim.block == vpc.ipv6_block ||
                         std::find(vpc.blocks.begin(), vpc.blocks.end(), claim.block) != vpc.blocks.end());
    if ((other.vni != 0) != claim_is_in_effect) return other.vni != 0;
    return std::tie(other.created, other.name) < std::tie(vpc.created, vpc.name);
}

std::string collision(const Claim& claim, const net::Prefix& other, const std::string& whose) {
    if (claim.block.is_v4() != other.is_v4() || !claim.block.overlaps(other)) return {};
    return fmt::format("{}: {}: overlaps {} of {}, and without overlay both would be spoken on one wire", claim.field,
                       claim.block.text(), other.text(), whose);
}

std::string collision_with_vpcs(const World& world, const cloud::Vpc& vpc, const Claim& claim) {
    for (const cloud::Vpc& other : world.valid_vpcs()) {
        if (!other.is_routed || other.name == vpc.name || !is_before(other, vpc, claim)) continue;
        for (const Claim& theirs : cloud::fields_of(other.blocks, other.ipv6_block))
            if (std::string text = collision(claim, theirs.block, "VPC " + other.name); !text.empty()) return text;
    }
    return {};
}

std::string collision_with_nodes(const World& world, const Claim& claim) {
    std::string found;
    world.nodes.for_each([&](const ObjectPtr& node) {
        for (const json::Value& entry : node->array({"status", "addresses"})) {
            const auto address = net::Address::parse(json::find_string(entry, {"address"}));
            if (found.empty() && address && claim.block.is_v4() == address->is_v4() && claim.block.contains(*address))
                found = fmt::format("{}: {}: {} is node {}'s own address on the wire", claim.field, claim.block.text(),
                                    address->text(), node->name());
        }
    });
    return found;
}

std::string collision_with_pools(const World& world, const Claim& claim) {
    std::string found;
    world.address_pools.for_each([&](const ObjectPtr& pool) {
        for (const std::string& text : json::find_strings(pool->body(), {"spec", "cidrs"}))
            if (const auto cidr = net::Prefix::parse(text); cidr && found.empty())
                found = collision(claim, *cidr, "address pool " + std::string(pool->name()));
    });
    return found;
}

bool has_ipv6_address(const Object& node) {
    for (const json::Value& entry : node.array({"status", "addresses"})) {
        const auto address = net::Address::parse(json::find_string(entry, {"address"}));
        if (json::find_string(entry, {"type"}) == "InternalIP" && address && !address->is_v4()) return true;
    }
    return false;
}

}  // namespace

std::string fabric_conflict(const World& world, const cloud::Vpc& vpc) {
    if (!vpc.is_routed) return {};
    for (const Claim& claim : cloud::fields_of(vpc.wanted_blocks, vpc.wanted_ipv6_block)) {
        for (std::string text : {collision_with_vpcs(world, vpc, claim), collision_with_nodes(world, claim),
                                 collision_with_pools(world, claim)})
            if (!text.empty()) return text;
    }
    return {};
}

std::string fabric_gap(const World& world, const cloud::Vpc& vpc) {
    if (!vpc.is_routed || !vpc.ipv6_block) return {};
    std::vector<std::string> without;
    world.nodes.for_each([&](const ObjectPtr& node) {
        if (!has_ipv6_address(*node)) without.push_back(std::string(node->name()));
    });
    if (without.empty()) return {};
    return fmt::format("IPv6 takes the tunnel to and from nodes without an InternalIP of IPv6: {}", name_list(without));
}

}  // namespace weft::controller
