// Plan: what one container of a pod runs, from the pod, its image and the objects it names: command, arguments,
// environment, working folder, user. Pure.
//
// Errors carry Kubernetes' reason in Refusal: CreateContainerConfigError (a missing ConfigMap, Secret or key; a field
// we do not offer). Source: spec/kubernetes.md §11; Kubernetes' rules for $(VAR): unknown stays as it stands, $$ is $.
#pragma once
#include <functional>
#include <string>

#include "base/json.h"
#include "kube/object.h"
#include "protocol/runtime.h"
#include "runtime/images.h"

namespace weft::runtime {

struct PlanInputs {
    const kube::Object& pod;
    const json::Value& container;
    const Image& image;
    std::string pod_ip, host_ip;  // for fieldRef
    std::string api_host;         // KUBERNETES_SERVICE_HOST, "" = not told
    std::function<kube::ObjectPtr(std::string_view name)> config_map, secret;  // in the pod's namespace
};

// Fills argv, environment, working_dir, root, hostname, uid and gid.
Result<protocol::runtime::Launch> plan_container(const PlanInputs& inputs);

using Variables = std::map<std::string, std::string>;
std::string expand_variables(std::string_view text, const Variables& variables);

std::string pod_hostname(const kube::Object& pod);  // spec.hostname or the name, cut to 63

}  // namespace weft::runtime
