// Ownership: how a restarted weft knows its own kernel objects again. It remembers nothing, so every object carries its
// mark from the moment it is made, and the mark is written here and nowhere else.
//
//   object                 mark                                              forgotten pieces are found by
//   network namespace      name from base/instance.h                         listing /run/netns
//   host side of a pod     link name pod_link_prefix + 10 hex digits         listing links of the node's namespace
//   service endpoint       link service_link_prefix + vni                    name, from the VPCs that exist
//   the host's own door    links weft_host / weft_net                        name
//   tunnel device          link weft_tunnel                                  name
//   route                  protocol route_protocol                           listing routes by protocol
//   tc filter              handle and priority below, program tag            asking the hook
//   map, link, program     pin path in the instance's own BPF mount          listing Instance::bpf_dir
//   cgroup                 path from base/instance.h                         path
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "net/address.h"

namespace weft::kernel {

inline constexpr uint8_t route_protocol = 119;       // 'w'; none of /etc/iproute2/rt_protos
inline constexpr uint32_t filter_handle = 1;         // tc, at filter_priority
inline constexpr uint32_t filter_priority = 0x7765;  // "we": leaves room before and behind

inline constexpr std::string_view host_link = "weft_host";       // the host's endpoint: address and routes
inline constexpr std::string_view host_door_link = "weft_net";   // its other end: pod_egress sits here
inline constexpr std::string_view tunnel_link = "weft_tunnel";   // the VXLAN device: tunnel_ingress sits here
inline constexpr std::string_view pod_link_prefix = "wpod";      // host side of every pod-like veth
inline constexpr std::string_view service_link_prefix = "wsvc";  // + vni: host side of a VPC's service endpoint
inline constexpr std::string_view pod_interface = "eth0";        // inside pods and service endpoints

std::string service_link_name(uint32_t vni);

// "wpod" and 10 random hex digits. A fresh one for every ADD: a deleted namespace keeps the old name busy for a while.
std::string new_pod_link_name();
bool is_pod_link_name(std::string_view name);

// The tunnel device's own: no frame of ours bears it, the device would drop that.
inline constexpr net::Mac tunnel_mac{{0x02, 0x77, 0x65, 0x66, 0x74, 0xff}};

// A locally administered address that belongs to this endpoint id for good (06:77:…).
net::Mac endpoint_mac(uint32_t endpoint_id);

}  // namespace weft::kernel
