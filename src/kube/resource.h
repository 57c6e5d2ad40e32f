// Resource: a kind as the API's URLs name it. One constant per kind that weft reads or writes; the API server's own table
// (apiserver/kind.h) has schema and columns beside. Source: spec/kubernetes.md API-1; design.md §4.
#pragma once
#include <string>
#include <string_view>

namespace weft::kube {

struct Resource {
    std::string_view group;    // "" = core
    std::string_view version;  // "v1"
    std::string_view plural;   // "pods"
    std::string_view kind;     // "Pod"
    bool namespaced;

    std::string api_version() const;                                               // "v1", "apps/v1"
    std::string path(std::string_view ns = {}, std::string_view name = {}) const;  // "/api/v1/namespaces/a/pods/b"; ns "" = all
    bool operator==(const Resource&) const = default;
};

inline constexpr Resource namespaces{"", "v1", "namespaces", "Namespace", false};
inline constexpr Resource nodes{"", "v1", "nodes", "Node", false};
inline constexpr Resource pods{"", "v1", "pods", "Pod", true};
inline constexpr Resource services{"", "v1", "services", "Service", true};
inline constexpr Resource config_maps{"", "v1", "configmaps", "ConfigMap", true};
inline constexpr Resource secrets{"", "v1", "secrets", "Secret", true};
inline constexpr Resource service_accounts{"", "v1", "serviceaccounts", "ServiceAccount", true};
inline constexpr Resource events{"", "v1", "events", "Event", true};
inline constexpr Resource endpoint_slices{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true};
inline constexpr Resource leases{"coordination.k8s.io", "v1", "leases", "Lease", true};
inline constexpr Resource deployments{"apps", "v1", "deployments", "Deployment", true};
inline constexpr Resource replica_sets{"apps", "v1", "replicasets", "ReplicaSet", true};
inline constexpr Resource stateful_sets{"apps", "v1", "statefulsets", "StatefulSet", true};
inline constexpr Resource controller_revisions{"apps", "v1", "controllerrevisions", "ControllerRevision", true};
inline constexpr Resource ingresses{"networking.k8s.io", "v1", "ingresses", "Ingress", true};
inline constexpr Resource ingress_classes{"networking.k8s.io", "v1", "ingressclasses", "IngressClass", false};
inline constexpr Resource custom_resource_definitions{"apiextensions.k8s.io", "v1", "customresourcedefinitions",
                                                      "CustomResourceDefinition", false};
// weft.dev/v1: what the cloud keeps behind its console. metadata.name is the ID that manifests quote.
inline constexpr Resource vpcs{"weft.dev", "v1", "vpcs", "VPC", false};
inline constexpr Resource vswitches{"weft.dev", "v1", "vswitches", "VSwitch", false};
inline constexpr Resource address_pools{"weft.dev", "v1", "addresspools", "AddressPool", false};
inline constexpr Resource address_blocks{"weft.dev", "v1", "addressblocks", "AddressBlock", false};
inline constexpr Resource security_groups{"weft.dev", "v1", "securitygroups", "SecurityGroup", false};
inline constexpr Resource route_tables{"weft.dev", "v1", "routetables", "RouteTable", false};
inline constexpr Resource vpc_peerings{"weft.dev", "v1", "vpcpeerings", "VPCPeering", false};
// Alibaba's own, as Terway serves them.
inline constexpr Resource pod_networkings{"network.alibabacloud.com", "v1beta1", "podnetworkings", "PodNetworking", false};
inline constexpr Resource pod_enis{"network.alibabacloud.com", "v1beta1", "podenis", "PodENI", true};

// The constant above for what an object says of itself ("apps/v1", "Deployment"); nullptr for any other kind.
const Resource* find_resource(std::string_view api_version, std::string_view kind);

}  // namespace weft::kube
