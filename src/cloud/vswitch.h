// VSwitch: a vSwitch object as plain values; where it may lie and which of its addresses pods may have.
//
// A vSwitch keeps back its first address and its last three. Errors name the field; check_vswitch tells the reasons
// apart by code: not_found (no such VPC), conflict (overlap), invalid (the rest). Threads: values only.
// Source: spec/acs.md §1.2.
#pragma once
#include <span>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cloud/vpc.h"
#include "net/address.h"

namespace weft::cloud {

inline constexpr unsigned vswitch_mask_min = 16, vswitch_mask_max = 29;
inline constexpr unsigned reserved_first = 1, reserved_last = 3;

struct VSwitch {
    std::string name;
    std::string created;  // creationTimestamp: of two that overlap, the older stays
    std::string vpc;
    std::string zone;
    net::Prefix cidr;
};

Result<VSwitch> parse_vswitch(const json::Value& object);

// Lies in its VPC, apart from the VPC's Service CIDR, and overlaps no older vSwitch of it. `vpc` may be null.
Status check_vswitch(const VSwitch& vswitch, const Vpc* vpc, std::span<const VSwitch> others);

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
