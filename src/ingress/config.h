// Config: Ingresses and what they name, compiled to the one model the proxy routes by. Pure: objects in, values out.
//
// Every API becomes hosts, paths in precedence order and backend groups; nobody past this file sees JSON. What is wrong
// with an Ingress becomes a Problem and never hinders another one: `weft alb` on each node serves what is left, the
// controller, of which there is one, tells the Problems as Events. A backend that cannot be reached is
// a group without endpoints: 503 for its path. As soon as one Ingress of a VPC has spec.tls, its address listens on 443
// too, with the same routes; SNI chooses among the certificates. Source: spec/kubernetes.md §5.2 (ING-20..29), docs/design/objects.md.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "ingress/certificates.h"
#include "io/socket.h"
#include "kube/object.h"

namespace weft::ingress {

inline constexpr uint32_t no_group = UINT32_MAX;
inline constexpr uint16_t http_port = 80;
inline constexpr uint16_t https_port = 443;
inline constexpr std::string_view service_name_label = "kubernetes.io/service-name";  // EndpointSlice

struct BackendGroup {
    std::string name;                          // "default/web:http"
    std::vector<io::SocketAddress> endpoints;  // sorted; empty → 503
    std::string why_empty;

    bool operator==(const BackendGroup&) const = default;
};

enum class PathKind : uint8_t { exact, prefix };

struct PathRule {
    PathKind kind = PathKind::prefix;
    std::string path;  // of a prefix: without trailing slashes, "" matches all
    uint32_t group = no_group;

    bool operator==(const PathRule&) const = default;
};

struct HostConfig {
    std::string host;             // lower case; "" = any; "*.foo.com" = exactly one label more
    std::vector<PathRule> paths;  // the first that matches wins
    uint32_t fallback = no_group;

    bool operator==(const HostConfig&) const = default;
};

// One address of one VPC where requests arrive.
struct ListenerConfig {
    uint32_t vni = 0;
    io::SocketAddress at;
    std::vector<HostConfig> hosts;
    uint32_t fallback = no_group;         // no host matched
    std::shared_ptr<io::TlsContext> tls;  // nullptr: plain HTTP

    bool operator==(const ListenerConfig&) const = default;
};

struct Problem {
    kube::ObjectPtr ingress;
    std::string reason;  // CamelCase, for an Event
    std::string message;
};

struct AlbConfig {
    std::vector<ListenerConfig> listeners;
    std::vector<BackendGroup> groups;  // PathRule::group points here
    std::vector<Problem> problems;
    std::set<kube::ObjectKey> services;  // those that matter: changes of others need no new config
    std::set<kube::ObjectKey> secrets;   // same
};

struct Objects {
    std::vector<kube::ObjectPtr> ingresses, ingress_classes, services, endpoint_slices, namespaces, vpcs, secrets;
};

// `certificates` is asked for each Secret's context; it outlives the call only.
AlbConfig compile(const Objects& objects, Certificates& certificates);

}  // namespace weft::ingress
