// Service: SVC-20..SVC-45. Allocated fields (clusterIPs, nodePorts) are checked here for form; for being free, in
// admit.
#include <set>

#include "apiserver/schema.h"
#include "apiserver/service_families.h"
#include "apiserver/validate_rules.h"
#include "base/strings.h"
#include "net/address.h"

namespace weft::apiserver {

namespace {

constexpr int64_t affinity_timeout_s_max = 86400;

struct Spec {
    const json::Value& body;  // .spec

    std::string_view text(std::string_view name) const { return json::find_string(body, {name}); }
    bool has(std::string_view name) const { return json::has(body, {name}); }
    std::string_view type() const { return json::find_string(body, {"type"}, "ClusterIP"); }
    bool is_headless() const { return text("clusterIP") == "None"; }
    bool is_external_name() const { return type() == "ExternalName"; }
    bool is_load_balancer() const { return type() == "LoadBalancer"; }
    bool is_externally_reachable() const {
        const json::Array* ips = json::find_array(body, {"externalIPs"});
        return type() == "NodePort" || is_load_balancer() || (type() == "ClusterIP" && ips != nullptr && !ips->empty());
    }
};

bool is_port(const json::Value& value) {
    return value.is_int64() && value.get_int64() >= 1 && value.get_int64() <= 65535;
}

void validate_target_port(const json::Value* target, const std::string& field, FieldErrors& errors) {
    if (target == nullptr) return;
    if (target->is_string()) {
        expect(port_name_error(json::view(target->get_string())), field, *target, errors);
    } else if (!is_port(*target)) {
        errors.push_back(invalid_value(field, *target, port_range_text));
    }
}

void validate_ports(const Spec& spec, FieldErrors& errors) {
    static const json::Array none;
    const json::Array* given = json::find_array(spec.body, {"ports"});
    const json::Array& ports = given == nullptr ? none : *given;
    if (ports.empty() && !spec.is_headless() && !spec.is_external_name()) errors.push_back(required("spec.ports"));
    std::set<std::string, std::less<>> names;
    std::set<std::pair<std::string, int64_t>> numbers;
    std::set<std::pair<std::string, int64_t>> node_ports;
    for (size_t index = 0; index < ports.size(); index++) {
        const std::string where = field_path("spec.ports", index);
        const json::Value& port = ports[index];
        const std::string_view name = json::find_string(port, {"name"});
        const std::string protocol(json::find_string(port, {"protocol"}, "TCP"));
        if (name.empty()) {
            if (ports.size() > 1) errors.push_back(required(field_path(where, "name")));
        } else {
            expect(label_error(name), field_path(where, "name"), name, errors);
            if (!names.emplace(name).second) errors.push_back(duplicate(field_path(where, "name"), name));
        }
        if (const json::Value* number = json::find(port, {"port"})) {
            if (!is_port(*number)) {
                errors.push_back(invalid_value(field_path(where, "port"), *number, port_range_text));
            } else if (!numbers.emplace(protocol, number->get_int64()).second) {
                errors.push_back(
                    duplicate(where, json::Value(json::Object{{"port", *number}, {"protocol", protocol}})));
            }
        }
        validate_target_port(json::find(port, {"targetPort"}), field_path(where, "targetPort"), errors);
        if (const std::string_view spoken = json::find_string(port, {"appProtocol"}); !spoken.empty()) {
            expect(qualified_name_error(spoken), field_path(where, "appProtocol"), spoken, errors);
        }
        const json::Value* node_port = json::find(port, {"nodePort"});
        if (node_port == nullptr || *node_port == 0) continue;
        if (spec.type() == "ClusterIP") {
            errors.push_back(
                forbidden_field(field_path(where, "nodePort"), "may not be used when `type` is 'ClusterIP'"));
        } else if (!is_port(*node_port)) {
            errors.push_back(invalid_value(field_path(where, "nodePort"), *node_port, port_range_text));
        } else if (!node_ports.emplace(protocol, node_port->get_int64()).second) {
            errors.push_back(duplicate(field_path(where, "nodePort"), *node_port));
        }
    }
}

void validate_external_name(const Spec& spec, FieldErrors& errors) {
    const std::string_view name = spec.text("externalName");
    if (name.empty()) {
        errors.push_back(required("spec.externalName"));
    } else {
        const bool has_dot = name.size() > 1 && name.back() == '.';
        expect(subdomain_error(has_dot ? name.substr(0, name.size() - 1) : name), "spec.externalName", name, errors);
    }
    const json::Array* ips = json::find_array(spec.body, {"clusterIPs"});
    if ((ips != nullptr && !ips->empty()) || !spec.text("clusterIP").empty()) {
        errors.push_back(forbidden_field("spec.clusterIPs", "may not be set for ExternalName services"));
    }
    if (const json::Array* families = json::find_array(spec.body, {"ipFamilies"});
        families != nullptr && !families->empty()) {
        errors.push_back(forbidden_field("spec.ipFamilies", "may not be set for ExternalName services"));
    }
    if (spec.has("ipFamilyPolicy")) {
        errors.push_back(forbidden_field("spec.ipFamilyPolicy", "may not be set for ExternalName services"));
    }
}

void validate_affinity(const Spec& spec, FieldErrors& errors) {
    const json::Value* seconds = json::find(spec.body, {"sessionAffinityConfig", "clientIP", "timeoutSeconds"});
    if (spec.text("sessionAffinity") == "ClientIP") {
        if (seconds == nullptr) {
            errors.push_back(required("spec.sessionAffinityConfig.clientIP.timeoutSeconds"));
        } else if (!seconds->is_int64() || seconds->get_int64() < 1 || seconds->get_int64() > affinity_timeout_s_max) {
            errors.push_back(
                invalid_value("spec.sessionAffinityConfig.clientIP.timeoutSeconds", *seconds,
                              fmt::format("must be greater than 0 and less than {}", affinity_timeout_s_max)));
        }
    } else if (spec.has("sessionAffinityConfig")) {
        errors.push_back(
            forbidden_field("spec.sessionAffinityConfig", "must not be set when session affinity is None"));
    }
}

void validate_cluster_ips(const Spec& spec, FieldErrors& errors) {
    if (spec.is_external_name()) return;
    if (spec.is_headless() && spec.type() != "ClusterIP") {
        errors.push_back(invalid_value("spec.clusterIPs[0]", "None",
                                       fmt::format("may not be set to 'None' for {} services", spec.type())));
    }
    const std::vector<std::string> ips = json::find_strings(spec.body, {"clusterIPs"});
    const std::string_view primary = spec.text("clusterIP");
    if (!ips.empty() && ips[0] != primary) {
        errors.push_back(invalid_value("spec.clusterIPs", *json::find(spec.body, {"clusterIPs"}),
                                       "first value must match `clusterIP`"));
    }
    if (ips.size() > 2)
        errors.push_back(
            invalid_value("spec.clusterIPs", *json::find(spec.body, {"clusterIPs"}), "may only hold up to 2 values"));
    std::set<bool> families;
    for (size_t index = 0; index < ips.size(); index++) {
        const std::string where = field_path("spec.clusterIPs", index);
        if (ips[index] == "None") {
            if (ips.size() > 1)
                errors.push_back(invalid_value(where, ips[index], "'None' must be the first and only value"));
            continue;
        }
        const auto address = net::Address::parse(ips[index]);
        if (!address) {
            errors.push_back(
                invalid_value(where, ips[index], "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
        } else if (!families.insert(address->is_v4()).second) {
            errors.push_back(invalid_value("spec.clusterIPs", *json::find(spec.body, {"clusterIPs"}),
                                           "may specify no more than one IP for each IP family"));
        }
    }
    std::set<std::string> given;
    const std::vector<std::string> names = json::find_strings(spec.body, {"ipFamilies"});
    for (size_t index = 0; index < names.size(); index++) {
        const std::string where = field_path("spec.ipFamilies", index);
        if (names[index] != "IPv4" && names[index] != "IPv6") {
            errors.push_back(not_supported(where, names[index], {"IPv4", "IPv6"}));
        } else if (!given.insert(names[index]).second) {
            errors.push_back(duplicate(where, names[index]));
        }
    }
    for (size_t index = 0; index < std::min(ips.size(), names.size()); index++) {
        const auto address = net::Address::parse(ips[index]);
        if (address && address->is_v4() != (names[index] == "IPv4")) {
            errors.push_back(invalid_value(
                field_path("spec.clusterIPs", index), ips[index],
                fmt::format("expected an {} value as indicated by `ipFamilies[{}]`", names[index], index)));
        }
    }
}

// Host bits may be set: the prefix is meant.
bool is_range(std::string_view text) {
    const size_t slash = text.find('/');
    const auto address = net::Address::parse(text.substr(0, slash));
    const auto bits = slash == text.npos ? std::nullopt : parse_unsigned(text.substr(slash + 1));
    return address && bits && *bits <= (address->is_v4() ? 32u : 128u);
}

void validate_addresses(const Spec& spec, const json::Value& object, FieldErrors& errors) {
    if (const json::Array* ips = json::find_array(spec.body, {"externalIPs"})) {
        for (size_t index = 0; index < ips->size(); index++) {
            validate_endpoint_address((*ips)[index], field_path("spec.externalIPs", index), errors);
        }
    }
    const std::vector<std::string> ranges = json::find_strings(spec.body, {"loadBalancerSourceRanges"});
    static constexpr std::string_view annotation = "service.beta.kubernetes.io/load-balancer-source-ranges";
    const std::string_view annotated = json::find_string(object, {"metadata", "annotations", annotation});
    const std::string where =
        ranges.empty() ? key_path("metadata.annotations", annotation) : "spec.loadBalancerSourceRanges";
    if (ranges.empty() && annotated.empty()) return;
    if (!spec.is_load_balancer())
        errors.push_back(forbidden_field(where, "may only be used when `type` is 'LoadBalancer'"));
    const auto check = [&](std::string_view range, const std::string& field) {
        if (!is_range(trim(range))) {
            errors.push_back(
                invalid_value(field, range, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
        }
    };
    for (size_t index = 0; index < ranges.size(); index++) check(ranges[index], field_path(where, index));
    if (!ranges.empty()) return;
    for (const std::string_view range : split_list(annotated)) check(range, where);
}

void only_for(bool is_right, std::string_view field, std::string_view when, const Spec& spec, FieldErrors& errors) {
    if (spec.has(field) && !is_right) {
        errors.push_back(forbidden_field(field_path("spec", field), fmt::format("may only be {}", when)));
    }
}

void validate_policies(const Spec& spec, const json::Value& object, FieldErrors& errors) {
    const bool is_lb = spec.is_load_balancer();
    only_for(is_lb, "allocateLoadBalancerNodePorts", "used when `type` is 'LoadBalancer'", spec, errors);
    if (is_lb && !spec.has("allocateLoadBalancerNodePorts")) {
        errors.push_back(required("spec.allocateLoadBalancerNodePorts"));
    }
    only_for(spec.is_externally_reachable(), "externalTrafficPolicy", "set for externally-accessible services", spec,
             errors);
    const bool needs_health_port = is_lb && spec.text("externalTrafficPolicy") == "Local";
    const json::Value* health_port = json::find(spec.body, {"healthCheckNodePort"});
    if (health_port != nullptr && *health_port != 0) {
        if (!needs_health_port) {
            errors.push_back(forbidden_field(
                "spec.healthCheckNodePort",
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"));
        } else if (!is_port(*health_port)) {
            errors.push_back(invalid_value("spec.healthCheckNodePort", *health_port, port_range_text));
        }
    }
    if (!spec.has("internalTrafficPolicy") && !spec.is_external_name()) {
        errors.push_back(required("spec.internalTrafficPolicy"));
    }
    only_for(is_lb, "loadBalancerClass", "used when `type` is 'LoadBalancer'", spec, errors);
    if (const std::string_view name = spec.text("loadBalancerClass"); is_lb && !name.empty()) {
        expect(qualified_name_error(name), "spec.loadBalancerClass", name, errors);
    }
    const json::Value* mode = json::find(object, {"metadata", "annotations", "service.kubernetes.io/topology-mode"});
    const json::Value* hints =
        json::find(object, {"metadata", "annotations", "service.kubernetes.io/topology-aware-hints"});
    if (mode != nullptr && hints != nullptr && *mode != *hints) {
        errors.push_back(invalid_value("metadata.annotations[service.kubernetes.io/topology-mode]", *mode,
                                       "must match annotations[service.kubernetes.io/topology-aware-hints]"));
    }
}

void validate_service_change(const Spec& spec, const Spec& before, FieldErrors& errors) {
    const bool crosses_external_name = spec.is_external_name() || before.is_external_name();
    if (!crosses_external_name && !before.text("clusterIP").empty() &&
        spec.text("clusterIP") != before.text("clusterIP")) {
        errors.push_back(invalid_value("spec.clusterIPs[0]", spec.text("clusterIP"), immutable_text));
    }
    if (!crosses_external_name) validate_family_change(spec.body, before.body, errors);
    if (spec.is_load_balancer() && before.is_load_balancer()) {
        if (spec.text("loadBalancerClass") != before.text("loadBalancerClass")) {
            errors.push_back(
                invalid_value("spec.loadBalancerClass", spec.text("loadBalancerClass"), "may not change once set"));
        }
        const int64_t port = json::find_int(spec.body, {"healthCheckNodePort"});
        const int64_t port_before = json::find_int(before.body, {"healthCheckNodePort"});
        if (port != 0 && port_before != 0 && port != port_before) {
            errors.push_back(forbidden_field("spec.healthCheckNodePort", immutable_text));
        }
    }
}

}  // namespace

void validate_service(const json::Value& object, Stored stored, FieldErrors& errors) {
    const json::Value* body = json::find(object, {"spec"});
    if (body == nullptr || !body->is_object()) {
        errors.push_back(required("spec"));
        return;
    }
    const Spec spec{*body};
    validate_ports(spec, errors);
    validate_labels(json::find(spec.body, {"selector"}), "spec.selector", errors);
    validate_affinity(spec, errors);
    if (spec.is_external_name()) validate_external_name(spec, errors);
    validate_cluster_ips(spec, errors);
    validate_addresses(spec, object, errors);
    validate_policies(spec, object, errors);
    const json::Value* before = stored == nullptr ? nullptr : json::find(*stored, {"spec"});
    if (before != nullptr) validate_service_change(spec, Spec{*before}, errors);
    validate_load_balancer_status(object, errors);
    const json::Array* ingress = json::find_array(object, {"status", "loadBalancer", "ingress"});
    const bool status_changes = stored != nullptr && json::find(*stored, {"status"}) != nullptr &&
                                *json::find(*stored, {"status"}) != *json::find(object, {"status"});
    if (!spec.is_load_balancer() && status_changes && ingress != nullptr && !ingress->empty()) {
        errors.push_back(
            forbidden_field("status.loadBalancer.ingress", "may only be used when `spec.type` is \"LoadBalancer\""));
    }
}

}  // namespace weft::apiserver
