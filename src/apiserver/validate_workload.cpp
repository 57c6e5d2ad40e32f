// Pod, Deployment, ReplicaSet, ConfigMap and Secret: the rules between fields.
#include <set>

#include "apiserver/schema.h"
#include "apiserver/validate_rules.h"
#include "kube/object.h"
#include "base/strings.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

constexpr size_t config_bytes_max = 1024 * 1024;

const json::Array& array_of(const json::Value& value, json::Path path) {
    static const json::Array none;
    const json::Array* found = json::find_array(value, path);
    return found == nullptr ? none : *found;
}

void validate_probe_port(const json::Value& container, Text probe, const std::string& where, FieldErrors& errors) {
    static constexpr Text handlers[] = {"exec", "httpGet", "tcpSocket", "grpc"};
    const json::Value* found = json::find(container, {probe});
    if (found == nullptr) return;
    const std::string field = field_path(where, probe);
    int count = 0;
    for (const Text handler : handlers) count += json::has(*found, {handler});
    if (count == 0) errors.push_back(required(field, "must specify a handler type"));
    if (count > 1) errors.push_back(forbidden_field(field, "may not specify more than 1 handler type"));
    for (const Text handler : {Text("httpGet"), Text("tcpSocket")}) {
        const json::Value* port = json::find(*found, {handler, "port"});
        if (port == nullptr) continue;
        const std::string at = field_path(field_path(field, handler), "port");
        if (port->is_string()) {
            expect(port_name_error(json::view(port->get_string())), at, *port, errors);
        } else if (!port->is_int64() || port->get_int64() < 1 || port->get_int64() > 65535) {
            errors.push_back(invalid_value(at, *port, port_range_text));
        }
    }
    if (probe != "readinessProbe" && json::find_int(*found, {"successThreshold"}, 1) != 1) {
        errors.push_back(invalid_value(field_path(field, "successThreshold"), *json::find(*found, {"successThreshold"}),
                                       "must be 1"));
    }
}

void validate_container(const json::Value& container, const std::set<std::string, std::less<>>& volumes, bool is_init,
                        const std::string& where, FieldErrors& errors) {
    const Text name = json::find_string(container, {"name"});
    if (name.empty()) {
        if (json::has(container, {"name"})) errors.push_back(required(field_path(where, "name")));
    } else {
        expect(label_error(name), field_path(where, "name"), name, errors);
    }
    const Text image = json::find_string(container, {"image"});
    if (image.empty()) {
        errors.push_back(required(field_path(where, "image")));
    } else if (trim(image) != image) {
        errors.push_back(
            invalid_value(field_path(where, "image"), image, "must not have leading or trailing whitespace"));
    }
    std::set<std::string, std::less<>> port_names;
    const json::Array& ports = array_of(container, {"ports"});
    for (size_t index = 0; index < ports.size(); index++) {
        const Text port_name = json::find_string(ports[index], {"name"});
        const std::string field = field_path(field_path(field_path(where, "ports"), index), "name");
        if (port_name.empty()) continue;
        expect(port_name_error(port_name), field, port_name, errors);
        if (!port_names.emplace(port_name).second) errors.push_back(duplicate(field, port_name));
    }
    const json::Array& variables = array_of(container, {"env"});
    for (size_t index = 0; index < variables.size(); index++) {
        const std::string field = field_path(field_path(where, "env"), index);
        const Text variable = json::find_string(variables[index], {"name"});
        if (variable.empty() || variable.find('=') != variable.npos) {
            errors.push_back(invalid_value(field_path(field, "name"), variable,
                                           "a valid environment variable name must consist only of printable ASCII "
                                           "characters other than '='"));
        }
        if (!json::find_string(variables[index], {"value"}).empty() && json::has(variables[index], {"valueFrom"})) {
            errors.push_back(
                invalid_value(field_path(field, "valueFrom"), "", "may not be specified when `value` is not empty"));
        }
    }
    const json::Array& mounts = array_of(container, {"volumeMounts"});
    for (size_t index = 0; index < mounts.size(); index++) {
        const Text volume = json::find_string(mounts[index], {"name"});
        if (!volumes.contains(volume)) {
            errors.push_back(
                not_found_value(field_path(field_path(field_path(where, "volumeMounts"), index), "name"), volume));
        }
    }
    if (const json::Object* requests = json::find_object(container, {"resources", "requests"})) {
        for (const auto& [resource, amount] : *requests) {
            if (amount.is_int64() && amount.get_int64() < 0) {
                errors.push_back(invalid_value(key_path(field_path(where, "resources.requests"), Text(resource)),
                                               amount, "must be greater than or equal to 0"));
            }
        }
    }
    const bool probes_allowed = !is_init || json::find_string(container, {"restartPolicy"}) == "Always";
    for (const Text probe : {Text("livenessProbe"), Text("readinessProbe"), Text("startupProbe")}) {
        if (!probes_allowed && json::has(container, {probe})) {
            errors.push_back(forbidden_field(field_path(where, probe),
                                             "may not be set for init containers without restartPolicy=Always"));
        }
        validate_probe_port(container, probe, where, errors);
    }
}

