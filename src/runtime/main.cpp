#include "runtime/main.h"

#include <sys/resource.h>

#include "base/log.h"
#include "http/health.h"
#include "kube/brain.h"
#include "runtime/node.h"
#include "runtime/pods.h"
#include "runtime/server.h"

namespace weft::runtime {

static constexpr unsigned makers =
    16;  // pods wired at a time; one that waits for an address holds its place for seconds
static constexpr unsigned askers = 16;  // probes asked at a time; each waits at most its timeout
static constexpr Duration uplink_period = std::chrono::seconds(1);
static constexpr unsigned token_askers = 4;  // one that meets an API server that is away waits for its answer
static constexpr unsigned hookers = 16;  // lifecycle hooks under way; each waits at most its pod's grace period

Status run(const Options& options, std::stop_token stop) {
    const std::unique_ptr<kube::Client> client = kube::connect(options.api);
    const RequestToken request = options.api.unix_socket.empty() ? RequestToken() : token_requester(options.api);
    return run_with(*client, options, stop, request);
}

Status run_with(kube::Client& client, const Options& options, std::stop_token stop, const RequestToken& request_token) {
    TRY(check_node_name(options.node));
    const SandboxMaker sandboxes = TRY(SandboxMaker::create(options));
    std::string address = uplink_address();
    const std::unique_ptr<kube::Brain> brain = kube::Brain::create(client);
    kube::EventRecorder events(client, "weft-runtime");
    const kube::Cache& pods_cache = brain->watch(kube::pods, {.field_selector = "spec.nodeName=" + options.node});
    const kube::Cache& config_maps = brain->watch(kube::config_maps);
    const kube::Cache& secrets = brain->watch(kube::secrets);
    const kube::Cache& service_accounts = brain->watch(kube::service_accounts);
    const kube::Cache& services = brain->watch(kube::services);
    const kube::Cache& namespaces = brain->watch(kube::namespaces);
    const kube::Cache& vpcs = brain->watch(kube::vpcs);

    Hands making(makers), asking(askers), hooking(hookers), asking_tokens(token_askers);
    World world{options, client,        *brain,     events,      sandboxes, making,           asking,   hooking,
                asking_tokens, stop, pods_cache, config_maps, secrets,   service_accounts, services, namespaces,
                vpcs,    address};
    world.request_token = request_token;
    Pods pods(world);
    kube::Brain::Queue& queue =
        brain->add_reconciler("pods", [&](const kube::ObjectKey& key) { return pods.reconcile(key); });
    pods.use_queue(queue);
    brain->on_synced([&] { pods.adopt(); });
    brain->on_change(pods_cache, [&](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        queue.add((after ? after : before)->key());
    });
    for (const kube::Cache* cache : {&config_maps, &secrets, &service_accounts})
        brain->on_change(*cache, [&](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
            if (brain->synced()) pods.look_again_in((after ? after : before)->ns());
        });

    std::atomic<bool> registered = false;
    // At once when the uplink changed or the API did not take it, else now and then: someone may have edited it.
    std::optional<MonotonicTime> told_at;
    brain->every(uplink_period, [&] {
        const std::string now_has = uplink_address();
        if (told_at && now_has == address && brain->clock().now() - *told_at < lease_period) return;
        if (now_has != address) log::info("uplink changed", {{"address", address}, {"to", now_has}});
        address = now_has;
        if (!address.empty()) {
            world.host_ip = address;
            world.host_ipv6 = uplink_ipv6_address();
        }
        const Status status = register_node(client, options, address);
        if (status) {
            told_at = brain->clock().now();
            registered = true;
            return;
        }
        if (told_at || !registered)
            log::warning("node not registered", {{"node", options.node}, {"error", status.error().message}});
        told_at.reset();
    });
    const LeaseKeeper lease(client, options.node);

    const std::unique_ptr<http::Server> server = TRY(pod_server(options, sandboxes, pods.views()));
    server->start();
    const auto health = TRY(http::serve_health(
        options.instance.node_run_dir(options.node) + "/runtime.health.sock", [&]() -> Status {
            if (!brain->synced()) return fail(Code::unavailable, "the API server has not been heard yet");
            if (!registered) return fail(Code::unavailable, "the node is not registered yet");
            return {};
        }));
    log::info("runtime started", {{"node", options.node}, {"address", address}});
    brain->run(stop);
    server->stop();
    return {};
}

}  // namespace weft::runtime
