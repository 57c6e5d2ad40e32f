// Vpcs: what a VPC is on this node beside its routes (routes.h): its service endpoint, a namespace attached like a pod,
// from which `weft dns` and `weft alb` speak, with their addresses as /32 on its loopback.
//
// desired_* are pure. A service endpoint's id is taken over from the maps after a restart. What belongs to a VPC that
// is gone is found by name and number. Public addresses also get rows in VPC 0 (flag local): the uplink answers ARP for
// them and lets only their listening ports in. Threads: the brain's. Source: design.md §5.7, docs/design/objects.md.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "agent/endpoint_rows.h"
#include "agent/tables.h"
#include "agent/view.h"
#include "agent/wiring.h"
#include "base/instance.h"

namespace weft::agent {

inline constexpr uint16_t ingress_ports[] = {80, 443};

// VPC.status.ingressAddresses, sorted.
std::vector<net::Address> ingress_addresses(const json::Value& vpc);
// What the administrator allows the VPC by annotation; nothing said, or not legible: the data plane's defaults.
std::optional<abi::vpc_limits> desired_limits(const json::Value& vpc);
std::map<abi::frontend_key, abi::frontend> desired_local_frontends(uint32_t vni,
                                                                   const std::vector<net::Address>& addresses);

class Vpcs {
public:
    // `reserved_ids`: endpoint ids that are given but may not be in the maps yet.
    Vpcs(const View& view, Tables& tables, Wiring& wiring, Instance instance, unsigned mtu,
         std::function<std::set<uint32_t>()> reserved_ids)
        : view_(view),
          tables_(tables),
          wiring_(wiring),
          instance_(std::move(instance)),
          mtu_(mtu),
          reserved_ids_(std::move(reserved_ids)) {}

    kube::Outcome reconcile(const kube::ObjectKey& vpc);
    // Once, after the caches are in sync: away with the endpoints and namespaces of VPCs that are gone.
    Status adopt();

private:
    Status apply(const cloud::Vpc& vpc, const json::Value& object);
    Status apply_service_endpoint(const cloud::Vpc& vpc, const std::vector<net::Address>& locals);
    Status remove(uint32_t vni);
    bool is_someones(uint32_t vni) const;

    const View& view_;
    Tables& tables_;
    Wiring& wiring_;
    Instance instance_;
    unsigned mtu_;
    std::function<std::set<uint32_t>()> reserved_ids_;
    std::map<std::string, uint32_t> numbers_;  // of the VPCs seen, by name
};

// The endpoint with this flag and VPC, 0 = none.
uint32_t find_endpoint(const Tables& tables, uint32_t flag, uint32_t vni);

}  // namespace weft::agent