void validate_pod_spec(const json::Value& spec, const std::string& where, FieldErrors& errors) {
    std::set<std::string, std::less<>> volumes;
    const json::Array& given = array_of(spec, {"volumes"});
    for (size_t index = 0; index < given.size(); index++) {
        const std::string field = field_path(field_path(where, "volumes"), index);
        const Text name = json::find_string(given[index], {"name"});
        expect(label_error(name), field_path(field, "name"), name, errors);
        volumes.emplace(name);
        const size_t sources = given[index].is_object() ? given[index].get_object().size() - 1 : 0;
        if (sources > 1) errors.push_back(forbidden_field(field, "may not specify more than 1 volume type"));
    }
    const json::Array& containers = array_of(spec, {"containers"});
    if (containers.empty() && json::has(spec, {"containers"}))
        errors.push_back(required(field_path(where, "containers")));
    std::set<std::string, std::less<>> names;
    for (const Text list : {Text("initContainers"), Text("containers")}) {
        const json::Array& members = array_of(spec, {list});
        for (size_t index = 0; index < members.size(); index++) {
            const std::string field = field_path(field_path(where, list), index);
            validate_container(members[index], volumes, list == "initContainers", field, errors);
            const Text name = json::find_string(members[index], {"name"});
            // Within one list the schema's map keys say it; here a container named like an init container.
            if (!names.emplace(name).second && list == "containers") {
                bool is_in_other = false;
                for (const json::Value& init : array_of(spec, {"initContainers"})) {
                    is_in_other |= json::find_string(init, {"name"}) == name;
                }
                if (is_in_other) errors.push_back(duplicate(field_path(field, "name"), name));
            }
        }
    }
    for (const Text field : {Text("hostname"), Text("subdomain")}) {
        if (const Text text = json::find_string(spec, {field}); !text.empty()) {
            expect(label_error(text), field_path(where, field), text, errors);
        }
    }
    for (const Text field : {Text("nodeName"), Text("serviceAccountName")}) {
        if (const Text text = json::find_string(spec, {field}); !text.empty()) {
            expect(subdomain_error(text), field_path(where, field), text, errors);
        }
    }
    validate_labels(json::find(spec, {"nodeSelector"}), field_path(where, "nodeSelector"), errors);
    if (json::find_string(spec, {"dnsPolicy"}) == "None" && array_of(spec, {"dnsConfig", "nameservers"}).empty()) {
        errors.push_back(required(field_path(where, "dnsConfig.nameservers"),
                                  "must provide at least one DNS nameserver when `dnsPolicy` is None"));
    }
}

void validate_pod_template(const json::Value& spec, bool always_restarts, FieldErrors& errors) {
    const json::Value* pod = json::find(spec, {"template", "spec"});
    validate_labels(json::find(spec, {"template", "metadata", "labels"}), "spec.template.metadata.labels", errors);
    if (pod == nullptr) return;
    validate_pod_spec(*pod, "spec.template.spec", errors);
    const Text policy = json::find_string(*pod, {"restartPolicy"}, "Always");
    if (always_restarts && policy != "Always") {
        errors.push_back(not_supported("spec.template.spec.restartPolicy", policy, {"Always"}));
    }
}

