// JSON patch (RFC 6902): six operations on paths (RFC 6901). All or nothing. API-80.
#include "apiserver/patch.h"
#include "base/strings.h"

namespace weft::apiserver {

namespace {

using Failed = std::expected<void, Refusal>;

std::unexpected<Refusal> unprocessable(std::string message) {
    return std::unexpected(Refusal{422, "Invalid", std::move(message), {}});
}

// "/a~1b/0" → {"a/b", "0"}; nullopt when it does not begin with '/' or has a bad escape.
std::optional<std::vector<std::string>> steps_of(std::string_view pointer) {
    std::vector<std::string> steps;
    if (pointer.empty()) return steps;
    if (pointer[0] != '/') return std::nullopt;
    for (const std::string_view raw : split(pointer.substr(1), '/')) {
        std::string step;
        for (size_t at = 0; at < raw.size(); at++) {
            if (raw[at] != '~') {
                step += raw[at];
            } else if (at + 1 < raw.size() && (raw[at + 1] == '0' || raw[at + 1] == '1')) {
                step += raw[++at] == '0' ? '~' : '/';
            } else {
                return std::nullopt;
            }
        }
        steps.push_back(std::move(step));
    }
    return steps;
}

std::optional<size_t> index_of(const std::string& step, size_t limit) {
    if (step.size() > 1 && step[0] == '0') return std::nullopt;
    const auto number = parse_unsigned(step);
    return number && *number < limit ? std::optional<size_t>(*number) : std::nullopt;
}

json::Value* child(json::Value& parent, const std::string& step) {
    if (json::Object* object = parent.if_object()) return object->if_contains(step);
    json::Array* array = parent.if_array();
    const auto index = array == nullptr ? std::nullopt : index_of(step, array->size());
    return index ? &(*array)[*index] : nullptr;
}

json::Value* at(json::Value& root, const std::vector<std::string>& steps, size_t count) {
    json::Value* value = &root;
    for (size_t step = 0; step < count && value != nullptr; step++) value = child(*value, steps[step]);
    return value;
}

Failed missing(std::string_view operation, std::string_view path) {
    return unprocessable(
        fmt::format("{} operation does not apply: doc is missing path: {}: missing value", operation, path));
}

Failed add(json::Value& root, const std::vector<std::string>& steps, std::string_view path, json::Value value) {
    if (steps.empty()) {
        root = std::move(value);
        return {};
    }
    json::Value* parent = at(root, steps, steps.size() - 1);
    const std::string& last = steps.back();
    if (parent != nullptr && parent->is_object()) {
        parent->get_object()[last] = std::move(value);
        return {};
    }
    if (parent == nullptr || !parent->is_array()) return missing("add", path);
    json::Array& array = parent->get_array();
    const auto index = last == "-" ? std::optional(array.size()) : index_of(last, array.size() + 1);
    if (!index) return unprocessable(fmt::format("add operation does not apply: {}: invalid array index", path));
    array.insert(array.begin() + ptrdiff_t(*index), std::move(value));
    return {};
}

Failed remove(json::Value& root, const std::vector<std::string>& steps, std::string_view path) {
    json::Value* parent = steps.empty() ? nullptr : at(root, steps, steps.size() - 1);
    if (parent == nullptr || child(*parent, steps.back()) == nullptr) return missing("remove", path);
    if (json::Object* object = parent->if_object()) {
        object->stable_erase(object->find(steps.back()));
    } else {
        json::Array& array = parent->get_array();
        array.erase(array.begin() + ptrdiff_t(*index_of(steps.back(), array.size())));
    }
    return {};
}

Failed apply_one(json::Value& root, const json::Value& operation) {
    const std::string_view name = json::find_string(operation, {"op"});
    const json::Value* path_text = json::find(operation, {"path"});
    if (path_text == nullptr || !path_text->is_string())
        return std::unexpected(bad_request("json patch: an operation lacks path"));
    const std::string_view path = json::view(path_text->get_string());
    const auto steps = steps_of(path);
    if (!steps) return std::unexpected(bad_request(fmt::format("json patch: malformed path {}", path)));
    const json::Value* value = operation.get_object().if_contains("value");
    const bool needs_value = name == "add" || name == "replace" || name == "test";
    if (needs_value && value == nullptr) {
        return std::unexpected(bad_request(fmt::format("json patch: {} {} lacks value", name, path)));
    }
    if (name == "add") return add(root, *steps, path, *value);
    if (name == "remove") return remove(root, *steps, path);
    if (name == "replace") {
        json::Value* target = at(root, *steps, steps->size());
        if (target == nullptr) return missing("replace", path);
        *target = *value;
        return {};
    }
    if (name == "test") {
        const json::Value* target = at(root, *steps, steps->size());
        // RFC 6902 asks for the value null where something is; absent counts as null, as Kubernetes' library has it.
        const bool holds = target == nullptr ? value->is_null() : *target == *value;
        if (!holds) return unprocessable(fmt::format("testing path {} failed: test failed", path));
        return {};
    }
    if (name != "move" && name != "copy") {
        return std::unexpected(bad_request(fmt::format("json patch: unknown operation \"{}\"", name)));
    }
    const std::string_view from_text = json::find_string(operation, {"from"});
    const auto from = steps_of(from_text);
    if (!from || from_text.empty()) return std::unexpected(bad_request(fmt::format("json patch: {} lacks from", name)));
    json::Value* source = at(root, *from, from->size());
    if (source == nullptr) return missing(name, from_text);
    json::Value moved = *source;
    if (name == "move") {
        if (path.size() > from_text.size() && path.starts_with(from_text) && path[from_text.size()] == '/') {
            return unprocessable(fmt::format("move operation does not apply: {} is inside {}", path, from_text));
        }
        if (auto gone = remove(root, *from, from_text); !gone) return gone;
    }
    return add(root, *steps, path, std::move(moved));
}

}  // namespace

std::expected<json::Value, Refusal> json_patch(const json::Value& current, const json::Value& patch) {
    const json::Array* operations = patch.if_array();
    if (operations == nullptr) return std::unexpected(bad_request("error decoding patch: a JSON array is expected"));
    if (operations->size() > patch_operations_max) {
        return std::unexpected(Refusal{413,
                                       "RequestEntityTooLarge",
                                       fmt::format("The allowed maximum operations in a JSON patch is {}, got {}",
                                                   patch_operations_max, operations->size()),
                                       {}});
    }
    json::Value result = current;
    size_t copied = 0;
    for (const json::Value& operation : *operations) {
        if (!operation.is_object()) return std::unexpected(bad_request("json patch: an operation must be an object"));
        // A chain of copies doubles the document each time.
        if (json::find_string(operation, {"op"}) == "copy") copied += json::serialize(result).size();
        if (copied > patch_copied_bytes_max) {
            return std::unexpected(Refusal{413, "RequestEntityTooLarge", "json patch: copies too much", {}});
        }
        if (auto applied = apply_one(result, operation); !applied) return std::unexpected(std::move(applied).error());
    }
    return result;
}

}  // namespace weft::apiserver
