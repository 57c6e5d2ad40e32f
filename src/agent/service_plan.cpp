#include "agent/service_plan.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace weft::agent {
namespace {

constexpr std::string_view source_ranges_annotation = "service.beta.kubernetes.io/load-balancer-source-ranges";
constexpr int64_t affinity_max_s = 86400;
constexpr uint32_t affinity_default_s = 10800;  // SVC-2

struct Port {
    std::string name;
    uint16_t number = 0;
    net::Protocol protocol = net::Protocol::tcp;
    uint16_t node_port = 0;  // 0: none
};

struct Target {
    bool ready = false;
    bool serves = false;
    bool serves_while_terminating = false;
    bool is_here = false;
    bool has_node_hint = false, has_zone_hint = false;
    bool hinted_to_node = false, hinted_to_zone = false;  // to this one
};

using Targets = std::map<std::pair<net::Address, uint16_t>, Target>;

std::optional<uint16_t> port_number(const json::Value& object, std::string_view name) {
    const int64_t number = json::find_int(object, {name});
    if (number < 1 || number > 65535) return std::nullopt;
    return uint16_t(number);
}

std::vector<Port> ports_of(const kube::Object& service, ServicePlan& plan) {
    std::vector<Port> ports;
    for (const json::Value& entry : service.array({"spec", "ports"})) {
        const auto number = port_number(entry, "port");
        const auto protocol = net::parse_protocol(json::find_string(entry, {"protocol"}, "TCP"));
        if (!number) continue;
        if (!protocol) {
            plan.complaints.push_back("port " + std::to_string(*number) + ": " + protocol.error().message);
            continue;
        }
        ports.push_back({std::string(json::find_string(entry, {"name"})), *number, *protocol,
                         port_number(entry, "nodePort").value_or(0)});
    }
    return ports;
}

// The number that this slice gives to a port of the Service.
std::optional<uint16_t> target_port(const kube::Object& slice, const Port& port) {
    for (const json::Value& entry : slice.array({"ports"})) {
        if (json::find_string(entry, {"name"}) != port.name) continue;
        if (json::find_string(entry, {"protocol"}, "TCP") != net::protocol_name(port.protocol)) continue;
        return port_number(entry, "port");
    }
    return std::nullopt;
}

struct Hint {
    bool given = false;
    bool names_us = false;
};

Hint hint_of(const json::Value& endpoint, std::string_view list, std::string_view us) {
    const json::Array* const places = json::find_array(endpoint, {"hints", list});
    if (places == nullptr) return {};
    Hint hint{!places->empty(), false};
    for (const json::Value& place : *places)
        hint.names_us = hint.names_us || (!us.empty() && json::find_string(place, {"name"}) == us);
    return hint;
}

Target target_of(const json::Value& endpoint, const NodeSide& node) {
    const bool ready = json::find_bool(endpoint, {"conditions", "ready"}, true);
    const bool serving = json::find_bool(endpoint, {"conditions", "serving"}, ready);
    const bool terminating = json::find_bool(endpoint, {"conditions", "terminating"}, false);
    const Hint node_hint = hint_of(endpoint, "forNodes", node.name);
    const Hint zone_hint = hint_of(endpoint, "forZones", node.zone);
    return {.ready = ready,
            .serves = ready || serving,
            .serves_while_terminating = serving && terminating,
            .is_here = json::find_string(endpoint, {"nodeName"}) == node.name,
            .has_node_hint = node_hint.given,
            .has_zone_hint = zone_hint.given,
            .hinted_to_node = node_hint.names_us,
            .hinted_to_zone = zone_hint.names_us};
}

// The union of all slices; the same address and port twice: the ready one counts.
Targets targets_of(std::span<const kube::ObjectPtr> slices, const Port& port, const NodeSide& node, bool ipv6) {
    Targets targets;
    for (const kube::ObjectPtr& slice : slices) {
        const std::string_view type = slice->string({"addressType"});
        const auto number = target_port(*slice, port);
        if (!number || type != (ipv6 ? "IPv6" : "IPv4")) continue;
        for (const json::Value& endpoint : slice->array({"endpoints"})) {
            const auto addresses = json::find_strings(endpoint, {"addresses"});
            const auto address =
                addresses.empty() ? Result<net::Address>(fail(Code::invalid, "")) : net::Address::parse(addresses[0]);
            if (!address || address->is_v4() == ipv6) continue;
            const Target target = target_of(endpoint, node);
            const auto [at, is_new] = targets.try_emplace({*address, *number}, target);
            if (!is_new && target.ready && !at->second.ready) at->second = target;
        }
    }
    return targets;
}

// DP-5: which of the ready ones; null: all. One without a hint is enough to ignore the hints of that sort.
bool Target::* topology_of(const Targets& targets) {
    bool all_have_nodes = true, all_have_zones = true, any_for_node = false, any_for_zone = false;
    for (const auto& [at, target] : targets) {
        if (!target.ready) continue;
        all_have_nodes = all_have_nodes && target.has_node_hint;
        all_have_zones = all_have_zones && target.has_zone_hint;
        any_for_node = any_for_node || target.hinted_to_node;
        any_for_zone = any_for_zone || target.hinted_to_zone;
    }
    if (all_have_nodes && any_for_node) return &Target::hinted_to_node;
    if (all_have_zones && any_for_zone) return &Target::hinted_to_zone;
    return nullptr;
}

std::vector<abi::backend> choose(const Targets& targets, const Port& port, uint32_t vni, Reach reach) {
    const auto collect = [&](bool Target::* wanted, bool Target::* near) {
        std::vector<abi::backend> chosen;
        for (const auto& [at, target] : targets) {
            if (!(target.*wanted) || (near != nullptr && !(target.*near))) continue;
            chosen.push_back({vni, abi::to_abi(at.first), abi::to_abi_port(at.second), uint8_t(port.protocol), 0});
        }
        return chosen;
    };
    bool Target::* const here = reach == Reach::local ? &Target::is_here : nullptr;
    std::vector<abi::backend> chosen = collect(&Target::ready, here != nullptr ? here : topology_of(targets));
    if (chosen.empty()) chosen = collect(&Target::serves_while_terminating, here);
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

// Those that serve and were not chosen.
std::vector<abi::backend> others(const Targets& targets, const Port& port, uint32_t vni,
                                 const std::vector<abi::backend>& chosen) {
    std::vector<abi::backend> rest;
    for (const auto& [at, target] : targets) {
        const abi::backend backend{vni, abi::to_abi(at.first), abi::to_abi_port(at.second), uint8_t(port.protocol), 0};
        if (target.serves && !std::binary_search(chosen.begin(), chosen.end(), backend)) rest.push_back(backend);
    }
    std::sort(rest.begin(), rest.end());
    return rest;
}

std::vector<net::Address> addresses_of(const std::vector<std::string>& texts) {
    std::vector<net::Address> addresses;
    for (const std::string& text : texts)
        if (const auto address = net::Address::parse(text)) addresses.push_back(*address);
    return addresses;
}

std::vector<net::Address> cluster_addresses(const kube::Object& service) {
    std::vector<std::string> texts = json::find_strings(service.body(), {"spec", "clusterIPs"});
    if (texts.empty()) texts.emplace_back(service.string({"spec", "clusterIP"}));
    return addresses_of(texts);  // "None" and "" are no addresses
}

std::vector<net::Address> balancer_addresses(const kube::Object& service) {
    std::vector<std::string> texts;
    if (service.string({"spec", "type"}) != "LoadBalancer") return {};
    for (const json::Value& entry : service.array({"status", "loadBalancer", "ingress"}))
        if (json::find_string(entry, {"ipMode"}, "VIP") == "VIP") texts.emplace_back(json::find_string(entry, {"ip"}));
    return addresses_of(texts);
}

std::vector<net::Address> external_addresses(const kube::Object& service) {
    if (service.string({"spec", "clusterIP"}) == "None" || service.string({"spec", "type"}) == "ExternalName")
        return {};
    return addresses_of(json::find_strings(service.body(), {"spec", "externalIPs"}));
}

// Has the Service the family of this address? One that says nothing is of before there were two.
bool has_family(const kube::Object& service, const net::Address& address) {
    const std::vector<std::string> families = json::find_strings(service.body(), {"spec", "ipFamilies"});
    if (families.empty()) return address.is_v4();
    return std::find(families.begin(), families.end(), address.is_v4() ? "IPv4" : "IPv6") != families.end();
}

Reach reach_of(const kube::Object& service, std::string_view field) {
    return service.string({"spec", field}) == "Local" ? Reach::local : Reach::cluster;
}

// The field, or where it is empty the annotation; nullopt: open to all.
std::optional<std::vector<std::string>> source_ranges_of(const kube::Object& service) {
    std::vector<std::string> texts = json::find_strings(service.body(), {"spec", "loadBalancerSourceRanges"});
    if (texts.empty())
        for (const std::string_view text : split_list(service.annotation(source_ranges_annotation)))
            texts.emplace_back(text);
    if (texts.empty()) return std::nullopt;
    return texts;
}

// As Kubernetes reads it: set host bits are no error, the prefix is meant.
Result<net::Prefix> parse_range(std::string_view text) {
    const size_t slash = text.find('/');
    const auto address = net::Address::parse(text.substr(0, slash));
    const auto bits = slash == std::string_view::npos ? std::nullopt : parse_unsigned(text.substr(slash + 1));
    if (!address || !bits || *bits > (address->is_v4() ? 32u : 128u)) return fail(Code::invalid, "is not a CIDR");
    return net::Prefix::of(*address, unsigned(*bits));
}

std::vector<net::Prefix> parse_ranges(const std::vector<std::string>& texts, ServicePlan& plan) {
    std::vector<net::Prefix> ranges;
    for (const std::string& text : texts) {
        if (const auto range = parse_range(trim(text))) ranges.push_back(*range);
        else plan.complaints.push_back("loadBalancerSourceRanges: " + text + " " + range.error().message);
    }
    std::sort(ranges.begin(), ranges.end());
    ranges.erase(std::unique(ranges.begin(), ranges.end()), ranges.end());
    return ranges;
}

uint32_t affinity_of(const kube::Object& service) {
    if (service.string({"spec", "sessionAffinity"}) != "ClientIP") return 0;
    const int64_t seconds =
        json::find_int(service.body(), {"spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"});
    return seconds < 1 || seconds > affinity_max_s ? affinity_default_s : uint32_t(seconds);
}

class Planner {
public:
    Planner(ServicePlan& plan, uint32_t vni, uint32_t affinity_s = 0)
        : plan_(plan), vni_(vni), affinity_s_(affinity_s) {}

    // The rows of one address in one VPC: the address itself and its ports.
    void add_address(uint32_t vpc, const net::Address& address, const std::vector<Port>& ports, Reach reach,
                     uint32_t flags = 0) {
        plan_.frontends[abi::frontend_address_key(vpc, address)] = {std::nullopt, abi::FRONTEND_ADDRESS, vni_, 0};
        for (const Port& port : ports) add_port(vpc, address, port.number, port, reach, flags);
    }

    // Without the address itself: its other ports are somebody else's.
    void add_ports(uint32_t vpc, const net::Address& address, const std::vector<Port>& ports, Reach reach) {
        for (const Port& port : ports) add_port(vpc, address, port.number, port, reach, 0);
    }

    void add_node_ports(uint32_t vpc, const net::Address& address, const std::vector<Port>& ports, Reach reach) {
        for (const Port& port : ports)
            if (port.node_port != 0) add_port(vpc, address, port.node_port, port, reach, 0);
    }

private:
    void add_port(uint32_t vpc, const net::Address& address, uint16_t number, const Port& port, Reach reach,
                  uint32_t flags) {
        plan_.frontends[abi::frontend_key_of(vpc, address, number, port.protocol)] = {
            ListKey{port.number, uint8_t(port.protocol), reach, !address.is_v4()}, flags, vni_, affinity_s_};
    }

    ServicePlan& plan_;
    uint32_t vni_;
    uint32_t affinity_s_;
};

// From outside the external policy counts; on the node's own address and in the owner's VPC only the ports are taken.
void add_external_addresses(const kube::Object& service, const cloud::Vpc& vpc, const NodeSide& node,
                            const std::vector<Port>& ports, ServicePlan& plan, Planner& planner) {
    for (const net::Address& address : external_addresses(service)) {
        if (!has_family(service, address)) {
            plan.complaints.push_back("externalIPs: " + address.text() + ": the Service has no such family");
            continue;
        }
        const Reach reach = reach_of(service, "externalTrafficPolicy");
        const bool is_nodes = std::find(node.addresses.begin(), node.addresses.end(), address) != node.addresses.end();
        const abi::frontend_key row = abi::frontend_address_key(VPC_OUTSIDE, address);
        if (is_nodes || plan.frontends.contains(row)) {
            planner.add_ports(VPC_OUTSIDE, address, ports, reach);
        } else {
            planner.add_address(VPC_OUTSIDE, address, ports, reach);
            plan.frontends[row].flags |= frontend_is_external;
        }
        planner.add_ports(vpc.vni, address, ports, Reach::cluster);
    }
}

// A list that is empty here and not elsewhere: what names it is dropped, not refused (DP-4).
void mark_none_here(ServicePlan& plan, const std::set<ListKey>& none_here) {
    for (auto& [key, frontend] : plan.frontends)
        if (frontend.list && none_here.contains(*frontend.list)) frontend.flags |= abi::FRONTEND_NONE_HERE;
}

}  // namespace

std::vector<net::Address> service_addresses(const kube::Object& service) {
    std::vector<net::Address> addresses = cluster_addresses(service);
    for (const net::Address& address : balancer_addresses(service)) addresses.push_back(address);
    for (const net::Address& address : external_addresses(service)) addresses.push_back(address);
    return addresses;
}

ServicePlan plan_service(const kube::Object& service, std::span<const kube::ObjectPtr> slices, const cloud::Vpc& vpc,
                         const NodeSide& node) {
    ServicePlan plan;
    const std::string_view type = service.string({"spec", "type"});
    if (type == "ExternalName") return plan;
    const std::vector<Port> ports = ports_of(service, plan);
    Planner planner(plan, vpc.vni, affinity_of(service));
    const Reach from_outside = reach_of(service, "externalTrafficPolicy");
    for (const net::Address& address : cluster_addresses(service)) {
        // The DNS address is the service endpoint's own: delivered as it is, never translated.
        if (address == cloud::dns_address(vpc) || address == cloud::ipv6_dns_address(vpc)) continue;
        planner.add_address(vpc.vni, address, ports, reach_of(service, "internalTrafficPolicy"));
    }
    const std::vector<net::Address> balancers = balancer_addresses(service);
    uint32_t closed = 0;
    if (const auto ranges = balancers.empty() ? std::nullopt : source_ranges_of(service)) {
        plan.source_ranges = parse_ranges(*ranges, plan);
        closed = abi::FRONTEND_SOURCE_RANGES;
    }
    for (const net::Address& address : balancers) {
        planner.add_address(VPC_OUTSIDE, address, ports, from_outside, closed);
        planner.add_address(vpc.vni, address, ports, Reach::cluster, closed);  // DP-6: inside counts as internal
    }
    if (type == "NodePort" || type == "LoadBalancer") {
        for (const net::Address& address : node.addresses) {
            if (!has_family(service, address)) continue;
            planner.add_node_ports(VPC_OUTSIDE, address, ports, from_outside);
            planner.add_node_ports(vpc.vni, address, ports, Reach::cluster);
        }
    }
    add_external_addresses(service, vpc, node, ports, plan, planner);
    std::set<ListKey> wanted;
    for (const auto& [key, frontend] : plan.frontends)
        if (frontend.list) wanted.insert(*frontend.list);
    std::set<ListKey> none_here;
    for (const Port& port : ports) {
        for (const bool ipv6 : {false, true}) {
            const Targets targets = targets_of(slices, port, node, ipv6);
            for (const Reach reach : {Reach::cluster, Reach::local}) {
                const ListKey list{port.number, uint8_t(port.protocol), reach, ipv6};
                if (!wanted.contains(list)) continue;
                plan.lists[list] = choose(targets, port, vpc.vni, reach);
                if (auto rest = others(targets, port, vpc.vni, plan.lists[list]); !rest.empty())
                    plan.unchosen[list] = std::move(rest);
                if (reach == Reach::local && plan.lists[list].empty() &&
                    !choose(targets, port, vpc.vni, Reach::cluster).empty())
                    none_here.insert(list);
            }
        }
    }
    mark_none_here(plan, none_here);
    return plan;
}

ServicePlan plan_kubernetes(const kube::Object& service, std::span<const kube::ObjectPtr> slices,
                            std::span<const cloud::Vpc> vpcs, const HostBackend& host) {
    ServicePlan plan;
    const std::vector<Port> ports = ports_of(service, plan);
    for (const cloud::Vpc& vpc : vpcs)
        Planner(plan, host.vpc).add_address(vpc.vni, cloud::kubernetes_address(vpc), ports, Reach::cluster);
    for (const Port& port : ports) {
        std::vector<abi::backend>& list = plan.lists[ListKey{port.number, uint8_t(port.protocol), Reach::cluster}];
        for (const kube::ObjectPtr& slice : slices) {
            const auto number = target_port(*slice, port);
            if (!number || slice->array({"endpoints"}).empty()) continue;
            list.push_back({host.vpc, abi::to_abi(host.address), abi::to_abi_port(*number), uint8_t(port.protocol), 0});
        }
        std::sort(list.begin(), list.end());
        list.erase(std::unique(list.begin(), list.end()), list.end());
    }
    return plan;
}

}  // namespace weft::agent
