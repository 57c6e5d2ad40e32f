#include "agent/service_plan.h"

#include <algorithm>
#include <set>

namespace weft::agent {
namespace {

struct Port {
    std::string name;
    uint16_t number = 0;
    net::Protocol protocol = net::Protocol::tcp;
};

struct Target {
    bool ready = false;
    bool serves_while_terminating = false;
    bool is_here = false;
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
        ports.push_back({std::string(json::find_string(entry, {"name"})), *number, *protocol});
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

Target target_of(const json::Value& endpoint, std::string_view node_name) {
    const bool ready = json::find_bool(endpoint, {"conditions", "ready"}, true);
    const bool serving = json::find_bool(endpoint, {"conditions", "serving"}, ready);
    const bool terminating = json::find_bool(endpoint, {"conditions", "terminating"}, false);
    return {ready, serving && terminating, json::find_string(endpoint, {"nodeName"}) == node_name};
}

// The union of all slices; the same address and port twice: the ready one counts.
Targets targets_of(std::span<const kube::ObjectPtr> slices, const Port& port, std::string_view node_name) {
    Targets targets;
    for (const kube::ObjectPtr& slice : slices) {
        const std::string_view type = slice->string({"addressType"});
        const auto number = target_port(*slice, port);
        if (!number || (type != "IPv4" && type != "IPv6")) continue;
        for (const json::Value& endpoint : slice->array({"endpoints"})) {
            const auto addresses = json::find_strings(endpoint, {"addresses"});
            const auto address =
                addresses.empty() ? Result<net::Address>(fail(Code::invalid, "")) : net::Address::parse(addresses[0]);
            if (!address) continue;
            const Target target = target_of(endpoint, node_name);
            const auto [at, is_new] = targets.try_emplace({*address, *number}, target);
            if (!is_new && target.ready && !at->second.ready) at->second = target;
        }
    }
    return targets;
}

std::vector<abi::backend> choose(const Targets& targets, const Port& port, uint32_t vni, Reach reach) {
    const auto collect = [&](bool Target::* wanted) {
        std::vector<abi::backend> chosen;
        for (const auto& [at, target] : targets) {
            if (!(target.*wanted) || (reach == Reach::local && !target.is_here)) continue;
            chosen.push_back({vni, abi::to_abi(at.first), abi::to_abi_port(at.second), uint8_t(port.protocol), 0});
        }
        return chosen;
    };
    std::vector<abi::backend> chosen = collect(&Target::ready);
    if (chosen.empty()) chosen = collect(&Target::serves_while_terminating);
    std::sort(chosen.begin(), chosen.end());
    return chosen;
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

Reach reach_of(const kube::Object& service, std::string_view field) {
    return service.string({"spec", field}) == "Local" ? Reach::local : Reach::cluster;
}

bool has_source_ranges(const kube::Object& service) {
    for (const json::Value& range : service.array({"spec", "loadBalancerSourceRanges"}))
        if (range.is_string() && json::view(range.get_string()) != "0.0.0.0/0") return true;
    return false;
}

class Planner {
public:
    Planner(ServicePlan& plan, uint32_t vni) : plan_(plan), vni_(vni) {}

    // The rows of one address in one VPC: the address itself and its ports.
    void add_address(uint32_t vpc, const net::Address& address, const std::vector<Port>& ports, Reach reach) {
        plan_.frontends[abi::frontend_address_key(vpc, address)] = {std::nullopt, abi::FRONTEND_ADDRESS, vni_};
        for (const Port& port : ports)
            plan_.frontends[abi::frontend_key_of(vpc, address, port.number, port.protocol)] = {
                ListKey{port.number, uint8_t(port.protocol), reach}, 0, vni_};
    }

private:
    ServicePlan& plan_;
    uint32_t vni_;
};

}  // namespace

std::vector<net::Address> service_addresses(const kube::Object& service) {
    std::vector<net::Address> addresses = cluster_addresses(service);
    for (const net::Address& address : balancer_addresses(service)) addresses.push_back(address);
    return addresses;
}

ServicePlan plan_service(const kube::Object& service, std::span<const kube::ObjectPtr> slices, const cloud::Vpc& vpc,
                         std::string_view node_name) {
    ServicePlan plan;
    if (service.string({"spec", "type"}) == "ExternalName") return plan;
    const std::vector<Port> ports = ports_of(service, plan);
    Planner planner(plan, vpc.vni);
    for (const net::Address& address : cluster_addresses(service)) {
        // The DNS address is the service endpoint's own: delivered as it is, never translated.
        if (address == cloud::dns_address(vpc)) continue;
        planner.add_address(vpc.vni, address, ports, reach_of(service, "internalTrafficPolicy"));
    }
    // What cannot be kept to its source ranges is not opened to the outside at all.
    const bool is_closed = has_source_ranges(service);
    if (is_closed)
        plan.complaints.push_back("spec.loadBalancerSourceRanges: not enforced yet, so nothing outside is let in");
    for (const net::Address& address : balancer_addresses(service)) {
        planner.add_address(VPC_OUTSIDE, address, is_closed ? std::vector<Port>() : ports,
                            reach_of(service, "externalTrafficPolicy"));
        planner.add_address(vpc.vni, address, ports, Reach::cluster);  // DP-6: inside counts as internal
    }
    std::set<ListKey> wanted;
    for (const auto& [key, frontend] : plan.frontends)
        if (frontend.list) wanted.insert(*frontend.list);
    for (const Port& port : ports) {
        const Targets targets = targets_of(slices, port, node_name);
        for (const Reach reach : {Reach::cluster, Reach::local}) {
            const ListKey list{port.number, uint8_t(port.protocol), reach};
            if (wanted.contains(list)) plan.lists[list] = choose(targets, port, vpc.vni, reach);
        }
    }
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
