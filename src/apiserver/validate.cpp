// The entry of validation, the metadata rules (API-33..41) and the builders of causes.
#include "apiserver/validate.h"

#include <set>

#include "apiserver/schema.h"
#include "apiserver/validate_rules.h"
#include "base/strings.h"

namespace weft::apiserver {

namespace {

std::string with_detail(std::string text, std::string_view detail) {
    return detail.empty() ? text : fmt::format("{}: {}", text, detail);
}

}  // namespace

Shown::Shown(const json::Value& value) : text(json::serialize(value).substr(0, shown_bytes_max)) {}

Shown::Shown(std::string_view value) : text(json::serialize(json::Value(value)).substr(0, shown_bytes_max)) {}

FieldError required(std::string field, std::string_view detail) {
    return {"FieldValueRequired", std::move(field), with_detail("Required value", detail)};
}

FieldError invalid_value(std::string field, const Shown& value, std::string_view detail) {
    return {"FieldValueInvalid", std::move(field), with_detail("Invalid value: " + value.text, detail)};
}

FieldError type_invalid(std::string field, const Shown& value, std::string_view detail) {
    return {"FieldValueTypeInvalid", std::move(field), with_detail("Invalid value: " + value.text, detail)};
}

FieldError not_supported(std::string field, const Shown& value, const std::vector<std::string>& supported) {
    std::string list;
    for (const std::string& one : supported) list += (list.empty() ? "\"" : ", \"") + one + "\"";
    return {"FieldValueNotSupported", std::move(field),
            fmt::format("Unsupported value: {}: supported values: {}", value.text, list)};
}

FieldError duplicate(std::string field, const Shown& value) {
    return {"FieldValueDuplicate", std::move(field), "Duplicate value: " + value.text};
}

FieldError not_found_value(std::string field, const Shown& value) {
    return {"FieldValueNotFound", std::move(field), "Not found: " + value.text};
}

FieldError forbidden_field(std::string field, std::string_view detail) {
    return {"FieldValueForbidden", std::move(field), with_detail("Forbidden", detail)};
}

FieldError too_long(std::string field, std::string_view detail) {
    return {"FieldValueTooLong", std::move(field), with_detail("Too long", detail)};
}

FieldError too_many(std::string field, size_t actual, size_t most) {
    return {"FieldValueTooMany", std::move(field),
            fmt::format("Too many: {}: must have at most {} items", actual, most)};
}

namespace {

void validate_spec(const Kind& kind, const json::Value& object, const json::Value* stored, FieldErrors& errors) {
    using Rule = void (*)(const json::Value&, const json::Value*, FieldErrors&);
    static const std::map<std::string_view, Rule> rules = {
        {"Service", validate_service},
        {"EndpointSlice.discovery.k8s.io", validate_endpoint_slice},
        {"Endpoints", validate_endpoints},
        {"Ingress.networking.k8s.io", validate_ingress},
        {"IngressClass.networking.k8s.io", validate_ingress_class},
        {"Pod", validate_pod},
        {"Deployment.apps", validate_deployment},
        {"ReplicaSet.apps", validate_replica_set},
        {"StatefulSet.apps", validate_stateful_set},
        {"ConfigMap", validate_config_data},
        {"Secret", validate_config_data},
        {"CustomResourceDefinition.apiextensions.k8s.io", validate_crd},
        {"VPC.weft.dev", validate_vpc},
        {"VSwitch.weft.dev", validate_vswitch},
        {"AddressPool.weft.dev", validate_address_pool},
        {"SecurityGroup.weft.dev", validate_security_group},
        {"RouteTable.weft.dev", validate_route_table},
        {"VPCPeering.weft.dev", validate_vpc_peering},
        {"PodNetworking.network.alibabacloud.com", validate_pod_networking},
    };
    const auto rule = rules.find(kind.group_kind());
    if (rule != rules.end() && (!kind.custom || kind.embedded)) rule->second(object, stored, errors);
}

// The schema speaks first; rules that read the object's fields are only asked about one whose types are right.
FieldErrors validate(const Kind& kind, const json::Value& object, const json::Value* stored) {
    FieldErrors errors;
    const json::Value* metadata = json::find(object, {"metadata"});
    const json::Value empty = json::Object{};
    FieldErrors schema_errors;
    validate_schema(*kind.schema, object, "", schema_errors, stored, kind.custom && !kind.embedded);
    const auto has_wrong_type = [](const FieldError& error) { return error.reason == "FieldValueTypeInvalid"; };
    const bool is_readable = std::none_of(schema_errors.begin(), schema_errors.end(), has_wrong_type);
    if (is_readable) validate_metadata(kind, metadata == nullptr ? empty : *metadata, stored, errors);
    errors.insert(errors.end(), schema_errors.begin(), schema_errors.end());
    if (is_readable) {
        FieldErrors rule_errors;
        validate_spec(kind, object, stored, rule_errors);
        if (stored != nullptr) validate_immutable(*kind.schema, object, *stored, "", rule_errors);
        // One field is blamed once: a rule's refinement of what the schema already refused is noise.
        for (FieldError& error : rule_errors) {
            const auto same_field = [&](const FieldError& known) { return known.field == error.field; };
            if (std::none_of(schema_errors.begin(), schema_errors.end(), same_field))
                errors.push_back(std::move(error));
        }
    }
    if (errors.size() > field_errors_max) errors.resize(field_errors_max);
    return errors;
}

}  // namespace

FieldErrors validate_create(const Kind& kind, const json::Value& object) { return validate(kind, object, nullptr); }

FieldErrors validate_update(const Kind& kind, const json::Value& object, const json::Value& stored, Part) {
    return validate(kind, object, &stored);
}

}  // namespace weft::apiserver
