// Object: one Kubernetes object as JSON with named doors to its metadata. Controllers read the rest by path:
// object.string({"spec", "nodeName"}). Cached objects are shared and read-only; copy one to change it.
// Threads: values. Source: spec/kubernetes.md §1.4.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "kube/resource.h"

namespace weft::kube {

struct ObjectKey {
    std::string ns;  // "" for cluster-scoped kinds
    std::string name;

    std::string text() const { return ns.empty() ? name : ns + "/" + name; }
    auto operator<=>(const ObjectKey&) const = default;
};

using Labels = std::map<std::string, std::string>;

struct OwnerReference {
    std::string api_version, kind, name, uid;
    bool controller = false;
};

class Object {
public:
    Object() : body_(json::Object{}) {}

    explicit Object(json::Value body) : body_(std::move(body)) {}

    // An empty object of a kind, ready to fill and create.
    static Object of(const Resource& resource, const ObjectKey& key);

    const json::Value& body() const { return body_; }
    json::Value& body() { return body_; }

    std::string_view kind() const { return string({"kind"}); }
    std::string_view api_version() const { return string({"apiVersion"}); }
    std::string_view name() const { return string({"metadata", "name"}); }
    std::string_view ns() const { return string({"metadata", "namespace"}); }
    std::string_view uid() const { return string({"metadata", "uid"}); }
    std::string_view resource_version() const { return string({"metadata", "resourceVersion"}); }
    int64_t generation() const { return json::find_int(body_, {"metadata", "generation"}); }
    ObjectKey key() const { return {std::string(ns()), std::string(name())}; }
    bool deleting() const { return json::has(body_, {"metadata", "deletionTimestamp"}); }
    std::string_view label(std::string_view name) const { return string({"metadata", "labels", name}); }
    std::string_view annotation(std::string_view name) const { return string({"metadata", "annotations", name}); }
    Labels labels() const;
    std::vector<OwnerReference> owners() const;
    bool has_finalizer(std::string_view name) const;

    std::string_view string(json::Path path, std::string_view otherwise = {}) const {
        return json::find_string(body_, path, otherwise);
    }
    int64_t integer(json::Path path, int64_t otherwise = 0) const { return json::find_int(body_, path, otherwise); }
    bool boolean(json::Path path, bool otherwise = false) const { return json::find_bool(body_, path, otherwise); }
    const json::Array& array(json::Path path) const;    // an empty one when absent
    const json::Value* find(json::Path path) const { return json::find(body_, path); }

    void set(json::Path path, json::Value value) { json::set(body_, path, std::move(value)); }

    // Text, numbers, booleans, arrays and objects as they are: Boost's value takes no std::string_view by itself.
    template <class T>
        requires(!std::is_same_v<std::remove_cvref_t<T>, json::Value>)
    void set(json::Path path, T&& value) {
        json::set(body_, path, json::Value(std::forward<T>(value)));
    }

    void set_label(std::string_view name, std::string_view value) { set({"metadata", "labels", name}, value); }
    void set_annotation(std::string_view name, std::string_view value) { set({"metadata", "annotations", name}, value); }
    void add_finalizer(std::string_view name);
    void remove_finalizer(std::string_view name);
    void set_controller_owner(const Object& owner);  // blockOwnerDeletion true

    bool operator==(const Object& other) const { return body_ == other.body_; }

private:
    json::Value body_;
};

using ObjectPtr = std::shared_ptr<const Object>;

// status.conditions by type (API-41). set_condition returns whether anything but the time changed; lastTransitionTime moves
// only when `status` does.
const json::Value* find_condition(const Object& object, std::string_view type);
bool condition_is(const Object& object, std::string_view type, std::string_view status);
bool set_condition(Object& object, std::string_view type, bool status, std::string_view reason, std::string_view message,
                   const Clock& clock = system_clock());

// LabelSelector {matchLabels, matchExpressions} of an object's spec against labels. An absent selector matches nothing, an
// empty one everything (callers that mean otherwise say so). map_selector_matches: a plain {k: v} as in Service.spec.
bool selector_matches(const json::Value* selector, const Labels& labels);
bool map_selector_matches(const json::Value* selector, const Labels& labels);

}  // namespace weft::kube
