#include "apiserver/admit_service.h"

#include <algorithm>

#include "apiserver/schema.h"
#include "apiserver/service_families.h"
#include "apiserver/validate.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

constexpr uint64_t kubernetes_offset = 1;
constexpr uint64_t dns_offset = 10;
// SVC-52: so many addresses are left to those who ask for one by its value.
constexpr uint64_t band_min = 16, band_max = 256;
// SVC-55: the first ports are left to those who ask for one by number.
constexpr uint16_t node_port_dynamic_first = node_port_first + 86;

std::string key_of(const json::Value& service) {
    return fmt::format("{}/{}", json::find_string(service, {"metadata", "namespace"}),
                       json::find_string(service, {"metadata", "name"}));
}

std::string namespace_of(Text service) { return std::string(service.substr(0, service.find('/'))); }

Refusal internal_error(std::string message) {
    Refusal refusal{500, "InternalError", "Internal error occurred: " + message, {}};
    refusal.causes.push_back({"", "", std::move(message)});
    return refusal;
}

bool takes_node_ports(const json::Value& spec) {
    const Text type = json::find_string(spec, {"type"}, "ClusterIP");
    return type == "NodePort" ||
           (type == "LoadBalancer" && json::find_bool(spec, {"allocateLoadBalancerNodePorts"}, true));
}

// What a pool gives to load balancers cannot be taken beside it.
Verdict refuse_pool_addresses(StoreView& view, const Kind& kind, const json::Value& object, const json::Value* stored) {
    const std::vector<std::string> wished = json::find_strings(object, {"spec", "externalIPs"});
    if (wished.empty() || (stored != nullptr && wished == json::find_strings(*stored, {"spec", "externalIPs"})))
        return {};
    FieldErrors errors;
    view.each(kube::address_pools, "", [&](const json::Value& pool) {
        for (const std::string& text : json::find_strings(pool, {"spec", "cidrs"})) {
            const auto cidr = net::Prefix::parse(text);
            for (size_t index = 0; cidr && index < wished.size(); index++) {
                const auto address = net::Address::parse(wished[index]);
                if (!address || !cidr->contains(*address)) continue;
                errors.push_back(invalid_value(
                    field_path("spec.externalIPs", index), wished[index],
                    fmt::format("is of AddressPool {}, which gives its addresses to Services of type LoadBalancer",
                                json::find_string(pool, {"metadata", "name"}))));
            }
        }
        return true;
    });
    if (errors.empty()) return {};
    return std::unexpected(invalid(kind, json::find_string(object, {"metadata", "name"}), std::move(errors)));
}

bool needs_health_port(const json::Value& spec) {
    return json::find_string(spec, {"type"}) == "LoadBalancer" &&
           json::find_string(spec, {"externalTrafficPolicy"}) == "Local";
}

}  // namespace

ServiceIndex::Range::Range(const net::Prefix& prefix) : cidr(prefix) {
    const uint64_t size = cidr.size();
    const uint64_t band = size <= band_min ? 0 : std::clamp(size / 16, band_min, band_max);
    dynamic_first = floor = cidr.address.plus(band + 1);
}

bool ServiceIndex::Range::is_reserved(const net::Address& address) const {
    const net::Address& base = cidr.address;
    return address == base || address == base.plus(kubernetes_offset) || address == base.plus(dns_offset) ||
           address == base.plus(cidr.size() - 1);
}

void ServiceIndex::load(StoreView& view) {
    vpcs_.clear();
    namespace_vpc_.clear();
    services_.clear();
    node_ports_.clear();
    port_uses_.clear();
    const auto each = [&](const kube::Resource& resource, auto&& add) {
        view.each(resource, "", [&](const json::Value& object) {
            add(object);
            return true;
        });
    };
    each(kube::vpcs, [&](const json::Value& vpc) { stored_vpc(nullptr, &vpc); });
    each(kube::namespaces, [&](const json::Value& ns) { stored_namespace(nullptr, &ns); });
    each(kube::services, [&](const json::Value& service) { stored(nullptr, &service); });
}

