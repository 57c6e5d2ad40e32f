// Kind: everything the API server knows of one resource, in one row; KindTable: all rows, as one immutable snapshot.
//
// The REST code looks up a row and then walks these doors, in this order (spec/kubernetes.md API-65):
//   decode (schema.h) → apply_defaults (defaults.h) → prepare_create/_update (defaults.h) → validate_* (validate.h)
//   → Admission::admit (admit.h, in the write's transaction) → store → Admission::stored
// and, beside it, apply_patch (patch.h), to_table (table.h), openapi_v3 (openapi.h).
//
// Built-in rows come from deploy/schemas and deploy/crds, compiled into the binary; a CustomResourceDefinition adds
// rows. Threads: a table and its rows never change; publish a new table when a CRD changes. Rows live as long as their
// table. Source: design.md §2 "one structural schema per kind", spec/kubernetes.md §1.11, §1.12.
#pragma once
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "kube/resource.h"

namespace weft::apiserver {

struct Schema;  // schema.h
using SchemaPtr = std::shared_ptr<const Schema>;

// One cause of a 422 (spec/kubernetes.md §0). `reason` is FieldValueInvalid etc.; `message` begins with the reason's
// own text ("Invalid value: \"x\": must be ..."), without the field.
struct FieldError {
    std::string reason;
    std::string field;
    std::string message;
};
using FieldErrors = std::vector<FieldError>;

// Why a request is refused, ready to become a Status object: HTTP code, reason, message, details.
struct Refusal {
    int code = 0;
    std::string reason;             // "Invalid", "BadRequest", "Forbidden"...
    std::string message;            // complete
    FieldErrors causes;             // details.causes
    std::string kind, group, name;  // details: of whom it speaks; kind is the plural unless it is a 422; "" = nobody
};
using Verdict = std::expected<void, Refusal>;

struct Column {
    std::string name, type, format, description, json_path;  // json_path: only of CRs
    int priority = 0;                                        // 1 = only with -o wide
};

enum class NameRule : uint8_t { subdomain, label, service_label, path_segment };

struct Kind {
    // The row owns its texts; `resource`'s views point into them.
    std::string group, version, plural, kind_name;
    kube::Resource resource;
    std::string singular, list_kind;
    std::vector<std::string> short_names, categories;

    bool has_status = false;                                              // status subresource
    bool has_scale = false;                                               // scale subresource, by the three paths
    std::string scale_spec_path, scale_status_path, scale_selector_path;  // ".spec.replicas"
    bool has_generation = false;                                          // API-37
    bool custom = false;    // a CR: no strategic merge (415), RV required on PUT, labels not written by /status
    bool embedded = false;  // a CR of ours that is compiled in; a CRD object with its name changes nothing
    bool creates_on_update = false;  // PUT of an absent object creates it (API-2)
    bool is_graceful = false;        // Pod: deletion waits for its grace period
    NameRule name_rule = NameRule::subdomain;

    SchemaPtr schema;                            // of the whole object, metadata included
    std::vector<Column> columns;                 // CRs; built-in tables are functions (table.h)
    std::vector<std::string> selectable_fields;  // beyond metadata.name and metadata.namespace: "spec.nodeName"
    std::string crd_name;                        // "" unless it came from a CRD object
    std::string storage_version_hash;            // discovery
    std::string deprecation;                     // what every request of this version is told; "" = nothing

    std::string group_kind() const { return group.empty() ? kind_name : kind_name + "." + group; }
    std::string group_plural() const { return group.empty() ? plural : plural + "." + group; }
    std::string api_version() const { return group.empty() ? version : group + "/" + version; }
};
using KindPtr = std::shared_ptr<const Kind>;

class KindTable {
public:
    // The kinds we are born with. Parsed once per process; aborts if a compiled-in schema is wrong.
    static std::shared_ptr<const KindTable> builtin();

    // By URL: ("", "v1", "pods").
    const Kind* find(std::string_view group, std::string_view version, std::string_view plural) const;
    // By body: ("v1", "Pod") or ("apps/v1", "Deployment").
    const Kind* find_kind(std::string_view api_version, std::string_view kind) const;
    const Kind* find(const kube::Resource& resource) const {
        return find(resource.group, resource.version, resource.plural);
    }
    // In discovery order: core first, then groups by name.
    const std::vector<KindPtr>& all() const { return kinds_; }
    // {"", "v1"}, {"apps", "v1"}... each once.
    std::vector<std::pair<std::string, std::string>> group_versions() const;

    // A table with the served versions of this (valid, stored) CRD object, replacing what it had before. Errors:
    // invalid when its schema does not compile (validate_create has refused such a one before).
    Result<std::shared_ptr<const KindTable>> with_crd(const json::Value& crd) const;
    std::shared_ptr<const KindTable> without_crd(std::string_view crd_name) const;

private:
    void sort();
    std::vector<KindPtr> kinds_;
};

// The rows a CRD object describes (served versions only).
Result<std::vector<KindPtr>> kinds_of_crd(const json::Value& crd);

// Builders of the common refusals; texts as in spec/kubernetes.md §0, §1.3.
Refusal invalid(const Kind& kind, std::string_view name, FieldErrors errors);
Refusal bad_request(std::string message);
Refusal forbidden(const Kind& kind, std::string_view name, std::string_view why);

}  // namespace weft::apiserver
