#include "apiserver/defaults_service.h"

#include "apiserver/service_families.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

bool is_external(const json::Value& spec) {
    const Text type = json::find_string(spec, {"type"}, "ClusterIP");
    const json::Array* ips = json::find_array(spec, {"externalIPs"});
    return type == "NodePort" || type == "LoadBalancer" || (type == "ClusterIP" && ips != nullptr && !ips->empty());
}

json::Array* ports_of(json::Value& spec) {
    json::Value* ports = spec.is_object() ? spec.get_object().if_contains("ports") : nullptr;
    return ports == nullptr ? nullptr : ports->if_array();
}

void default_ports(json::Value& spec) {
    json::Array* ports = ports_of(spec);
    for (size_t index = 0; ports != nullptr && index < ports->size(); index++) {
        json::Value& port = (*ports)[index];
        const json::Value* number = json::find(port, {"port"});
        const json::Value* target = json::find(port, {"targetPort"});
        const bool is_empty =
            target == nullptr || *target == 0 || (target->is_string() && target->get_string().empty());
        if (number != nullptr && is_empty) json::set(port, {"targetPort"}, *number);
    }
}

// A field that only the old type may have goes when the wish merely repeats it.
void drop_unchanged(json::Value& spec, const json::Value& before, Text field) {
    const json::Value* now = json::find(spec, {field});
    const json::Value* old = json::find(before, {field});
    if (now != nullptr && old != nullptr && *now == *old) json::erase(spec, {field});
}

const json::Value* stored_port_like(const json::Value& port, const json::Array& before) {
    const auto same = [&](const json::Value& other, Text field) {
        const json::Value* a = json::find(port, {field});
        const json::Value* b = json::find(other, {field});
        return a != nullptr && b != nullptr && *a == *b;
    };
    for (const json::Value& other : before) {
        if (same(other, "port") && same(other, "protocol")) return &other;
    }
    for (const json::Value& other : before) {
        if (same(other, "name")) return &other;
    }
    return nullptr;
}

// A load balancer that wants none any more keeps those that its wish still names (SVC-59).
void keep_or_drop_node_ports(json::Value& spec, const json::Value& before, Text type) {
    json::Array* ports = ports_of(spec);
    const json::Array* old_ports = json::find_array(before, {"ports"});
    if (ports == nullptr || old_ports == nullptr) return;
    const bool may_have = type == "NodePort" || type == "LoadBalancer";
    const bool wants =
        may_have && (type == "NodePort" || json::find_bool(spec, {"allocateLoadBalancerNodePorts"}, true));
    for (json::Value& port : *ports) {
        const json::Value* old = stored_port_like(port, *old_ports);
        const int64_t old_number = old == nullptr ? 0 : json::find_int(*old, {"nodePort"});
        const int64_t number = json::find_int(port, {"nodePort"});
        if (wants && number == 0 && old_number != 0) {
            json::set(port, {"nodePort"}, old_number);
        } else if (!may_have && number == old_number) {
            json::erase(port, {"nodePort"});
        }
    }
}

void keep_cluster_ips(json::Value& spec, const json::Value& before) {
    const std::string now(json::find_string(spec, {"clusterIP"}));
    const std::string old(json::find_string(before, {"clusterIP"}));
    const json::Value* old_list = json::find(before, {"clusterIPs"});
    if (now.empty() && !old.empty()) {
        json::set(spec, {"clusterIP"}, json::Value(old));
        if (!json::has(spec, {"clusterIPs"}) && old_list != nullptr) json::set(spec, {"clusterIPs"}, *old_list);
    }
    // A patch of clusterIP alone carries the old list along.
    const json::Value* list = json::find(spec, {"clusterIPs"});
    if (!now.empty() && (list == nullptr || (now != old && old_list != nullptr && *list == *old_list))) {
        json::set(spec, {"clusterIPs"}, json::Array{json::Value(now)});
    }
    for (const Text field : {Text("ipFamilies"), Text("ipFamilyPolicy")}) {
        const json::Value* kept = json::find(before, {field});
        if (!json::has(spec, {field}) && kept != nullptr) json::set(spec, {field}, *kept);
    }
    drop_second_family(spec, before);
}

}  // namespace

