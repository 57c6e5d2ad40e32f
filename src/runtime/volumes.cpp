#include "runtime/volumes.h"

#include <algorithm>

#include "base/strings.h"
#include "runtime/plan.h"

namespace weft::runtime {

namespace {

using Files = std::map<std::string, VolumeFile>;

// A path that stays inside: relative, no step up, none of the names that the volume itself uses.
Status check_inside(std::string_view path, std::string_view field) {
    if (path.empty() || path.starts_with('/'))
        return fail(Code::invalid, fmt::format("{}: \"{}\" must be a relative path", field, path));
    for (const std::string_view step : split(path, '/'))
        if (step == "..") return fail(Code::invalid, fmt::format("{}: \"{}\" must not contain '..'", field, path));
    return {};
}

struct Source {
    const json::Value& body;  // of the configMap, secret or downwardAPI
    unsigned default_mode;
};

unsigned mode_of(const json::Value& value, std::string_view field, unsigned otherwise) {
    return unsigned(json::find_int(value, {field}, otherwise)) & 0777;
}

Status add_object(const Source& source, bool secret, std::string_view name, const References& references,
                  Files& files) {
    const std::string_view what = secret ? "secret" : "configmap";
    const bool optional = json::find_bool(source.body, {"optional"});
    const kube::ObjectPtr object = secret ? references.secret(name) : references.config_map(name);
    if (!object) {
        if (optional) return {};
        return fail(Code::not_found, fmt::format("{} \"{}\" not found", what, name));
    }
    const json::Array* items = json::find_array(source.body, {"items"});
    if (items == nullptr || items->empty()) {
        for (auto& [key, content] : TRY(entries_of(*object))) files[key] = {content, source.default_mode};
        return {};
    }
    for (const json::Value& item : *items) {
        const std::string_view key = json::find_string(item, {"key"});
        const std::string path(json::find_string(item, {"path"}));
        TRY(check_inside(path, "items.path"));
        std::optional<std::string> content = TRY(entry_of(*object, key));
        if (!content && optional) continue;
        if (!content)
            return fail(Code::not_found, fmt::format("{} references non-existent {} key: {}", what, what, key));
        files[path] = {std::move(*content), mode_of(item, "mode", source.default_mode)};
    }
    return {};
}

Status add_downward(const kube::Object& pod, const Source& source, const References& references, Files& files) {
    const json::Array* items = json::find_array(source.body, {"items"});
    if (items == nullptr) return {};
    for (const json::Value& item : *items) {
        const std::string path(json::find_string(item, {"path"}));
        TRY(check_inside(path, "items.path"));
        if (!json::has(item, {"fieldRef"}))
            return fail(Code::invalid, "downwardAPI: process pods offer fieldRef only, not resourceFieldRef");
        const std::string_view field = json::find_string(item, {"fieldRef", "fieldPath"});
        files[path] = {TRY(field_reference(pod, field, references, true)), mode_of(item, "mode", source.default_mode)};
    }
    return {};
}

Status add_token(const json::Value& source, unsigned mode, const References& references, Files& files) {
    const std::string path(json::find_string(source, {"path"}));
    TRY(check_inside(path, "serviceAccountToken.path"));
    const std::string audience(json::find_string(source, {"audience"}));
    files[path] = {TRY(references.token(audience, json::find_int(source, {"expirationSeconds"}, 3600))), mode};
    return {};
}

Status add_projected(const kube::Object& pod, const json::Value& projected, const References& references,
                     Files& files) {
    const unsigned mode = mode_of(projected, "defaultMode", 0644);
    const json::Array* sources = json::find_array(projected, {"sources"});
    if (sources == nullptr) return {};
    for (const json::Value& source : *sources) {
        if (const json::Value* body = json::find(source, {"configMap"}))
            TRY(add_object({*body, mode}, false, json::find_string(*body, {"name"}), references, files));
        else if (const json::Value* body = json::find(source, {"secret"}))
            TRY(add_object({*body, mode}, true, json::find_string(*body, {"name"}), references, files));
        else if (const json::Value* body = json::find(source, {"downwardAPI"}))
            TRY(add_downward(pod, {*body, mode}, references, files));
        else if (const json::Value* body = json::find(source, {"serviceAccountToken"}); body && references.token)
            TRY(add_token(*body, mode, references, files));
        else
            return fail(Code::invalid,
                        "projected: process pods offer the sources configMap, secret, downwardAPI and "
                        "serviceAccountToken");
    }
    return {};
}

Result<VolumePlan> plan_volume(const kube::Object& pod, const json::Value& volume, const References& references) {
    VolumePlan plan;
    plan.name = json::find_string(volume, {"name"});
    if (const json::Value* body = json::find(volume, {"configMap"})) {
        TRY(add_object({*body, mode_of(*body, "defaultMode", 0644)}, false, json::find_string(*body, {"name"}),
                       references, plan.files));
    } else if (const json::Value* body = json::find(volume, {"secret"})) {
        TRY(add_object({*body, mode_of(*body, "defaultMode", 0644)}, true, json::find_string(*body, {"secretName"}),
                       references, plan.files));
    } else if (const json::Value* body = json::find(volume, {"downwardAPI"})) {
        TRY(add_downward(pod, {*body, mode_of(*body, "defaultMode", 0644)}, references, plan.files));
    } else if (const json::Value* body = json::find(volume, {"projected"})) {
        TRY(add_projected(pod, *body, references, plan.files));
    } else if (const json::Value* body = json::find(volume, {"emptyDir"})) {
        plan.kind =
            json::find_string(*body, {"medium"}) == "Memory" ? VolumePlan::Kind::memory : VolumePlan::Kind::empty;
    } else {
        // A volume without a source is an emptyDir to Kubernetes.
        std::string kind;
        if (const json::Object* members = volume.if_object())
            for (const auto& [key, unused] : *members)
                if (key != "name") kind = std::string(key.data(), key.size());
        if (!kind.empty())
            return fail(
                Code::invalid,
                "process pods offer configMap, secret, downwardAPI, projected and emptyDir volumes, not " + kind);
        plan.kind = VolumePlan::Kind::empty;
    }
    return plan;
}

}  // namespace

Result<std::vector<VolumePlan>> plan_volumes(const kube::Object& pod, const References& references) {
    std::vector<VolumePlan> plans;
    for (const json::Value& volume : pod.array({"spec", "volumes"})) {
        Result<VolumePlan> plan = plan_volume(pod, volume, references);
        if (!plan)
            return fail(Error{plan.error()}.in(
                fmt::format("MountVolume.SetUp failed for volume \"{}\" ", json::find_string(volume, {"name"}))));
        plans.push_back(std::move(*plan));
    }
    return plans;
}

Result<std::vector<protocol::runtime::BindMount>> plan_mounts(const kube::Object& pod, const json::Value& container,
                                                              const Variables& variables, const VolumeFolder& folder) {
    std::vector<protocol::runtime::BindMount> mounts;
    const json::Array* wanted = json::find_array(container, {"volumeMounts"});
    if (wanted == nullptr) return mounts;
    for (const json::Value& mount : *wanted) {
        const std::string_view name = json::find_string(mount, {"name"});
        const json::Value* volume = nullptr;
        for (const json::Value& candidate : pod.array({"spec", "volumes"}))
            if (json::find_string(candidate, {"name"}) == name) volume = &candidate;
        if (volume == nullptr) return fail(Code::invalid, fmt::format("volumeMounts: no volume named \"{}\"", name));
        std::string target(json::find_string(mount, {"mountPath"}));
        while (target.size() > 1 && target.ends_with('/')) target.pop_back();
        if (!target.starts_with('/')) target.insert(0, "/");
        if (target == "/") return fail(Code::invalid, "volumeMounts: mountPath must not be /");
        for (const std::string_view step : split(target, '/'))
            if (step == "..") return fail(Code::invalid, "volumeMounts: mountPath: must not contain '..'");
        std::string inner(json::find_string(mount, {"subPath"}));
        if (const std::string_view text = json::find_string(mount, {"subPathExpr"}); !text.empty()) {
            inner = expand_variables(text, variables);
            if (inner.find("$(") != std::string::npos)
                return fail(Code::invalid, fmt::format("volumeMounts: subPathExpr: missing value in \"{}\"", text));
        }
        if (!inner.empty()) TRY(check_inside(inner, "volumeMounts: subPath"));
        const bool content = !json::has(*volume, {"emptyDir"}) && volume->as_object().size() > 1;
        mounts.push_back({folder(name), target, inner, content || json::find_bool(mount, {"readOnly"})});
    }
    std::sort(mounts.begin(), mounts.end(), [](const auto& a, const auto& b) {
        const auto depth = [](const auto& mount) { return std::count(mount.target.begin(), mount.target.end(), '/'); };
        return std::pair(depth(a), std::string_view(a.target)) < std::pair(depth(b), std::string_view(b.target));
    });
    return mounts;
}

}  // namespace weft::runtime
