// The shapes, labels right of them left out as in <zone>:
//
//    1  (nothing)                          apex
//    2  dns-version                        version
//    3  dns | ns.dns                       dns | name_server
//    4  svc | pod                          svc | pod
//    5  <ns>.svc | <ns>.pod                svc_namespace | pod_namespace
//    6  <service>.<ns>.svc                 service
//    7  <label>.<service>.<ns>.svc         endpoint
//    8  _<proto>.<service>.<ns>.svc        protocol
//    9  _<port>._<proto>.<service>.<ns>.svc  port
//   10  <a-b-c-d>.<ns>.pod                 pod_address
#include "dns/cluster_name.h"

#include <algorithm>

#include "base/strings.h"

namespace weft::dns {

namespace {

const dns_wire::Name in_addr_zone = *dns_wire::Name::parse("in-addr.arpa.");
const dns_wire::Name ip6_zone = *dns_wire::Name::parse("ip6.arpa.");

bool underscored(std::string_view label) { return label.size() > 1 && label.front() == '_'; }

// `labels` rightmost first, so that labels[0] is "svc".
ClusterName parse_service(const std::vector<std::string>& labels) {
    using Kind = ClusterName::Kind;
    ClusterName found;
    if (labels.size() == 1) return {Kind::svc};
    found.ns = labels[1];
    if (labels.size() == 2) {
        found.kind = Kind::svc_namespace;
        return found;
    }
    found.service = labels[2];
    if (labels.size() == 3) {
        found.kind = Kind::service;
    } else if (labels.size() == 4 && underscored(labels[3])) {
        found.kind = Kind::protocol;
        found.protocol = labels[3].substr(1);
    } else if (labels.size() == 4) {
        found.kind = Kind::endpoint;
        found.label = labels[3];
    } else if (labels.size() == 5 && underscored(labels[3]) && underscored(labels[4])) {
        found.kind = Kind::port;
        found.protocol = labels[3].substr(1);
        found.port = labels[4].substr(1);
    }
    return found;
}

ClusterName parse_pod(const std::vector<std::string>& labels) {
    using Kind = ClusterName::Kind;
    ClusterName found;
    if (labels.size() == 1) return {Kind::pod};
    found.ns = labels[1];
    if (labels.size() == 2) found.kind = Kind::pod_namespace;
    if (labels.size() == 3) {
        found.kind = Kind::pod_address;
        found.label = labels[2];
    }
    return found;
}

std::optional<net::Address> parse_v4_reverse(const std::vector<std::string_view>& labels) {
    if (labels.size() != 6) return std::nullopt;
    std::string text;
    for (int i = 3; i >= 0; --i) text += std::string(labels[size_t(i)]) + (i > 0 ? "." : "");
    const Result<net::Address> address = net::Address::parse(text);
    if (!address || !address->is_v4()) return std::nullopt;
    return *address;
}

std::optional<net::Address> parse_v6_reverse(const std::vector<std::string_view>& labels) {
    if (labels.size() != 34) return std::nullopt;
    net::Address address;
    for (size_t i = 0; i < 32; ++i) {
        const std::string nibble = to_lower(labels[i]);
        constexpr std::string_view digits = "0123456789abcdef";
        const size_t value = nibble.size() == 1 ? digits.find(nibble[0]) : std::string_view::npos;
        if (value == std::string_view::npos) return std::nullopt;
        address.bytes[15 - i / 2] = uint8_t(address.bytes[15 - i / 2] | value << (i % 2 != 0 ? 4 : 0));
    }
    return address;
}

}  // namespace

std::optional<ClusterName> parse_cluster_name(const dns_wire::Name& name, const dns_wire::Name& zone) {
    using Kind = ClusterName::Kind;
    if (!name.is_within(zone)) return std::nullopt;
    std::vector<std::string> labels;
    for (const std::string_view label : name.labels()) labels.push_back(to_lower(label));
    labels.resize(labels.size() - zone.label_count());
    std::reverse(labels.begin(), labels.end());

    if (labels.empty()) return ClusterName{Kind::apex};
    if (labels[0] == "svc") return parse_service(labels);
    if (labels[0] == "pod") return parse_pod(labels);
    if (labels[0] == "dns-version" && labels.size() == 1) return ClusterName{Kind::version};
    if (labels[0] == "dns" && labels.size() == 1) return ClusterName{Kind::dns};
    if (labels[0] == "dns" && labels.size() == 2 && labels[1] == "ns") return ClusterName{Kind::name_server};
    return ClusterName{Kind::none};
}

std::string dashed(const net::Address& address) {
    std::string text = address.text();
    std::replace(text.begin(), text.end(), address.is_v4() ? '.' : ':', '-');
    // A label must not begin or end with a dash.
    if (text.starts_with('-')) text = "0" + text;
    if (text.ends_with('-')) text += "0";
    return text;
}

std::optional<net::Address> parse_dashed(std::string_view label) {
    std::string text(label);
    std::replace(text.begin(), text.end(), '-', '.');
    if (const Result<net::Address> v4 = net::Address::parse(text); v4 && v4->is_v4()) return *v4;
    text = label;
    std::replace(text.begin(), text.end(), '-', ':');
    if (const Result<net::Address> v6 = net::Address::parse(text); v6 && !v6->is_v4()) return *v6;
    return std::nullopt;
}

std::optional<net::Address> parse_reverse_name(const dns_wire::Name& name) {
    if (name.is_within(in_addr_zone)) return parse_v4_reverse(name.labels());
    if (name.is_within(ip6_zone)) return parse_v6_reverse(name.labels());
    return std::nullopt;
}

std::optional<net::Prefix> parse_reverse_zone(const dns_wire::Name& name) {
    // Filled up with zeros on the left it is the name of the zone's first address.
    const bool is_v4 = name.is_within(in_addr_zone);
    const size_t labels = is_v4 ? 6 : 34;
    if (name.label_count() < 3 || name.label_count() > labels) return std::nullopt;
    dns_wire::Name first = name;
    while (first.label_count() < labels) {
        const std::optional<dns_wire::Name> longer = first.child("0");
        if (!longer) return std::nullopt;
        first = *longer;
    }
    const std::optional<net::Address> address = parse_reverse_name(first);
    if (!address) return std::nullopt;
    return net::Prefix::of(*address, unsigned(name.label_count() - 2) * (is_v4 ? 8 : 4));
}

bool is_reverse_name(const dns_wire::Name& name) { return name.is_within(in_addr_zone) || name.is_within(ip6_zone); }

}  // namespace weft::dns
