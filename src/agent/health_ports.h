// HealthPorts: a Service's healthCheckNodePort on this node: an outside balancer asks there whether the node has
// endpoints of the Service. 200 with at least one that is ready here, else 503; so a node whose last endpoint terminates
// is left alone before it refuses. A port that cannot be had is told by an Event, the other Services are served.
//
// Threads: set() the brain's; requests are answered on threads of their own, from an atomic.
// Source: spec/kubernetes.md DP-30, §4.4.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/view.h"
#include "http/server.h"
#include "kube/brain.h"

namespace weft::agent {

struct HealthPort {
    kube::ObjectKey service;
    uint32_t local_endpoints = 0;
    bool operator==(const HealthPort&) const = default;
};

// By port: the Services that have one, with their ready endpoints on this node. Of two with the same the first by name.
std::map<uint16_t, HealthPort> wanted_health_ports(
    const std::vector<kube::ObjectPtr>& services,
    const std::function<std::vector<kube::ObjectPtr>(const kube::ObjectKey&)>& slices_of, std::string_view node);

class HealthPorts {
public:
    using Complain = std::function<void(const kube::ObjectKey& service, std::string_view message)>;

    // `is_healthy`: does the agent's own work go on? Any thread.
    HealthPorts(const net::Address& address, std::function<bool()> is_healthy, Complain complain)
        : address_(address), is_healthy_(std::move(is_healthy)), complain_(std::move(complain)) {}

    // True when all of them are served.
    bool set(const std::map<uint16_t, HealthPort>& wanted);
    uint16_t listening_on(uint16_t port) const;  // for tests, which ask for port 0

private:
    struct Open {
        kube::ObjectKey service;
        std::shared_ptr<std::atomic<uint32_t>> local_endpoints;
        std::unique_ptr<http::Server> server;
        uint16_t port = 0;
    };

    Result<Open> open(uint16_t port, const HealthPort& wanted) const;

    const net::Address address_;
    const std::function<bool()> is_healthy_;
    const Complain complain_;
    std::map<uint16_t, Open> open_;
};

// Among the agent's reconcilers; before the brain runs, both must outlive it.
void add_health_ports(kube::Brain& brain, const View& view, HealthPorts& ports);

}  // namespace weft::agent
