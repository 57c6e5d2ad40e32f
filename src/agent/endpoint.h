// EndpointService: the agent's side of a CNI call, and the story of a pod's attachment:
//
//   pod and vSwitch from the caches → reserve an address in the log → veth → endpoint rows → program, links up →
//   confirm
//
// Each step leaves its undo on a Rollback; DEL is the same list read upward and forgives what is gone. ADD makes no API
// call: what the caches do not hold yet is waited for, at most patience, and then answered with a code that says
// "again". adopt() runs once, after the caches are in sync: it brings log, kernel and maps into agreement and touches
// nothing that agrees already. Threads: the brain's. Source: design.md "A CNI ADD", §6; spec/kubernetes.md §9.
#pragma once
#include <functional>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/addresses.h"
#include "agent/allocation_log.h"
#include "agent/endpoint_rows.h"
#include "agent/mtu.h"
#include "agent/view.h"
#include "agent/wiring.h"
#include "protocol/cni.h"

namespace weft::agent {

class EndpointService {
public:
    static constexpr Duration patience = std::chrono::seconds(5);
    static constexpr size_t waiting_max = 1024;

    struct Answered {
        protocol::cni::Reply reply;
        // Slow (an RCU grace period): the caller does it before it passes the reply on.
        std::vector<std::string> links_to_delete;
    };
    using Respond = std::function<void(Answered)>;

    // `on_allocation` hears the block's name whenever what its status should say has changed.
    EndpointService(const View& view, Tables& tables, AllocationLog& log, Wiring& wiring, const PodMtu& mtu,
                    const Clock& clock, std::function<void(const std::string& block)> on_allocation);

    void ask(const protocol::cni::Request& request, Respond respond);
    // Who else has a hostPort of the pod, in words; "" = nobody.
    void ask_for_host_ports(std::function<std::string(const kube::Object& pod)> owner) { host_port_owner_ = std::move(owner); }
    void retry_waiting();   // something in the caches has changed
    void expire_waiting();  // answers those whose patience is over
    std::optional<MonotonicTime> next_deadline() const;

    void adopt();
    // Frees what is bound to a link that no longer exists, and what a DEL without an agent left word of.
    void collect(const std::string& tombstone_folder);

    std::set<uint32_t> endpoint_ids() const;  // of all allocations

private:
    struct NotYet {
        protocol::cni::Answer answer;  // when patience ends
        std::string why;
        bool is_final = false;  // nothing that may come changes it: no reason to wait
    };
    struct Waiting {
        protocol::cni::Request request;
        Respond respond;
        MonotonicTime deadline;
        NotYet reason;
    };

    std::expected<protocol::cni::Reply, NotYet> add(const protocol::cni::Request& request);
    std::expected<Allocation, NotYet> choose(const protocol::cni::Request& request) const;
    std::expected<Choice, NotYet> choose_wished(const protocol::cni::Request& request, const cloud::VSwitch& vswitch,
                                                const Asker& asker) const;
    protocol::cni::Reply wire(const Allocation& allocation);
    std::optional<protocol::cni::Reply> existing(const protocol::cni::Request& request);
    Answered del(const protocol::cni::Request& request);
    protocol::cni::Reply check(const protocol::cni::Request& request);
    // endpoint_care.cpp
    protocol::cni::Reply status();
    Answered collect_garbage(const protocol::cni::Request& request);
    bool may_free_up(const cloud::VSwitch& vswitch) const;  // an address of it, though none is free on this node
    std::string difference(const Allocation& allocation) const;  // of links and rows from what they should be; "" = none

    Plug plug_of(const Allocation& allocation) const;
    bool is_routed(const Allocation& allocation) const;
    Endpoint endpoint_of(const Allocation& allocation, const Socket& socket) const;
    protocol::cni::Reply wired_reply(const Allocation& allocation) const;
    Status forget(const Allocation& allocation);  // rows and log; not the link
    void adopt_one(const Allocation& allocation);
    void tell_blocks(const std::string& vpc, const net::Address& address);

    const View& view_;
    Tables& tables_;
    AllocationLog& log_;
    Wiring& wiring_;
    PodMtu mtu_;
    const Clock& clock_;
    std::function<void(const std::string&)> on_allocation_;
    std::function<std::string(const kube::Object&)> host_port_owner_;
    std::list<Waiting> waiting_;
    bool is_adopted_ = false;
};

}  // namespace weft::agent
