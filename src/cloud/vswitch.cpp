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
    return vswitch;
}

Status check_vswitch(const VSwitch& vswitch, const Vpc* vpc, std::span<const VSwitch> others) {
    if (vpc == nullptr) return fail(Code::not_found, fmt::format("spec.vpc: VPC {} does not exist", vswitch.vpc));
    if (!vpc->contains(vswitch.cidr))
        return fail(Code::invalid,
                    fmt::format("spec.cidrBlock: {}: lies in no block of VPC {}", vswitch.cidr.text(), vpc->name));
    for (const VSwitch& other : others) {
        if (other.name == vswitch.name || other.vpc != vswitch.vpc || !other.cidr.overlaps(vswitch.cidr)) continue;
        if (std::tie(other.created, other.name) < std::tie(vswitch.created, vswitch.name))
            return fail(Code::conflict, fmt::format("spec.cidrBlock: {}: overlaps {} of vSwitch {}",
                                                    vswitch.cidr.text(), other.cidr.text(), other.name));
    }
    return {};
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
