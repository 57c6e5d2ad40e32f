// Schema-visible errors of a value, in field order (API-122), with the texts of spec/kubernetes.md §0.
#include <re2/re2.h>

#include <cmath>
#include <limits>
#include <unordered_set>

#include "apiserver/schema.h"
#include "apiserver/validate.h"
#include "base/clock.h"
#include "base/strings.h"
#include "net/address.h"

namespace weft::apiserver {

namespace {

std::string_view type_name(Schema::Type type) {
    switch (type) {
        case Schema::Type::object: return "object";
        case Schema::Type::array: return "array";
        case Schema::Type::string: return "string";
        case Schema::Type::integer: return "integer";
        case Schema::Type::number: return "number";
        case Schema::Type::boolean: return "boolean";
        case Schema::Type::any: break;
    }
    return "any";
}

bool has_type(const Schema& schema, const json::Value& value) {
    if (schema.int_or_string) return value.is_string() || value.is_int64() || value.is_uint64() || value.is_double();
    switch (schema.type) {
        case Schema::Type::object: return value.is_object();
        case Schema::Type::array: return value.is_array();
        case Schema::Type::string: return value.is_string();
        case Schema::Type::integer: return value.is_int64() || value.is_uint64();
        case Schema::Type::number: return value.is_number();
        case Schema::Type::boolean: return value.is_bool();
        case Schema::Type::any: break;
    }
    return true;
}

void check_string(const Schema& schema, std::string_view text, const std::string& path, FieldErrors& errors) {
    if (schema.length_max && text.size() > *schema.length_max) {
        errors.push_back(too_long(path, fmt::format("may not be more than {} bytes", *schema.length_max)));
    }
    if (schema.length_min && text.size() < *schema.length_min) {
        errors.push_back(
            invalid_value(path, text, fmt::format("should be at least {} chars long", *schema.length_min)));
    }
    if (schema.pattern != nullptr &&
        !re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *schema.pattern)) {
        errors.push_back(invalid_value(path, text, fmt::format("should match '{}'", schema.pattern_text)));
        return;
    }
    if (const std::string wrong = format_error(schema.format, text); !wrong.empty()) {
        errors.push_back(invalid_value(path, text, wrong));
    }
}

void check_number(const Schema& schema, const json::Value& value, const std::string& path, FieldErrors& errors) {
    const double number = value.to_number<double>();
    if (schema.minimum && (schema.minimum_is_exclusive ? number <= *schema.minimum : number < *schema.minimum)) {
        errors.push_back(
            invalid_value(path, value,
                          fmt::format("must be greater than {}{}", schema.minimum_is_exclusive ? "" : "or equal to ",
                                      *schema.minimum)));
    }
    if (schema.maximum && (schema.maximum_is_exclusive ? number >= *schema.maximum : number > *schema.maximum)) {
        errors.push_back(invalid_value(
            path, value,
            fmt::format("must be less than {}{}", schema.maximum_is_exclusive ? "" : "or equal to ", *schema.maximum)));
    }
    if (schema.multiple_of && *schema.multiple_of > 0 && std::fmod(number, *schema.multiple_of) != 0) {
        errors.push_back(invalid_value(path, value, fmt::format("must be a multiple of {}", *schema.multiple_of)));
    }
    const bool overflows_32 = schema.format == "int32" && (number < std::numeric_limits<int32_t>::min() ||
                                                           number > std::numeric_limits<int32_t>::max());
    if (overflows_32) errors.push_back(invalid_value(path, value, "must fit a 32-bit integer"));
}

std::string map_key_of(const Schema& schema, const json::Value& item) {
    json::Object key;
    for (const std::string& name : schema.map_keys) {
        if (const json::Value* part = json::find(item, {name})) {
            key[name] = *part;
        } else if (const Schema* member = schema.items->property(name); member != nullptr && member->default_value) {
            key[name] = *member->default_value;
        }
    }
    return json::serialize(key);
}

// The items of a list-map by their keys; of other lists nobody knows which item was which.
std::map<std::string, const json::Value*> items_before(const Schema& schema, const json::Value* before) {
    std::map<std::string, const json::Value*> items;
    const bool has_keys = schema.list_type == Schema::ListType::map && schema.items;
    if (before == nullptr || !before->is_array() || !has_keys) return items;
    for (const json::Value& item : before->get_array())
        if (item.is_object()) items.emplace(map_key_of(schema, item), &item);
    return items;
}

const json::Value* member_before(const json::Value* before, std::string_view name) {
    return before == nullptr || !before->is_object() ? nullptr : before->get_object().if_contains(name);
}

void check_array(const Schema& schema, const json::Array& array, const std::string& path, FieldErrors& errors,
                 const json::Value* before, bool types_too) {
    if (schema.items_max && array.size() > *schema.items_max) {
        errors.push_back(too_many(path, array.size(), *schema.items_max));
        return;
    }
    if (schema.items_min && array.size() < *schema.items_min) {
        errors.push_back(invalid_value(path, int64_t(array.size()),
                                       fmt::format("should have at least {} items", *schema.items_min)));
    }
    std::unordered_set<std::string> seen;
    const auto had = items_before(schema, before);
    for (size_t index = 0; index < array.size() && errors.size() < field_errors_max; index++) {
        const std::string where = field_path(path, index);
        const json::Value* was = nullptr;
        if (!had.empty() && array[index].is_object()) {
            const auto found = had.find(map_key_of(schema, array[index]));
            if (found != had.end()) was = found->second;
        }
        if (schema.items != nullptr) validate_schema(*schema.items, array[index], where, errors, was, types_too);
        if (schema.list_type == Schema::ListType::map && array[index].is_object() && schema.items != nullptr) {
            const std::string key = map_key_of(schema, array[index]);
            if (!seen.insert(key).second) {
                const json::Object keys = MUST(json::parse(key)).as_object();
                errors.push_back(schema.map_keys.size() == 1 && keys.size() == 1
                                     ? duplicate(field_path(where, schema.map_keys[0]), keys.begin()->value())
                                     : duplicate(where, json::Value(keys)));
            }
        } else if (schema.list_type == Schema::ListType::set) {
            if (!seen.insert(json::serialize(array[index])).second) errors.push_back(duplicate(where, array[index]));
        }
    }
}

void check_object(const Schema& schema, const json::Object& object, const std::string& path, FieldErrors& errors,
                  const json::Value* before, bool types_too) {
    if (schema.properties_max && object.size() > *schema.properties_max) {
        errors.push_back(too_many(path, object.size(), *schema.properties_max));
    }
    if (schema.properties_min && object.size() < *schema.properties_min) {
        errors.push_back(invalid_value(path, int64_t(object.size()),
                                       fmt::format("should have at least {} properties", *schema.properties_min)));
    }
    for (const std::string& name : schema.required) {
        if (!object.contains(name)) errors.push_back(required(field_path(path, name)));
    }
    for (const auto& [name, property] : schema.properties) {
        if (const json::Value* member = object.if_contains(name)) {
            validate_schema(*property, *member, field_path(path, name), errors, member_before(before, name), types_too);
        }
    }
    if (schema.additional != nullptr) {
        for (const auto& [name, member] : object) {
            validate_schema(*schema.additional, member, key_path(path, std::string_view(name)), errors,
                            member_before(before, name), types_too);
        }
    }
}

// Whether everything in `value` has the type that the schema says.
bool types_fit(const Schema& schema, const json::Value& value) {
    if (value.is_null() && (schema.nullable || schema.type == Schema::Type::any)) return true;
    if (!has_type(schema, value)) return false;
    if (value.is_array() && schema.items)
        return std::all_of(value.get_array().begin(), value.get_array().end(),
                           [&](const json::Value& item) { return types_fit(*schema.items, item); });
    if (!value.is_object()) return true;
    for (const auto& [name, member] : value.get_object()) {
        const Schema* of = schema.property(std::string_view(name));
        if (of == nullptr) of = schema.additional.get();
        if (of != nullptr && !types_fit(*of, member)) return false;
    }
    return true;
}

bool is_valid(const Schema& schema, const json::Value& value) {
    FieldErrors errors;
    validate_schema(schema, value, "", errors);
    return errors.empty();
}

void check_combinations(const Schema& schema, const json::Value& value, const std::string& path, FieldErrors& errors) {
    for (const SchemaPtr& part : schema.all_of) validate_schema(*part, value, path, errors);
    const auto fits = [&](const SchemaPtr& part) { return is_valid(*part, value); };
    if (!schema.any_of.empty() && std::none_of(schema.any_of.begin(), schema.any_of.end(), fits)) {
        errors.push_back(invalid_value(path, value, "must validate at least one schema (anyOf)"));
    }
    if (!schema.one_of.empty() && std::count_if(schema.one_of.begin(), schema.one_of.end(), fits) != 1) {
        errors.push_back(invalid_value(path, value, "must validate one and only one schema (oneOf)"));
    }
    if (schema.none_of != nullptr && is_valid(*schema.none_of, value)) {
        errors.push_back(invalid_value(path, value, "must not validate the schema (not)"));
    }
}

}  // namespace