void validate_own_selector(const json::Value& object, Stored stored, FieldErrors& errors) {
    const json::Value* selector = json::find(object, {"spec", "selector"});
    if (selector == nullptr) return;
    validate_selector(selector, "spec.selector", errors);
    const json::Object* labels = json::find_object(*selector, {"matchLabels"});
    const bool is_empty = (labels == nullptr || labels->empty()) && array_of(*selector, {"matchExpressions"}).empty();
    if (is_empty) {
        errors.push_back(invalid_value("spec.selector", *selector, "empty selector is invalid for deployment"));
        return;
    }
    const json::Value* given = json::find(object, {"spec", "template", "metadata", "labels"});
    kube::Labels template_labels;
    if (given != nullptr && given->is_object()) {
        for (const auto& [name, value] : given->get_object()) {
            if (value.is_string()) template_labels[std::string(name)] = std::string(json::view(value.get_string()));
        }
    }
    if (!kube::selector_matches(selector, template_labels)) {
        errors.push_back(invalid_value("spec.template.metadata.labels",
                                       given == nullptr ? json::Value(json::Object{}) : *given,
                                       "`selector` does not match template `labels`"));
    }
    if (stored != nullptr && json::find(*stored, {"spec", "selector"}) != nullptr &&
        *json::find(*stored, {"spec", "selector"}) != *selector) {
        errors.push_back(invalid_value("spec.selector", *selector, immutable_text));
    }
}

std::optional<int64_t> count_or_percent(const json::Value* value) {
    if (value == nullptr) return 0;
    if (value->is_int64()) return value->get_int64();
    if (!value->is_string()) return std::nullopt;
    const Text text = json::view(value->get_string());
    if (!text.ends_with('%')) return std::nullopt;
    const auto number = parse_unsigned(text.substr(0, text.size() - 1));
    return number ? std::optional<int64_t>(int64_t(*number)) : std::nullopt;
}

}  // namespace

void validate_deployment(const json::Value& object, Stored stored, FieldErrors& errors) {
    validate_own_selector(object, stored, errors);
    validate_pod_template(*json::find(object, {"spec"}), true, errors);
    const json::Value* rolling = json::find(object, {"spec", "strategy", "rollingUpdate"});
    if (json::find_string(object, {"spec", "strategy", "type"}) == "Recreate") {
        if (rolling != nullptr) {
            errors.push_back(forbidden_field("spec.strategy.rollingUpdate",
                                             "may not be specified when strategy `type` is 'Recreate'"));
        }
        return;
    }
    if (rolling == nullptr) return;
    bool all_zero = true;
    for (const Text field : {Text("maxUnavailable"), Text("maxSurge")}) {
        const json::Value* value = json::find(*rolling, {field});
        const auto count = count_or_percent(value);
        if (!count || *count < 0) {
            errors.push_back(invalid_value(field_path("spec.strategy.rollingUpdate", field), *value,
                                           "must be a non-negative number or a percentage (e.g. '25%')"));
        }
        all_zero &= count.has_value() && *count == 0;
    }
    if (all_zero) {
        errors.push_back(invalid_value("spec.strategy.rollingUpdate.maxUnavailable", int64_t(0),
                                       "may not be 0 when `maxSurge` is 0"));
    }
}

void validate_replica_set(const json::Value& object, Stored stored, FieldErrors& errors) {
    validate_own_selector(object, stored, errors);
    validate_pod_template(*json::find(object, {"spec"}), true, errors);
}

void validate_stateful_set(const json::Value& object, Stored stored, FieldErrors& errors) {
    validate_own_selector(object, nullptr, errors);
    validate_pod_template(*json::find(object, {"spec"}), true, errors);
    if (const Text service = json::find_string(object, {"spec", "serviceName"}); !service.empty())
        expect(label_error(service), "spec.serviceName", service, errors);
    if (json::find_string(object, {"spec", "updateStrategy", "type"}) == "OnDelete" &&
        json::has(object, {"spec", "updateStrategy", "rollingUpdate"})) {
        errors.push_back(invalid_value("spec.updateStrategy.rollingUpdate",
                                       *json::find(object, {"spec", "updateStrategy", "rollingUpdate"}),
                                       "only allowed for updateStrategy 'RollingUpdate'"));
    }
    if (const json::Value* missing =
            json::find(object, {"spec", "updateStrategy", "rollingUpdate", "maxUnavailable"})) {
        const auto count = count_or_percent(missing);
        if (!count || *count <= 0) {
            errors.push_back(invalid_value("spec.updateStrategy.rollingUpdate.maxUnavailable", *missing,
                                           "must be a positive number or a percentage (e.g. '25%')"));
        }
    }
    if (stored == nullptr || json::find_object(*stored, {"spec"}) == nullptr) return;
    // A set's pods carry its name and claims, so what they are made of is fixed.
    json::Value now = *json::find(object, {"spec"});
    json::Value before = *json::find(*stored, {"spec"});
    for (json::Value* side : {&now, &before}) {
        for (const Text field :
             {Text("replicas"), Text("ordinals"), Text("template"), Text("updateStrategy"),
              Text("revisionHistoryLimit"), Text("persistentVolumeClaimRetentionPolicy"), Text("minReadySeconds")}) {
            json::erase(*side, {field});
        }
    }
    if (now != before) {
        errors.push_back(forbidden_field(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
            "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"));
    }
}

