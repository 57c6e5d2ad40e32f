// Annotations, labels and finalizers: every name a user or a controller of ours writes on an object, once.
// Source: spec/acs.md §3, §6; docs/design/objects.md.
#pragma once
#include <string_view>

namespace weft::cloud {

// Ours.
inline constexpr std::string_view vpc_annotation = "weft.dev/vpc";                          // Namespace
inline constexpr std::string_view dns_namespace_annotation = "weft.dev/dns-namespace";      // Namespace
inline constexpr std::string_view chosen_vswitch_annotation = "weft.dev/vswitch";           // Pod: chosen at binding
inline constexpr std::string_view service_address_annotation = "weft.dev/service-address";  // Node
inline constexpr std::string_view host_address_annotation = "weft.dev/host-address";        // Node
// Node: bytes that its uplink carries, by its agent.
inline constexpr std::string_view uplink_mtu_annotation = "weft.dev/uplink-mtu";
inline constexpr std::string_view zones_annotation =
    "weft.dev/zones";  // Node: comma list, when it stands for several zones
// VPC: how many established connections (rows of conntrack) its pods may hold on a node.
inline constexpr std::string_view conntrack_quota_annotation = "weft.dev/conntrack-quota";
inline constexpr std::string_view system_table_annotation = "weft.dev/system-table";  // RouteTable: made by us
// Pod annotation and Namespace label of the same name, both "true": the pod may forward others' packets.
inline constexpr std::string_view allow_forwarding = "weft.dev/allow-forwarding";
inline constexpr std::string_view ingress_class_controller = "weft.dev/ingress";

// ACS, written by the user on the pod template (spec/acs.md §3.1).
inline constexpr std::string_view vswitch_ids_annotation = "network.alibabacloud.com/vswitch-ids";
inline constexpr std::string_view security_group_ids_annotation = "network.alibabacloud.com/security-group-ids";

// ACS, written back on the pod (spec/acs.md §3.2).
inline constexpr std::string_view allocated_eni_annotation = "network.alibabacloud.com/allocated-eni-id";
inline constexpr std::string_view vpc_id_annotation = "network.alibabacloud.com/vpc-id";
inline constexpr std::string_view vswitch_id_annotation = "network.alibabacloud.com/vswitch-id";
inline constexpr std::string_view region_label = "topology.kubernetes.io/region";
inline constexpr std::string_view zone_label = "topology.kubernetes.io/zone";

// A pod's network, decided once at its creation (spec/acs.md §3.3 to §3.5).
inline constexpr std::string_view profiled_annotation = "weft.dev/profiled";          // Pod: what was added to it, by name
inline constexpr std::string_view reserved_address_annotation = "weft.dev/address";  // Pod: lent for it alone
inline constexpr std::string_view pod_eni_annotation = "k8s.aliyun.com/pod-eni";
inline constexpr std::string_view pod_networking_annotation = "k8s.aliyun.com/pod-networking";
inline constexpr std::string_view pod_networks_annotation = "k8s.aliyun.com/pod-networks";  // pod_networks.h
inline constexpr std::string_view pod_networks_request_annotation = "k8s.aliyun.com/pod-networks-request";
inline constexpr std::string_view ignored_label = "k8s.aliyun.com/ignore-by-terway";
inline constexpr std::string_view eci_fixed_annotation = "k8s.aliyun.com/eci-fixed-ip";
inline constexpr std::string_view eci_retain_annotation = "k8s.aliyun.com/eci-fixed-ip-retain-hour";
inline constexpr std::string_view eci_address_annotation = "k8s.aliyun.com/eci-private-ip-address";

// LoadBalancer Services (spec/acs.md §6.7).
inline constexpr std::string_view load_balancer_id_label = "service.k8s.alibaba/loadbalancer-id";
inline constexpr std::string_view cloud_finalizer = "weft.dev/in-use";  // VPC, VSwitch, RouteTable: refused while used
inline constexpr std::string_view load_balancer_finalizer = "service.k8s.alibaba/resources";

}  // namespace weft::cloud
