#include "agent/reconcilers.h"

#include "agent/host_ports.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cloud/annotations.h"

namespace weft::agent {
namespace {

constexpr Duration status_retry = std::chrono::seconds(1);
constexpr Duration collect_period = std::chrono::seconds(10);
const kube::ObjectKey the_host{"", "host"};
const kube::ObjectKey the_endpoints{"", "endpoints"};
const kube::ObjectKey the_waiting{"", "waiting"};
const kube::ObjectKey kubernetes_service{"default", "kubernetes"};
constexpr std::string_view service_name_label = "kubernetes.io/service-name";

kube::ObjectKey key_of(const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
    return (after ? after : before)->key();
}

std::string_view zone_of(const kube::ObjectPtr& node) { return node ? node->label(cloud::zone_label) : ""; }

bool is_same(const kube::Object& before, const kube::Object& after, json::Path path) {
    const json::Value* const a = before.find(path);
    const json::Value* const b = after.find(path);
    return (a == nullptr && b == nullptr) || (a != nullptr && b != nullptr && *a == *b);
}

// Of a VPC, what Services and hosts depend on; its counters change more often.
bool is_same_network(const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
    if (!before || !after) return false;
    return is_same(*before, *after, {"spec"}) && is_same(*before, *after, {"status", "vni"}) &&
           is_same(*before, *after, {"status", "cidrBlocks"}) && is_same(*before, *after, {"status", "ipv6CidrBlock"});
}

void count_frontends(const Tables& tables) {
    static metrics::Gauge& frontends = metrics::gauge("weft_frontends", {}, "Frontend rows programmed on this node.");
    frontends.set(int64_t(tables.frontends.rows().size()));
}

}  // namespace

// Those that carry nodePorts.
static std::vector<net::Address> addresses_of(const Uplink& uplink) {
    std::vector<net::Address> addresses{uplink.address};
    if (uplink.ipv6) addresses.push_back(*uplink.ipv6);
    return addresses;
}

Reconcilers::Reconcilers(kube::Brain& brain, const Instance& instance, const std::string& node, const Uplink& uplink,
                         Tables& tables, AllocationLog& log, Wiring& wiring)
    : brain_(brain),
      tombstones_(protocol::cni::tombstone_folder(instance.agent_socket(node))),
      view_(brain, node),
      tables_(tables),
      events_(brain.client(), "weft-agent", brain.clock()),
      endpoints_(view_, tables, log, wiring, pod_mtu(uplink.mtu), brain.clock(),
                 [this](const std::string& block) { block_queue_->add({"", block}); }),
      host_(view_, tables, wiring, uplink, [this] { return endpoints_.endpoint_ids(); }),
      vpcs_(view_, tables, wiring, instance, pod_mtu(uplink.mtu).tunnel,
            [this] { return endpoints_.endpoint_ids(); }),
      routes_(view_, tables, log),
      services_(view_, tables, addresses_of(uplink), [this](const kube::ObjectKey& key) { service_queue_->add(key); }),
      writer_(brain.client(),
              [this](const kube::ObjectKey& block) {
                  brain_.post([this, block] { block_queue_->add_after(block, status_retry); });
              }),
      blocks_(view_, log, writer_, brain.clock()) {
    host_queue_ = &brain.add_reconciler("host", [this](const kube::ObjectKey&) { return host_.reconcile(); });
    vpc_queue_ = &brain.add_reconciler("vpcs", [this](const kube::ObjectKey& key) { return vpcs_.reconcile(key); });
    service_queue_ =
        &brain.add_reconciler("services", [this](const kube::ObjectKey& key) { return reconcile_service(key); });
    block_queue_ =
        &brain.add_reconciler("blocks", [this](const kube::ObjectKey& key) { return blocks_.reconcile(key); });
    waiting_queue_ = &brain.add_reconciler("cni", [this](const kube::ObjectKey&) { return answer_waiting(); });
    route_queue_ =
        &brain.add_reconciler("routes", [this](const kube::ObjectKey& vpc) { return routes_.reconcile(vpc); });
    follow_queue_ = &brain.add_reconciler(
        "endpoint_routes", [this](const kube::ObjectKey&) { return kube::Outcome::from(routes_.follow()); });
    endpoints_.ask_for_host_ports([this](const kube::Object& pod) {
        std::string owner = services_.host_port_owner(pod);
        if (!owner.empty()) events_.warning(pod, "HostPortConflict", owner);
        return owner;
    });
    listen_to_changes();
    listen_to_routes();
    brain.on_synced([this] { adopt(); });
    brain.every(collect_period, [this] { endpoints_.collect(tombstones_); });
}

void Reconcilers::listen_to_changes() {
    const auto look_at_waiting = [this](const kube::ObjectPtr&, const kube::ObjectPtr&) {
        waiting_queue_->add(the_waiting);
    };
    for (const kube::Cache* cache : {&view_.namespaces, &view_.vpcs, &view_.vswitches, &view_.blocks, &view_.pods})
        brain_.on_change(*cache, look_at_waiting);

    brain_.on_change(view_.vpcs, [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        look_at(*vpc_queue_, key_of(before, after));
        if (is_same_network(before, after)) return;
        look_at(*host_queue_, the_host);
        look_at_services_of(before, after);
    });
    brain_.on_change(view_.nodes, [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        if (zone_of(before) != zone_of(after)) look_at_services("");
        if (before && after && is_same(*before, *after, {"metadata", "annotations"})) return;
        look_at(*host_queue_, the_host);
        view_.vpcs.for_each([this](const kube::ObjectPtr& vpc) { look_at(*vpc_queue_, vpc->key()); });
        look_at_service(kubernetes_service);
    });
    brain_.on_change(view_.namespaces, [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        look_at_services(key_of(before, after).name);
    });
    brain_.on_change(view_.services, [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        look_at_service(key_of(before, after));
    });
    brain_.on_change(view_.pods, [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        const kube::ObjectPtr& pod = after ? after : before;
        if (has_host_ports(*pod)) look_at_service(host_port_key(pod->key()));
    });
    brain_.on_change(view_.slices, [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        for (const kube::ObjectPtr& slice : {before, after})
            if (slice) look_at_service({std::string(slice->ns()), std::string(slice->label(service_name_label))});
    });
    brain_.on_change(view_.blocks, [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        block_queue_->add(key_of(before, after));
    });
    brain_.on_change(view_.vswitches, [this](const kube::ObjectPtr&, const kube::ObjectPtr&) {
        for (const Block& block : view_.my_blocks()) block_queue_->add({"", block.name});
    });
}

void Reconcilers::listen_to_routes() {
    const auto follow = [this] { follow_queue_->add(the_endpoints); };
    brain_.on_change(view_.vpcs, [this, follow](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        look_at(*route_queue_, key_of(before, after));
        if (!is_same_network(before, after)) follow();
    });
    brain_.on_change(view_.vswitches, [this, follow](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        if (before && after && is_same(*before, *after, {"spec"}) &&
            is_same(*before, *after, {"status", "conditions"}) &&
            is_same(*before, *after, {"status", "ipv6CidrBlock"}))
            return;  // its counts
        look_at(*route_queue_, {"", std::string((after ? after : before)->string({"spec", "vpc"}))});
        follow();
    });
    brain_.on_change(view_.route_tables, [this, follow](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        look_at(*route_queue_, {"", std::string((after ? after : before)->string({"spec", "vpc"}))});
        follow();
    });
    brain_.on_change(view_.pods, [follow](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        const std::string_view had = before ? before->annotation(cloud::allow_forwarding) : "";
        const std::string_view has = after ? after->annotation(cloud::allow_forwarding) : "";
        if (had != has) follow();
    });
    brain_.on_change(view_.namespaces, [follow](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        const std::string_view had = before ? before->label(cloud::allow_forwarding) : "";
        const std::string_view has = after ? after->label(cloud::allow_forwarding) : "";
        if (had != has) follow();
    });
}

// What is heard before the first look is in it: adopt() looks at everything once.
void Reconcilers::look_at(kube::Brain::Queue& queue, const kube::ObjectKey& key) {
    if (brain_.synced()) queue.add(key);
}

void Reconcilers::look_at_services(std::string_view ns) {
    if (!brain_.synced()) return;
    const auto look = [this](const kube::ObjectPtr& service) { service_queue_->add(service->key()); };
    if (ns.empty()) view_.services.for_each(look);
    else view_.services.for_each_in(ns, look);
}

void Reconcilers::look_at_services_of(const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
    const std::string name = key_of(before, after).name;
    const auto is_default = [](const kube::ObjectPtr& vpc) { return vpc && vpc->boolean({"spec", "default"}); };
    const bool has_the_rest = is_default(before) || is_default(after);
    view_.namespaces.for_each([&](const kube::ObjectPtr& ns) {
        const std::string_view named = ns->annotation(cloud::vpc_annotation);
        if (named.empty() ? has_the_rest : named == name) look_at_services(ns->name());
    });
    look_at_service(kubernetes_service);
}

// The first look: what is there already is taken over, what nobody owns any more goes. Failures are tried again by the
// queues; only the readiness waits for a first success.
void Reconcilers::adopt() {
    const auto again_unless = [](const kube::Outcome& outcome, kube::Brain::Queue& queue, const kube::ObjectKey& key) {
        if (outcome.kind != kube::Outcome::Kind::done) queue.add(key);
    };
    const auto started = brain_.clock().now();
    endpoints_.adopt();
    endpoints_.collect(tombstones_);
    again_unless(host_.reconcile(), *host_queue_, the_host);
    view_.vpcs.for_each([&](const kube::ObjectPtr& vpc) {
        again_unless(vpcs_.reconcile(vpc->key()), *vpc_queue_, vpc->key());
        again_unless(routes_.reconcile(vpc->key()), *route_queue_, vpc->key());
    });
    if (const Status adopted = routes_.adopt(); !adopted)
        log::error("adopt routes", {{"error", adopted.error().message}});
    if (const Status adopted = vpcs_.adopt(); !adopted) log::error("adopt VPCs", {{"error", adopted.error().message}});
    if (const Status adopted = services_.adopt(); !adopted) {
        log::error("adopt Services", {{"error", adopted.error().message}});
        look_at_services("");
    }
    count_frontends(tables_);
    view_.services.for_each([this](const kube::ObjectPtr& service) {
        if (!services_.complaints(service->key()).empty()) look_at_service(service->key());
    });
    remove_orphan_endpoints();
    is_adopted_.store(true, std::memory_order_release);
    if (on_ready_) on_ready_();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(brain_.clock().now() - started);
    log::info("data plane agrees with the API", {{"endpoints", tables_.endpoint.rows().size()},
                                                 {"frontends", tables_.frontends.rows().size()},
                                                 {"took_ms", took.count()}});
}

void Reconcilers::remove_orphan_endpoints() {
    const std::set<uint32_t> known = endpoints_.endpoint_ids();
    std::set<uint32_t> orphans;
    for (const auto& [id, row] : tables_.endpoint.rows())
        if (!known.contains(id) && (row.flags & (abi::ENDPOINT_HOST | abi::ENDPOINT_SERVICE)) == 0) orphans.insert(id);
    // Doors that lead to nobody: a crash between their removal and the endpoint's cannot leave them, an edited map can.
    for (const auto& [key, id] : tables_.endpoints.rows())
        if (tables_.endpoint.find(id) == nullptr) orphans.insert(id);
    for (const auto& [key, id] : tables_.attachments.rows())
        if (tables_.endpoint.find(id) == nullptr) orphans.insert(id);
    for (const auto& [key, id] : tables_.netns.rows())
        if (tables_.endpoint.find(id) == nullptr) orphans.insert(id);
    for (const uint32_t id : orphans)
        if (const Status removed = remove_endpoint(tables_, id); !removed)
            log::error("remove endpoint", {{"endpoint", id}, {"error", removed.error().message}});
}

kube::Outcome Reconcilers::reconcile_service(const kube::ObjectKey& key) {
    const kube::Outcome outcome = services_.reconcile(key);
    if (outcome.kind == kube::Outcome::Kind::failed) failing_services_.try_emplace(key, brain_.clock().now());
    else failing_services_.erase(key);
    const bool is_pods = is_host_port_key(key);
    if (const kube::ObjectPtr about = is_pods ? view_.pods.get(pod_of(key)) : view_.services.get(key))
        for (const std::string& complaint : services_.complaints(key))
            events_.warning(*about, is_pods ? "HostPortConflict" : "NotProgrammed", complaint);
    count_frontends(tables_);
    return outcome;
}

std::optional<MonotonicTime> Reconcilers::services_failing_since() const {
    std::optional<MonotonicTime> first;
    for (const auto& [key, since] : failing_services_)
        if (!first || since < *first) first = since;
    return first;
}

void Reconcilers::complain(const kube::ObjectKey& service, std::string_view reason, std::string_view message) {
    if (const kube::ObjectPtr object = view_.services.get(service)) events_.warning(*object, reason, message);
}

kube::Outcome Reconcilers::answer_waiting() {
    endpoints_.expire_waiting();
    const auto deadline = endpoints_.next_deadline();
    if (!deadline) return kube::Outcome::done();
    const Duration left = *deadline - brain_.clock().now();
    return kube::Outcome::again(std::max<Duration>(left, std::chrono::milliseconds(1)));
}

void Reconcilers::ask(const protocol::cni::Request& request, EndpointService::Respond respond) {
    brain_.post([this, request, respond = std::move(respond)]() mutable {
        endpoints_.ask(request, std::move(respond));
        waiting_queue_->add(the_waiting);
    });
}

}  // namespace weft::agent
