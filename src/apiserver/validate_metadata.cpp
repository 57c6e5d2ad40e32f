// Metadata of every object: names, labels, annotations, owners, finalizers and what never changes (API-33..40).
#include <set>

#include "apiserver/validate_rules.h"
#include "apiserver/schema.h"
#include "base/strings.h"

namespace weft::apiserver {

namespace {

constexpr size_t annotations_bytes_max = 262144;

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool is_name_part(std::string_view text) {
    if (text.empty() || text.size() > 63 || !is_alphanumeric(text.front()) || !is_alphanumeric(text.back()))
        return false;
    for (const char c : text) {
        if (!is_alphanumeric(c) && c != '-' && c != '_' && c != '.') return false;
    }
    return true;
}

std::string name_error(NameRule rule, std::string_view name) {
    switch (rule) {
        case NameRule::label:
        case NameRule::service_label: return label_error(name);
        case NameRule::subdomain: return subdomain_error(name);
        case NameRule::path_segment: break;
    }
    if (name == "." || name == "..") return fmt::format("may not be '{}'", name);
    if (name.find_first_of("/%") != name.npos) return "may not contain '/' or '%'";
    return {};
}

void validate_name(const Kind& kind, const json::Value& metadata, FieldErrors& errors) {
    const std::string_view name = json::find_string(metadata, {"name"});
    const std::string_view prefix = json::find_string(metadata, {"generateName"});
    if (name.empty()) {
        errors.push_back(required("metadata.name", "name or generateName is required"));
    } else {
        expect(name_error(kind.name_rule, name), "metadata.name", name, errors);
    }
    if (!prefix.empty()) {
        // The five characters that follow make a trailing '-' or '.' legal.
        expect(name_error(kind.name_rule, std::string(prefix.substr(0, 58)) + "x"), "metadata.generateName", prefix,
               errors);
    }
    const std::string_view ns = json::find_string(metadata, {"namespace"});
    if (kind.resource.namespaced) {
        if (ns.empty()) {
            errors.push_back(required("metadata.namespace"));
        } else {
            expect(label_error(ns), "metadata.namespace", ns, errors);
        }
    } else if (!ns.empty()) {
        errors.push_back(forbidden_field("metadata.namespace", "not allowed on this type"));
    }
}

void validate_annotations(const json::Value& metadata, FieldErrors& errors) {
    const json::Object* annotations = json::find_object(metadata, {"annotations"});
    if (annotations == nullptr) return;
    size_t bytes = 0;
    for (const auto& [name, value] : *annotations) {
        expect(qualified_name_error(to_lower(std::string_view(name))), "metadata.annotations", std::string_view(name),
               errors);
        bytes += name.size() + (value.is_string() ? value.get_string().size() : 0);
    }
    if (bytes > annotations_bytes_max) {
        errors.push_back(
            too_long("metadata.annotations", fmt::format("may not be more than {} bytes", annotations_bytes_max)));
    }
}

void validate_owners(const json::Value& metadata, FieldErrors& errors) {
    const json::Array* owners = json::find_array(metadata, {"ownerReferences"});
    if (owners == nullptr) return;
    int controllers = 0;
    for (size_t index = 0; index < owners->size(); index++) {
        const std::string where = field_path("metadata.ownerReferences", index);
        const json::Value& owner = (*owners)[index];
        for (const std::string_view name : {"apiVersion", "kind", "name", "uid"}) {
            if (json::find_string(owner, {name}).empty() && json::has(owner, {name})) {
                errors.push_back(invalid_value(field_path(where, name), "", fmt::format("{} must not be empty", name)));
            }
        }
        if (json::find_string(owner, {"kind"}) == "Event" && json::find_string(owner, {"apiVersion"}) == "v1") {
            errors.push_back(invalid_value(where, "v1, Kind=Event", "is disallowed from being an owner"));
        }
        controllers += json::find_bool(owner, {"controller"});
    }
    if (controllers > 1) {
        errors.push_back(invalid_value("metadata.ownerReferences", *json::find(metadata, {"ownerReferences"}),
                                       "Only one reference can have Controller set to true"));
    }
}

void validate_finalizers(const json::Value& metadata, Stored stored, FieldErrors& errors) {
    const std::vector<std::string> finalizers = json::find_strings(metadata, {"finalizers"});
    bool orphans = false;
    bool is_foreground = false;
    for (const std::string& finalizer : finalizers) {
        expect(qualified_name_error(finalizer), "metadata.finalizers", finalizer, errors);
        orphans |= finalizer == "orphan";
        is_foreground |= finalizer == "foregroundDeletion";
    }
    if (orphans && is_foreground) {
        errors.push_back(invalid_value("metadata.finalizers", *json::find(metadata, {"finalizers"}),
                                       "finalizer orphan and foregroundDeletion cannot be both set"));
    }
    if (stored == nullptr || !json::has(*stored, {"metadata", "deletionTimestamp"})) return;
    const std::vector<std::string> before = json::find_strings(*stored, {"metadata", "finalizers"});
    std::string added;
    for (const std::string& finalizer : finalizers) {
        if (std::find(before.begin(), before.end(), finalizer) == before.end()) {
            added += (added.empty() ? "\"" : ", \"") + finalizer + "\"";
        }
    }
    if (!added.empty()) {
        errors.push_back(forbidden_field(
            "metadata.finalizers",
            fmt::format("no new finalizers can be added if the object is being deleted, found new finalizers [{}]",
                        added)));
    }
}

}  // namespace

std::string label_error(std::string_view text) {
    if (text.size() > 63) return "must be no more than 63 bytes";
    if (is_dns1123_label(text)) return {};
    return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "
           "end with "
           "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
           "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
}

std::string subdomain_error(std::string_view text) {
    if (text.size() > 253) return "must be no more than 253 bytes";
    if (is_dns1123_subdomain(text)) return {};
    return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
           "start and "
           "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
           "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
}

std::string qualified_name_error(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash != text.npos) {
        if (text.find('/', slash + 1) != text.npos) {
            return "a qualified name must consist of alphanumeric characters, '-', '_' or '.', with an optional DNS "
                   "subdomain "
                   "prefix and '/' (e.g. 'example.com/MyName')";
        }
        const std::string_view prefix = text.substr(0, slash);
        if (prefix.empty()) return "prefix part must be non-empty";
        if (const std::string wrong = subdomain_error(prefix); !wrong.empty()) return "prefix part " + wrong;
        text = text.substr(slash + 1);
    }
    if (text.empty()) return "name part must be non-empty";
    if (text.size() > 63) return "name part must be no more than 63 bytes";
    if (is_name_part(text)) return {};
    return "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
           "alphanumeric "
           "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
           "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
}

