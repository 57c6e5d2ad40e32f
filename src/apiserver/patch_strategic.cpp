// Strategic merge patch: a merge patch whose lists merge by a key that the schema names, steered by directives
// (API-82):
//   $patch: delete | replace | merge        in an object, or in an element of a keyed list
//   $deleteFromPrimitiveList/<field>        values that leave a set
//   $setElementOrder/<field>                the order of the list afterwards
//   $retainKeys                             what may stay of an object
#include <algorithm>

#include "apiserver/patch.h"
#include "apiserver/schema.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

constexpr Text patch_directive = "$patch";
constexpr Text retain_directive = "$retainKeys";
constexpr Text order_prefix = "$setElementOrder/";
constexpr Text delete_prefix = "$deleteFromPrimitiveList/";

class StrategicMerge {
public:
    json::Value merge_value(const Schema* schema, json::Value current, const json::Value& patch,
                            const json::Array* order) {
        if (patch.is_object()) {
            return merge_object(schema, current.is_object() ? std::move(current.get_object()) : json::Object{},
                                patch.get_object());
        }
        if (patch.is_array()) {
            return merge_list(schema, current.is_array() ? std::move(current.get_array()) : json::Array{},
                              patch.get_array(), order);
        }
        return patch;
    }

    std::optional<Refusal> refusal;

private:
    void refuse(std::string message) {
        if (!refusal) refusal = bad_request(std::move(message));
    }

    static const Schema* child_of(const Schema* schema, Text name) {
        if (schema == nullptr) return nullptr;
        const Schema* child = schema->property(name);
        return child != nullptr ? child : schema->additional.get();
    }

    // "" when there is none; refuses an unknown one.
    Text directive_of(const json::Object& patch) {
        const json::Value* directive = patch.if_contains(patch_directive);
        if (directive == nullptr) return {};
        const Text name = directive->is_string() ? json::view(directive->get_string()) : Text();
        if (name != "delete" && name != "replace" && name != "merge") {
            refuse(fmt::format("unknown patch type {} found in map", json::serialize(*directive)));
        }
        return name;
    }

    json::Value merge_object(const Schema* schema, json::Object current, const json::Object& patch) {
        const Text directive = directive_of(patch);
        if (refusal) return current;
        if (directive == "delete") return json::Object{};
        if (directive == "replace") {
            json::Object plain = patch;
            plain.erase(patch_directive);
            return plain;
        }
        retain(current, patch);
        for (const auto& [raw_name, value] : patch) {
            const Text name(raw_name);
            if (name.starts_with(order_prefix)) {
                const Text field = name.substr(order_prefix.size());
                if (!patch.contains(field)) reorder_only(child_of(schema, field), current, field, value);
            } else if (name.starts_with(delete_prefix)) {
                delete_primitives(current, name.substr(delete_prefix.size()), value);
            }
        }
        for (const auto& [raw_name, value] : patch) {
            const Text name(raw_name);
            if (name.starts_with('$') || refusal) continue;
            if (value.is_null()) {
                if (const auto found = current.find(name); found != current.end()) current.stable_erase(found);
                continue;
            }
            const json::Value* order = patch.if_contains(std::string(order_prefix) + std::string(name));
            json::Value& slot = current[name];
            slot = merge_value(child_of(schema, name), std::move(slot), value,
                               order == nullptr ? nullptr : order->if_array());
        }
        return current;
    }

    void retain(json::Object& current, const json::Object& patch) {
        const json::Value* keys = patch.if_contains(retain_directive);
        if (keys == nullptr) return;
        const json::Array* list = keys->if_array();
        if (list == nullptr) return refuse("the $retainKeys directive must be a list");
        const auto is_listed = [&](Text name) {
            return std::any_of(list->begin(), list->end(), [&](const json::Value& key) {
                return key.is_string() && json::view(key.get_string()) == name;
            });
        };
        for (const auto& [name, value] : patch) {
            if (!Text(name).starts_with('$') && !value.is_null() && !is_listed(Text(name))) {
                return refuse(fmt::format("$retainKeys lacks the key {} that the patch sets", Text(name)));
            }
        }
        for (auto member = current.begin(); member != current.end();) {
            member = is_listed(Text(member->key())) ? member + 1 : current.stable_erase(member);
        }
    }

    void delete_primitives(json::Object& current, Text field, const json::Value& values) {
        if (!values.is_array()) return refuse(fmt::format("{}{} must be a list", delete_prefix, field));
        json::Value* list = current.if_contains(field);
        if (list == nullptr || !list->is_array()) return;
        json::Array kept;
        for (json::Value& item : list->get_array()) {
            const json::Array& gone = values.get_array();
            if (std::find(gone.begin(), gone.end(), item) == gone.end()) kept.push_back(std::move(item));
        }
        *list = std::move(kept);
    }

    void reorder_only(const Schema* schema, json::Object& current, Text field, const json::Value& order) {
        if (!order.is_array()) return refuse(fmt::format("{}{} must be a list", order_prefix, field));
        json::Value* list = current.if_contains(field);
        if (list == nullptr || !list->is_array() || schema == nullptr || !schema->patch_merges) return;
        const json::Array before = list->get_array();
        *list = ordered(*schema, before, before, order.get_array());
    }

