// References: what a pod's spec names in other objects and in the pod itself: keys of ConfigMaps and Secrets, fields of
// the pod (downward API). Pure; shared by the environment (plan.h) and the volumes (volumes.h).
//
// Errors carry Kubernetes' words: `configmap "c" not found`, `couldn't find key k in secret ns/s`.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "kube/object.h"

namespace weft::runtime {

struct References {
    std::function<kube::ObjectPtr(std::string_view name)> config_map, secret;  // in the pod's namespace
    std::string host_ip;
    std::vector<std::string> pod_ips;
    std::string host_ipv6{};
    // A token of the pod's ServiceAccount; empty where none are given.
    std::function<Result<std::string>(const std::string& audience, int64_t lifetime_s)> token{};
};

// An entry of a ConfigMap (data, binaryData) or Secret as bytes; nullopt when the key is absent.
Result<std::optional<std::string>> entry_of(const kube::Object& object, std::string_view key);
Result<std::map<std::string, std::string>> entries_of(const kube::Object& object);

// What a configMapKeyRef or secretKeyRef stands for; nullopt when it is optional and missing.
Result<std::optional<std::string>> key_reference(const json::Value& ref, bool secret, const References& references);

// A fieldRef's fieldPath. Whole maps (metadata.labels) are lines of key="value", for volumes only.
Result<std::string> field_reference(const kube::Object& pod, std::string_view path, const References& references,
                                    bool whole_maps = false);

}  // namespace weft::runtime
