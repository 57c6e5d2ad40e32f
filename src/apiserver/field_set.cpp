// The set's algebra and its two written forms. What the schema has to say about it is in field_walk.cpp.
#include "apiserver/field_set.h"

#include <fmt/format.h>

namespace weft::apiserver {

const FieldSet* FieldSet::find(std::string_view element) const {
    const auto found = below.find(element);
    return found == below.end() ? nullptr : &found->second;
}

void FieldSet::add(const FieldSet& other) {
    is_member |= other.is_member;
    for (const auto& [element, fields] : other.below) below[element].add(fields);
}

void FieldSet::subtract(const FieldSet& other) {
    if (other.is_member) is_member = false;
    for (const auto& [element, fields] : other.below) {
        const auto found = below.find(element);
        if (found == below.end()) continue;
        found->second.subtract(fields);
        if (found->second.empty()) below.erase(found);
    }
}

FieldSet FieldSet::intersection(const FieldSet& other) const {
    FieldSet common;
    common.is_member = is_member && other.is_member;
    for (const auto& [element, fields] : below) {
        const FieldSet* there = other.find(element);
        if (there == nullptr) continue;
        if (FieldSet both = fields.intersection(*there); !both.empty()) common.below.emplace(element, std::move(both));
    }
    return common;
}

// "k:{\"name\":\"c\"}" is shown as "[name=\"c\"]".
static std::string shown(std::string_view element) {
    const std::string_view text = element.substr(2);
    if (element[0] == 'f') return fmt::format(".{}", text);
    if (element[0] == 'v') return fmt::format("[={}]", text);
    if (element[0] == 'i') return fmt::format("[{}]", text);
    std::string keys;
    if (const auto parsed = json::parse(text); parsed && parsed->is_object()) {
        for (const auto& [name, value] : parsed->get_object())
            keys += fmt::format("{}{}={}", keys.empty() ? "" : ",", std::string_view(name), json::serialize(value));
    }
    return fmt::format("[{}]", keys);
}

static void collect(const FieldSet& fields, const std::string& path, std::vector<std::string>& out) {
    if (fields.is_member) out.push_back(path);
    for (const auto& [element, below] : fields.below) collect(below, path + shown(element), out);
}

std::vector<std::string> FieldSet::paths() const {
    std::vector<std::string> out;
    collect(*this, "", out);
    return out;
}

json::Value to_json(const FieldSet& fields) {
    json::Object out;
    if (fields.is_member && !fields.below.empty()) out["."] = json::Object{};
    for (const auto& [element, below] : fields.below) out[element] = to_json(below);
    return out;
}

static bool is_element(std::string_view text) {
    if (text.size() < 2 || text[1] != ':') return false;
    const std::string_view rest = text.substr(2);
    switch (text[0]) {
        case 'f':
            return true;
        case 'i':
            return !rest.empty() && rest.find_first_not_of("0123456789") == rest.npos;
        case 'v':
            return bool(json::parse(rest));
        case 'k': {
            const auto keys = json::parse(rest);
            return keys && keys->is_object() && !keys->get_object().empty();
        }
        default:
            return false;
    }
}

static bool read_fields(const json::Value& value, FieldSet& fields) {
    const json::Object* object = value.if_object();
    if (object == nullptr) return false;
    if (object->empty()) fields.is_member = true;
    for (const auto& [name, below] : *object) {
        if (name == ".") {
            fields.is_member = true;
        } else if (!is_element(std::string_view(name)) || !read_fields(below, fields.below[std::string(name)])) {
            return false;
        }
    }
    return true;
}

std::optional<FieldSet> parse_fields(const json::Value& value) {
    FieldSet fields;
    if (!read_fields(value, fields)) return std::nullopt;
    fields.is_member = false;  // the whole object is nobody's
    return fields;
}

}  // namespace weft::apiserver
