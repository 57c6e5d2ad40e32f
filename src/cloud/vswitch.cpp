#include "cloud/vswitch.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/strings.h"

namespace weft::cloud {

Result<VSwitch> parse_vswitch(const json::Value& object) {
    VSwitch vswitch;
    vswitch.name = json::find_string(object, {"metadata", "name"});
    vswitch.created = json::find_string(object, {"metadata", "creationTimestamp"});
    vswitch.vpc = json::find_string(object, {"spec", "vpc"});
    vswitch.zone = json::find_string(object, {"spec", "zone"});
    if (vswitch.vpc.empty()) return fail(Code::invalid, "spec.vpc: Required value");
    if (vswitch.zone.empty()) return fail(Code::invalid, "spec.zone: Required value");
    const std::string_view text = json::find_string(object, {"spec", "cidrBlock"});
    if (text.empty()) return fail(Code::invalid, "spec.cidrBlock: Required value");
    const auto cidr = net::Prefix::parse(text);
    if (!cidr) return fail(Code::invalid, "spec.cidrBlock: " + cidr.error().message);
    if (!cidr->is_v4() || cidr->length() < vswitch_mask_min || cidr->length() > vswitch_mask_max)
        return fail(Code::invalid, fmt::format("spec.cidrBlock: {}: the mask must be between /{} and /{}", text,
                                               vswitch_mask_min, vswitch_mask_max));
    vswitch.cidr = *cidr;
    if (const json::Array* const conditions = json::find_array(object, {"status", "conditions"})) {
        for (const json::Value& condition : *conditions)
            vswitch.is_accepted |= json::find_string(condition, {"type"}) == "Accepted" &&
                                   json::find_string(condition, {"status"}) == "True";
    }
    vswitch.route_table = json::find_string(object, {"spec", "routeTable"});
    if (const std::string_view wish = json::find_string(object, {"spec", "ipv6CidrBlock"}); !wish.empty()) {
        const auto block = net::Prefix::parse(wish);
        if (!block) return fail(Code::invalid, "spec.ipv6CidrBlock: " + block.error().message);
        if (block->is_v4() || block->length() != ipv6_vswitch_mask)
            return fail(Code::invalid, fmt::format("spec.ipv6CidrBlock: {}: must be an IPv6 /{}", wish, ipv6_vswitch_mask));
        vswitch.ipv6_wish = vswitch.ipv6_block = *block;
    }
    const auto given = net::Prefix::parse(json::find_string(object, {"status", "ipv6CidrBlock"}));
    if (given && !given->is_v4() && given->length() == ipv6_vswitch_mask) {
        vswitch.ipv6_block = *given;
        vswitch.ipv6_given = true;
    }
    return vswitch;
}

static Status check_ipv6_block(const VSwitch& vswitch, const Vpc& vpc, std::span<const VSwitch> others) {
    if (!vswitch.ipv6_wish) return {};
    const std::string text = vswitch.ipv6_wish->text();
    if (!vpc.ipv6_block || !vpc.ipv6_block->contains(*vswitch.ipv6_wish))
        return fail(Code::invalid,
                    fmt::format("spec.ipv6CidrBlock: {}: lies not in the IPv6 block of VPC {}", text, vpc.name));
    if (vswitch.ipv6_given) {
        if (vswitch.ipv6_block == vswitch.ipv6_wish) return {};
        return fail(Code::invalid, fmt::format("spec.ipv6CidrBlock: {}: the vSwitch has {}, which never changes", text,
                                               vswitch.ipv6_block->text()));
    }
    for (const VSwitch& other : others) {
        if (other.name == vswitch.name || other.vpc != vswitch.vpc || other.ipv6_block != vswitch.ipv6_wish) continue;
        // Whoever was given it keeps it; of two that only ask, the older.
        if (other.ipv6_given || std::tie(other.created, other.name) < std::tie(vswitch.created, vswitch.name))
            return fail(Code::conflict,
                        fmt::format("spec.ipv6CidrBlock: {}: vSwitch {} has this block", text, other.name));
    }
    return {};
}

Status check_vswitch(const VSwitch& vswitch, const Vpc* vpc, std::span<const VSwitch> others) {
    if (vpc == nullptr) return fail(Code::not_found, fmt::format("spec.vpc: VPC {} does not exist", vswitch.vpc));
    if (!vpc->contains(vswitch.cidr))
        return fail(Code::invalid,
                    fmt::format("spec.cidrBlock: {}: lies in no block of VPC {}", vswitch.cidr.text(), vpc->name));
    for (const VSwitch& other : others) {
        if (other.name == vswitch.name || other.vpc != vswitch.vpc || !other.cidr.overlaps(vswitch.cidr)) continue;
        const bool is_older = std::tie(other.created, other.name) < std::tie(vswitch.created, vswitch.name);
        if (other.is_accepted != vswitch.is_accepted ? other.is_accepted : is_older)
            return fail(Code::conflict, fmt::format("spec.cidrBlock: {}: overlaps {} of vSwitch {}",
                                                    vswitch.cidr.text(), other.cidr.text(), other.name));
    }
    return check_ipv6_block(vswitch, *vpc, others);
}

std::optional<net::Prefix> lowest_free_ipv6_block(const VSwitch& vswitch, const Vpc& vpc,
                                                  std::span<const VSwitch> others) {
    if (!vpc.ipv6_block) return std::nullopt;
    for (unsigned number = 0; number < 1u << (ipv6_vswitch_mask - ipv6_vpc_mask); ++number) {
        net::Prefix block{vpc.ipv6_block->address, uint8_t(ipv6_vswitch_mask)};
        block.address.bytes[7] = uint8_t(number);  // the /56's host bits end with byte 7 of the /64
        const bool is_taken = std::any_of(others.begin(), others.end(), [&](const VSwitch& other) {
            return other.name != vswitch.name && other.vpc == vswitch.vpc &&
                   (other.ipv6_block == block || other.ipv6_wish == block);
        });
        if (!is_taken) return block;
    }
    return std::nullopt;
}

std::optional<net::Address> ipv6_of(const VSwitch& vswitch, const net::Address& v4) {
    if (!vswitch.ipv6_given || !vswitch.ipv6_block || !v4.is_v4() || !vswitch.cidr.contains(v4)) return std::nullopt;
    return vswitch.ipv6_block->address.plus(v4.v4_host_order() - vswitch.cidr.address.v4_host_order());
}

bool AddressRange::contains(const net::Address& address) const {
    return count > 0 && first <= address && address <= last();
}

AddressRange usable_addresses(const net::Prefix& vswitch_cidr, const net::Prefix& cidr) {
    if (!vswitch_cidr.contains(cidr) || vswitch_cidr.size() <= reserved_first + reserved_last) return {};
    const net::Address lowest = vswitch_cidr.address.plus(reserved_first);
    const net::Address highest = vswitch_cidr.address.plus(vswitch_cidr.size() - 1 - reserved_last);
    const net::Address last = cidr.address.plus(cidr.size() - 1);
    const net::Address from = std::max(lowest, cidr.address);
    const net::Address to = std::min(highest, last);
    if (to < from) return {};
    return {from, uint64_t(to.v4_host_order() - from.v4_host_order()) + 1};
}

}  // namespace weft::cloud
