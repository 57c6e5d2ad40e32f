// Managers: who set which field of an object, as metadata.managedFields keeps it, and what a write makes of it.
//
// An Update takes every field it changes from whoever had it; an Apply owns exactly what its body lists, gives up what
// it no longer lists (which vanishes when nobody else has it), and conflicts where it would change another's field.
// Limits: update_entries_max; the oldest beyond it become one entry `ancient-changes`. Threads: pure.
// Source: spec/kubernetes.md API-42, API-83 and the paragraph after it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apiserver/defaults.h"
#include "apiserver/field_set.h"

namespace weft::apiserver {

inline constexpr size_t update_entries_max = 10;
inline constexpr size_t manager_bytes_max = 128;

// Who writes, through which door and when.
struct Writer {
    std::string manager, subresource, time;
};

struct Manager {
    std::string name, operation, api_version, subresource, time;  // operation: Apply or Update
    FieldSet fields;
};

using Managers = std::vector<Manager>;

// nullopt: not a well-formed list of entries. `[]` and `[{}]` are the empty list: how a client clears it.
std::optional<Managers> parse_managers(const json::Value& entries);
json::Value to_json(Managers managers);  // the array, in Kubernetes' order

// managedFields of `wish` after an update of `stored` (null: a create). `given`: what the client sent, null if nothing.
json::Value managers_after_update(const Kind& kind, const Writer& writer, const json::Value* stored,
                                  const json::Value& wish, const json::Value* given, Part part);

struct Applied {
    json::Value object;  // stored, with the body over it; to be defaulted, prepared and validated
    json::Value managed_fields;
};

// Refusal: 409 with a cause per conflict unless `force`; 400 of merge_applied. `stored` is null for a create.
std::expected<Applied, Refusal> apply_object(const Kind& kind, const Writer& writer, const json::Value* stored,
                                             const json::Value& config, bool force, Part part);

// The name an Update is kept under when the request has no fieldManager: the User-Agent up to its slash.
std::string manager_of_agent(std::string_view user_agent);

}  // namespace weft::apiserver
