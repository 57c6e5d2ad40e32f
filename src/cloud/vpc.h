// Vpc: a VPC object as plain values, and the rules its blocks must keep. Pure: nothing here looks at the world.
//
// Errors name the field ("spec.cidrBlock: ..."). Limits: secondary_blocks_max, vni_max. Threads: values only.
// Source: spec/acs.md §1.1, docs/design/objects.md, design.md §4 (numbers and reserved addresses).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "net/address.h"

namespace weft::cloud {

inline constexpr size_t secondary_blocks_max = 5;
inline constexpr uint32_t vni_max = (1u << 24) - 1;  // 24 bits on the wire; 0 is the outside
inline constexpr unsigned vpc_mask_min = 8, vpc_mask_max = 28;
inline constexpr unsigned service_mask_min = 12, service_mask_max = 28;
inline constexpr std::string_view service_cidr_default = "172.21.0.0/20";  // when spec.serviceCIDR is absent

struct Vpc {
    std::string name;
    std::string uid;
    std::string created;              // creationTimestamp, as text: sorts by time
    std::vector<net::Prefix> blocks;  // the primary first
    net::Prefix service_cidr;
    bool is_default = false;
    uint32_t vni = 0;  // spec.vni, else status.vni; 0 = none yet

    bool contains(const net::Address& address) const;
    bool contains(const net::Prefix& prefix) const;
};

// The object's fields, checked one by one and against each other (masks, forbidden blocks, overlaps inside the VPC).
Result<Vpc> parse_vpc(const json::Value& object);

// The VPC of namespaces that name none: the one with spec.default, the oldest if several say so (then by name); nullptr
// when there is none.
const Vpc* default_vpc(std::span<const Vpc> vpcs);

// The two addresses of a Service CIDR that are never given to a user's Service.
net::Address kubernetes_address(const Vpc& vpc);  // .1
net::Address dns_address(const Vpc& vpc);         // .10
bool is_reserved_service_address(const Vpc& vpc, const net::Address& address);

}  // namespace weft::cloud
