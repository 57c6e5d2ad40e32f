// Peering: a VPCPeering object as plain values, and when two VPCs may be joined. A peering adds no route and joins
// these two only: what a third VPC is peered with, neither of them reaches.
//
// Errors name the field; check_peering tells the reasons apart by code: not_found (no such VPC), conflict (the
// addresses overlap), already_exists (the two are joined), invalid. Threads: values only. Source: spec/acs.md §1.4.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "cloud/vpc.h"

namespace weft::cloud {

inline constexpr std::string_view peering_activated = "Activated", peering_rejected = "Rejected",
                                  peering_deleting = "Deleting";

struct Peering {
    std::string name;
    std::string created;  // creationTimestamp: of two that join the same VPCs the older stays
    std::string vpc, peer;
    bool is_activated = false;  // status.state

    bool joins(std::string_view a, std::string_view b) const {
        return (vpc == a && peer == b) || (vpc == b && peer == a);
    }
    // The VPC beyond, seen from one of the two; "" for any other.
    std::string_view beyond(std::string_view from) const {
        if (from == vpc) return peer;
        return from == peer ? std::string_view(vpc) : std::string_view();
    }
};

Result<Peering> parse_peering(const json::Value& object);

// Either VPC may be null: it does not exist.
Status check_peering(const Peering& peering, const Vpc* vpc, const Vpc* peer, std::span<const Peering> others);

// The first block of `blocks` that overlaps one of `others`, as "10.0.0.0/16 overlaps 10.0.0.0/8"; nullopt when none.
std::optional<std::string> overlap_text(std::span<const net::Prefix> blocks, std::span<const net::Prefix> others);

}  // namespace weft::cloud
