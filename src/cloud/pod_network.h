// Pod network: the rules by which everyone (controller, agent, runtime, DNS, ALB, API server) agrees on a pod's VPC,
// its vSwitches, the reserved addresses and a node's neighbour addresses. Objects go in as JSON, plain values come out.
//
// Errors: a Refusal carries the Event's reason and a message that names the field. Threads: values only.
// Source: docs/design/objects.md, spec/acs.md §3.1 and §3.3, design.md §4 and §5.7.
#pragma once
#include <cstdint>
#include <expected>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cloud/vpc.h"
#include "cloud/vswitch.h"
#include "net/address.h"

namespace weft::cloud {

// The VPC of a namespace: its annotation weft.dev/vpc, else the default VPC. not_found names what is missing; an object
// that does not parse counts as missing.
Result<Vpc> vpc_of_namespace(const json::Value& namespace_object, std::span<const Vpc> vpcs);

// The name a namespace has in its VPC's DNS view.
std::string_view dns_name_of_namespace(const json::Value& namespace_object);

// Why a pod cannot have a network: the reason of the Event on it, and a sentence.
struct Refusal {
    std::string_view reason;  // VPCMismatch, VSwitchNotFound
    std::string message;
};
inline constexpr std::string_view reason_vpc_mismatch = "VPCMismatch";
inline constexpr std::string_view reason_vswitch_not_found = "VSwitchNotFound";
inline constexpr std::string_view reason_vswitch_exhausted = "VSwitchExhausted";

// In order of trial: the pod's annotation; else vSwitchIds of acs-profile that belong to the VPC; else all of the VPC
// by name. `acs_profile` is ConfigMap kube-system/acs-profile, or null. Never empty.
std::expected<std::vector<VSwitch>, Refusal> vswitches_of_pod(const json::Value& pod, const Vpc& vpc,
                                                              std::span<const VSwitch> vswitches,
                                                              const json::Value* acs_profile);

// Does a node stand in this zone? By its zone label, or by annotation weft.dev/zones when it stands for several.
bool node_serves_zone(const json::Value& node, std::string_view zone);

// A node's neighbours out of 100.64.0.0/10 without 100.100.0.0/16, the same in every VPC: number n has the even address
// (service endpoints) and the odd one after it (host endpoint).
struct Neighbours {
    net::Address service;
    net::Address host;
};
inline constexpr uint32_t node_numbers_max = 1u << 16;  // nodes in one cluster
Neighbours neighbours_of_node(uint32_t number);
std::optional<uint32_t> node_number(const net::Address& service_address);  // back from the even address
// The lowest number from 1 that is not taken (number 0 would be 100.64.0.0, which looks like a network's own address);
// nullopt when all are.
std::optional<uint32_t> lowest_free_node_number(const std::set<uint32_t>& taken);
bool is_neighbour_address(const net::Address& address);

}  // namespace weft::cloud
