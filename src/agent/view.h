// View: the agent's caches of the API, and the few questions its reconcilers ask of them. Everything is looked up anew,
// by an index where there are many. An object that does not parse counts as absent; whose fault that is stands in its own status.
// Threads: the brain's. Source: docs/design/objects.md.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/addresses.h"
#include "agent/object_index.h"
#include "cloud/pod_network.h"
#include "cloud/vpc.h"
#include "cloud/vswitch.h"
#include "kube/brain.h"

namespace weft::agent {

struct View {
    View(kube::Brain& brain, std::string node);

    std::string node_name;
    const kube::Cache& namespaces;
    const kube::Cache& vpcs;
    const kube::Cache& vswitches;
    const kube::Cache& blocks;
    const kube::Cache& nodes;  // this one only
    const kube::Cache& pods;   // of this node
    const kube::Cache& services;
    const kube::Cache& slices;
    const kube::Cache& route_tables;
    const std::shared_ptr<const ObjectIndex> blocks_by_node, slices_by_service;

    std::vector<cloud::Vpc> all_vpcs() const;  // with a number, by name
    Result<cloud::Vpc> vpc(std::string_view name) const;
    Result<cloud::Vpc> vpc_of_namespace(std::string_view ns) const;  // not_found, unavailable (no number yet)
    Result<cloud::VSwitch> vswitch(std::string_view name) const;
    std::vector<Block> my_blocks() const;
    std::vector<kube::ObjectPtr> slices_of(const kube::ObjectKey& service) const;

    // From the Node's annotations; unavailable until the controller has written them.
    Result<net::Address> service_address() const;
    Result<net::Address> host_address() const;
};

}  // namespace weft::agent
