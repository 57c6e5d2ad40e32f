// HostPorts: ports of the node that a pod asks for (containers[].ports[].hostPort), planned like a Service of its own:
// frontends on the node's addresses, outside and in the pod's VPC, that lead to the one pod. They are claimed as soon
// as the pod is bound to the node and until it has ended; a nodePort comes before them (DP-24). A hostIP that is not
// the node's and a protocol that is not carried are complaints. Threads: values only. Source: spec/kubernetes.md DP-24,
// CNI-35.
#pragma once
#include "agent/service_plan.h"

namespace weft::agent {

bool has_host_ports(const kube::Object& pod);
ServicePlan plan_host_ports(const kube::Object& pod, const cloud::Vpc& vpc, const NodeSide& node);

// The name under which Services know a pod's ports; no Service can have it.
kube::ObjectKey host_port_key(const kube::ObjectKey& pod);
bool is_host_port_key(const kube::ObjectKey& key);
kube::ObjectKey pod_of(const kube::ObjectKey& host_port_key);

}  // namespace weft::agent
