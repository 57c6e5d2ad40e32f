// Reconcilers: every control loop of the cluster, one function each; each registers its queue and says which changes
// wake it. Called once, before the brain runs. What each one writes stands in docs/design/objects.md.
#pragma once
#include "controller/world.h"

namespace weft::controller {

// The cloud.
void add_vpc_reconciler(World& world);             // vpc.cpp: number, conditions, ingress address
void add_vswitch_reconciler(World& world);         // vswitch.cpp: conditions and counts
void add_block_reconciler(World& world);           // block.cpp: leases AddressBlocks to nodes, asks empty ones back
void add_pool_reconciler(World& world);            // pool.cpp: counts, lost and orphaned allocations
void add_security_group_reconciler(World& world);  // security_group.cpp
void add_route_table_reconciler(World& world);     // route_table.cpp: numbers, what each route is
void add_peering_reconciler(World& world);         // peering.cpp: joins two VPCs
void add_forwarding_reconciler(World& world);      // forwarding.cpp: tells pods that may not forward
// Nodes and pods.
void add_node_reconciler(World& world);  // node.cpp: neighbour addresses, Lease expiry, pods of gone nodes
void add_scheduler(World& world);        // scheduler.cpp: binds pods
void add_pod_annotator(World& world);    // pod_annotation.cpp: what the cloud writes back on a pod
void add_pod_networking_reconciler(World& world);  // pod_networking.cpp: status of PodNetworkings
void add_pod_eni_reconciler(World& world);         // pod_eni.cpp: the record of a pod's address
// Workloads.
void add_deployment_reconciler(World& world);   // deployment.cpp
void add_replica_set_reconciler(World& world);  // replica_set.cpp
void add_stateful_set_reconciler(World& world);  // stateful_set.cpp
// Services.
void add_endpoint_slice_reconciler(World& world);    // endpoint_slice.cpp
void add_endpoints_reconciler(World& world);         // endpoints.cpp: the old form of slices, read and written
void add_load_balancer_reconciler(World& world);     // load_balancer.cpp
void add_ingress_reconciler(World& world);           // ingress.cpp: status
void add_ingress_problem_reconciler(World& world);   // ingress_problems.cpp: what is wrong, as Events
void add_reserved_service_reconciler(World& world);  // reserved_service.cpp: kubernetes and kube-dns
bool is_reserved_service(const kube::ObjectKey& key);
// Housekeeping.
void add_namespace_reconciler(World& world);  // namespace.cpp: first contents and last
void add_garbage_collector(World& world);     // garbage.cpp: dependents of what is gone

// All of them.
void add_reconcilers(World& world);

}  // namespace weft::controller
