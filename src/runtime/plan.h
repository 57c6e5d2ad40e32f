// Plan: what one container of a pod runs, from the pod, its image and the objects it names: command, arguments,
// environment, working folder, user. Pure.
//
// Errors carry Kubernetes' reason in Refusal: CreateContainerConfigError (a missing ConfigMap, Secret or key; a field
// we do not offer). Source: spec/kubernetes.md §11; Kubernetes' rules for $(VAR): unknown stays as it stands, $$ is $.
#pragma once
#include <string>

#include "base/json.h"
#include "kube/object.h"
#include "protocol/runtime.h"
#include "runtime/images.h"
#include "runtime/references.h"
#include "runtime/volumes.h"

namespace weft::runtime {

using EnvironmentLines = std::vector<std::pair<std::string, std::string>>;

struct PlanInputs {
    const kube::Object& pod;
    const json::Value& container;
    const Image& image;
    const References& references;
    std::string api_host;            // KUBERNETES_SERVICE_HOST, "" = not told
    EnvironmentLines service_links;  // service_links.h
    VolumeFolder volume_folder;
};

// Fills argv, environment, working_dir, root, hostname, mounts of volumes, uid, gid and groups.
Result<protocol::runtime::Launch> plan_container(const PlanInputs& inputs);

std::string expand_variables(std::string_view text, const Variables& variables);

std::string pod_hostname(const kube::Object& pod);  // spec.hostname or the name, cut to 63
int64_t pod_fs_group(const kube::Object& pod);      // -1 = none

}  // namespace weft::runtime
