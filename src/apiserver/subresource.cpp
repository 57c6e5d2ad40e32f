// scale, binding and finalize: small documents that stand for a part of another object.
// Source: spec/kubernetes.md API-74, API-97; autoscaling/v1 Scale.
#include <fmt/format.h>

#include "apiserver/rest.h"
#include "apiserver/schema.h"
#include "apiserver/validate.h"
#include "base/strings.h"

namespace weft::apiserver {

// ".spec.replicas" against an object.
static const json::Value* at_path(const json::Value& root, std::string_view path) {
    const json::Value* at = &root;
    for (const std::string_view step : split(path, '.')) {
        if (step.empty()) continue;
        at = json::find(*at, {step});
        if (at == nullptr) return nullptr;
    }
    return at;
}

static void set_at_path(json::Value& root, std::string_view path, json::Value value) {
    json::Value* at = &root;
    for (const std::string_view step : split(path, '.')) {
        if (step.empty()) continue;
        if (!at->is_object()) at->emplace_object();
        at = &at->get_object()[boost::json::string_view(step.data(), step.size())];
    }
    *at = std::move(value);
}

// A LabelSelector as it stands in a query string.
static std::string selector_text(const json::Value& selector) {
    if (selector.is_string()) return std::string(json::view(selector.get_string()));
    std::vector<std::string> parts;
    if (const json::Object* labels = json::find_object(selector, {"matchLabels"}))
        for (const auto& [name, value] : *labels)
            if (value.is_string())
                parts.push_back(fmt::format("{}={}", std::string_view(name), json::view(value.get_string())));
    if (const json::Array* expressions = json::find_array(selector, {"matchExpressions"})) {
        for (const json::Value& one : *expressions) {
            const std::string_view key = json::find_string(one, {"key"});
            const std::string op = to_lower(json::find_string(one, {"operator"}));
            if (op == "exists") parts.emplace_back(key);
            else if (op == "doesnotexist") parts.push_back(fmt::format("!{}", key));
            else
                parts.push_back(
                    fmt::format("{} {} ({})", key, op, fmt::join(json::find_strings(one, {"values"}), ",")));
        }
    }
    std::sort(parts.begin(), parts.end());
    return fmt::format("{}", fmt::join(parts, ","));
}

static json::Value scale_of(const Kind& kind, const json::Value& object) {
    json::Object metadata;
    for (const char* name : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"})
        if (const json::Value* value = json::find(object, {"metadata", name})) metadata[name] = *value;
    const auto count = [&](std::string_view path) {
        const json::Value* value = at_path(object, path);
        return value != nullptr && value->is_int64() ? value->get_int64() : 0;
    };
    json::Object status{{"replicas", count(kind.scale_status_path)}};
    // Of built-in kinds it is always their own selector; a CR says where, or has none.
    const std::string path =
        kind.scale_selector_path.empty() && !kind.custom ? ".spec.selector" : kind.scale_selector_path;
    if (const json::Value* selector = at_path(object, path); selector != nullptr && !path.empty())
        status["selector"] = selector_text(*selector);
    return json::Object{{"kind", "Scale"},
                        {"apiVersion", "autoscaling/v1"},
                        {"metadata", std::move(metadata)},
                        {"spec", json::Object{{"replicas", count(kind.scale_spec_path)}}},
                        {"status", std::move(status)}};
}

Outcome<Reply> Rest::get_scale() {
    const json::Value object = TRY(objects_.get(kind_, target_.key));
    return json_reply(200, scale_of(kind_, object), TRY(negotiate(call_, {})));
}

Outcome<Reply> Rest::write_scale() {
    TRY(read_write_options());
    const Accepted accepted = TRY(negotiate(call_, {}));
    std::optional<PatchType> type;
    if (target_.verb == Verb::patch) type = TRY(patch_type(kind_, call_.content_type));
    json::Value body;
    if (type) {
        auto parsed = json::parse(call_.body);
        if (!parsed) return refuse(400, "BadRequest", "error decoding patch: " + parsed.error().message);
        body = std::move(*parsed);
    } else {
        body = TRY(decode_body(call_, nullptr));
        const std::string_view sent_kind = json::find_string(body, {"kind"}, "Scale");
        if (!body.is_object() || sent_kind != "Scale")
            return refuse(400, "BadRequest", fmt::format("{} cannot be handled as a Scale", sent_kind));
    }
    for (int tries = 1;; tries++) {
        const json::Value stored = TRY(objects_.get(kind_, target_.key));
        const json::Value scale = scale_of(kind_, stored);
        json::Value wished = body;
        if (type == PatchType::json) wished = TRY(json_patch(scale, body));
        if (type == PatchType::merge || type == PatchType::strategic) wished = merge_patch(scale, body);
        const json::Value* replicas = json::find(wished, {"spec", "replicas"});
        FieldErrors errors;
        if (replicas != nullptr && !replicas->is_int64())
            errors.push_back(invalid_value("spec.replicas", *replicas, "must be an integer"));
        else if (replicas != nullptr && replicas->get_int64() < 0)
            errors.push_back(invalid_value("spec.replicas", *replicas, "must be greater than or equal to 0"));
        if (!errors.empty()) {
            Kind scale_kind;
            scale_kind.group = "autoscaling";
            scale_kind.kind_name = "Scale";
            return unprocessable(scale_kind, target_.key.name, std::move(errors));
        }
        json::Value wish = stored;
        const std::string_view revision = json::find_string(wished, {"metadata", "resourceVersion"});
        const bool conditional =
            !revision.empty() && (!type || revision != json::find_string(stored, {"metadata", "resourceVersion"}));
        if (!revision.empty()) json::set(wish, {"metadata", "resourceVersion"}, json::Value(revision));
        set_at_path(wish, kind_.scale_spec_path, replicas == nullptr ? json::Value(0) : *replicas);
        auto updated = update_object(std::move(wish), stored, Part::main);
        if (updated) return json_reply(200, scale_of(kind_, *updated), accepted);
        if (updated.error().refusal.reason != "Conflict" || conditional || tries == patch_tries_max)
            return refuse(std::move(updated.error()));
    }
}

Outcome<Reply> Rest::bind_pod() {
    TRY(read_write_options());
    const json::Value binding = TRY(decode_body(call_, nullptr));
    if (json::find_string(binding, {"kind"}, "Binding") != "Binding")
        return refuse(400, "BadRequest",
                      fmt::format("{} cannot be handled as a Binding", json::find_string(binding, {"kind"})));
    const std::string_view node = json::find_string(binding, {"target", "name"});
    const std::string_view target_kind = json::find_string(binding, {"target", "kind"}, "Node");
    FieldErrors errors;
    if (node.empty()) errors.push_back(required("target.name"));
    if (target_kind != "Node")
        errors.push_back(not_supported("target.kind", json::Value(target_kind), {"Node", "<empty>"}));
    if (!errors.empty()) {
        Kind binding_kind;
        binding_kind.kind_name = "Binding";
        return unprocessable(binding_kind, target_.key.name, std::move(errors));
    }
    for (int tries = 1;; tries++) {
        const json::Value stored = TRY(objects_.get(kind_, target_.key));
        const std::string_view bound = json::find_string(stored, {"spec", "nodeName"});
        if (json::has(stored, {"metadata", "deletionTimestamp"}))
            return conflict(kind_, target_.key.name, "the pod is being deleted");
        if (!bound.empty())
            return conflict(kind_, target_.key.name,
                            fmt::format("pod {} is already assigned to node \"{}\"", target_.key.name, bound));
        kube::Object wish(stored);
        wish.set({"spec", "nodeName"}, node);
        if (const json::Object* annotations = json::find_object(binding, {"metadata", "annotations"}))
            for (const auto& [name, value] : *annotations)
                wish.set({"metadata", "annotations", std::string_view(name)}, value);
        kube::set_condition(wish, "PodScheduled", true, "", "", clock_);
        auto updated = store_update(std::move(wish.body()), stored);
        if (updated)
            return json_reply(201, json::Object{{"kind", "Status"},
                                                {"apiVersion", "v1"},
                                                {"metadata", json::Object{}},
                                                {"status", "Success"},
                                                {"code", 201}});
        if (updated.error().refusal.reason != "Conflict" || tries == patch_tries_max)
            return refuse(std::move(updated.error()));
    }
}

Outcome<Reply> Rest::finalize_namespace() {
    TRY(read_write_options());
    const json::Value wish = TRY(read_object());
    const json::Value stored = TRY(objects_.get(kind_, target_.key));
    const std::string_view revision = json::find_string(wish, {"metadata", "resourceVersion"});
    if (!revision.empty() && revision != json::find_string(stored, {"metadata", "resourceVersion"}))
        return conflict(kind_, target_.key.name);
    json::Value next = stored;
    const json::Value* finalizers = json::find(wish, {"spec", "finalizers"});
    json::set(next, {"spec", "finalizers"},
              json::Value(finalizers == nullptr ? json::Value(json::Array()) : *finalizers));
    return object_reply(200, TRY(store_update(std::move(next), stored)));
}

}  // namespace weft::apiserver
