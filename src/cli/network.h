// weft vpc show, weft route show: a VPC with all that is in it, and the routes that a pod's packets meet, the system
// routes too. What they show is gathered from the API and pure from there on. Exit code 3: there is no such object.
// Threads: the verb's.
#pragma once
#include <string>
#include <vector>

#include "cli/output.h"
#include "kube/object.h"

namespace weft::cli {

// The objects that both verbs look at.
struct NetworkFacts {
    std::vector<kube::Object> vpcs, vswitches, route_tables, peerings, namespaces;
};

// {vpc, vSwitches, routeTables, peerings, namespaces}; not_found.
Result<json::Value> vpc_view(const NetworkFacts& facts, std::string_view vpc);
// {table, vpc, number, type, vSwitches, routes: [{destination, nextHop, origin, state, message}]}; not_found. The
// routes stand in the order of lookup: the longer prefix first.
Result<json::Value> route_view(const NetworkFacts& facts, std::string_view table);

int vpc_show(const Common& common, const std::string& vpc);
// NAMESPACE/POD, the name of a RouteTable, or that of a pod with -n.
int route_show(const Common& common, const std::string& what);

}  // namespace weft::cli
