// PortWatch: tells a Service that its nodePort is also a port at which a program of the node listens. The nodePort
// wins, on the wire and on the node itself (bpf/uplink_egress.bpf.c); who started the program learns by the Service's
// Event why nobody reaches it. What listens on 127.0.0.1 or ::1 alone is in nobody's way.
//
// Looked at when a nodePort comes or changes, and now and then. Threads: the brain's. Source: spec/kubernetes.md DP-13,
// proc(5) /proc/net/tcp.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "agent/view.h"
#include "kube/brain.h"

namespace weft::agent {

using NodePort = std::pair<net::Protocol, uint16_t>;

// The ports that sockets of these tables (/proc/net/{tcp,tcp6,udp,udp6}) take up for everybody.
std::set<NodePort> listening_in(std::string_view table, net::Protocol protocol);

// The nodePorts of a Service.
std::set<NodePort> node_ports_of(const kube::Object& service);

class PortWatch {
public:
    using Read = std::function<std::set<NodePort>()>;
    using Complain = std::function<void(const kube::ObjectKey& service, std::string_view message)>;

    PortWatch(Read read, Complain complain) : read_(std::move(read)), complain_(std::move(complain)) {}

    // Each conflict is told once; one that went and came again is told again.
    void look(const std::map<kube::ObjectKey, std::set<NodePort>>& services);

private:
    const Read read_;
    const Complain complain_;
    std::set<std::pair<kube::ObjectKey, NodePort>> told_;
};

// Of the namespace this process is in, the node's.
std::set<NodePort> listening_here();

// Among the agent's reconcilers; before the brain runs, `watch` must outlive it.
void add_port_watch(kube::Brain& brain, const View& view, PortWatch& watch);

}  // namespace weft::agent