void ServiceIndex::stored_vpc(const json::Value* before, const json::Value* after) {
    if (after == nullptr) {
        vpcs_.erase(std::string(json::find_string(*before, {"metadata", "name"})));
        return;
    }
    const std::string name(json::find_string(*after, {"metadata", "name"}));
    const auto cidr = net::Prefix::parse(json::find_string(*after, {"spec", "serviceCIDR"}));
    if (!cidr) return;
    const auto [found, is_new] = vpcs_.try_emplace(name);
    found->second.is_default = json::find_bool(*after, {"spec", "default"});
    const auto ipv6 = net::Prefix::parse(json::find_string(*after, {"spec", "ipv6ServiceCIDR"}));
    if (ipv6 && !found->second.ipv6) found->second.ipv6 = Range(*ipv6);
    if (!is_new) return;
    found->second.ipv4 = Range(*cidr);
    // A VPC made again under its old name finds its Services still there.
    for (const auto& [service, taken] : services_) {
        if (taken.vpc != name) continue;
        for (const net::Address& address : taken.addresses) found->second.taken.emplace(address, service);
    }
}

void ServiceIndex::stored_namespace(const json::Value* before, const json::Value* after) {
    const json::Value& either = after == nullptr ? *before : *after;
    const std::string name(json::find_string(either, {"metadata", "name"}));
    const Text vpc = after == nullptr ? "" : json::find_string(*after, {"metadata", "annotations", "weft.dev/vpc"});
    if (vpc.empty()) {
        namespace_vpc_.erase(name);
    } else {
        namespace_vpc_[name] = vpc;
    }
}

bool ServiceIndex::holds_addresses_of(Text ns) const {
    const std::string prefix = std::string(ns) + "/";
    const auto first = services_.lower_bound(prefix);
    return first != services_.end() && first->first.starts_with(prefix);
}

std::string ServiceIndex::vpc_name_of(const std::string& service) const {
    if (const auto taken = services_.find(service); taken != services_.end() && !taken->second.addresses.empty()) {
        return taken->second.vpc;
    }
    if (const auto named = namespace_vpc_.find(namespace_of(service)); named != namespace_vpc_.end())
        return named->second;
    for (const auto& [name, vpc] : vpcs_) {
        if (vpc.is_default) return name;
    }
    return {};
}

Verdict ServiceIndex::admit(StoreView& view, const Kind& kind, json::Value& object, const json::Value* stored) {
    const std::string service = key_of(object);
    if (auto free = refuse_pool_addresses(view, kind, object, stored); !free) return free;
    if (auto given = give_cluster_ips(kind, object, stored, service); !given) return given;
    return give_node_ports(kind, object, service);
}

std::optional<net::Address> ServiceIndex::own_address(const Vpc& vpc, const Range& range,
                                                      const std::string& service) const {
    if (!vpc.is_default) return std::nullopt;
    if (service == "default/kubernetes") return range.cidr.address.plus(kubernetes_offset);
    if (service == "kube-system/kube-dns") return range.cidr.address.plus(dns_offset);
    return std::nullopt;
}

std::optional<std::string> ServiceIndex::static_error(const Vpc& vpc, const Range& range, const net::Address& address,
                                                      const std::string& service) const {
    const std::string text = address.text();
    if (!range.cidr.contains(address)) {
        return fmt::format(
            "failed to allocate IP {}: the provided IP ({}) is not in the valid range. The range of valid IPs is {}",
            text, text, range.cidr.text());
    }
    if (range.is_reserved(address) && own_address(vpc, range, service) != address) {
        return fmt::format("failed to allocate IP {}: the provided IP ({}) is reserved", text, text);
    }
    const auto owner = vpc.taken.find(address);
    if (owner != vpc.taken.end() && owner->second != service) {
        return fmt::format("failed to allocate IP {}: provided IP is already allocated", text);
    }
    return std::nullopt;
}

std::optional<net::Address> ServiceIndex::lowest_free(const Vpc& vpc, Range& range) const {
    const auto first_free = [&](net::Address address, const net::Address& end) {
        while (address < end && range.cidr.contains(address) &&
               (range.is_reserved(address) || vpc.taken.contains(address)))
            address = address.plus(1);
        return address;
    };
    range.floor = first_free(range.floor, range.cidr.address.plus(range.cidr.size()));
    if (range.cidr.contains(range.floor)) return range.floor;
    const net::Address chosen = first_free(range.cidr.address, range.dynamic_first);
    return chosen < range.dynamic_first ? std::optional(chosen) : std::nullopt;
}

std::expected<net::Address, Refusal> ServiceIndex::give_cluster_ip(const Kind& kind, Text name, Vpc& vpc, Range& range,
                                                                   Text wished, const std::string& service) const {
    if (!wished.empty()) {
        const net::Address address = MUST(net::Address::parse(wished));  // validation has seen it
        const auto wrong = static_error(vpc, range, address, service);
        if (!wrong) return address;
        return std::unexpected(invalid(
            kind, name, {invalid_value("spec.clusterIPs", json::Value(json::Array{json::Value(wished)}), *wrong)}));
    }
    if (const auto own = own_address(vpc, range, service)) {
        const auto owner = vpc.taken.find(*own);
        if (owner == vpc.taken.end() || owner->second == service) return *own;
        return std::unexpected(internal_error("failed to allocate a serviceIP: reserved address is taken"));
    }
    if (const auto free = lowest_free(vpc, range)) return *free;
    return std::unexpected(internal_error("failed to allocate a serviceIP: range is full"));
}

