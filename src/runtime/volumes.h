// Volumes: what a pod's volumes hold, and where its containers see them. Pure; volume_files.h puts it on disk.
//
// Offered: configMap, secret, downwardAPI, projected (of these, and serviceAccountToken), emptyDir. Others are refused
// by name. Errors name the volume or the mount. Source: spec/kubernetes.md §11.
#pragma once
#include "protocol/runtime.h"
#include "runtime/references.h"

namespace weft::runtime {

struct VolumeFile {
    std::string content;
    unsigned mode = 0644;
    bool operator==(const VolumeFile&) const = default;
};

struct VolumePlan {
    enum class Kind : uint8_t { content, empty, memory };
    std::string name;
    Kind kind = Kind::content;
    std::map<std::string, VolumeFile> files;  // by path within the volume; content
    bool operator==(const VolumePlan&) const = default;
};

Result<std::vector<VolumePlan>> plan_volumes(const kube::Object& pod, const References& references);

// A volume's folder on the host, by its name.
using VolumeFolder = std::function<std::string(std::string_view volume)>;
using Variables = std::map<std::string, std::string>;
// The container's volumeMounts, parents before what stands in them. Content is always read-only.
Result<std::vector<protocol::runtime::BindMount>> plan_mounts(const kube::Object& pod, const json::Value& container,
                                                              const Variables& variables, const VolumeFolder& folder);

}  // namespace weft::runtime
