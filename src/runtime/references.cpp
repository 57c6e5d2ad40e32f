#include "runtime/references.h"

#include "base/strings.h"

namespace weft::runtime {

static Result<std::string> decoded(const kube::Object& object, std::string_view key, std::string_view text) {
    std::optional<std::string> bytes = base64_decode(text);
    if (bytes) return std::move(*bytes);
    return fail(Code::invalid,
                fmt::format("{} \"{}\" key {} is not base64", to_lower(object.kind()), object.name(), key));
}

Result<std::optional<std::string>> entry_of(const kube::Object& object, std::string_view key) {
    const bool secret = object.kind() == "Secret";
    if (const json::Value* value = object.find({"data", key}); value != nullptr && value->is_string()) {
        const std::string_view text = json::view(value->get_string());
        if (!secret) return std::string(text);
        return TRY(decoded(object, key, text));
    }
    const json::Value* other = object.find({secret ? "stringData" : "binaryData", key});
    if (other == nullptr || !other->is_string()) return std::nullopt;
    const std::string_view text = json::view(other->get_string());
    if (secret) return std::string(text);
    return TRY(decoded(object, key, text));
}

Result<std::map<std::string, std::string>> entries_of(const kube::Object& object) {
    std::map<std::string, std::string> entries;
    for (const std::string_view field : {"data", "binaryData", "stringData"}) {
        const json::Object* members = json::find_object(object.body(), {field});
        if (members == nullptr) continue;
        for (const auto& [name, unused] : *members) {
            const std::string key(name.data(), name.size());
            if (std::optional<std::string> value = TRY(entry_of(object, key))) entries[key] = std::move(*value);
        }
    }
    return entries;
}

Result<std::optional<std::string>> key_reference(const json::Value& ref, bool secret, const References& references) {
    const std::string_view what = secret ? "secret" : "configmap";
    const std::string_view name = json::find_string(ref, {"name"});
    const std::string_view key = json::find_string(ref, {"key"});
    const bool optional = json::find_bool(ref, {"optional"});
    const kube::ObjectPtr object = secret ? references.secret(name) : references.config_map(name);
    if (!object) {
        if (optional) return std::nullopt;
        return fail(Code::not_found, fmt::format("{} \"{}\" not found", what, name));
    }
    std::optional<std::string> value = TRY(entry_of(*object, key));
    if (!value && !optional)
        return fail(Code::not_found, fmt::format("couldn't find key {} in {} {}", key, what, object->key().text()));
    return value;
}

// As Kubernetes writes label files: key="value" with the value's quotes, backslashes and control characters escaped.
static std::string map_lines(const kube::Object& pod, std::string_view field) {
    std::map<std::string, std::string> lines;
    if (const json::Object* members = json::find_object(pod.body(), {"metadata", field}))
        for (const auto& [key, value] : *members)
            if (value.is_string()) lines[std::string(key.data(), key.size())] = json::view(value.get_string());
    std::string text;
    for (const auto& [key, value] : lines) {
        if (!text.empty()) text += '\n';
        text += key + "=\"";
        for (const char c : value) {
            if (c == '"' || c == '\\')
                text += fmt::format("\\{}", c);
            else if (c == '\n')
                text += "\\n";
            else if (c == '\t')
                text += "\\t";
            else
                text += c;
        }
        text += '"';
    }
    return text;
}

static std::string joined(const std::vector<std::string>& list) {
    std::string text;
    for (const std::string& entry : list) text += (text.empty() ? "" : ",") + entry;
    return text;
}

Result<std::string> field_reference(const kube::Object& pod, std::string_view path, const References& references,
                                    bool whole_maps) {
    if (path == "status.podIP") return references.pod_ips.empty() ? "" : references.pod_ips.front();
    if (path == "status.podIPs") return joined(references.pod_ips);
    if (path == "status.hostIP") return references.host_ip;
    if (path == "status.hostIPs")
        return references.host_ipv6.empty() ? references.host_ip : joined({references.host_ip, references.host_ipv6});
    if (path == "metadata.name") return std::string(pod.name());
    if (path == "metadata.namespace") return std::string(pod.ns());
    if (path == "metadata.uid") return std::string(pod.uid());
    if (path == "spec.nodeName") return std::string(pod.string({"spec", "nodeName"}));
    if (path == "spec.serviceAccountName") return std::string(pod.string({"spec", "serviceAccountName"}, "default"));
    if (whole_maps && path == "metadata.labels") return map_lines(pod, "labels");
    if (whole_maps && path == "metadata.annotations") return map_lines(pod, "annotations");
    for (const bool label : {true, false}) {
        const std::string_view prefix = label ? "metadata.labels['" : "metadata.annotations['";
        if (!path.starts_with(prefix) || !path.ends_with("']")) continue;
        const std::string_view key = path.substr(prefix.size(), path.size() - prefix.size() - 2);
        return std::string(label ? pod.label(key) : pod.annotation(key));
    }
    return fail(Code::invalid, fmt::format("fieldRef {}: field label not supported", path));
}

}  // namespace weft::runtime
