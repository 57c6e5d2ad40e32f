#include "agent/node_health.h"

#include "base/json.h"
#include "base/log.h"

namespace weft::agent {
namespace {

// What a cluster autoscaler puts on a node that it is about to take away.
constexpr std::string_view leaving_taint = "ToBeDeletedByClusterAutoscaler";

bool may_get_traffic(const kube::Object& node) {
    if (node.deleting()) return false;
    for (const json::Value& taint : node.array({"spec", "taints"}))
        if (json::find_string(taint, {"key"}) == leaving_taint) return false;
    return true;
}

}  // namespace

NodeHealth::NodeHealth(const net::Address& address, uint16_t port, const Clock& clock)
    : address_(address), port_(port), clock_(clock), last_beat_(clock.now()), last_updated_(clock.wall()) {}

void NodeHealth::open() {
    http::ServerOptions options{.name = "node_health",
                                .connections_max = 64,
                                .idle_timeout = std::chrono::seconds(10),
                                .stop_grace = std::chrono::seconds(1)};
    auto server = http::Server::create(std::move(options), [this](http::Request& request, http::Exchange& exchange) {
        Answer said = answer(request.path);
        http::ResponseHead head;
        head.status = said.status;
        head.headers.add("Content-Type", "application/json");
        head.headers.add("X-Content-Type-Options", "nosniff");
        (void)exchange.respond(std::move(head), said.body);
    });
    const auto at = server->listen_tcp({address_, port_});
    if (!at) {
        if (!complained_) log::warning("node health", {{"port", int(port_)}, {"error", at.error().message}});
        complained_ = true;
        return;
    }
    server->start();
    server_ = std::move(server);
    listening_on_ = at->port;
}

void NodeHealth::beat(std::optional<MonotonicTime> failing_since) {
    if (!server_) open();
    const std::lock_guard lock(mutex_);
    last_beat_ = clock_.now();
    failing_since_ = failing_since;
    if (!failing_since_) last_updated_ = clock_.wall();
}

void NodeHealth::set_node(const kube::ObjectPtr& node) {
    const std::lock_guard lock(mutex_);
    eligible_ = node && may_get_traffic(*node);
}

NodeHealth::Answer NodeHealth::answer(std::string_view path) const {
    if (path != "/healthz" && path != "/livez") return {404, R"({"message":"only /healthz and /livez are here"})"};
    const std::lock_guard lock(mutex_);
    const MonotonicTime now = clock_.now();
    const bool is_fresh = now - last_beat_ <= stale_after && (!failing_since_ || now - *failing_since_ <= stale_after);
    const bool is_well = is_fresh && (eligible_ || path == "/livez");
    const json::Object body{{"lastUpdated", rfc3339_micro(is_fresh ? clock_.wall() : last_updated_)},
                            {"currentTime", rfc3339_micro(clock_.wall())},
                            {"nodeEligible", eligible_}};
    return {is_well ? 200 : 503, json::serialize(body)};
}

void add_node_health(kube::Brain& brain, const View& view, NodeHealth& health,
                     std::function<std::optional<MonotonicTime>()> failing_since) {
    const auto look = [&health, &view] { health.set_node(view.nodes.get(view.node_name)); };
    brain.on_change(view.nodes, [look](const kube::ObjectPtr&, const kube::ObjectPtr&) { look(); });
    brain.on_synced(look);
    brain.every(NodeHealth::beat_period,
                [&health, failing_since = std::move(failing_since)] { health.beat(failing_since()); });
}

}  // namespace weft::agent
