// Service links: the environment variables by which a container learns of the Services of its namespace, as Kubernetes
// and docker links name them: WEB_SERVICE_HOST, WEB_SERVICE_PORT, WEB_PORT_80_TCP_ADDR, ... Pure.
// Limits: service_links_max; a namespace with more Services gets none, since a program's environment is bounded.
#pragma once
#include <vector>

#include "kube/object.h"
#include "runtime/plan.h"

namespace weft::runtime {

inline constexpr size_t service_links_max = 500;

EnvironmentLines service_links(const std::vector<kube::ObjectPtr>& services);

}  // namespace weft::runtime
