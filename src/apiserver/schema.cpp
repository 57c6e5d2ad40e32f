#include "apiserver/schema.h"

#include <re2/re2.h>

#include <algorithm>

#include "apiserver/validate.h"

namespace weft::apiserver {

std::string field_path(std::string_view parent, std::string_view member) {
    return parent.empty() ? std::string(member) : fmt::format("{}.{}", parent, member);
}

std::string field_path(std::string_view parent, size_t index) { return fmt::format("{}[{}]", parent, index); }

std::string key_path(std::string_view parent, std::string_view map_key) {
    return fmt::format("{}[{}]", parent, map_key);
}

const Schema* Schema::property(std::string_view name) const {
    const auto found = by_name.find(name);
    return found == by_name.end() ? nullptr : found->second.get();
}

namespace {

class Compiler {
public:
    Compiler(const Definitions& definitions, FieldErrors& errors) : definitions_(definitions), errors_(errors) {}

    // A structural schema has a type everywhere but below allOf, anyOf, oneOf and not, which only restrict values.
    SchemaPtr compile(const json::Value& source, const std::string& path, size_t depth, bool only_restricts = false) {
        auto schema = std::make_shared<Schema>();
        if (!source.is_object()) {
            errors_.push_back(type_invalid(path, source, "must be an object"));
            return schema;
        }
        if (depth > schema_depth_max) {
            errors_.push_back(invalid_value(path, "...", fmt::format("is nested deeper than {}", schema_depth_max)));
            return schema;
        }
        if (const std::string_view name = json::find_string(source, {"x-weft-ref"}); !name.empty()) {
            const auto found = definitions_.find(name);
            if (found == definitions_.end()) {
                errors_.push_back(not_found_value(field_path(path, "x-weft-ref"), name));
                return schema;
            }
            *schema = *found->second;
            schema->source = nullptr;
        }
        type_of(*schema, source, path);
        flags_of(*schema, source);
        limits_of(*schema, source, path);
        children_of(*schema, source, path, depth);
        default_of(*schema, source, path);
        if (schema->type == Schema::Type::any && !only_restricts && !schema->int_or_string &&
            !schema->preserves_unknown && !json::has(source, {"type"})) {
            errors_.push_back(required(field_path(path, "type"), "must not be empty for specified object fields"));
        }
        return schema;
    }

private:
    void type_of(Schema& schema, const json::Value& source, const std::string& path) {
        static constexpr std::pair<std::string_view, Schema::Type> types[] = {
            {"object", Schema::Type::object},   {"array", Schema::Type::array},   {"string", Schema::Type::string},
            {"integer", Schema::Type::integer}, {"number", Schema::Type::number}, {"boolean", Schema::Type::boolean}};
        const json::Value* type = json::find(source, {"type"});
        if (type == nullptr) return;
        for (const auto& [name, value] : types) {
            if (type->is_string() && json::view(type->get_string()) == name) {
                schema.type = value;
                return;
            }
        }
        errors_.push_back(not_supported(field_path(path, "type"), *type,
                                        {"array", "boolean", "integer", "number", "object", "string"}));
    }

    static void text(std::string& out, const json::Value& source, std::string_view name) {
        if (const std::string_view found = json::find_string(source, {name}); !found.empty()) out = found;
    }

    static void flag(bool& out, const json::Value& source, std::string_view name) {
        out = json::find_bool(source, {name}, out);
    }

