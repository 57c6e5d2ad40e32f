// ServicePlan: what one Service means in the data plane: its frontends, and the lists of backends they name. Pure.
//
// A list is one port of the Service, in one family, as far as its policy reaches: all endpoints, or this node's only.
// A frontend leads to endpoints of its own family. Chosen are the
// ready endpoints, of those the ones hinted to this node or zone where all have hints (DP-5), else those that still
// serve while they terminate, else none (DP-1..DP-3). Every address also has a row of port 0, but for the node's own:
// only nodePorts are taken from those. Public and node addresses stand in VPC 0 and in the owner's VPC, where all
// endpoints are meant whatever the external policy says (DP-6). An endpoint, slice, port or source range that cannot be
// used is left out; source ranges of which none can be used let nobody in (DP-16). externalIPs are taken like public
// addresses, but nobody announces them, and of the owner's VPC and of the node's own only the Service's ports (DP-17).
// Endpoints that serve but are not chosen (any more) keep their UDP flows (DP-20).
// Source: spec/kubernetes.md §4.1, EPS-5, EPS-12; bpf/abi/service.h.
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cloud/vpc.h"
#include "kernel/abi.h"
#include "kube/object.h"

namespace weft::agent {

enum class Reach : uint8_t { cluster, local };

struct ListKey {
    uint16_t port = 0;  // the Service's
    uint8_t protocol = 0;
    Reach reach = Reach::cluster;
    bool ipv6 = false;
    auto operator<=>(const ListKey&) const = default;
};

struct PlannedFrontend {
    std::optional<ListKey> list;  // none: the row of port 0
    uint32_t flags = 0;
    uint32_t vpc = 0;  // the owner's
    uint32_t affinity_s = 0;
    bool operator==(const PlannedFrontend&) const = default;
};

// In the flags of an address' row: an externalIP. For the announcer; the data plane does not look at it.
inline constexpr uint32_t frontend_is_external = 1u << 16;

struct ServicePlan {
    std::map<abi::frontend_key, PlannedFrontend> frontends;
    std::map<ListKey, std::vector<abi::backend>> lists;    // sorted, each once
    std::map<ListKey, std::vector<abi::backend>> unchosen;  // serve as well; sorted
    std::vector<net::Prefix> source_ranges;              // of the frontends with FRONTEND_SOURCE_RANGES
    std::vector<std::string> complaints;                 // what the user asked for and does not get
};

// How `kubernetes.default` is reached from a VPC's own Service CIDR: through the host endpoint of the default VPC.
struct HostBackend {
    uint32_t vpc = 0;
    net::Address address;
};

// This node: endpoints that name it are local; its addresses carry the nodePorts.
struct NodeSide {
    std::string name;
    std::vector<net::Address> addresses;
    std::string zone{};  // "" when it has none
};

ServicePlan plan_service(const kube::Object& service, std::span<const kube::ObjectPtr> slices, const cloud::Vpc& vpc,
                         const NodeSide& node);
// Every address the Service has: ClusterIPs, the balancer's, externalIPs.
std::vector<net::Address> service_addresses(const kube::Object& service);
// The Service default/kubernetes: one frontend in every VPC, at its reserved address.
ServicePlan plan_kubernetes(const kube::Object& service, std::span<const kube::ObjectPtr> slices,
                            std::span<const cloud::Vpc> vpcs, const HostBackend& host);

}  // namespace weft::agent