void validate_pod(const json::Value& object, Stored stored, FieldErrors& errors) {
    const json::Value* spec = json::find(object, {"spec"});
    if (spec == nullptr) return;
    validate_pod_spec(*spec, "spec", errors);
    if (stored == nullptr || json::find(*stored, {"spec"}) == nullptr) return;
    // What may change in a running pod: images, deadlines, tolerations, node (once), what the server fills in.
    json::Value now = *spec;
    json::Value before = *json::find(*stored, {"spec"});
    for (const Text list : {Text("containers"), Text("initContainers")}) {
        for (json::Value* side : {&now, &before}) {
            json::Array* members = side->get_object().contains(list) ? (*side).get_object()[list].if_array() : nullptr;
            if (members == nullptr) continue;
            for (json::Value& member : *members) json::erase(member, {"image"});
        }
    }
    const bool was_bound = !json::find_string(before, {"nodeName"}).empty();
    for (json::Value* side : {&now, &before}) {
        for (const Text field : {Text("activeDeadlineSeconds"), Text("tolerations"),
                                 Text("terminationGracePeriodSeconds"), Text("schedulingGates"),
                                 Text("ephemeralContainers"), Text("serviceAccount"), Text("serviceAccountName")}) {
            json::erase(*side, {field});
        }
        if (!was_bound) json::erase(*side, {"nodeName"});
    }
    if (now != before) {
        errors.push_back(forbidden_field(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`, "
            "`spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to "
            "existing tolerations) or `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
            "previously negative)"));
    }
}

void validate_config_data(const json::Value& object, Stored stored, FieldErrors& errors) {
    size_t bytes = 0;
    std::set<std::string, std::less<>> keys;
    for (const Text field : {Text("data"), Text("binaryData")}) {
        const json::Object* data = json::find_object(object, {field});
        if (data == nullptr) continue;
        for (const auto& [name, value] : *data) {
            const std::string where = key_path(field, Text(name));
            const bool is_key =
                !name.empty() && name.size() <= 253 && Text(name) != "." && !Text(name).starts_with("..") &&
                Text(name).find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
                    Text::npos;
            if (!is_key) {
                errors.push_back(invalid_value(
                    where, Text(name), "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"));
            }
            if (!keys.emplace(name).second) {
                errors.push_back(invalid_value(where, Text(name), "duplicate of key present in data"));
            }
            bytes += value.is_string() ? value.get_string().size() : 0;
        }
    }
    if (bytes > config_bytes_max)
        errors.push_back(too_long("data", fmt::format("may not be more than {} bytes", config_bytes_max)));
    const Text type = json::find_string(object, {"type"});
    if (type == "kubernetes.io/tls") {
        for (const Text key : {Text("tls.crt"), Text("tls.key")}) {
            if (!keys.contains(key)) errors.push_back(required(key_path("data", key)));
        }
    }
    if (stored == nullptr) return;
    if (json::find_string(object, {"type"}) != json::find_string(*stored, {"type"})) {
        errors.push_back(invalid_value("type", json::find_string(object, {"type"}), immutable_text));
    }
    if (!json::find_bool(*stored, {"immutable"})) return;
    const auto differs = [&](Text field) {
        const json::Value* now = json::find(object, {field});
        const json::Value* before = json::find(*stored, {field});
        return (now == nullptr) != (before == nullptr) || (now != nullptr && *now != *before);
    };
    for (const Text field : {Text("immutable"), Text("data"), Text("binaryData")}) {
        if (differs(field))
            errors.push_back(forbidden_field(std::string(field), "field is immutable when `immutable` is set"));
    }
}

}  // namespace weft::apiserver
