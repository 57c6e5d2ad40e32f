// Schema: the structural schema of a kind, compiled once from CRD dialect: types, limits, defaults, list and patch
// keys.
//
// decode() is the door for request bodies: it drops what the schema does not know and says so (strict errors), and
// drops nulls of built-in kinds. Paths are written spec.ports[0].name. Limits: json depth (base/json.h), schema depth
// below. Threads: compiled schemas never change. Source: spec/kubernetes.md API-23, API-90, API-121, API-122; design.md
// §2.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/kind.h"

namespace re2 {
class RE2;
}

namespace weft::apiserver {

inline constexpr size_t schema_depth_max = 32;
inline constexpr size_t field_errors_max = 100;  // of one object; more are not useful to anyone

struct Schema {
    enum class Type : uint8_t { any, object, array, string, integer, number, boolean };
    enum class ListType : uint8_t { atomic, set, map };

    Type type = Type::any;
    std::string format, description;
    bool nullable = false;
    bool int_or_string = false;
    bool preserves_unknown = false;
    bool is_embedded_resource = false;
    bool is_atomic_map = false;
    bool is_immutable = false;  // carries the one CEL rule that we do keep: self == oldSelf

    std::vector<std::pair<std::string, SchemaPtr>> properties;  // as written
    std::map<std::string, SchemaPtr, std::less<>> by_name;
    SchemaPtr additional;  // additionalProperties
    SchemaPtr items;
    std::vector<std::string> required;
    std::vector<json::Value> one_of_values;  // enum
    std::optional<json::Value> default_value;

    std::optional<double> minimum, maximum;
    bool minimum_is_exclusive = false, maximum_is_exclusive = false;
    std::optional<double> multiple_of;
    std::optional<uint64_t> length_min, length_max, items_min, items_max, properties_min, properties_max;
    std::string pattern_text;
    std::shared_ptr<const re2::RE2> pattern;

    ListType list_type = ListType::atomic;
    std::vector<std::string> map_keys;

    // Strategic merge: a list merges by this key; a list of plain values with patch_merges is a set.
    std::string merge_key;
    bool patch_merges = false;
    bool patch_retains_keys = false;

    std::vector<SchemaPtr> all_of, any_of, one_of;
    SchemaPtr none_of;  // "not"

    // x-kubernetes-validations, here or below; rules other than self == oldSelf are stored and shown, not evaluated
    // (design.md §2).
    bool has_validations = false;
    bool has_unevaluated_rules = false;
    json::Value source;  // as written, for OpenAPI; only of definitions and of whole kinds

    const Schema* property(std::string_view name) const;
};

// "spec" + "ports" → "spec.ports"; "" + "spec" → "spec".
std::string field_path(std::string_view parent, std::string_view member);
std::string field_path(std::string_view parent, size_t index);            // "spec.ports[0]"
std::string key_path(std::string_view parent, std::string_view map_key);  // "metadata.labels[a/b]"

using Definitions = std::map<std::string, SchemaPtr, std::less<>>;

// Compiles CRD dialect; `x-weft-ref: Name` stands for a definition. Errors (appended): what is not structural, with
// paths beginning at `path`.
SchemaPtr compile_schema(const json::Value& source, std::string_view path, const Definitions& definitions,
                         FieldErrors& errors);

// The schema's named definitions: ObjectMeta, PodTemplateSpec...
const Definitions& builtin_definitions();

// Checks that the body is an object of this kind (apiVersion, kind; filled in for built-ins when absent), prunes
// unknown members and appends `unknown field "spec.foo"` to `strict`; duplicate paths found by json::parse become
// `duplicate field "..."`. Refusal: 400 texts of API-24.
Verdict decode(const Kind& kind, json::Value& body, const std::vector<std::string>& duplicates,
               std::vector<std::string>& strict);

// What decode does below the root, for patch results: prune and report only.
void prune(const Schema& schema, json::Value& value, std::string_view path, bool drops_nulls,
           std::vector<std::string>* strict);

// Schema-visible errors of a value: types, required, enum, pattern, bounds, list-map duplicates. What stands in `before`
// unchanged is not judged again (API-124): members of objects and of list-maps by their keys, other lists as a whole.
// `types_too`: nor is its type, but for the metadata's; only for kinds whose spec and status no rule of ours reads.
void validate_schema(const Schema& schema, const json::Value& value, const std::string& path, FieldErrors& errors,
                     const json::Value* before = nullptr, bool types_too = false);

// "" when `text` has the format (date-time, byte, cidr, ipv4, ipv6, quantity; others are not checked), else what is
// wrong.
std::string format_error(std::string_view format, std::string_view text);
bool is_quantity(std::string_view text);

// Fields marked immutable that differ although both sides have them: `field is immutable`.
void validate_immutable(const Schema& schema, const json::Value& value, const json::Value& stored,
                        const std::string& path, FieldErrors& errors);

// Fills `default` values wherever the parent object exists (CRD semantics).
void apply_schema_defaults(const Schema& schema, json::Value& value);

}  // namespace weft::apiserver
