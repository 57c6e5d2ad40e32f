#include "controller/main.h"

#include <unistd.h>

#include <thread>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/strings.h"
#include "controller/leader.h"
#include "controller/reconcilers.h"
#include "http/health.h"

namespace weft::controller {
namespace {

std::string identity_of(const Instance& instance) {
    char host[256] = {};
    if (::gethostname(host, sizeof host - 1) != 0) host[0] = 0;
    return fmt::format("{}_{}", host, instance.name());
}

// The one thing kube::Client has no verb for: PUT of a namespace's finalize subresource.
Status put_finalize(const kube::Endpoint& api, const kube::Object& ns) {
    json::Value body = ns.body();
    json::set(body, {"spec", "finalizers"}, json::Array{});
    const auto reply = TRY(kube::raw_request(api, "PUT", kube::namespaces.path({}, ns.name()) + "/finalize",
                                             json::serialize(body), "application/json", "application/json"));
    if (reply.status / 100 == 2 || reply.status == 404) return {};
    return fail(reply.status == 409 ? Code::conflict : Code::unavailable,
                fmt::format("finalize namespace {}: HTTP {}", ns.name(), reply.status));
}

}  // namespace

void add_reconcilers(World& world) {
    add_namespace_reconciler(world);
    add_vpc_reconciler(world);
    add_vswitch_reconciler(world);
    add_pool_reconciler(world);
    add_security_group_reconciler(world);
    add_route_table_reconciler(world);
    add_peering_reconciler(world);
    add_forwarding_reconciler(world);
    add_node_reconciler(world);
    add_scheduler(world);
    add_block_reconciler(world);
    add_pod_annotator(world);
    add_pod_networking_reconciler(world);
    add_pod_eni_reconciler(world);
    add_deployment_reconciler(world);
    add_replica_set_reconciler(world);
    add_stateful_set_reconciler(world);
    add_endpoint_slice_reconciler(world);
    add_endpoints_reconciler(world);
    add_load_balancer_reconciler(world);
    add_ingress_reconciler(world);
    add_ingress_problem_reconciler(world);
    add_reserved_service_reconciler(world);
    add_garbage_collector(world);
}

Status run(const Options& options, std::stop_token stop) {
    // One controller per instance and machine: what makes its identity its own.
    const Fd lock = TRY_IN("another controller of this instance", lock_file(options.instance.run_dir() + "/controller.lock"));
    const auto client = kube::connect(options.api);
    const auto brain = kube::Brain::create(*client);
    const std::string boot(trim(TRY(read_file("/proc/sys/kernel/random/boot_id"))));
    World world(*brain, options.region, boot);
    world.finalize_namespace = [&options](const kube::Object& ns) { return put_finalize(options.api, ns); };
    add_reconcilers(world);

    std::atomic<bool> leading{false};
    const auto health = TRY(http::serve_health(options.instance.run_dir() + "/controller.health.sock", [&]() -> Status {
        if (!leading.load()) return fail(Code::unavailable, "not leading");
        return brain->synced() ? Status{} : fail(Code::unavailable, "caches are not in sync");
    }));

    Leader leader(*client, identity_of(options.instance));
    if (!leader.acquire(stop)) return {};
    leading = true;
    // Standalone we speak to the API server by a unix socket, without its CA, which it has made by the time it answers;
    // pods and helm look for it (API-98).
    world.root_ca_pem = options.api.ca_pem.empty() ? read_file(options.instance.state_dir() + "/ca.pem").value_or("")
                                                   : options.api.ca_pem;
    log::info("leading", {{"identity", identity_of(options.instance)}});

    // Losing the Lease ends the brain, and a stop from outside ends both.
    std::stop_source work;
    const std::stop_callback forward(stop, [&work] { work.request_stop(); });
    Status kept;
    std::jthread keeper([&] {
        kept = leader.keep(work.get_token());
        work.request_stop();
    });
    brain->run(work.get_token());
    work.request_stop();
    keeper.join();
    return kept;
}

}  // namespace weft::controller
