// Services: turns each Service and its EndpointSlices into frontends, slots and backends of the data plane.
//
// What a Service means is service_plan.h; here are the numbers. A list's number and a backend's id are taken over from
// the maps after a restart, so that unchanged Services cost no write and live connections keep their entries. A backend
// that stays keeps its slot and its id; ids are not used again soon. One that left the list but serves keeps its row,
// without a slot and with protocol 0: its UDP flows go on, while affinity takes it for another (DP-20). Order of
// writes: backends, slots, frontends; then what goes: frontends, slots, backends. Of two Services that claim one
// frontend the first keeps it (at a start: the older); when it lets go, `look_again` names those that went without.
// Pods' hostPorts stand among them (host_ports.h). Threads: the brain's. Source: bpf/abi/service.h, design.md "A
// Service".
#pragma once
#include <functional>
#include <map>
#include <set>

#include "agent/service_plan.h"
#include "agent/tables.h"
#include "agent/view.h"

namespace weft::agent {

// Slots of a list as they should become: those that stay keep their place, holes are filled, the rest goes at the end.
std::vector<abi::backend> arrange(const std::vector<std::optional<abi::backend>>& have,
                                  const std::vector<abi::backend>& want);

class Services {
public:
    using LookAgain = std::function<void(const kube::ObjectKey&)>;

    Services(const View& view, Tables& tables, std::vector<net::Address> node_addresses = {},
             LookAgain look_again = [](const kube::ObjectKey&) {})
        : view_(view),
          tables_(tables),
          node_{view.node_name, std::move(node_addresses)},
          look_again_(std::move(look_again)) {}

    kube::Outcome reconcile(const kube::ObjectKey& key);
    // Once, after the caches are in sync: every Service, then away with what none of them has. Rows of the addresses of
    // a Service whose VPC is not known yet stay until it is.
    Status adopt();

    // Who has a hostPort of this pod, in words; "" = nobody else.
    std::string host_port_owner(const kube::Object& pod) const;

    // What the user of this Service (or pod, by its host_port_key) asked for and does not get.
    const std::vector<std::string>& complaints(const kube::ObjectKey& key) const;

private:
    struct Programmed {
        std::map<ListKey, uint32_t> numbers;
        std::map<ListKey, std::set<uint32_t>> lingering;  // backends without a slot
        std::set<abi::frontend_key> frontends;
        std::vector<std::string> complaints;
    };

    Result<ServicePlan> plan(const kube::ObjectKey& key) const;
    Result<ServicePlan> plan_pod(const kube::ObjectKey& key) const;
    Status apply(const kube::ObjectKey& key, ServicePlan plan);
    void give_way(const kube::ObjectKey& key, ServicePlan& plan);
    void evict(const kube::ObjectKey& pod, const abi::frontend_key& from);
    void let_others_look(const abi::frontend_key& gone);
    uint32_t number_of(const ServicePlan& plan, const ListKey& list, const Programmed& before);
    std::vector<uint32_t> slots_of(uint32_t number) const;
    uint32_t new_backend_id();

    std::set<net::Address> addresses_of(const kube::ObjectKey& key) const;

    struct Writes;
    // Gives the backends that linger now.
    std::set<uint32_t> plan_list(uint32_t number, const std::vector<abi::backend>& want,
                                 const std::vector<abi::backend>& unchosen, const std::set<uint32_t>& lingered,
                                 Writes& writes);
    std::set<uint32_t> lingering_before(const Programmed& before, const ListKey& list,
                                        const std::vector<abi::backend>& unchosen);
    void plan_ranges(uint32_t number, const std::vector<net::Prefix>& want, Writes& writes) const;
    void plan_removal(uint32_t number, const std::set<uint32_t>& lingered, Writes& writes) const;
    Status write(const Writes& writes);

    const View& view_;
    Tables& tables_;
    NodeSide node_;
    LookAgain look_again_;
    std::map<kube::ObjectKey, Programmed> programmed_;
    std::map<abi::frontend_key, kube::ObjectKey> owners_;
    std::map<abi::frontend_key, std::set<kube::ObjectKey>> waiting_;  // went without
    std::set<uint32_t> numbers_;
    uint32_t last_number_ = 0;
    uint32_t last_backend_ = 0;
    std::optional<std::set<uint32_t>> found_lingering_;  // during adopt(): those that nobody has taken over yet
};

}  // namespace weft::agent
