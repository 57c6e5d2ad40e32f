// Our kinds: what one object shows by itself (spec/acs.md §1.1, §1.2, §2.2). Cross-object errors are the controller's.
#include "apiserver/schema.h"
#include "apiserver/validate_rules.h"
#include "base/strings.h"
#include "net/address.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

void check_private_block(Text text, const std::string& field, FieldErrors& errors) {
    const auto block = net::Prefix::parse(text);
    if (!block) return;  // the schema's format has said so
    if (!block->is_v4()) {
        errors.push_back(invalid_value(field, text, "must be an IPv4 CIDR"));
        return;
    }
    for (const Text reserved : {"100.64.0.0/10", "224.0.0.0/4", "127.0.0.0/8", "169.254.0.0/16"}) {
        if (block->overlaps(MUST(net::Prefix::parse(reserved)))) {
            errors.push_back(
                invalid_value(field, text, fmt::format("must not overlap the reserved block {}", reserved)));
        }
    }
}

// {field, text} of every block of a VPC, the Service CIDR last.
std::vector<std::pair<std::string, std::string>> blocks_of(const json::Value& vpc) {
    std::vector<std::pair<std::string, std::string>> blocks;
    const auto add = [&](std::string field, Text text) {
        if (!text.empty()) blocks.emplace_back(std::move(field), text);
    };
    add("spec.cidrBlock", json::find_string(vpc, {"spec", "cidrBlock"}));
    const std::vector<std::string> secondary = json::find_strings(vpc, {"spec", "secondaryCidrBlocks"});
    for (size_t index = 0; index < secondary.size(); index++) {
        add(field_path("spec.secondaryCidrBlocks", index), secondary[index]);
    }
    add("spec.serviceCIDR", json::find_string(vpc, {"spec", "serviceCIDR"}));
    return blocks;
}

// IPv6 blocks; their masks are the schema's.
void check_ipv6_block(Text text, const std::string& field, FieldErrors& errors) {
    const auto block = net::Prefix::parse(text);
    if (!block) return;  // the schema's format has said so
    if (block->is_v4()) {
        errors.push_back(invalid_value(field, text, "must be an IPv6 CIDR"));
        return;
    }
    for (const Text reserved : {"::/8", "fe80::/10", "ff00::/8", "fd77:6566:7400::/48"}) {
        if (block->overlaps(MUST(net::Prefix::parse(reserved)))) {
            errors.push_back(
                invalid_value(field, text, fmt::format("must not overlap the reserved block {}", reserved)));
        }
    }
}

// A leaf rule of the schema sees a change, not that a field went.
void keep_once_set(const json::Value& object, Stored stored, Text name, FieldErrors& errors) {
    if (stored == nullptr || !json::has(*stored, {"spec", name}) || json::has(object, {"spec", name})) return;
    errors.push_back(invalid_value(field_path("spec", name), json::Value(nullptr), immutable_text));
}

}  // namespace

void validate_vpc(const json::Value& object, Stored stored, FieldErrors& errors) {
    const auto blocks = blocks_of(object);
    for (size_t index = 0; index < blocks.size(); index++) {
        const auto& [field, text] = blocks[index];
        check_private_block(text, field, errors);
        const auto block = net::Prefix::parse(text);
        for (size_t before = 0; block && before < index; before++) {
            const auto other = net::Prefix::parse(blocks[before].second);
            if (other && other->overlaps(*block)) {
                errors.push_back(invalid_value(
                    field, text, fmt::format("must not overlap {} ({})", blocks[before].first, blocks[before].second)));
            }
        }
    }
    const Text ipv6_block = json::find_string(object, {"spec", "ipv6CidrBlock"});
    const Text ipv6_services = json::find_string(object, {"spec", "ipv6ServiceCIDR"});
    if (!ipv6_block.empty()) check_ipv6_block(ipv6_block, "spec.ipv6CidrBlock", errors);
    if (!ipv6_services.empty()) check_ipv6_block(ipv6_services, "spec.ipv6ServiceCIDR", errors);
    const auto pods = net::Prefix::parse(ipv6_block);
    const auto services = net::Prefix::parse(ipv6_services);
    if (pods && services && pods->overlaps(*services)) {
        errors.push_back(invalid_value("spec.ipv6ServiceCIDR", ipv6_services,
                                       fmt::format("must not overlap spec.ipv6CidrBlock ({})", ipv6_block)));
    }
    keep_once_set(object, stored, "ipv6CidrBlock", errors);
    keep_once_set(object, stored, "ipv6ServiceCIDR", errors);
    const int64_t vni_before = stored == nullptr ? 0 : json::find_int(*stored, {"spec", "vni"});
    if (vni_before != 0 && json::find_int(object, {"spec", "vni"}) != vni_before) {
        const json::Value* vni = json::find(object, {"spec", "vni"});
        errors.push_back(invalid_value("spec.vni", vni == nullptr ? json::Value(nullptr) : *vni, immutable_text));
    }
}

