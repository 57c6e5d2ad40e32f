// Snapshot: everything the hands need to know to answer, as immutable values: one View per VPC, one NamespaceZone per
// namespace in it. The brain builds a new Snapshot after a change and shares the parts that did not change.
//
// Names are lower case and the namespace's is that of the VPC's DNS view. Threads: read-only once published.
// Source: spec/kubernetes.md §8.1; docs/design/objects.md (dns-namespace, reserved addresses).
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dns_wire/name.h"
#include "net/address.h"

namespace weft::dns {

struct NamedPort {
    std::string name;  // "" = unnamed
    std::string protocol;  // "tcp", "udp", "sctp"
    uint16_t port = 0;
    bool operator==(const NamedPort&) const = default;
};

// A ready endpoint of a headless Service: its own label (hostname, else the address with dashes) and its slice's ports.
struct Endpoint {
    std::string label;
    net::Address address;
    std::shared_ptr<const std::vector<NamedPort>> ports;
};

struct ServiceRecords {
    enum class Kind : uint8_t { cluster_ip, headless, external_name };
    Kind kind = Kind::cluster_ip;
    std::vector<net::Address> cluster_ips;
    std::vector<NamedPort> ports;     // the Service's own; targets' stand with the endpoints
    std::vector<Endpoint> endpoints;  // headless only
    dns_wire::Name external;          // external_name only
};

struct NamespaceZone {
    std::string name;
    std::map<std::string, ServiceRecords, std::less<>> services;
    std::set<net::Address> pods;                      // of living pods
    std::set<std::pair<net::Address, std::string>> reverse;  // address, "svc" or "host.svc"
};

struct View {
    std::string vpc;
    uint32_t vni = 0;
    net::Address server_address;      // .10 of the Service CIDR
    net::Address kubernetes_address;  // .1
    std::optional<net::Address> ipv6_server_address;  // ::a of the IPv6 Service CIDR
    std::vector<net::Prefix> own_cidrs;  // pods' and Services': nobody upstream knows of these addresses
    std::map<std::string, std::shared_ptr<const NamespaceZone>, std::less<>> namespaces;
};

struct Snapshot {
    bool synced = false;
    uint32_t serial = 0;                                  // of the SOA; grows with every snapshot, also over restarts
    std::map<uint32_t, std::shared_ptr<const View>> views;  // by vni

    const View* view(uint32_t vni) const {
        const auto found = views.find(vni);
        return found == views.end() ? nullptr : found->second.get();
    }
};

}  // namespace weft::dns