std::string format_error(std::string_view format, std::string_view text) {
    if (format.empty()) return {};
    if (format == "date-time") {
        WallTime time;
        return parse_rfc3339(std::string(text), time) ? "" : "must be an RFC 3339 time, as 2026-11-24T00:00:00Z";
    }
    if (format == "byte") return base64_decode(text) ? "" : "must be base64";
    if (format == "cidr") {
        const auto prefix = net::Prefix::parse(text);
        return prefix ? "" : "must be a valid CIDR value: " + prefix.error().message;
    }
    if (format == "ipv4" || format == "ipv6") {
        const auto address = net::Address::parse(text);
        return address && address->is_v4() == (format == "ipv4") ? ""
                                                                 : fmt::format("must be a valid {} address", format);
    }
    if (format == "quantity" && !is_quantity(text)) {
        return "quantities must match the regular expression "
               "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    }
    return {};
}

bool is_quantity(std::string_view text) {
    static const re2::RE2 pattern(R"([+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|[eE][+-]?[0-9]{1,3})?)");
    return text.size() <= 64 && re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), pattern);
}

void validate_schema(const Schema& schema, const json::Value& value, const std::string& path, FieldErrors& errors,
                     const json::Value* before, bool types_too) {
    if (errors.size() >= field_errors_max) return;
    if (value.is_null() && (schema.nullable || schema.type == Schema::Type::any)) return;
    if (path == "metadata") types_too = false;
    const bool is_unchanged = before != nullptr && value == *before;
    if (is_unchanged && types_too && !path.empty()) return;
    if (!has_type(schema, value)) {
        const std::string_view wanted = schema.int_or_string ? "integer or string" : type_name(schema.type);
        errors.push_back(type_invalid(path, value, fmt::format("must be of type {}", wanted)));
        return;
    }
    // Else a wrong type is never let pass: the rules that come after read by type.
    if (is_unchanged && types_fit(schema, value)) return;
    if (!schema.one_of_values.empty() &&
        std::find(schema.one_of_values.begin(), schema.one_of_values.end(), value) == schema.one_of_values.end()) {
        std::vector<std::string> supported;
        for (const json::Value& one : schema.one_of_values) {
            supported.push_back(one.is_string() ? std::string(json::view(one.get_string())) : json::serialize(one));
        }
        errors.push_back(not_supported(path, value, supported));
        return;
    }
    if (value.is_string()) check_string(schema, json::view(value.get_string()), path, errors);
    if (value.is_number()) check_number(schema, value, path, errors);
    if (value.is_array()) check_array(schema, value.get_array(), path, errors, before, types_too);
    if (value.is_object()) check_object(schema, value.get_object(), path, errors, before, types_too);
    check_combinations(schema, value, path, errors);
}

void validate_immutable(const Schema& schema, const json::Value& value, const json::Value& stored,
                        const std::string& path, FieldErrors& errors) {
    if (schema.is_immutable && value != stored) {
        errors.push_back(invalid_value(path, value, "field is immutable"));
        return;
    }
    if (!schema.has_validations || !value.is_object() || !stored.is_object()) return;
    for (const auto& [name, property] : schema.properties) {
        const json::Value* now = value.get_object().if_contains(name);
        const json::Value* before = stored.get_object().if_contains(name);
        if (now != nullptr && before != nullptr) {
            validate_immutable(*property, *now, *before, field_path(path, name), errors);
        }
    }
}

}  // namespace weft::apiserver