Verdict ServiceIndex::give_cluster_ips(const Kind& kind, json::Value& object, const json::Value* stored,
                                       const std::string& service) {
    json::Value& spec = object.get_object()["spec"];
    const Text name = json::find_string(object, {"metadata", "name"});
    if (json::find_string(spec, {"type"}) == "ExternalName") return {};
    const bool is_headless = json::find_string(spec, {"clusterIP"}) == "None";
    const std::string vpc_name = vpc_name_of(service);
    const auto found = vpcs_.find(vpc_name);
    if (found == vpcs_.end() && !is_headless) {
        const std::string why =
            vpc_name.empty()
                ? fmt::format(
                      "no VPC has spec.default: true, and namespace \"{}\" names none (annotation weft.dev/vpc)",
                      namespace_of(service))
                : fmt::format("VPC \"{}\" of namespace \"{}\" does not exist", vpc_name, namespace_of(service));
        return std::unexpected(
            invalid(kind, name, {invalid_value("spec.clusterIPs", json::Value(json::Array{}), why)}));
    }
    const json::Value* before = stored == nullptr ? nullptr : json::find(*stored, {"spec"});
    const bool offers_ipv6 = found != vpcs_.end() && found->second.ipv6.has_value();
    if (auto errors = settle_families(spec, before, offers_ipv6); !errors.empty())
        return std::unexpected(invalid(kind, name, std::move(errors)));
    if (is_headless) return {};
    const std::vector<std::string> families = json::find_strings(spec, {"ipFamilies"});
    const std::vector<std::string> wished = json::find_strings(spec, {"clusterIPs"});
    json::Array given;
    for (size_t index = 0; index < families.size(); index++) {
        Range* const range = found->second.range_of(families[index] == "IPv4");
        if (range == nullptr) continue;  // a Service older than the VPC's rule for the family keeps what it has
        const auto address = give_cluster_ip(kind, name, found->second, *range,
                                             index < wished.size() ? Text(wished[index]) : Text(), service);
        if (!address) return std::unexpected(address.error());
        given.push_back(json::Value(address->text()));
    }
    if (given.empty()) {
        return std::unexpected(
            invalid(kind, name, {invalid_value("spec.ipFamilies[0]", families[0], "not configured on this cluster")}));
    }
    json::set(spec, {"clusterIP"}, json::Value(given[0]));
    json::set(spec, {"clusterIPs"}, std::move(given));
    return {};
}

std::optional<std::string> ServiceIndex::node_port_error(const std::string& protocol, int64_t port,
                                                         const std::string& service) const {
    if (port < node_port_first || port > node_port_last) {
        return fmt::format("provided port is not in the valid range. The range of valid ports is {}-{}",
                           node_port_first, node_port_last);
    }
    const auto owner = node_ports_.find({protocol, uint16_t(port)});
    if (owner != node_ports_.end() && owner->second != service) return "provided port is already allocated";
    return std::nullopt;
}

uint16_t ServiceIndex::lowest_free_port(const std::set<uint16_t>& used_here) const {
    const auto is_free = [&](uint16_t port) { return !used_here.contains(port) && !port_uses_.contains(port); };
    for (uint16_t port = node_port_dynamic_first; port <= node_port_last; port++) {
        if (is_free(port)) return port;
    }
    for (uint16_t port = node_port_first; port < node_port_dynamic_first; port++) {
        if (is_free(port)) return port;
    }
    return 0;
}