    json::Value merge_list(const Schema* schema, json::Array current, const json::Array& patch,
                           const json::Array* order) {
        if (schema == nullptr || !schema->patch_merges) return without_directives(patch);
        const json::Array before = current;
        const bool is_keyed = !schema->merge_key.empty();
        json::Array merged =
            is_keyed ? merge_keyed(*schema, std::move(current), patch) : merge_set(std::move(current), patch);
        if (order != nullptr && !refusal) merged = ordered(*schema, merged, before, *order);
        return merged;
    }

    // A replaced list may still carry directives of a careless client in its elements.
    json::Value without_directives(const json::Array& patch) {
        json::Array out;
        for (const json::Value& item : patch) {
            out.push_back(item.is_object() ? merge_object(nullptr, {}, item.get_object()) : item);
        }
        return out;
    }

    static json::Array merge_set(json::Array current, const json::Array& patch) {
        for (const json::Value& item : patch) {
            if (std::find(current.begin(), current.end(), item) == current.end()) current.push_back(item);
        }
        return current;
    }

    json::Array merge_keyed(const Schema& schema, json::Array current, const json::Array& patch) {
        for (const json::Value& item : patch) {
            if (item.is_object() && directive_of(item.get_object()) == "replace") return replaced(schema, patch);
        }
        for (const json::Value& item : patch) {
            if (!item.is_object()) {
                refuse(fmt::format("a list merged by {} must hold objects", schema.merge_key));
                return current;
            }
            const json::Object& wish = item.get_object();
            const json::Value* key = wish.if_contains(schema.merge_key);
            if (key == nullptr) {
                refuse(fmt::format("map: {} does not contain declared merge key: {}",
                                   json::serialize(item).substr(0, 512), schema.merge_key));
                return current;
            }
            const auto matches = [&](const json::Value& other) {
                const json::Value* other_key =
                    other.is_object() ? other.get_object().if_contains(schema.merge_key) : nullptr;
                return other_key != nullptr && *other_key == *key;
            };
            if (directive_of(wish) == "delete") {
                current.erase(std::remove_if(current.begin(), current.end(), matches), current.end());
                continue;
            }
            const auto found = std::find_if(current.begin(), current.end(), matches);
            if (found == current.end()) {
                current.push_back(merge_object(schema.items.get(), {}, wish));
            } else {
                *found = merge_object(schema.items.get(), found->get_object(), wish);
            }
            if (refusal) break;
        }
        return current;
    }

    json::Array replaced(const Schema& schema, const json::Array& patch) {
        json::Array out;
        for (const json::Value& item : patch) {
            if (!item.is_object()) continue;
            json::Object wish = item.get_object();
            const bool is_only_directive = wish.size() == 1 && wish.contains(patch_directive);
            wish.erase(patch_directive);
            if (!is_only_directive) out.push_back(merge_object(schema.items.get(), {}, wish));
        }
        return out;
    }

    // Elements named in `order` come in that order; the others keep their place between those they stood between
    // before.
    static json::Array ordered(const Schema& schema, const json::Array& merged, const json::Array& before,
                               const json::Array& order) {
        const auto key_of = [&](const json::Value& item) -> json::Value {
            if (schema.merge_key.empty() || !item.is_object()) return item;
            const json::Value* key = item.get_object().if_contains(schema.merge_key);
            return key == nullptr ? json::Value(nullptr) : *key;
        };
        const auto place_in = [&](const json::Array& list, const json::Value& key) {
            const auto found =
                std::find_if(list.begin(), list.end(), [&](const json::Value& item) { return key_of(item) == key; });
            return found == list.end() ? ptrdiff_t(-1) : found - list.begin();
        };
        std::vector<std::pair<ptrdiff_t, const json::Value*>> listed;
        std::vector<const json::Value*> others;
        for (const json::Value& item : merged) {
            const ptrdiff_t place = place_in(order, key_of(item));
            if (place >= 0) {
                listed.emplace_back(place, &item);
            } else {
                others.push_back(&item);
            }
        }
        std::sort(listed.begin(), listed.end());  // of one place: as they stand in the list
        json::Array out;
        size_t other = 0;
        for (const auto& [place, item] : listed) {
            const ptrdiff_t stood = place_in(before, key_of(*item));
            while (other < others.size() && stood >= 0 && place_in(before, key_of(*others[other])) < stood) {
                out.push_back(*others[other++]);
            }
            out.push_back(*item);
        }
        while (other < others.size()) out.push_back(*others[other++]);
        return out;
    }
};

}  // namespace

std::expected<json::Value, Refusal> strategic_merge(const Schema* schema, json::Value current,
                                                    const json::Value& patch) {
    StrategicMerge merge;
    json::Value result = merge.merge_value(schema, std::move(current), patch, nullptr);
    if (merge.refusal) return std::unexpected(*std::move(merge.refusal));
    return result;
}

}  // namespace weft::apiserver
