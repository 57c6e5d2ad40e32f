#include "kube/patch.h"

#include "base/strings.h"

namespace weft::kube {

void apply_merge_patch(json::Value& target, const json::Value& patch) {
    if (!patch.is_object()) {
        target = patch;
        return;
    }
    if (!target.is_object()) target.emplace_object();
    for (const auto& [name, value] : patch.get_object()) {
        if (value.is_null()) {
            json::erase(target, {std::string_view(name.data(), name.size())});
        } else {
            apply_merge_patch(target.get_object()[name], value);
        }
    }
}

namespace {

std::vector<std::string> pointer_steps(std::string_view pointer) {
    std::vector<std::string> steps;
    const std::vector<std::string_view> parts = split(pointer, '/');
    for (size_t i = 1; i < parts.size(); i++) {
        std::string step;
        for (size_t at = 0; at < parts[i].size(); at++) {
            const bool escaped = parts[i][at] == '~' && at + 1 < parts[i].size();
            if (escaped) at++;
            step += escaped ? (parts[i][at] == '1' ? '/' : '~') : parts[i][at];
        }
        steps.push_back(std::move(step));
    }
    return steps;
}

json::Value* child(json::Value& parent, const std::string& step) {
    if (json::Object* object = parent.if_object()) return object->if_contains(step);
    json::Array* array = parent.if_array();
    const std::optional<uint64_t> index = parse_unsigned(step);
    return array != nullptr && index && *index < array->size() ? &(*array)[*index] : nullptr;
}

Status add_at(json::Value& parent, const std::string& step, const json::Value& value) {
    if (json::Object* object = parent.if_object()) {
        (*object)[step] = value;
        return {};
    }
    json::Array* array = parent.if_array();
    if (array == nullptr) return fail(Code::invalid, "the parent is neither an object nor an array");
    const std::optional<uint64_t> index = step == "-" ? array->size() : parse_unsigned(step);
    if (!index || *index > array->size()) return fail(Code::invalid, "array index \"" + step + "\" is out of range");
    array->insert(array->begin() + ptrdiff_t(*index), value);
    return {};
}

Status remove_at(json::Value& parent, const std::string& step) {
    if (child(parent, step) == nullptr) return fail(Code::invalid, "there is nothing at the path");
    if (parent.is_object())
        json::erase(parent, {step});
    else
        parent.get_array().erase(parent.get_array().begin() + ptrdiff_t(*parse_unsigned(step)));
    return {};
}

Status apply_operation(json::Value& target, const json::Value& operation) {
    const std::string_view op = json::find_string(operation, {"op"});
    const std::vector<std::string> steps = pointer_steps(json::find_string(operation, {"path"}));
    const json::Value* value = json::find(operation, {"value"});
    if (steps.empty()) return fail(Code::invalid, "the path must name a member");
    json::Value* parent = &target;
    for (size_t i = 0; i + 1 < steps.size() && parent != nullptr; i++) parent = child(*parent, steps[i]);
    if (parent == nullptr) return fail(Code::invalid, "a step of the path does not exist");
    json::Value* found = child(*parent, steps.back());
    if (op == "remove") return remove_at(*parent, steps.back());
    if (value == nullptr) return fail(Code::invalid, "a value is required");
    if (op == "add") return add_at(*parent, steps.back(), *value);
    if (op != "replace" && op != "test")
        return fail(Code::invalid, "operation \"" + std::string(op) + "\" is not supported");
    if (found == nullptr) return fail(Code::invalid, "there is nothing at the path");
    if (op == "replace")
        *found = *value;
    else if (*found != *value)
        return fail(Code::invalid, "the test failed");
    return {};
}

}  // namespace

Status apply_json_patch(json::Value& target, const json::Value& patch) {
    if (!patch.is_array()) return fail(Code::invalid, "json patch: must be an array of operations");
    json::Value changed = target;
    for (const json::Value& operation : patch.get_array())
        TRY_IN("json patch " + std::string(json::find_string(operation, {"path"})),
               apply_operation(changed, operation));
    target = std::move(changed);
    return {};
}

}  // namespace weft::kube
