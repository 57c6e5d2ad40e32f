// ServiceIndex: which ClusterIPs and nodePorts are taken, kept beside the store by its writer thread (see admit.h).
//
// Shapes: VPC → Service CIDRs, one a family, and taken addresses; Service → the VPC and addresses it took, so that
// release needs no look at what its namespace says by then. The lowest free address is found from a floor below which
// all are taken; it is looked for above a band of first addresses (SVC-52), then in it. Threads: the writer thread
// only. Source: spec/kubernetes.md SVC-50..59; design.md §4.
#pragma once
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "apiserver/admit.h"
#include "net/address.h"

namespace weft::apiserver {

class ServiceIndex {
public:
    void load(StoreView& view);
    Verdict admit(StoreView& view, const Kind& kind, json::Value& object, const json::Value* stored);
    void stored(const json::Value* before, const json::Value* after);
    void stored_namespace(const json::Value* before, const json::Value* after);
    void stored_vpc(const json::Value* before, const json::Value* after);

    bool holds_addresses_of(std::string_view ns) const;

private:
    struct Range {
        explicit Range(const net::Prefix& prefix);
        Range() = default;

        net::Prefix cidr;
        net::Address dynamic_first;  // below, for those who choose an address, and for all when nothing else is free
        net::Address floor;          // from dynamic_first up to here everything is taken or reserved

        bool is_reserved(const net::Address& address) const;  // network, .1, .10, broadcast
    };
    struct Vpc {
        Range ipv4;
        std::optional<Range> ipv6;
        bool is_default = false;
        std::unordered_map<net::Address, std::string> taken;  // → "namespace/name", of both families

        Range* range_of(bool is_v4) { return is_v4 ? &ipv4 : ipv6 ? &*ipv6 : nullptr; }
    };
    struct Taken {
        std::string vpc;
        std::vector<net::Address> addresses;
        std::vector<std::pair<std::string, uint16_t>> node_ports;  // protocol, port
    };

    std::string vpc_name_of(const std::string& service) const;  // the one it took from, else its namespace's; "" = none
    std::optional<std::string> static_error(const Vpc& vpc, const Range& range, const net::Address& address,
                                            const std::string& service) const;
    std::optional<net::Address> lowest_free(const Vpc& vpc, Range& range) const;
    std::optional<net::Address> own_address(const Vpc& vpc, const Range& range,
                                            const std::string& service) const;  // of kubernetes, kube-dns
    Verdict give_cluster_ips(const Kind& kind, json::Value& object, const json::Value* stored,
                             const std::string& service);
    // The address at a place of spec.clusterIPs: the one wished, or a free one.
    std::expected<net::Address, Refusal> give_cluster_ip(const Kind& kind, std::string_view name, Vpc& vpc,
                                                         Range& range, std::string_view wished,
                                                         const std::string& service) const;
    Verdict give_node_ports(const Kind& kind, json::Value& object, const std::string& service);
    std::optional<std::string> node_port_error(const std::string& protocol, int64_t port,
                                               const std::string& service) const;
    uint16_t lowest_free_port(const std::set<uint16_t>& used_here) const;  // 0 = none
    void take(const std::string& service, const json::Value& object);
    void release(const std::string& service);

    std::map<std::string, Vpc, std::less<>> vpcs_;
    std::map<std::string, std::string, std::less<>> namespace_vpc_;       // only those annotated
    std::map<std::string, Taken, std::less<>> services_;                  // "namespace/name"
    std::map<std::pair<std::string, uint16_t>, std::string> node_ports_;  // protocol, port → service
    std::map<uint16_t, unsigned> port_uses_;                              // by how many protocols
};

}  // namespace weft::apiserver