void validate_vswitch(const json::Value& object, Stored stored, FieldErrors& errors) {
    check_private_block(json::find_string(object, {"spec", "cidrBlock"}), "spec.cidrBlock", errors);
    const Text ipv6_block = json::find_string(object, {"spec", "ipv6CidrBlock"});
    if (!ipv6_block.empty()) check_ipv6_block(ipv6_block, "spec.ipv6CidrBlock", errors);
    keep_once_set(object, stored, "ipv6CidrBlock", errors);
    const Text vpc = json::find_string(object, {"spec", "vpc"});
    if (!vpc.empty()) expect(subdomain_error(vpc), "spec.vpc", vpc, errors);
    const Text zone = json::find_string(object, {"spec", "zone"});
    if (!zone.empty()) expect(label_value_error(zone), "spec.zone", zone, errors);
}

void validate_address_pool(const json::Value& object, Stored, FieldErrors& errors) {
    const std::vector<std::string> cidrs = json::find_strings(object, {"spec", "cidrs"});
    for (size_t index = 0; index < cidrs.size(); index++) {
        const auto block = net::Prefix::parse(cidrs[index]);
        if (!block) continue;
        const std::string field = field_path("spec.cidrs", index);
        if (!block->is_v4()) check_ipv6_block(cidrs[index], field, errors);
        for (size_t before = 0; before < index; before++) {
            const auto other = net::Prefix::parse(cidrs[before]);
            if (other && other->overlaps(*block)) {
                errors.push_back(invalid_value(field, cidrs[index], "must not overlap " + cidrs[before]));
            }
        }
    }
}

void validate_security_group(const json::Value& object, Stored, FieldErrors& errors) {
    const json::Array* rules = json::find_array(object, {"spec", "rules"});
    const bool is_advanced = json::find_string(object, {"spec", "type"}) == "advanced";
    if (is_advanced && json::find_string(object, {"spec", "intraGroupPolicy"}) == "interconnectivity") {
        errors.push_back(
            invalid_value("spec.intraGroupPolicy", "interconnectivity", "an advanced group is always isolated"));
    }
    for (size_t index = 0; rules != nullptr && index < rules->size(); index++) {
        const json::Value& rule = (*rules)[index];
        const std::string where = field_path("spec.rules", index);
        const Text cidr = json::find_string(rule, {"cidr"});
        const Text group = json::find_string(rule, {"securityGroup"});
        if (cidr.empty() && group.empty()) errors.push_back(required(where, "cidr or securityGroup is required"));
        if (is_advanced && !group.empty()) {
            errors.push_back(
                forbidden_field(field_path(where, "securityGroup"), "advanced groups name no other group"));
        }
        const Text range = json::find_string(rule, {"portRange"}, "-1/-1");
        const Text protocol = json::find_string(rule, {"protocol"});
        const bool has_ports = protocol == "tcp" || protocol == "udp";
        if (range == "-1/-1") continue;
        const auto parts = split(range, '/');
        const auto first = parse_unsigned(parts[0]);
        const auto last = parts.size() == 2 ? parse_unsigned(parts[1]) : std::nullopt;
        if (!has_ports) {
            errors.push_back(invalid_value(field_path(where, "portRange"), range,
                                           fmt::format("must be -1/-1 for protocol {}", protocol)));
        } else if (!first || !last || *first < 1 || *last > 65535 || *first > *last) {
            errors.push_back(
                invalid_value(field_path(where, "portRange"), range, "must be first/last, within 1 and 65535"));
        }
    }
}

}  // namespace weft::apiserver
