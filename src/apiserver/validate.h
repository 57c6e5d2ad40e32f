// Validation: everything wrong with an object, at once, in the order of its fields, with Kubernetes' own texts.
//
// Three layers: metadata (API-33..41), the kind's schema, and the rules a schema cannot say, one file per family:
// validate_service, validate_network (EndpointSlice, Ingress), validate_workload (Pod, Deployment), validate_crd,
// validate_weft (our kinds). Threads: pure. Source: spec/kubernetes.md §0, §1.4, §2.2, §3, §5.1; spec/acs.md §1.
#pragma once
#include "apiserver/defaults.h"
#include "apiserver/kind.h"

namespace weft::apiserver {

FieldErrors validate_create(const Kind& kind, const json::Value& object);
FieldErrors validate_update(const Kind& kind, const json::Value& object, const json::Value& stored, Part part);

// What a write should be told although it succeeds: rules of a CRD that this server stores but does not evaluate.
std::vector<std::string> write_warnings(const Kind& kind, const json::Value& object);

// A value as an error text shows it: strings quoted, numbers bare, objects as JSON, cut at shown_bytes_max.
struct Shown {
    std::string text;

    Shown(const json::Value& value);  // NOLINT(google-explicit-constructor): any value may be shown
    Shown(std::string_view value);    // NOLINT(google-explicit-constructor)
    Shown(const std::string& value) : Shown(std::string_view(value)) {}  // NOLINT(google-explicit-constructor)
    Shown(const char* value) : Shown(std::string_view(value)) {}         // NOLINT(google-explicit-constructor)
    Shown(int64_t value) : text(std::to_string(value)) {}                // NOLINT(google-explicit-constructor)
    Shown(bool value) : text(value ? "true" : "false") {}                // NOLINT(google-explicit-constructor)
};
inline constexpr size_t shown_bytes_max = 1024;

// Builders of one cause.
FieldError required(std::string field, std::string_view detail = {});
FieldError invalid_value(std::string field, const Shown& value, std::string_view detail);
FieldError type_invalid(std::string field, const Shown& value, std::string_view detail);
FieldError not_supported(std::string field, const Shown& value, const std::vector<std::string>& supported);
FieldError duplicate(std::string field, const Shown& value);
FieldError not_found_value(std::string field, const Shown& value);
FieldError forbidden_field(std::string field, std::string_view detail);
FieldError too_long(std::string field, std::string_view detail);
FieldError too_many(std::string field, size_t actual, size_t most);

}  // namespace weft::apiserver
