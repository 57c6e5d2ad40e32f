// Endpoint rows: what an attachment (pod, service endpoint, host) is in the data plane's maps, and how it gets in and
// out.
//
// desired_rows is pure. put_endpoint writes what differs, the endpoint before the doors that lead to it (endpoint, then
// addresses, then namespace cookie and interface); remove_endpoint goes the other way round. Ids are the lowest free
// from 1. Source: bpf/abi/endpoint.h.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "agent/tables.h"
#include "net/address.h"

namespace weft::agent {

struct Endpoint {
    uint32_t id = 0;
    uint32_t vpc = 0;      // vni
    uint32_t ifindex = 0;  // the node's side
    uint64_t netns_cookie = 0;
    net::Address v4;                            // its own
    std::optional<net::Address> v6 = std::nullopt;
    std::vector<net::Address> local_addresses;  // more that it answers for
    net::Mac mac;                               // its own side
    uint32_t flags = 0;                         // abi::endpoint_flags
    uint32_t route_table = 0;                   // 0: its VPC's system table
    bool is_routed = false;                     // its own addresses are known to the fabric: rows of VPC 0 too
};

struct EndpointRows {
    std::map<uint32_t, abi::endpoint> endpoint;
    std::map<abi::endpoint_key, uint32_t> endpoints;
    std::map<__u64, uint32_t> netns;
    std::map<uint32_t, uint32_t> attachments;
};

EndpointRows desired_rows(const Endpoint& endpoint);
EndpointRows actual_rows(const Tables& tables, uint32_t id);

Status put_endpoint(Tables& tables, const Endpoint& endpoint);
Status remove_endpoint(Tables& tables, uint32_t id);  // absent is success

// `reserved`: ids that are given but not in the maps yet. exhausted at ENDPOINTS_MAX.
Result<uint32_t> free_endpoint_id(const Tables& tables, const std::set<uint32_t>& reserved);

}  // namespace weft::agent
