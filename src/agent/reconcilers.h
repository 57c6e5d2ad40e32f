// Reconcilers: everything the agent's brain does, wired to the caches: which change makes whom look again, and the
// order of the first look after a start. The kernel stands behind Tables and Wiring, so a test runs all of it with
// fakes.
//
//   VPC           → its service endpoint, the host's routes, Services of its namespaces (those that name it, or none)
//   VPC, VSwitch, RouteTable → the VPC's routes; and with Pod, Namespace: which table each endpoint uses
//   Node (its annotations, its zone) → host endpoint, service endpoints, default/kubernetes
//   Service, EndpointSlice, Namespace → the Service's frontends
//   AddressBlock, allocations         → the block's status
//   Pod, and all of the above         → ADDs that wait
//
// Threads: the brain's, but for ask(), is_ready(). Source: design.md §9; style.md 2.8.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "agent/block_status.h"
#include "agent/endpoint.h"
#include "agent/host.h"
#include "agent/routes.h"
#include "agent/services.h"
#include "agent/status_writer.h"
#include "agent/tables.h"
#include "agent/view.h"
#include "agent/vpcs.h"
#include "agent/wiring.h"
#include "base/instance.h"
#include "kube/brain.h"

namespace weft::agent {

class Reconcilers {
public:
    // All must outlive it. `log` and `tables` are loaded.
    Reconcilers(kube::Brain& brain, const Instance& instance, const std::string& node, const Uplink& uplink,
                Tables& tables, AllocationLog& log, Wiring& wiring);

    Host& host() { return host_; }
    const View& view() const { return view_; }
    void complain(const kube::ObjectKey& service, std::string_view reason, std::string_view message);  // as its Event

    void ask(const protocol::cni::Request& request, EndpointService::Respond respond);  // any thread
    void on_ready(std::function<void()> work) { on_ready_ = std::move(work); }  // before the brain runs
    bool is_ready() const { return is_adopted_.load(std::memory_order_acquire); }       // any thread
    // Since when a Service could not be programmed; the brain's thread.
    std::optional<MonotonicTime> services_failing_since() const;

private:
    void listen_to_changes();
    void adopt();
    void remove_orphan_endpoints();
    void listen_to_routes();
    void look_at(kube::Brain::Queue& queue, const kube::ObjectKey& key);
    void look_at_service(const kube::ObjectKey& key) { look_at(*service_queue_, key); }
    void look_at_services(std::string_view ns);  // "" = of every namespace
    void look_at_services_of(const kube::ObjectPtr& before, const kube::ObjectPtr& after);  // a VPC's
    kube::Outcome reconcile_service(const kube::ObjectKey& key);
    kube::Outcome answer_waiting();

    kube::Brain& brain_;
    const std::string tombstones_;
    View view_;
    Tables& tables_;
    kube::EventRecorder events_;
    EndpointService endpoints_;
    Host host_;
    Vpcs vpcs_;
    Routes routes_;
    Services services_;
    StatusWriter writer_;
    BlockStatus blocks_;
    kube::Brain::Queue *host_queue_, *vpc_queue_, *service_queue_, *block_queue_, *waiting_queue_,
        *route_queue_, *follow_queue_;
    std::map<kube::ObjectKey, MonotonicTime> failing_services_;
    std::function<void()> on_ready_;
    std::atomic<bool> is_adopted_{false};
};

}  // namespace weft::agent
