// Routes: the rows of `routes` for every table of every VPC, and which table each pod's endpoint uses. A table's rows
// are the VPC's system routes and the routes that the controller found Active; a VPC's system table (number = VNI) is
// there even before its RouteTable object is.
//
// desired_table is pure. follow() keeps the endpoints of running pods at the table their vSwitch is bound to now, and
// lets those forward that may (ENDPOINT_FORWARDS); it touches no other part of their rows. What belongs to tables that
// are gone is found by number, in memory and, once after a start, in the map. Threads: the brain's.
// Source: spec/acs.md §1.3, docs/design/routes.md, bpf/abi/route.h.
#pragma once
#include <map>
#include <set>
#include <span>
#include <string>

#include "agent/allocation_log.h"
#include "agent/tables.h"
#include "agent/view.h"
#include "cloud/route_table.h"

namespace weft::agent {

using RouteRows = std::map<abi::route_key, abi::route>;

RouteRows desired_table(uint32_t number, const cloud::Vpc& vpc, std::span<const cloud::VSwitch> vswitches,
                        std::span<const cloud::ActiveRoute> routes);

// What routes have to say about a pod's endpoint; nullopt while its VPC or vSwitch is not legible.
struct PodRouting {
    uint32_t table = 0;
    bool forwards = false;
};
std::optional<PodRouting> routing_of(const View& view, const Allocation& allocation);

class Routes {
public:
    Routes(const View& view, Tables& tables, const AllocationLog& log) : view_(view), tables_(tables), log_(log) {}

    kube::Outcome reconcile(const kube::ObjectKey& vpc);
    Status follow();
    // Once, after every VPC was reconciled: away with the rows of tables that nobody knows.
    Status adopt();

private:
    Status apply(const std::string& vpc, const RouteRows& want, const std::set<uint32_t>& numbers);

    const View& view_;
    Tables& tables_;
    const AllocationLog& log_;
    std::map<std::string, std::set<uint32_t>> numbers_;  // the tables programmed, by VPC
};

}  // namespace weft::agent