void default_service(json::Value& object) {
    json::Object* root = object.if_object();
    if (root == nullptr || !root->contains("spec") || !(*root)["spec"].is_object()) return;
    json::Value& spec = (*root)["spec"];
    const std::string type(json::find_string(spec, {"type"}, "ClusterIP"));  // a copy: spec grows below
    default_ports(spec);
    if (json::find_string(spec, {"sessionAffinity"}) == "ClientIP") {
        if (!json::has(spec, {"sessionAffinityConfig", "clientIP", "timeoutSeconds"})) {
            json::set(spec, {"sessionAffinityConfig", "clientIP", "timeoutSeconds"}, affinity_timeout_default_s);
        }
    } else {
        json::erase(spec, {"sessionAffinityConfig"});
    }
    const auto default_to = [&](Text field, json::Value value) {
        if (!json::has(spec, {field})) json::set(spec, {field}, std::move(value));
    };
    if (is_external(spec)) default_to("externalTrafficPolicy", "Cluster");
    if (type != "ExternalName") default_to("internalTrafficPolicy", "Cluster");
    if (type == "LoadBalancer") default_to("allocateLoadBalancerNodePorts", true);
    const std::string primary(json::find_string(spec, {"clusterIP"}));
    if (!primary.empty() && !json::has(spec, {"clusterIPs"})) {
        json::set(spec, {"clusterIPs"}, json::Array{json::Value(primary)});
    }
    json::Value* status = root->if_contains("status");
    const json::Array* ingress = status == nullptr ? nullptr : json::find_array(*status, {"loadBalancer", "ingress"});
    if (ingress == nullptr) return;
    json::Array filled = *ingress;
    for (json::Value& entry : filled) {
        if (!json::find_string(entry, {"ip"}).empty() && !json::has(entry, {"ipMode"}))
            json::set(entry, {"ipMode"}, "VIP");
    }
    json::set(*status, {"loadBalancer", "ingress"}, std::move(filled));
}

void keep_service_fields(json::Value& object, const json::Value& stored) {
    json::Object* root = object.if_object();
    const json::Value* before = json::find(stored, {"spec"});
    if (root == nullptr || before == nullptr || !root->contains("spec") || !(*root)["spec"].is_object()) return;
    json::Value& spec = (*root)["spec"];
    const std::string type(json::find_string(spec, {"type"}, "ClusterIP"));
    const std::string old_type(json::find_string(*before, {"type"}, "ClusterIP"));
    keep_or_drop_node_ports(spec, *before, type);
    if (type != "LoadBalancer" && old_type == "LoadBalancer") {
        for (const Text field : {Text("healthCheckNodePort"), Text("loadBalancerClass"),
                                 Text("allocateLoadBalancerNodePorts"), Text("loadBalancerSourceRanges")}) {
            drop_unchanged(spec, *before, field);
        }
    } else if (type == "LoadBalancer" && json::find_string(spec, {"externalTrafficPolicy"}) == "Local") {
        const int64_t kept = json::find_int(*before, {"healthCheckNodePort"});
        if (json::find_int(spec, {"healthCheckNodePort"}) == 0 && kept != 0)
            json::set(spec, {"healthCheckNodePort"}, kept);
    } else if (type == "LoadBalancer") {
        drop_unchanged(spec, *before, "healthCheckNodePort");
    }
    if (!is_external(spec)) drop_unchanged(spec, *before, "externalTrafficPolicy");
    if (type == "ExternalName" && old_type != "ExternalName") {
        for (const Text field : {Text("clusterIP"), Text("clusterIPs"), Text("ipFamilies"), Text("ipFamilyPolicy"),
                                 Text("internalTrafficPolicy")}) {
            drop_unchanged(spec, *before, field);
        }
    } else if (type != "ExternalName") {
        keep_cluster_ips(spec, *before);
    }
    // Last, because it may move spec.
    if (type != "LoadBalancer" && old_type == "LoadBalancer")
        json::set(object, {"status", "loadBalancer"}, json::Object{});
}

}  // namespace weft::apiserver
