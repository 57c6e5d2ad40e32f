// Vpc: a VPC object as plain values, and the rules its blocks must keep. Pure: nothing here looks at the world.
//
// Errors name the field ("spec.cidrBlock: ..."). Limits: secondary_blocks_max, vni_max. Threads: values only.
// Source: spec/acs.md §1.1, docs/design/objects.md, design.md §4 (numbers and reserved addresses).
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "net/address.h"

namespace weft::cloud {

inline constexpr size_t secondary_blocks_max = 5;
inline constexpr uint32_t vni_max = (1u << 24) - 1;  // 24 bits on the wire; 0 is the outside
inline constexpr unsigned vpc_mask_min = 8, vpc_mask_advised_min = 16, vpc_mask_max = 28;
inline constexpr unsigned service_mask_min = 12, service_mask_max = 28;
inline constexpr unsigned ipv6_vpc_mask = 56, ipv6_vswitch_mask = 64;
inline constexpr unsigned ipv6_service_mask_min = 108, ipv6_service_mask_max = 120;
inline constexpr std::string_view service_cidr_default = "172.21.0.0/20";  // when spec.serviceCIDR is absent

struct Vpc {
    std::string name;
    std::string uid;
    std::string created;              // creationTimestamp, as text: sorts by time
    std::vector<net::Prefix> blocks;  // the primary first; in effect: status.cidrBlocks, else the wish
    std::vector<net::Prefix> wanted_blocks;  // spec.cidrBlock, spec.secondaryCidrBlocks
    net::Prefix service_cidr;
    std::optional<net::Prefix> ipv6_block;  // a /56; its vSwitches have /64s of it; in effect: status', else the wish
    std::optional<net::Prefix> wanted_ipv6_block;  // spec.ipv6CidrBlock
    std::optional<net::Prefix> ipv6_service_cidr;  // Services have IPv6 addresses where it stands
    bool is_default = false;
    bool is_routed = false;   // spec.encapsulation None: the fabric routes its pods' addresses
    uint32_t vni = 0;         // status.vni: no other VPC has it; 0 = none yet
    uint32_t wanted_vni = 0;  // spec.vni

    bool contains(const net::Address& address) const;
    bool contains(const net::Prefix& prefix) const;
};

// The object's fields, checked one by one and against each other (masks, forbidden blocks, overlaps inside the VPC).
Result<Vpc> parse_vpc(const json::Value& object);

// A block of the VPC's, and the field of spec that says so.
struct BlockField {
    net::Prefix block;
    std::string field;
};
std::vector<BlockField> fields_of(const std::vector<net::Prefix>& blocks, const std::optional<net::Prefix>& ipv6_block);

// The VPC of namespaces that name none: the one with spec.default, the oldest if several say so (then by name); nullptr
// when there is none.
const Vpc* default_vpc(std::span<const Vpc> vpcs);

// The blocks that no VPC, vSwitch or Service CIDR may touch, of both families.
std::span<const net::Prefix> forbidden_blocks();

// The two addresses of a Service CIDR that are never given to a user's Service.
net::Address kubernetes_address(const Vpc& vpc);  // .1
net::Address dns_address(const Vpc& vpc);         // .10
std::optional<net::Address> ipv6_kubernetes_address(const Vpc& vpc);  // ::1 of the IPv6 Service CIDR
std::optional<net::Address> ipv6_dns_address(const Vpc& vpc);         // ::a
bool is_reserved_service_address(const Vpc& vpc, const net::Address& address);

}  // namespace weft::cloud
