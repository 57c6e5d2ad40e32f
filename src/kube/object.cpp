#include "kube/object.h"

#include "kube/client.h"

namespace weft::kube {

Object metadata_of(const Object& object) {
    json::Object body{{"apiVersion", object.api_version()}, {"kind", object.kind()}};
    if (const json::Value* metadata = object.find({"metadata"})) body["metadata"] = *metadata;
    return Object(std::move(body));
}

Object Object::of(const Resource& resource, const ObjectKey& key) {
    Object object;
    object.set({"apiVersion"}, json::Value(resource.api_version()));
    object.set({"kind"}, resource.kind);
    object.set({"metadata", "name"}, json::Value(key.name));
    if (resource.namespaced) object.set({"metadata", "namespace"}, json::Value(key.ns));
    return object;
}

Labels Object::labels() const {
    Labels labels;
    const json::Object* found = json::find_object(body_, {"metadata", "labels"});
    if (found == nullptr) return labels;
    for (const auto& [name, value] : *found)
        if (value.is_string()) labels.emplace(std::string(name), std::string(json::view(value.get_string())));
    return labels;
}

std::vector<OwnerReference> Object::owners() const {
    std::vector<OwnerReference> owners;
    for (const json::Value& owner : array({"metadata", "ownerReferences"})) {
        owners.push_back({std::string(json::find_string(owner, {"apiVersion"})),
                          std::string(json::find_string(owner, {"kind"})),
                          std::string(json::find_string(owner, {"name"})),
                          std::string(json::find_string(owner, {"uid"})), json::find_bool(owner, {"controller"})});
    }
    return owners;
}

static bool is_text(const json::Value& value, std::string_view text) {
    return value.is_string() && json::view(value.get_string()) == text;
}

bool Object::has_finalizer(std::string_view name) const {
    for (const json::Value& finalizer : array({"metadata", "finalizers"}))
        if (is_text(finalizer, name)) return true;
    return false;
}

const json::Array& Object::array(json::Path path) const {
    static const json::Array empty;
    const json::Array* found = json::find_array(body_, path);
    return found == nullptr ? empty : *found;
}

void Object::add_finalizer(std::string_view name) {
    if (has_finalizer(name)) return;
    json::Array finalizers = array({"metadata", "finalizers"});
    finalizers.emplace_back(name);
    set({"metadata", "finalizers"}, std::move(finalizers));
}

void Object::remove_finalizer(std::string_view name) {
    if (!has_finalizer(name)) return;
    json::Array kept;
    for (const json::Value& finalizer : array({"metadata", "finalizers"}))
        if (!is_text(finalizer, name)) kept.push_back(finalizer);
    if (kept.empty())
        json::erase(body_, {"metadata", "finalizers"});
    else
        set({"metadata", "finalizers"}, std::move(kept));
}

void Object::set_controller_owner(const Object& owner) {
    json::Array owners;
    for (const json::Value& other : array({"metadata", "ownerReferences"}))
        if (!json::find_bool(other, {"controller"})) owners.push_back(other);
    owners.push_back(json::Object{{"apiVersion", owner.api_version()},
                                  {"kind", owner.kind()},
                                  {"name", owner.name()},
                                  {"uid", owner.uid()},
                                  {"controller", true},
                                  {"blockOwnerDeletion", true}});
    set({"metadata", "ownerReferences"}, std::move(owners));
}

const json::Value* find_condition(const Object& object, std::string_view type) {
    for (const json::Value& condition : object.array({"status", "conditions"}))
        if (json::find_string(condition, {"type"}) == type) return &condition;
    return nullptr;
}

bool condition_is(const Object& object, std::string_view type, std::string_view status) {
    const json::Value* condition = find_condition(object, type);
    return condition != nullptr && json::find_string(*condition, {"status"}) == status;
}

bool set_condition(Object& object, std::string_view type, bool status, std::string_view reason,
                   std::string_view message, const Clock& clock) {
    const std::string_view wanted = status ? "True" : "False";
    if (json::find_array(object.body(), {"status", "conditions"}) == nullptr)
        object.set({"status", "conditions"}, json::Array{});
    json::Array& conditions = object.body().at("status").at("conditions").get_array();
    for (json::Value& condition : conditions) {
        if (json::find_string(condition, {"type"}) != type) continue;
        const bool moved = json::find_string(condition, {"status"}) != wanted;
        if (!moved && json::find_string(condition, {"reason"}) == reason &&
            json::find_string(condition, {"message"}) == message)
            return false;
        json::set(condition, {"status"}, json::Value(wanted));
        json::set(condition, {"reason"}, json::Value(reason));
        json::set(condition, {"message"}, json::Value(message));
        if (moved) json::set(condition, {"lastTransitionTime"}, json::Value(rfc3339(clock.wall())));
        return true;
    }
    conditions.push_back(json::Object{{"type", type},
                                      {"status", wanted},
                                      {"reason", reason},
                                      {"message", message},
                                      {"lastTransitionTime", rfc3339(clock.wall())}});
    return true;
}

static bool expression_matches(const json::Value& expression, const Labels& labels) {
    const auto label = labels.find(std::string(json::find_string(expression, {"key"})));
    const bool present = label != labels.end();
    const std::string_view op = json::find_string(expression, {"operator"});
    if (op == "Exists") return present;
    if (op == "DoesNotExist") return !present;
    bool listed = false;
    for (const std::string& value : json::find_strings(expression, {"values"}))
        listed |= present && label->second == value;
    if (op == "In") return listed;
    if (op == "NotIn") return !listed;
    return false;  // an operator nobody knows selects nothing
}

bool selector_matches(const json::Value* selector, const Labels& labels) {
    if (selector == nullptr || !selector->is_object()) return false;
    if (const json::Value* plain = json::find(*selector, {"matchLabels"}); plain != nullptr && !plain->is_null())
        if (!map_selector_matches(plain, labels)) return false;
    const json::Array* expressions = json::find_array(*selector, {"matchExpressions"});
    if (expressions == nullptr) return true;
    return std::all_of(expressions->begin(), expressions->end(),
                       [&](const json::Value& expression) { return expression_matches(expression, labels); });
}

bool map_selector_matches(const json::Value* selector, const Labels& labels) {
    if (selector == nullptr || !selector->is_object()) return false;
    for (const auto& [name, value] : selector->get_object()) {
        const auto label = labels.find(std::string(name));
        if (label == labels.end() || !is_text(value, label->second)) return false;
    }
    return true;
}

}  // namespace weft::kube
