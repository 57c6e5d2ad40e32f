// Decoding: what a body may contain, and what is said about the rest (API-23, API-24, API-90, API-121).
#include "apiserver/schema.h"

namespace weft::apiserver {

void prune(const Schema& schema, json::Value& value, std::string_view path, bool drops_nulls,
           std::vector<std::string>* strict) {
    if (json::Array* array = value.if_array()) {
        if (schema.items == nullptr) return;
        for (size_t index = 0; index < array->size(); index++) {
            prune(*schema.items, (*array)[index], field_path(path, index), drops_nulls, strict);
        }
        return;
    }
    json::Object* object = value.if_object();
    if (object == nullptr || schema.type == Schema::Type::any) return;
    for (auto member = object->begin(); member != object->end();) {
        const std::string_view name = member->key();
        const Schema* child = schema.property(name);
        if (child == nullptr) child = schema.additional.get();
        const bool is_known =
            child != nullptr || schema.preserves_unknown ||
            (schema.is_embedded_resource && (name == "apiVersion" || name == "kind" || name == "metadata"));
        if (!is_known && strict != nullptr) {
            strict->push_back(fmt::format("unknown field \"{}\"", field_path(path, name)));
        }
        const bool drops_this = drops_nulls && member->value().is_null() && !schema.preserves_unknown;
        if (!is_known || drops_this) {
            member = object->stable_erase(member);
            continue;
        }
        if (child != nullptr) prune(*child, member->value(), field_path(path, name), drops_nulls, strict);
        ++member;
    }
}

Verdict decode(const Kind& kind, json::Value& body, const std::vector<std::string>& duplicates,
               std::vector<std::string>& strict) {
    if (!body.is_object()) {
        return std::unexpected(bad_request(fmt::format(
            "the object provided is unrecognized (must be of type {}): expected a JSON object", kind.kind_name)));
    }
    json::Object& root = body.get_object();
    const std::string expected_version = kind.api_version();
    for (const std::string_view name : {std::string_view("apiVersion"), std::string_view("kind")}) {
        const json::Value* member = root.if_contains(name);
        const bool is_absent =
            member == nullptr || member->is_null() || (member->is_string() && member->get_string().empty());
        if (is_absent && kind.custom) {
            return std::unexpected(
                bad_request(fmt::format("Object '{}' is missing in '{}'", name == "kind" ? "Kind" : "apiVersion",
                                        json::serialize(body).substr(0, 256))));
        }
        if (is_absent) {
            root[name] = name == "kind" ? kind.kind_name : expected_version;
        } else if (!member->is_string()) {
            return std::unexpected(bad_request(fmt::format("{} must be a string", name)));
        }
    }
    const std::string_view given_version = json::find_string(body, {"apiVersion"});
    const std::string_view given_kind = json::find_string(body, {"kind"});
    if (given_version != expected_version) {
        return std::unexpected(
            bad_request(fmt::format("the API version in the data ({}) does not match the expected API version ({})",
                                    given_version, expected_version)));
    }
    if (given_kind != kind.kind_name) {
        return std::unexpected(bad_request(
            fmt::format("{} in version \"{}\" cannot be handled as a {}", given_kind, kind.version, kind.kind_name)));
    }
    for (const std::string& path : duplicates) strict.push_back(fmt::format("duplicate field \"{}\"", path));
    prune(*kind.schema, body, "", !kind.custom, &strict);
    // A CR keeps its nulls (they may mean something to its schema), but never those of its metadata.
    if (kind.custom && root.contains("metadata")) {
        if (const Schema* metadata = kind.schema->property("metadata"))
            prune(*metadata, root["metadata"], "", true, nullptr);
    }
    return {};
}

}  // namespace weft::apiserver
