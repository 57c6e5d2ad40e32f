// FieldSet: a set of fields of an object, as a tree of path elements; the form in which field ownership is kept.
//
// An element is written as in FieldsV1: `f:name` a member, `k:{"port":80,"protocol":"TCP"}` an item of a keyed list,
// `v:"x"` a value of a set. What is atomic (scalars, atomic lists and maps, what the schema does not know as a keyed
// list) is one field. Errors: of parse_fields only. Limits: json depth. Threads: values.
// Source: spec/kubernetes.md API-83 and the paragraph after it.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "apiserver/kind.h"

namespace weft::apiserver {

struct FieldSet {
    bool is_member = false;  // the field itself, beside what is below it
    std::map<std::string, FieldSet, std::less<>> below;

    bool empty() const { return !is_member && below.empty(); }

    const FieldSet* find(std::string_view element) const;
    void add(const FieldSet& other);
    void subtract(const FieldSet& other);
    FieldSet intersection(const FieldSet& other) const;
    // Every member as people write it: ".spec.ports[port=80,protocol=\"TCP\"].nodePort", in order.
    std::vector<std::string> paths() const;
    bool operator==(const FieldSet&) const = default;
};

json::Value to_json(const FieldSet& fields);                      // FieldsV1
std::optional<FieldSet> parse_fields(const json::Value& fields);  // nullopt: not FieldsV1

// What an applied object claims. `schema` may be null: maps are granular then, lists atomic.
FieldSet fields_of(const Schema* schema, const json::Value& value);

struct Difference {
    FieldSet changed;  // new or with another value
    FieldSet removed;
};

Difference difference(const Schema* schema, const json::Value& before, const json::Value& after);

// `config` over `live`: members and items of both, config's values win. Refusal (400): an item of a keyed list that
// lacks its key, or two of one key.
std::expected<json::Value, Refusal> merge_applied(const Schema* schema, const json::Value& live,
                                                  const json::Value& config);

// Takes away what `last` names and nobody in `owned` does, with all that is below it.
void remove_unowned(const Schema* schema, json::Value& value, const FieldSet& last, const FieldSet& owned);

}  // namespace weft::apiserver