    static void flags_of(Schema& schema, const json::Value& source) {
        text(schema.description, source, "description");
        text(schema.format, source, "format");
        flag(schema.nullable, source, "nullable");
        flag(schema.int_or_string, source, "x-kubernetes-int-or-string");
        flag(schema.preserves_unknown, source, "x-kubernetes-preserve-unknown-fields");
        flag(schema.is_embedded_resource, source, "x-kubernetes-embedded-resource");
        if (json::find_string(source, {"x-kubernetes-map-type"}) == "atomic") schema.is_atomic_map = true;
        const std::string_view list_type = json::find_string(source, {"x-kubernetes-list-type"});
        if (list_type == "set") schema.list_type = Schema::ListType::set;
        if (list_type == "map") schema.list_type = Schema::ListType::map;
        if (json::has(source, {"x-kubernetes-list-map-keys"})) {
            schema.map_keys = json::find_strings(source, {"x-kubernetes-list-map-keys"});
        }
        text(schema.merge_key, source, "x-kubernetes-patch-merge-key");
        const std::string_view strategy = json::find_string(source, {"x-kubernetes-patch-strategy"});
        if (strategy.find("merge") != strategy.npos) schema.patch_merges = true;
        if (strategy.find("retainKeys") != strategy.npos) schema.patch_retains_keys = true;
        if (const json::Array* rules = json::find_array(source, {"x-kubernetes-validations"})) {
            schema.has_validations = !rules->empty();
            for (const json::Value& rule : *rules) {
                const bool is_kept = json::find_string(rule, {"rule"}) == "self == oldSelf";
                schema.is_immutable |= is_kept;
                schema.has_unevaluated_rules |= !is_kept;
            }
        }
    }

    void count(std::optional<uint64_t>& out, const json::Value& source, std::string_view name,
               const std::string& path) {
        const json::Value* value = json::find(source, {name});
        if (value == nullptr) return;
        if (const int64_t* number = value->if_int64(); number != nullptr && *number >= 0) {
            out = uint64_t(*number);
        } else {
            errors_.push_back(invalid_value(field_path(path, name), *value, "must be a non-negative integer"));
        }
    }

    void number(std::optional<double>& out, const json::Value& source, std::string_view name, const std::string& path) {
        const json::Value* value = json::find(source, {name});
        if (value == nullptr) return;
        if (value->is_number()) {
            out = value->to_number<double>();
        } else {
            errors_.push_back(type_invalid(field_path(path, name), *value, "must be a number"));
        }
    }

    void limits_of(Schema& schema, const json::Value& source, const std::string& path) {
        number(schema.minimum, source, "minimum", path);
        number(schema.maximum, source, "maximum", path);
        number(schema.multiple_of, source, "multipleOf", path);
        flag(schema.minimum_is_exclusive, source, "exclusiveMinimum");
        flag(schema.maximum_is_exclusive, source, "exclusiveMaximum");
        count(schema.length_min, source, "minLength", path);
        count(schema.length_max, source, "maxLength", path);
        count(schema.items_min, source, "minItems", path);
        count(schema.items_max, source, "maxItems", path);
        count(schema.properties_min, source, "minProperties", path);
        count(schema.properties_max, source, "maxProperties", path);
        if (json::find_bool(source, {"uniqueItems"})) {
            errors_.push_back(forbidden_field(field_path(path, "uniqueItems"),
                                              "uniqueItems cannot be set to true since the runtime complexity becomes "
                                              "quadratic"));
        }
        if (json::has(source, {"required"})) schema.required = json::find_strings(source, {"required"});
        if (const json::Array* values = json::find_array(source, {"enum"})) {
            schema.one_of_values.assign(values->begin(), values->end());
        }
        if (const std::string_view pattern = json::find_string(source, {"pattern"}); !pattern.empty()) {
            re2::RE2::Options options;
            options.set_log_errors(false);
            auto compiled = std::make_shared<re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
            schema.pattern_text = pattern;
            if (compiled->ok()) {
                schema.pattern = std::move(compiled);
            } else {
                errors_.push_back(invalid_value(field_path(path, "pattern"), pattern,
                                                "must be a valid regular expression: " + compiled->error()));
            }
        }
    }

    std::vector<SchemaPtr> list_of(const json::Value& source, std::string_view name, const std::string& path,
                                   size_t depth) {
        std::vector<SchemaPtr> out;
        const json::Array* parts = json::find_array(source, {name});
        for (size_t index = 0; parts != nullptr && index < parts->size(); index++) {
            out.push_back(compile((*parts)[index], field_path(field_path(path, name), index), depth + 1, true));
        }
        return out;
    }

