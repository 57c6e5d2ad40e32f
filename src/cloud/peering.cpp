#include "cloud/peering.h"

#include <fmt/format.h>

namespace weft::cloud {

Result<Peering> parse_peering(const json::Value& object) {
    Peering peering;
    peering.name = json::find_string(object, {"metadata", "name"});
    peering.created = json::find_string(object, {"metadata", "creationTimestamp"});
    peering.vpc = json::find_string(object, {"spec", "vpc"});
    peering.peer = json::find_string(object, {"spec", "peerVpc"});
    peering.is_activated = json::find_string(object, {"status", "state"}) == peering_activated;
    if (peering.vpc.empty()) return fail(Code::invalid, "spec.vpc: Required value");
    if (peering.peer.empty()) return fail(Code::invalid, "spec.peerVpc: Required value");
    if (peering.vpc == peering.peer)
        return fail(Code::invalid, fmt::format("spec.peerVpc: {}: must name another VPC", peering.peer));
    return peering;
}

std::optional<std::string> overlap_text(std::span<const net::Prefix> blocks, std::span<const net::Prefix> others) {
    for (const net::Prefix& block : blocks) {
        for (const net::Prefix& other : others) {
            if (block.is_v4() == other.is_v4() && block.overlaps(other))
                return fmt::format("{} overlaps {}", block.text(), other.text());
        }
    }
    return std::nullopt;
}

Status check_peering(const Peering& peering, const Vpc* vpc, const Vpc* peer, std::span<const Peering> others) {
    if (vpc == nullptr) return fail(Code::not_found, fmt::format("spec.vpc: VPC {} does not exist", peering.vpc));
    if (peer == nullptr) return fail(Code::not_found, fmt::format("spec.peerVpc: VPC {} does not exist", peering.peer));
    for (const Peering& other : others) {
        const bool is_older = std::tie(other.created, other.name) < std::tie(peering.created, peering.name);
        // One that carries packets stays, whatever the clock said when it was made.
        const bool wins = other.is_activated != peering.is_activated ? other.is_activated : is_older;
        if (other.name != peering.name && other.joins(peering.vpc, peering.peer) && wins)
            return fail(Code::already_exists,
                        fmt::format("spec.peerVpc: VPCs {} and {} are joined by peering {} already", peering.vpc,
                                    peering.peer, other.name));
    }
    auto overlap = overlap_text(vpc->blocks, peer->blocks);
    if (!overlap && vpc->ipv6_block && peer->ipv6_block)
        overlap = overlap_text({&*vpc->ipv6_block, 1}, {&*peer->ipv6_block, 1});
    if (overlap)
        return fail(Code::conflict,
                    fmt::format("spec.peerVpc: VPCs {} and {}: {}", peering.vpc, peering.peer, *overlap));
    return {};
}

}  // namespace weft::cloud