Verdict ServiceIndex::give_node_ports(const Kind& kind, json::Value& object, const std::string& service) {
    json::Value& spec = object.get_object()["spec"];
    const Text name = json::find_string(object, {"metadata", "name"});
    json::Value* list = spec.get_object().if_contains("ports");
    json::Array none;
    json::Array& ports = list == nullptr || !list->is_array() ? none : list->get_array();
    std::set<uint16_t> used;
    std::map<int64_t, std::pair<std::string, int64_t>> by_port;  // port → protocol, nodePort: shared by TCP and UDP
    FieldErrors errors;
    for (size_t index = 0; index < ports.size(); index++) {
        const int64_t node_port = json::find_int(ports[index], {"nodePort"});
        if (node_port == 0) continue;
        const std::string protocol(json::find_string(ports[index], {"protocol"}, "TCP"));
        if (const auto wrong = node_port_error(protocol, node_port, service)) {
            errors.push_back(invalid_value(field_path(field_path("spec.ports", index), "nodePort"), node_port, *wrong));
        }
        used.insert(uint16_t(node_port));
        by_port[json::find_int(ports[index], {"port"})] = {protocol, node_port};
    }
    const int64_t wished_health = json::find_int(spec, {"healthCheckNodePort"});
    if (needs_health_port(spec) && wished_health != 0) {
        if (const auto wrong = node_port_error("TCP", wished_health, service)) {
            errors.push_back(invalid_value("spec.healthCheckNodePort", wished_health, *wrong));
        }
        used.insert(uint16_t(wished_health));
    }
    if (!errors.empty()) return std::unexpected(invalid(kind, name, std::move(errors)));
    const auto next = [&]() -> int64_t {
        const uint16_t port = lowest_free_port(used);
        used.insert(port);
        return port;
    };
    for (json::Value& port : ports) {
        if (!takes_node_ports(spec) || json::find_int(port, {"nodePort"}) != 0) continue;
        const std::string protocol(json::find_string(port, {"protocol"}, "TCP"));
        const int64_t number = json::find_int(port, {"port"});
        const auto twin = by_port.find(number);
        const bool shares = twin != by_port.end() && twin->second.first != protocol &&
                            !node_port_error(protocol, twin->second.second, service);
        const int64_t chosen = shares ? twin->second.second : next();
        if (chosen == 0) return std::unexpected(internal_error("failed to allocate a nodePort: range is full"));
        json::set(port, {"nodePort"}, chosen);
        by_port[number] = {protocol, chosen};
    }
    if (needs_health_port(spec) && wished_health == 0) {
        const int64_t chosen = next();
        if (chosen == 0) return std::unexpected(internal_error("failed to allocate a nodePort: range is full"));
        json::set(spec, {"healthCheckNodePort"}, chosen);
    }
    return {};
}

void ServiceIndex::stored(const json::Value* before, const json::Value* after) {
    const std::string service = key_of(after == nullptr ? *before : *after);
    if (after == nullptr) {
        release(service);
        services_.erase(service);
        return;
    }
    const std::string vpc = vpc_name_of(service);
    release(service);
    services_[service].vpc = vpc;
    take(service, *after);
}

void ServiceIndex::take(const std::string& service, const json::Value& object) {
    Taken& taken = services_[service];
    for (const std::string& text : json::find_strings(object, {"spec", "clusterIPs"})) {
        const auto address = net::Address::parse(text);
        if (!address) continue;  // None
        taken.addresses.push_back(*address);
        if (const auto vpc = vpcs_.find(taken.vpc); vpc != vpcs_.end()) vpc->second.taken[*address] = service;
    }
    const auto take_port = [&](std::string protocol, int64_t port) {
        if (port <= 0 || port > 65535) return;
        if (node_ports_.insert_or_assign({protocol, uint16_t(port)}, service).second) port_uses_[uint16_t(port)]++;
        taken.node_ports.emplace_back(std::move(protocol), uint16_t(port));
    };
    if (const json::Array* ports = json::find_array(object, {"spec", "ports"})) {
        for (const json::Value& port : *ports) {
            take_port(std::string(json::find_string(port, {"protocol"}, "TCP")), json::find_int(port, {"nodePort"}));
        }
    }
    take_port("TCP", json::find_int(object, {"spec", "healthCheckNodePort"}));
}

void ServiceIndex::release(const std::string& service) {
    const auto found = services_.find(service);
    if (found == services_.end()) return;
    if (const auto vpc = vpcs_.find(found->second.vpc); vpc != vpcs_.end()) {
        for (const net::Address& address : found->second.addresses) {
            const auto owner = vpc->second.taken.find(address);
            if (owner == vpc->second.taken.end() || owner->second != service) continue;
            vpc->second.taken.erase(owner);
            Range* const range = vpc->second.range_of(address.is_v4());
            if (range != nullptr && !(address < range->dynamic_first)) range->floor = std::min(range->floor, address);
        }
    }
    for (const auto& port : found->second.node_ports) {
        const auto owner = node_ports_.find(port);
        if (owner == node_ports_.end() || owner->second != service) continue;
        node_ports_.erase(owner);
        if (--port_uses_[port.second] == 0) port_uses_.erase(port.second);
    }
    found->second = Taken{found->second.vpc, {}, {}};
}

}  // namespace weft::apiserver
