// Objects as trees of fields: which lists have keys and which values are one field is the schema's word.
#include <fmt/format.h>

#include "apiserver/field_set.h"
#include "apiserver/schema.h"

namespace weft::apiserver {

namespace {

enum class Shape : uint8_t { leaf, map, list };

Shape shape_of(const Schema* schema, const json::Value& value) {
    if (value.is_object()) return schema != nullptr && schema->is_atomic_map ? Shape::leaf : Shape::map;
    const bool is_granular = schema != nullptr && schema->list_type != Schema::ListType::atomic;
    return value.is_array() && is_granular ? Shape::list : Shape::leaf;
}

const Schema* member_schema(const Schema* schema, std::string_view name) {
    if (schema == nullptr) return nullptr;
    if (const Schema* property = schema->property(name)) return property;
    return schema->additional.get();
}

// Members of a map with free keys are claimed one by one; those of a struct by what is in them.
bool is_free_member(const Schema* schema, std::string_view name) {
    return schema == nullptr || schema->property(name) == nullptr;
}

// "k:..." or "v:..." of an item; "" when it lacks its key.
std::string element_of(const Schema& list, const json::Value& item) {
    if (list.list_type == Schema::ListType::set) {
        return item.is_object() || item.is_array() ? "" : "v:" + json::serialize(item);
    }
    std::map<std::string, json::Value> keys;
    for (const std::string& name : list.map_keys) {
        const json::Value* value = json::find(item, {name});
        if (value == nullptr || value->is_null()) {
            const Schema* key = list.items == nullptr ? nullptr : list.items->property(name);
            if (key == nullptr || !key->default_value) continue;
            value = &*key->default_value;
        }
        keys.emplace(name, *value);
    }
    if (keys.empty()) return "";
    json::Object sorted;
    for (auto& [name, value] : keys) sorted[name] = std::move(value);
    return "k:" + json::serialize(sorted);
}

using Items = std::map<std::string, const json::Value*>;

// nullopt: some item has no key, or two have one; the list is then as good as atomic.
std::optional<Items> items_of(const Schema& list, const json::Array& array) {
    Items items;
    for (const json::Value& item : array) {
        std::string element = element_of(list, item);
        if (element.empty() || !items.emplace(std::move(element), &item).second) return std::nullopt;
    }
    return items;
}

void compare(const Schema* schema, const json::Value* before, const json::Value* after, FieldSet& changed,
             FieldSet& removed);

void compare_child(const Schema* schema, const std::string& element, const json::Value* before,
                   const json::Value* after, FieldSet& changed, FieldSet& removed) {
    FieldSet changed_below, removed_below;
    compare(schema, before, after, changed_below, removed_below);
    if (!changed_below.empty()) changed.below.emplace(element, std::move(changed_below));
    if (!removed_below.empty()) removed.below.emplace(element, std::move(removed_below));
}

void compare_maps(const Schema* schema, const json::Object& before, const json::Object& after, FieldSet& changed,
                  FieldSet& removed) {
    for (const auto& [name, value] : after) {
        const json::Value* old = before.if_contains(name);
        if (old != nullptr && *old == value) continue;
        compare_child(member_schema(schema, name), "f:" + std::string(name), old, &value, changed, removed);
    }
    for (const auto& [name, value] : before) {
        if (after.contains(name)) continue;
        compare_child(member_schema(schema, name), "f:" + std::string(name), &value, nullptr, changed, removed);
    }
}

void compare_lists(const Schema& list, const Items& before, const Items& after, FieldSet& changed, FieldSet& removed) {
    for (const auto& [element, value] : after) {
        const auto old = before.find(element);
        compare_child(list.items.get(), element, old == before.end() ? nullptr : old->second, value, changed, removed);
    }
    for (const auto& [element, value] : before) {
        if (!after.contains(element)) compare_child(list.items.get(), element, value, nullptr, changed, removed);
    }
}

void compare(const Schema* schema, const json::Value* before, const json::Value* after, FieldSet& changed,
             FieldSet& removed) {
    if (before != nullptr && after != nullptr && *before == *after) return;
    const json::Value& any = after != nullptr ? *after : *before;
    const Shape shape = shape_of(schema, any);
    const bool same_type = before == nullptr || after == nullptr || before->kind() == after->kind();
    if (shape == Shape::map && same_type) {
        static const json::Object nothing;
        const json::Object& old = before == nullptr ? nothing : before->get_object();
        const json::Object& now = after == nullptr ? nothing : after->get_object();
        compare_maps(schema, old, now, changed, removed);
        // A struct that appears is its members; a map is something itself, and so is one without members.
        const bool is_struct = schema != nullptr && schema->additional == nullptr && !schema->properties.empty();
        if (before == nullptr) changed.is_member = !is_struct || now.empty();
        if (after == nullptr) removed.is_member = true;
        return;
    }
    if (shape == Shape::list && same_type) {
        static const json::Array nothing;
        const auto old = items_of(*schema, before == nullptr ? nothing : before->get_array());
        const auto now = items_of(*schema, after == nullptr ? nothing : after->get_array());
        if (old && now) {
            compare_lists(*schema, *old, *now, changed, removed);
            if (after == nullptr) removed.is_member = true;
            // Of an item that appears, the item itself.
            for (const auto& [element, value] : *now) {
                if (!old->contains(element)) changed.below[element].is_member = true;
            }
            return;
        }
    }
    (after == nullptr ? removed : changed).is_member = true;
}

}  // namespace

Difference difference(const Schema* schema, const json::Value& before, const json::Value& after) {
    Difference out;
    compare(schema, &before, &after, out.changed, out.removed);
    out.changed.is_member = false;
    return out;
}

FieldSet fields_of(const Schema* schema, const json::Value& value) {
    FieldSet fields;
    switch (shape_of(schema, value)) {
        case Shape::leaf:
            fields.is_member = true;
            return fields;
        case Shape::map:
            for (const auto& [name, member] : value.get_object()) {
                FieldSet& below = fields.below["f:" + std::string(name)];
                below = fields_of(member_schema(schema, name), member);
                const json::Object* object = member.if_object();
                if (member.is_null() || (object != nullptr && object->empty()) || is_free_member(schema, name))
                    below.is_member = true;
                if (below.empty()) fields.below.erase("f:" + std::string(name));
            }
            return fields;
        case Shape::list:
            const auto items = items_of(*schema, value.get_array());
            if (!items) {
                fields.is_member = true;
                return fields;
            }
            for (const auto& [element, item] : *items) {
                fields.below[element] = fields_of(schema->items.get(), *item);
                fields.below[element].is_member = true;
            }
            return fields;
    }
    return fields;
}

std::expected<json::Value, Refusal> merge_applied(const Schema* schema, const json::Value& live,
                                                  const json::Value& config) {
    const Shape shape = shape_of(schema, config);
    if (shape == Shape::map) {
        json::Value out = live.is_object() ? live : json::Value(json::Object{});
        json::Object& object = out.get_object();
        for (const auto& [name, member] : config.get_object()) {
            json::Value& slot = object[name];
            auto merged = merge_applied(member_schema(schema, name), slot, member);
            if (!merged) return merged;
            slot = std::move(*merged);
        }
        return out;
    }
    if (shape == Shape::list) {
        json::Value out = live.is_array() ? live : json::Value(json::Array{});
        std::map<std::string, size_t> places;
        for (size_t index = 0; index < out.get_array().size(); index++)
            places.emplace(element_of(*schema, out.get_array()[index]), index);
        std::map<std::string, bool> seen;
        for (const json::Value& item : config.get_array()) {
            const std::string element = element_of(*schema, item);
            if (element.empty())
                return std::unexpected(
                    bad_request(fmt::format("an item of a list keyed by {} omits its key: {}",
                                            fmt::join(schema->map_keys, ", "), json::serialize(item).substr(0, 256))));
            if (!seen.emplace(element, true).second)
                return std::unexpected(bad_request(fmt::format("duplicate entries for key {}", element.substr(2))));
            const auto place = places.find(element);
            json::Value nothing;
            json::Value& old = place == places.end() ? nothing : out.get_array()[place->second];
            auto merged = merge_applied(schema->items.get(), old, item);
            if (!merged) return merged;
            if (place == places.end())
                out.get_array().push_back(std::move(*merged));
            else
                old = std::move(*merged);
        }
        return out;
    }
    return config;
}

void remove_unowned(const Schema* schema, json::Value& value, const FieldSet& last, const FieldSet& owned) {
    const Shape shape = shape_of(schema, value);
    if (shape == Shape::map) {
        json::Object& object = value.get_object();
        for (const auto& [element, below] : last.below) {
            if (element[0] != 'f') continue;
            const auto member = object.find(std::string_view(element).substr(2));
            if (member == object.end()) continue;
            if (const FieldSet* kept = owned.find(element)) {
                remove_unowned(member_schema(schema, member->key()), member->value(), below, *kept);
            } else {
                object.stable_erase(member);
            }
        }
    } else if (shape == Shape::list) {
        json::Array kept_items;
        for (json::Value& item : value.get_array()) {
            const std::string element = element_of(*schema, item);
            const FieldSet* below = last.find(element);
            const FieldSet* kept = owned.find(element);
            // Who has only something inside an item does not keep the item.
            if (below != nullptr && below->is_member && (kept == nullptr || !kept->is_member)) continue;
            if (below != nullptr && kept == nullptr) continue;
            if (below != nullptr) remove_unowned(schema->items.get(), item, *below, *kept);
            kept_items.push_back(std::move(item));
        }
        value = std::move(kept_items);
    }
}

}  // namespace weft::apiserver
