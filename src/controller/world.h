// World: what every reconciler of the controller is given: one View per kind, the clock, Events, and the pure rules of
// cloud/ applied to the objects of now.
//
// The tour of this room: main.cpp wires; reconcilers.h lists them; each .cpp beside is one kind. A reconciler gets a
// key, looks at views, compares, writes status last. Threads: the brain's only. Source: docs/design/objects.md.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cloud/forecast.h"
#include "cloud/ipam.h"
#include "cloud/peering.h"
#include "cloud/pod_network.h"
#include "cloud/route_table.h"
#include "cloud/vpc.h"
#include "cloud/vswitch.h"
#include "controller/view.h"

namespace weft::controller {

class World {
public:
    // `boot` names the machine's run whose monotonic clock counts what must outlive us (cloud/lapse.h).
    World(kube::Brain& brain, std::string region, std::string boot = "boot");
    World(const World&) = delete;

    kube::Brain& brain;
    const Clock& clock;
    const std::string region;
    const std::string boot;
    kube::EventRecorder events;

    View namespaces, nodes, node_leases, pods, services, endpoint_slices, deployments, replica_sets, stateful_sets,
        controller_revisions, ingresses, ingress_classes, service_accounts, acs_profiles, config_maps, secrets, tls_secrets,
        vpcs, vswitches, address_pools, address_blocks, security_groups, route_tables, vpc_peerings,
        pod_networkings, pod_enis;

    // See the texts in world.cpp.
    const Index &pods_by_label, &pods_by_node, &pods_without_node, &pods_without_address, &services_by_selector,
        &balanced_services, &slices_by_service, &blocks_by_vswitch, &blocks_by_pod, &pods_by_interface,
        &tables_by_hop, &vswitches_by_vpc, &pods_with_reservation, &enis_by_vswitch;

    // Those that may match {label: value}, found by the rarest pair; every pod of the namespace when there is none.
    std::vector<kube::ObjectPtr> pods_with(std::string_view ns, const json::Value* labels) const;
    // The Services whose selector matches.
    std::vector<kube::ObjectPtr> services_selecting(std::string_view ns, const kube::Labels& labels) const;
    // The AddressBlock that lists the pod; null while none does.
    kube::ObjectPtr block_of(const kube::Object& pod) const;

    // Ends a namespace's life: takes `kubernetes` out of spec.finalizers by its own subresource. main.cpp sends a PUT.
    std::function<Status(const kube::Object& ns)> finalize_namespace;
    // The CA that pods find in ConfigMap kube-root-ca.crt; "" = none is published.
    std::string root_ca_pem;

    kube::Client& client() { return brain.client(); }

    // The valid ones.
    std::vector<cloud::Vpc> valid_vpcs() const;
    std::vector<cloud::VSwitch> valid_vswitches() const;
    std::optional<cloud::Vpc> valid_vpc(std::string_view name) const;
    std::vector<cloud::VSwitch> valid_vswitches_of(std::string_view vpc) const;
    Result<cloud::Vpc> vpc_of(std::string_view ns) const;
    kube::ObjectPtr acs_profile() const;

    std::vector<cloud::Block> blocks_of(const cloud::VSwitch& vswitch) const;
    // Pods of its VPC, bound with this vSwitch, that no block lists yet, per node.
    std::vector<cloud::Need> needs_of(const cloud::VSwitch& vswitch) const;

    // A pod is about to reserve an address of the vSwitch, but all are lent: so many should be lent to nobody. Remembered for
    // loose_wish_lifetime: the scheduler asks again.
    void want_loose(std::string_view vswitch, const kube::ObjectKey& pod);
    uint32_t loose_wanted(std::string_view vswitch);
    std::function<void(std::string_view vswitch)> on_loose_wish;  // set by the block reconciler

    // How much of each vSwitch was in use lately, by name.
    std::map<std::string, cloud::UseHistory> address_use;

    // Is this Ingress of a class whose controller is ours?
    bool is_our_ingress(const kube::Object& ingress) const;

private:
    std::map<std::string, std::map<kube::ObjectKey, MonotonicTime>, std::less<>> loose_wishes_;  // by vSwitch
};

bool is_terminal(const kube::Object& pod);  // Succeeded or Failed
bool is_ready(const kube::Object& node_or_pod);
bool is_placed(const kube::Object& pod);  // has its node and its vSwitch
bool has_selector(const kube::Object& service);
std::string index_text(std::string_view ns, std::string_view name);
// Names joined for a person: "a, b and 3 more".
std::string name_list(const std::vector<std::string>& names);

}  // namespace weft::controller
