// ClusterName: which thing of the cluster zone a name means. Only the shape is looked at, not whether the thing exists.
// Threads: pure. Source: spec/kubernetes.md DNS-1 … DNS-12.
#pragma once
#include <optional>
#include <string>

#include "dns_wire/name.h"
#include "net/address.h"

namespace weft::dns {

struct ClusterName {
    enum class Kind : uint8_t {
        none,
        apex,
        dns,
        name_server,
        version,
        svc,
        pod,
        svc_namespace,
        pod_namespace,
        service,
        endpoint,
        protocol,
        port,
        pod_address,
    };
    Kind kind = Kind::none;
    std::string ns, service;
    std::string label;           // endpoint: its hostname or dashed address; pod_address: the dashed address
    std::string port, protocol;  // without the underscore
};

// nullopt: the name is outside of `zone`. Kind::none: inside, but of no known shape.
std::optional<ClusterName> parse_cluster_name(const dns_wire::Name& name, const dns_wire::Name& zone);

// "10-0-0-1", "2001-db8--1" and back; nullopt when it is no address written like that.
std::string dashed(const net::Address& address);
std::optional<net::Address> parse_dashed(std::string_view label);

// The address in "7.1.0.10.in-addr.arpa." or the 32 nibbles of ip6.arpa; nullopt for any other name.
std::optional<net::Address> parse_reverse_name(const dns_wire::Name& name);
// The same for names of whole zones as well: 10.0.0.0/16 for "0.10.in-addr.arpa.".
std::optional<net::Prefix> parse_reverse_zone(const dns_wire::Name& name);
// Inside of in-addr.arpa or ip6.arpa.
bool is_reverse_name(const dns_wire::Name& name);

}  // namespace weft::dns
