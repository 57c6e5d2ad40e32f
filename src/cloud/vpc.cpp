#include "cloud/vpc.h"

#include <algorithm>

#include <fmt/format.h>

namespace weft::cloud {

std::span<const net::Prefix> forbidden_blocks() {
    static const std::array<net::Prefix, 8> blocks = {
        MUST(net::Prefix::parse("100.64.0.0/10")),
        MUST(net::Prefix::parse("224.0.0.0/4")),
        MUST(net::Prefix::parse("127.0.0.0/8")),
        MUST(net::Prefix::parse("169.254.0.0/16")),
        MUST(net::Prefix::parse("::/8")),  // unspecified, loopback, embedded IPv4
        MUST(net::Prefix::parse("fe80::/10")),
        MUST(net::Prefix::parse("ff00::/8")),
        MUST(net::Prefix::parse("fd77:6566:7400::/48")),  // the nodes' neighbours
    };
    return blocks;
}

namespace {

bool overlaps_forbidden(const net::Prefix& prefix, const net::Prefix& forbidden) {
    return prefix.is_v4() == forbidden.is_v4() && prefix.overlaps(forbidden);
}

// "" = the field is absent.
Result<std::optional<net::Prefix>> parse_ipv6_block(std::string_view text, const std::string& field, unsigned mask_min,
                                                    unsigned mask_max) {
    if (text.empty()) return std::optional<net::Prefix>();
    const auto prefix = net::Prefix::parse(text);
    if (!prefix) return fail(Code::invalid, field + ": " + prefix.error().message);
    if (prefix->is_v4()) return fail(Code::invalid, fmt::format("{}: {}: must be an IPv6 block", field, text));
    if (prefix->length() < mask_min || prefix->length() > mask_max)
        return fail(Code::invalid,
                    mask_min == mask_max
                        ? fmt::format("{}: {}: the mask must be /{}", field, text, mask_min)
                        : fmt::format("{}: {}: the mask must be between /{} and /{}", field, text, mask_min, mask_max));
    for (const net::Prefix& forbidden : forbidden_blocks()) {
        if (overlaps_forbidden(*prefix, forbidden))
            return fail(Code::invalid,
                        fmt::format("{}: {}: overlaps {}, which is reserved", field, text, forbidden.text()));
    }
    return std::optional(*prefix);
}

Result<net::Prefix> parse_block(std::string_view text, const std::string& field, unsigned mask_min, unsigned mask_max) {
    if (text.empty()) return fail(Code::invalid, field + ": Required value");
    const auto prefix = net::Prefix::parse(text);
    if (!prefix) return fail(Code::invalid, field + ": " + prefix.error().message);
    if (!prefix->is_v4()) return fail(Code::invalid, fmt::format("{}: {}: only IPv4 blocks are offered", field, text));
    if (prefix->length() < mask_min || prefix->length() > mask_max)
        return fail(Code::invalid,
                    fmt::format("{}: {}: the mask must be between /{} and /{}", field, text, mask_min, mask_max));
    for (const net::Prefix& forbidden : forbidden_blocks()) {
        if (overlaps_forbidden(*prefix, forbidden))
            return fail(Code::invalid,
                        fmt::format("{}: {}: overlaps {}, which is reserved", field, text, forbidden.text()));
    }
    return *prefix;
}

}  // namespace

bool Vpc::contains(const net::Address& address) const {
    return std::any_of(blocks.begin(), blocks.end(), [&](const net::Prefix& b) { return b.contains(address); });
}

bool Vpc::contains(const net::Prefix& prefix) const {
    return std::any_of(blocks.begin(), blocks.end(), [&](const net::Prefix& b) { return b.contains(prefix); });
}

Result<Vpc> parse_vpc(const json::Value& object) {
    Vpc vpc;
    vpc.name = json::find_string(object, {"metadata", "name"});
    vpc.uid = json::find_string(object, {"metadata", "uid"});
    vpc.created = json::find_string(object, {"metadata", "creationTimestamp"});
    vpc.is_default = json::find_bool(object, {"spec", "default"});
    const std::string_view encapsulation = json::find_string(object, {"spec", "encapsulation"}, "VXLAN");
    if (encapsulation != "VXLAN" && encapsulation != "None")
        return fail(Code::invalid, fmt::format("spec.encapsulation: {}: must be VXLAN or None", encapsulation));
    vpc.is_routed = encapsulation == "None";

    vpc.blocks.push_back(TRY(
        parse_block(json::find_string(object, {"spec", "cidrBlock"}), "spec.cidrBlock", vpc_mask_min, vpc_mask_max)));
    const auto secondary = json::find_strings(object, {"spec", "secondaryCidrBlocks"});
    if (secondary.size() > secondary_blocks_max)
        return fail(Code::invalid, fmt::format("spec.secondaryCidrBlocks: {} blocks, at most {} are allowed",
                                               secondary.size(), secondary_blocks_max));
    for (size_t i = 0; i < secondary.size(); ++i) {
        const std::string field = fmt::format("spec.secondaryCidrBlocks[{}]", i);
        const net::Prefix block = TRY(parse_block(secondary[i], field, vpc_mask_min, vpc_mask_max));
        for (const net::Prefix& other : vpc.blocks) {
            if (block.overlaps(other))
                return fail(Code::invalid,
                            fmt::format("{}: {}: overlaps {} of the same VPC", field, block.text(), other.text()));
        }
        vpc.blocks.push_back(block);
    }

    const std::string_view service_cidr = json::find_string(object, {"spec", "serviceCIDR"}, service_cidr_default);
    vpc.service_cidr = TRY(parse_block(service_cidr, "spec.serviceCIDR", service_mask_min, service_mask_max));
    for (const net::Prefix& block : vpc.blocks) {
        if (vpc.service_cidr.overlaps(block))
            return fail(Code::invalid, fmt::format("spec.serviceCIDR: {}: overlaps {} of the same VPC",
                                                   vpc.service_cidr.text(), block.text()));
    }

    vpc.ipv6_block = TRY(parse_ipv6_block(json::find_string(object, {"spec", "ipv6CidrBlock"}), "spec.ipv6CidrBlock",
                                          ipv6_vpc_mask, ipv6_vpc_mask));
    vpc.ipv6_service_cidr = TRY(parse_ipv6_block(json::find_string(object, {"spec", "ipv6ServiceCIDR"}),
                                                 "spec.ipv6ServiceCIDR", ipv6_service_mask_min, ipv6_service_mask_max));
    if (vpc.ipv6_block && vpc.ipv6_service_cidr && vpc.ipv6_block->overlaps(*vpc.ipv6_service_cidr))
        return fail(Code::invalid, fmt::format("spec.ipv6ServiceCIDR: {}: overlaps {} of the same VPC",
                                               vpc.ipv6_service_cidr->text(), vpc.ipv6_block->text()));

    const int64_t wanted_vni = json::find_int(object, {"spec", "vni"});
    if (json::has(object, {"spec", "vni"}) && (wanted_vni < 1 || wanted_vni > vni_max))
        return fail(Code::invalid, fmt::format("spec.vni: {}: must be between 1 and {}", wanted_vni, vni_max));
    vpc.wanted_vni = uint32_t(wanted_vni);
    if (const int64_t vni = json::find_int(object, {"status", "vni"}); vni > 0 && vni <= vni_max)
        vpc.vni = uint32_t(vni);

    vpc.wanted_blocks = vpc.blocks;
    std::vector<net::Prefix> in_effect;
    for (const std::string& text : json::find_strings(object, {"status", "cidrBlocks"})) {
        if (const auto block = net::Prefix::parse(text); block && block->is_v4()) in_effect.push_back(*block);
    }
    if (!in_effect.empty()) vpc.blocks = std::move(in_effect);
    vpc.wanted_ipv6_block = vpc.ipv6_block;
    if (json::has(object, {"status", "ipv6CidrBlock"})) {  // "" = none is in effect
        const auto block = net::Prefix::parse(json::find_string(object, {"status", "ipv6CidrBlock"}));
        vpc.ipv6_block = block && !block->is_v4() ? std::optional(*block) : std::nullopt;
    }
    return vpc;
}

std::vector<BlockField> fields_of(const std::vector<net::Prefix>& blocks, const std::optional<net::Prefix>& ipv6_block) {
    std::vector<BlockField> fields;
    for (const net::Prefix& block : blocks)
        fields.push_back({block, fields.empty() ? "spec.cidrBlock"
                                                : fmt::format("spec.secondaryCidrBlocks[{}]", fields.size() - 1)});
    if (ipv6_block) fields.push_back({*ipv6_block, "spec.ipv6CidrBlock"});
    return fields;
}

const Vpc* default_vpc(std::span<const Vpc> vpcs) {
    const Vpc* best = nullptr;
    for (const Vpc& vpc : vpcs) {
        if (!vpc.is_default) continue;
        if (best == nullptr || std::tie(vpc.created, vpc.name) < std::tie(best->created, best->name)) best = &vpc;
    }
    return best;
}

net::Address kubernetes_address(const Vpc& vpc) { return vpc.service_cidr.address.plus(1); }

net::Address dns_address(const Vpc& vpc) { return vpc.service_cidr.address.plus(10); }

std::optional<net::Address> ipv6_kubernetes_address(const Vpc& vpc) {
    if (!vpc.ipv6_service_cidr) return std::nullopt;
    return vpc.ipv6_service_cidr->address.plus(1);
}

std::optional<net::Address> ipv6_dns_address(const Vpc& vpc) {
    if (!vpc.ipv6_service_cidr) return std::nullopt;
    return vpc.ipv6_service_cidr->address.plus(10);
}

bool is_reserved_service_address(const Vpc& vpc, const net::Address& address) {
    return address == kubernetes_address(vpc) || address == dns_address(vpc) ||
           address == ipv6_kubernetes_address(vpc) || address == ipv6_dns_address(vpc);
}

}  // namespace weft::cloud