std::string label_value_error(std::string_view text) {
    if (text.empty() || is_name_part(text)) return {};
    if (text.size() > 63) return "must be no more than 63 bytes";
    return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
           "start and end "
           "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
           "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
}

std::string port_name_error(std::string_view text) {
    if (text.empty() || text.size() > 15) return "must be no more than 15 characters and not empty";
    bool has_letter = false;
    for (const char c : text) {
        const bool is_letter = c >= 'a' && c <= 'z';
        has_letter |= is_letter;
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-') {
            return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
        }
    }
    if (text.find("--") != text.npos) return "must not contain consecutive hyphens";
    if (text.front() == '-' || text.back() == '-') return "must not begin or end with a hyphen";
    return has_letter ? "" : "must contain at least one letter (a-z)";
}

void expect(std::string wrong, std::string field, const Shown& value, FieldErrors& errors) {
    if (!wrong.empty()) errors.push_back(invalid_value(std::move(field), value, wrong));
}

void validate_labels(const json::Value* labels, const std::string& field, FieldErrors& errors) {
    if (labels == nullptr || !labels->is_object()) return;
    for (const auto& [name, value] : labels->get_object()) {
        expect(qualified_name_error(std::string_view(name)), field, std::string_view(name), errors);
        if (value.is_string()) expect(label_value_error(json::view(value.get_string())), field, value, errors);
    }
}

void validate_selector(const json::Value* selector, const std::string& field, FieldErrors& errors) {
    if (selector == nullptr) return;
    validate_labels(json::find(*selector, {"matchLabels"}), field_path(field, "matchLabels"), errors);
    const json::Array* expressions = json::find_array(*selector, {"matchExpressions"});
    for (size_t index = 0; expressions != nullptr && index < expressions->size(); index++) {
        const std::string where = field_path(field_path(field, "matchExpressions"), index);
        const json::Value& expression = (*expressions)[index];
        const std::string_view operation = json::find_string(expression, {"operator"});
        const json::Array* values = json::find_array(expression, {"values"});
        const bool has_values = values != nullptr && !values->empty();
        if ((operation == "In" || operation == "NotIn") && !has_values) {
            errors.push_back(
                required(field_path(where, "values"), "must be specified when `operator` is 'In' or 'NotIn'"));
        } else if ((operation == "Exists" || operation == "DoesNotExist") && has_values) {
            errors.push_back(forbidden_field(field_path(where, "values"),
                                             "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        const std::string_view key = json::find_string(expression, {"key"});
        expect(qualified_name_error(key), field_path(where, "key"), key, errors);
        for (size_t at = 0; has_values && at < values->size(); at++) {
            if (!(*values)[at].is_string()) continue;
            expect(label_value_error(json::view((*values)[at].get_string())),
                   field_path(field_path(where, "values"), at), (*values)[at], errors);
        }
    }
}

void validate_metadata(const Kind& kind, const json::Value& metadata, Stored stored, FieldErrors& errors) {
    validate_name(kind, metadata, errors);
    validate_labels(json::find(metadata, {"labels"}), "metadata.labels", errors);
    validate_annotations(metadata, errors);
    validate_owners(metadata, errors);
    validate_finalizers(metadata, stored, errors);
}

}  // namespace weft::apiserver
