#include "controller/node_fit.h"

#include <algorithm>

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectPtr;

constexpr std::string_view hostname_label = "kubernetes.io/hostname";

bool tolerates(const Object& pod, const json::Value& taint) {
    for (const json::Value& toleration : pod.array({"spec", "tolerations"})) {
        const std::string_view key = json::find_string(toleration, {"key"});
        const std::string_view effect = json::find_string(toleration, {"effect"});
        if (!effect.empty() && effect != json::find_string(taint, {"effect"})) continue;
        if (!key.empty() && key != json::find_string(taint, {"key"})) continue;
        if (json::find_string(toleration, {"operator"}, "Equal") == "Exists" ||
            (!key.empty() && json::find_string(toleration, {"value"}) == json::find_string(taint, {"value"})))
            return true;
    }
    return false;
}

bool is_tainted_for(const Object& node, const Object& pod) {
    for (const json::Value& taint : node.array({"spec", "taints"})) {
        if (json::find_string(taint, {"effect"}) != "PreferNoSchedule" && !tolerates(pod, taint)) return true;
    }
    return false;
}

// No namespaces named: the pod's own.
bool is_in_scope(const json::Value& term, const Object& pod, const Object& other) {
    const auto namespaces = json::find_strings(term, {"namespaces"});
    if (namespaces.empty()) return other.ns() == pod.ns();
    return std::find(namespaces.begin(), namespaces.end(), other.ns()) != namespaces.end();
}

std::string place_of(const Object& node, std::string_view key) {
    const std::string_view value = node.label(key);
    return std::string(value.empty() && key == hostname_label ? node.name() : value);
}

struct HostPort {
    int64_t port;
    std::string protocol, address;  // "" = all of the node's

    bool clashes_with(const HostPort& other) const {
        return port == other.port && protocol == other.protocol &&
               (address.empty() || other.address.empty() || address == other.address);
    }
};

std::vector<HostPort> host_ports_of(const Object& pod) {
    std::vector<HostPort> wanted;
    for (const json::Value& container : pod.array({"spec", "containers"})) {
        const json::Array* const ports = json::find_array(container, {"ports"});
        for (size_t i = 0; ports != nullptr && i < ports->size(); ++i) {
            const int64_t port = json::find_int((*ports)[i], {"hostPort"});
            std::string address(json::find_string((*ports)[i], {"hostIP"}));
            if (address == "0.0.0.0" || address == "::") address.clear();
            if (port != 0)
                wanted.push_back(
                    {port, std::string(json::find_string((*ports)[i], {"protocol"}, "TCP")), std::move(address)});
        }
    }
    return wanted;
}

bool any_clash(const std::vector<HostPort>& wanted, const std::vector<HostPort>& had) {
    return std::any_of(wanted.begin(), wanted.end(), [&](const HostPort& one) {
        return std::any_of(had.begin(), had.end(), [&](const HostPort& other) { return one.clashes_with(other); });
    });
}

}  // namespace

NodeFit::NodeFit(const World& world, const Object& pod) : pod_(pod) {
    if (const auto wanted = host_ports_of(pod); !wanted.empty()) {
        world.pods.for_each([&](const ObjectPtr& other) {
            const std::string_view where = other->string({"spec", "nodeName"});
            if (where.empty() || is_terminal(*other) || other->uid() == pod.uid()) return;
            if (any_clash(wanted, host_ports_of(*other))) without_port_.emplace(where);
        });
    }
    for (const json::Value& term :
         pod.array({"spec", "affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution"})) {
        const json::Value* const selector = json::find(term, {"labelSelector"});
        const std::string key(json::find_string(term, {"topologyKey"}));
        if (selector == nullptr || key.empty()) continue;
        world.pods.for_each([&](const ObjectPtr& other) {
            const std::string_view where = other->string({"spec", "nodeName"});
            if (where.empty() || is_terminal(*other) || other->uid() == pod.uid()) return;
            if (!is_in_scope(term, pod, *other) || !kube::selector_matches(selector, other->labels())) return;
            const ObjectPtr node = world.nodes.get(where);
            const std::string place = node ? place_of(*node, key) : "";
            if (!place.empty()) avoided_.emplace(key, place);
        });
    }
}

std::string NodeFit::why_not(const Object& node) const {
    if (const std::string_view named = pod_.string({"spec", "nodeName"}); !named.empty())
        return node.name() == named ? "" : "not named in spec.nodeName";
    if (!is_ready(node)) return "not Ready";
    if (node.boolean({"spec", "unschedulable"})) return "unschedulable";
    if (const json::Value* const selector = pod_.find({"spec", "nodeSelector"});
        selector != nullptr && selector->is_object()) {
        if (!selector->get_object().empty() && !kube::map_selector_matches(selector, node.labels()))
            return "not matching spec.nodeSelector";
    }
    if (is_tainted_for(node, pod_)) return "tainted";
    if (without_port_.contains(node.name())) return "without free ports for the pod's hostPorts";
    for (const auto& [key, place] : avoided_)
        if (place_of(node, key) == place) return "with a pod that spec.affinity.podAntiAffinity avoids";
    return "";
}

}  // namespace weft::controller