    static void inherit_rules(Schema& schema, const Schema& child) {
        schema.has_validations |= child.has_validations;
        schema.has_unevaluated_rules |= child.has_unevaluated_rules;
    }

    void children_of(Schema& schema, const json::Value& source, const std::string& path, size_t depth) {
        if (const json::Object* properties = json::find_object(source, {"properties"})) {
            for (const auto& [name, property] : *properties) {
                const std::string where = key_path(field_path(path, "properties"), std::string_view(name));
                SchemaPtr child = compile(property, where, depth + 1);
                inherit_rules(schema, *child);
                schema.properties.emplace_back(std::string(name), child);
                schema.by_name[std::string(name)] = std::move(child);
            }
        }
        if (const json::Value* items = json::find(source, {"items"})) {
            schema.items = compile(*items, field_path(path, "items"), depth + 1);
            inherit_rules(schema, *schema.items);
        } else if (schema.type == Schema::Type::array && schema.items == nullptr && !schema.preserves_unknown) {
            errors_.push_back(required(field_path(path, "items"), "must be specified"));
        }
        if (const json::Value* additional = json::find(source, {"additionalProperties"})) {
            if (additional->is_object()) {
                schema.additional = compile(*additional, field_path(path, "additionalProperties"), depth + 1);
                inherit_rules(schema, *schema.additional);
                if (!schema.properties.empty()) {
                    errors_.push_back(forbidden_field(field_path(path, "additionalProperties"),
                                                      "additionalProperties and properties are mutual exclusive"));
                }
            } else if (additional->is_bool() && additional->get_bool()) {
                schema.preserves_unknown = true;
            }
        }
        schema.all_of = list_of(source, "allOf", path, depth);
        schema.any_of = list_of(source, "anyOf", path, depth);
        schema.one_of = list_of(source, "oneOf", path, depth);
        if (const json::Value* none = json::find(source, {"not"})) {
            schema.none_of = compile(*none, field_path(path, "not"), depth + 1, true);
        }
        if (schema.list_type == Schema::ListType::map && schema.map_keys.empty()) {
            errors_.push_back(required(field_path(path, "x-kubernetes-list-map-keys"),
                                       "must not be empty if x-kubernetes-list-type is map"));
        }
    }

    void default_of(Schema& schema, const json::Value& source, const std::string& path) {
        const json::Value* value = json::find(source, {"default"});
        if (value == nullptr) return;
        schema.default_value = *value;
        FieldErrors wrong;
        json::Value filled = *value;
        apply_schema_defaults(schema, filled);
        // An empty object stands for "with all its own defaults"; what it lacks is the user's to give.
        if (!filled.is_object()) validate_schema(schema, filled, field_path(path, "default"), wrong);
        errors_.insert(errors_.end(), wrong.begin(), wrong.end());
    }

    const Definitions& definitions_;
    FieldErrors& errors_;
};

}  // namespace

SchemaPtr compile_schema(const json::Value& source, std::string_view path, const Definitions& definitions,
                         FieldErrors& errors) {
    return Compiler(definitions, errors).compile(source, std::string(path), 0);
}

void apply_schema_defaults(const Schema& schema, json::Value& value) {
    if (json::Object* object = value.if_object()) {
        for (const auto& [name, property] : schema.properties) {
            json::Value* member = object->if_contains(name);
            if (property->default_value && (member == nullptr || (member->is_null() && !property->nullable))) {
                member = &((*object)[name] = *property->default_value);
            }
            if (member != nullptr) apply_schema_defaults(*property, *member);
        }
        if (schema.additional != nullptr) {
            for (auto& member : *object) apply_schema_defaults(*schema.additional, member.value());
        }
    } else if (json::Array* array = value.if_array(); array != nullptr && schema.items != nullptr) {
        for (json::Value& item : *array) apply_schema_defaults(*schema.items, item);
    }
}

}  // namespace weft::apiserver
