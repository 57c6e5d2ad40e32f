// VSwitch: a vSwitch object as plain values; where it may lie and which of its addresses pods may have.
//
// A vSwitch keeps back its first address and its last three. Errors name the field; check_vswitch tells the reasons
// apart by code: not_found (no such VPC), conflict (overlap), invalid (the rest). Threads: values only.
// Source: spec/acs.md §1.2.
#pragma once
#include <optional>
#include <span>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cloud/vpc.h"
#include "net/address.h"

namespace weft::cloud {

inline constexpr unsigned vswitch_mask_min = 16, vswitch_mask_max = 29;
inline constexpr size_t vswitches_max = 150;  // of one VPC
inline constexpr unsigned reserved_first = 1, reserved_last = 3;

struct VSwitch {
    std::string name;
    std::string created;  // creationTimestamp
    std::string vpc;
    std::string zone;
    net::Prefix cidr;
    bool is_accepted = false;  // condition Accepted: of two that overlap, the one that lives on
    std::string route_table;   // spec.routeTable; "" = the VPC's system table
    std::optional<net::Prefix> ipv6_block;  // status.ipv6CidrBlock once the controller gave it, else spec's wish
    std::optional<net::Prefix> ipv6_wish;   // spec.ipv6CidrBlock
    bool ipv6_given = false;                // ipv6_block is from status and never changes
};

Result<VSwitch> parse_vswitch(const json::Value& object);

// Lies in its VPC, apart from the VPC's Service CIDR, and overlaps no vSwitch of it that was accepted before, or is
// older. `vpc` may be null.
Status check_vswitch(const VSwitch& vswitch, const Vpc* vpc, std::span<const VSwitch> others);

// The lowest /64 of its VPC's block that no other vSwitch has or asks for; nothing when the VPC has no block or it is full.
std::optional<net::Prefix> lowest_free_ipv6_block(const VSwitch& vswitch, const Vpc& vpc,
                                                  std::span<const VSwitch> others);

// The IPv6 address that goes with `v4`, an IPv4 address of the vSwitch: its place there, counted from the start of the
// vSwitch's /64. Nothing when the vSwitch was given no block, or has not this address.
std::optional<net::Address> ipv6_of(const VSwitch& vswitch, const net::Address& v4);

// A run of addresses, both ends included; count 0 = empty.
struct AddressRange {
    net::Address first;
    uint64_t count = 0;

    bool contains(const net::Address& address) const;
    net::Address last() const { return first.plus(count - 1); }  // only of a range that is not empty
};

// What of `cidr` (the vSwitch's own, or a block cut from it) pods may have.
AddressRange usable_addresses(const net::Prefix& vswitch_cidr, const net::Prefix& cidr);

inline AddressRange usable_addresses(const VSwitch& vswitch) { return usable_addresses(vswitch.cidr, vswitch.cidr); }

}  // namespace weft::cloud
