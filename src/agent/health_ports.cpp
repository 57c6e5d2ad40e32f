#include "agent/health_ports.h"

#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/log.h"

namespace weft::agent {
namespace {

const kube::ObjectKey all_ports{"", "health_ports"};
constexpr Duration retry = std::chrono::seconds(10);
constexpr std::string_view service_name_label = "kubernetes.io/service-name";

uint16_t port_of(const kube::Object& service) {
    const int64_t port = service.integer({"spec", "healthCheckNodePort"});
    const bool is_used = service.string({"spec", "type"}) == "LoadBalancer" &&
                         service.string({"spec", "externalTrafficPolicy"}) == "Local" && !service.deleting();
    return is_used && port > 0 && port <= 65535 ? uint16_t(port) : 0;
}

uint32_t ready_here(const std::vector<kube::ObjectPtr>& slices, std::string_view node) {
    std::set<std::string> addresses;  // an endpoint may stand in two slices for a moment
    for (const kube::ObjectPtr& slice : slices)
        for (const json::Value& endpoint : slice->array({"endpoints"}))
            if (json::find_string(endpoint, {"nodeName"}) == node &&
                json::find_bool(endpoint, {"conditions", "ready"}, true))
                addresses.insert(std::string(json::find_string(endpoint, {"targetRef", "uid"})) + " " +
                                 (json::find_strings(endpoint, {"addresses"}).empty()
                                      ? ""
                                      : json::find_strings(endpoint, {"addresses"}).front()));
    return uint32_t(addresses.size());
}

void answer(http::Exchange& exchange, const kube::ObjectKey& service, uint32_t endpoints, bool is_healthy) {
    http::ResponseHead head;
    head.status = endpoints > 0 && is_healthy ? 200 : 503;
    head.headers.add("Content-Type", "application/json");
    head.headers.add("X-Content-Type-Options", "nosniff");
    head.headers.add("X-Load-Balancing-Endpoint-Weight", std::to_string(endpoints));
    const json::Object body{{"service", json::Object{{"namespace", service.ns}, {"name", service.name}}},
                            {"localEndpoints", endpoints},
                            {"serviceProxyHealthy", is_healthy}};
    (void)exchange.respond(std::move(head), json::serialize(body));
}

}  // namespace

std::map<uint16_t, HealthPort> wanted_health_ports(
    const std::vector<kube::ObjectPtr>& services,
    const std::function<std::vector<kube::ObjectPtr>(const kube::ObjectKey&)>& slices_of, std::string_view node) {
    std::map<uint16_t, HealthPort> wanted;
    for (const kube::ObjectPtr& service : services)
        if (const uint16_t port = port_of(*service); port != 0)
            wanted.try_emplace(port, HealthPort{service->key(), ready_here(slices_of(service->key()), node)});
    return wanted;
}

Result<HealthPorts::Open> HealthPorts::open(uint16_t port, const HealthPort& wanted) const {
    Open opened{.service = wanted.service,
                .local_endpoints = std::make_shared<std::atomic<uint32_t>>(wanted.local_endpoints),
                .server = nullptr,
                .port = port};
    http::ServerOptions options{.name = "health_port",
                                .connections_max = 64,
                                .idle_timeout = std::chrono::seconds(10),
                                .stop_grace = std::chrono::seconds(1)};
    opened.server = http::Server::create(
        std::move(options), [service = wanted.service, local = opened.local_endpoints, healthy = is_healthy_](
                                http::Request&, http::Exchange& exchange) {
            answer(exchange, service, *local, healthy());
        });
    opened.port = TRY(opened.server->listen_tcp({address_, port})).port;
    opened.server->start();
    return opened;
}

bool HealthPorts::set(const std::map<uint16_t, HealthPort>& wanted) {
    std::erase_if(open_, [&](const auto& entry) {
        const auto found = wanted.find(entry.first);
        return found == wanted.end() || found->second.service != entry.second.service;
    });
    bool all = true;
    for (const auto& [port, health] : wanted) {
        if (const auto found = open_.find(port); found != open_.end()) {
            *found->second.local_endpoints = health.local_endpoints;
            continue;
        }
        auto opened = open(port, health);
        if (opened) {
            open_.emplace(port, std::move(*opened));
            continue;
        }
        all = false;
        complain_(health.service, opened.error().message);
    }
    return all;
}

uint16_t HealthPorts::listening_on(uint16_t port) const {
    const auto found = open_.find(port);
    return found == open_.end() ? 0 : found->second.port;
}

void add_health_ports(kube::Brain& brain, const View& view, HealthPorts& ports) {
    auto& queue = brain.add_reconciler("health_ports", [&](const kube::ObjectKey&) {
        std::vector<kube::ObjectPtr> services;
        view.services.for_each([&](const kube::ObjectPtr& service) {
            if (port_of(*service) != 0) services.push_back(service);
        });
        const bool all = ports.set(wanted_health_ports(
            services, [&](const kube::ObjectKey& key) { return view.slices_of(key); }, view.node_name));
        return all ? kube::Outcome::done() : kube::Outcome::again(retry);  // whoever has the port may let go of it
    });
    brain.on_change(view.services, [&queue](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        for (const kube::ObjectPtr& side : {before, after})
            if (side && port_of(*side) != 0) queue.add(all_ports);
    });
    brain.on_change(view.slices, [&](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        const kube::ObjectPtr& slice = after ? after : before;
        const kube::ObjectPtr service = view.services.get(
            kube::ObjectKey{std::string(slice->ns()), std::string(slice->label(service_name_label))});
        if (service && port_of(*service) != 0) queue.add(all_ports);
    });
}

}  // namespace weft::agent
