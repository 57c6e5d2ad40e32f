// CustomResourceDefinition: names, versions and a schema that compiles (API-120, API-122).
#include "apiserver/schema.h"
#include "apiserver/validate_rules.h"
#include "base/strings.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

bool is_group_protected(Text group) { return group.ends_with(".k8s.io") || group.ends_with(".kubernetes.io"); }

void validate_names(const json::Value& object, FieldErrors& errors) {
    const Text group = json::find_string(object, {"spec", "group"});
    const Text plural = json::find_string(object, {"spec", "names", "plural"});
    const std::string expected = fmt::format("{}.{}", plural, group);
    if (const Text name = json::find_string(object, {"metadata", "name"}); name != expected) {
        errors.push_back(
            invalid_value("metadata.name", name, fmt::format("must be spec.names.plural+\".\"+spec.group")));
    }
    expect(subdomain_error(group), "spec.group", group, errors);
    if (group.find('.') == group.npos) {
        errors.push_back(invalid_value("spec.group", group, "should be a domain with at least one dot"));
    }
    const auto label = [&](Text field) {
        if (const Text text = json::find_string(object, {"spec", "names", field}); !text.empty()) {
            expect(label_error(to_lower(text)), field_path("spec.names", field), text, errors);
        }
    };
    for (const Text field : {Text("plural"), Text("singular"), Text("kind"), Text("listKind")}) label(field);
    if (is_group_protected(group) &&
        json::find_string(object, {"metadata", "annotations", "api-approved.kubernetes.io"}).empty()) {
        errors.push_back(required("metadata.annotations[api-approved.kubernetes.io]",
                                  "protected groups must have approval annotation \"api-approved.kubernetes.io\""));
    }
}

void validate_version(const json::Value& version, const std::string& where, FieldErrors& errors) {
    const Text name = json::find_string(version, {"name"});
    expect(label_error(name), field_path(where, "name"), name, errors);
    const json::Value* schema = json::find(version, {"schema", "openAPIV3Schema"});
    const std::string field = field_path(where, "schema.openAPIV3Schema");
    if (schema == nullptr) {
        errors.push_back(required(field, "schemas are required"));
        return;
    }
    if (json::find_string(*schema, {"type"}) != "object") {
        errors.push_back(invalid_value(field_path(field, "type"), json::find_string(*schema, {"type"}),
                                       "must be object at the root"));
    }
    compile_schema(*schema, field, Definitions{}, errors);
    const json::Array* columns = json::find_array(version, {"additionalPrinterColumns"});
    for (size_t index = 0; columns != nullptr && index < columns->size(); index++) {
        const Text path = json::find_string((*columns)[index], {"jsonPath"});
        if (!path.starts_with('.')) {
            errors.push_back(
                invalid_value(field_path(field_path(field_path(where, "additionalPrinterColumns"), index), "jsonPath"),
                              path, "must be a simple json path starting with ."));
        }
    }
}

}  // namespace

void validate_crd(const json::Value& object, Stored stored, FieldErrors& errors) {
    validate_names(object, errors);
    const json::Array* versions = json::find_array(object, {"spec", "versions"});
    int storage_count = 0;
    for (size_t index = 0; versions != nullptr && index < versions->size(); index++) {
        storage_count += json::find_bool((*versions)[index], {"storage"});
        validate_version((*versions)[index], field_path("spec.versions", index), errors);
    }
    if (versions != nullptr && storage_count != 1) {
        errors.push_back(invalid_value("spec.versions", int64_t(storage_count),
                                       "must have exactly one version marked as storage version"));
    }
    if (json::find_string(object, {"spec", "conversion", "strategy"}) == "Webhook") {
        errors.push_back(not_supported("spec.conversion.strategy", "Webhook", {"None"}));
    }
    if (json::find_bool(object, {"spec", "preserveUnknownFields"})) {
        errors.push_back(invalid_value("spec.preserveUnknownFields", true, "must be false"));
    }
    if (stored == nullptr) return;
    for (const json::Path path : {json::Path{"spec", "group"}, json::Path{"spec", "scope"},
                                  json::Path{"spec", "names", "plural"}, json::Path{"spec", "names", "kind"}}) {
        if (json::find_string(object, path) == json::find_string(*stored, path)) continue;
        std::string field;
        for (const Text step : path) field = field_path(field, step);
        errors.push_back(invalid_value(field, json::find_string(object, path), immutable_text));
    }
}

static void warn_of_annotation(const json::Value& object, Text annotation, Text instead,
                               std::vector<std::string>& out) {
    if (!json::has(object, {"metadata", "annotations", annotation})) return;
    out.push_back(fmt::format("annotation \"{}\" is deprecated, please use '{}' instead", annotation, instead));
}

std::vector<std::string> write_warnings(const Kind& kind, const json::Value& object) {
    std::vector<std::string> out;
    if (kind.kind_name == "Ingress" && !kind.custom)
        warn_of_annotation(object, "kubernetes.io/ingress.class", "spec.ingressClassName", out);
    if (kind.kind_name == "Service" && !kind.custom)
        warn_of_annotation(object, "service.kubernetes.io/topology-aware-hints", "spec.trafficDistribution", out);
    const json::Array* versions = json::find_array(object, {"spec", "versions"});
    if (kind.kind_name != "CustomResourceDefinition" || versions == nullptr) return out;
    for (size_t index = 0; index < versions->size(); index++) {
        const json::Value* source = json::find((*versions)[index], {"schema", "openAPIV3Schema"});
        const std::string where = field_path("spec.versions", index) + ".schema.openAPIV3Schema";
        FieldErrors ignored;
        if (source != nullptr && compile_schema(*source, where, Definitions{}, ignored)->has_unevaluated_rules) {
            out.push_back(where + ": x-kubernetes-validations are stored but not evaluated by this server");
        }
    }
    return out;
}

}  // namespace weft::apiserver
