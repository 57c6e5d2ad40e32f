#include "agent/endpoint_rows.h"

#include "base/delta.h"
#include "kernel/short_ipv6.h"

namespace weft::agent {
namespace {

template <class K>
std::map<K, uint32_t> rows_of(const Table<K, uint32_t>& table, uint32_t id) {
    std::map<K, uint32_t> rows;
    for (const auto& [key, value] : table.rows())
        if (value == id) rows.emplace(key, value);
    return rows;
}

}  // namespace

EndpointRows desired_rows(const Endpoint& endpoint) {
    EndpointRows rows;
    abi::endpoint row{};
    row.vpc = endpoint.vpc;
    row.ifindex = endpoint.ifindex;
    row.flags = endpoint.flags;
    row.route_table = endpoint.route_table != 0 ? endpoint.route_table : endpoint.vpc;
    std::memcpy(row.mac, endpoint.mac.bytes.data(), sizeof(row.mac));
    if (!endpoint.v4.is_unspecified()) {
        row.v4 = abi::to_abi(endpoint.v4);
        rows.endpoints.emplace(abi::endpoint_key_of(endpoint.vpc, endpoint.v4), endpoint.id);
    }
    if (endpoint.v6) {
        row.v6 = abi::to_abi(*endpoint.v6);
        rows.endpoints.emplace(abi::endpoint_key_of(endpoint.vpc, *endpoint.v6), endpoint.id);
        rows.endpoints.emplace(abi::short_key_of(endpoint.vpc, *endpoint.v6), endpoint.id);
    }
    if (endpoint.is_routed) {
        if (!endpoint.v4.is_unspecified())
            rows.endpoints.emplace(abi::endpoint_key_of(VPC_OUTSIDE, endpoint.v4), endpoint.id);
        if (endpoint.v6) rows.endpoints.emplace(abi::endpoint_key_of(VPC_OUTSIDE, *endpoint.v6), endpoint.id);
    }
    for (const net::Address& address : endpoint.local_addresses)
        rows.endpoints.emplace(abi::endpoint_key_of(endpoint.vpc, address), endpoint.id);
    rows.endpoint.emplace(endpoint.id, row);
    if (endpoint.netns_cookie != 0) rows.netns.emplace(endpoint.netns_cookie, endpoint.id);
    if (endpoint.ifindex != 0) rows.attachments.emplace(endpoint.ifindex, endpoint.id);
    return rows;
}

EndpointRows actual_rows(const Tables& tables, uint32_t id) {
    EndpointRows rows;
    if (const abi::endpoint* row = tables.endpoint.find(id)) rows.endpoint.emplace(id, *row);
    rows.endpoints = rows_of(tables.endpoints, id);
    rows.netns = rows_of(tables.netns, id);
    rows.attachments = rows_of(tables.attachments, id);
    return rows;
}

Status put_endpoint(Tables& tables, const Endpoint& endpoint) {
    const EndpointRows want = desired_rows(endpoint);
    const EndpointRows have = actual_rows(tables, endpoint.id);
    TRY_IN("endpoint", tables.endpoint.apply(diff(have.endpoint, want.endpoint)));
    TRY_IN("endpoints", tables.endpoints.apply(diff(have.endpoints, want.endpoints)));
    TRY_IN("netns", tables.netns.apply(diff(have.netns, want.netns)));
    TRY_IN("attachments", tables.attachments.apply(diff(have.attachments, want.attachments)));
    return {};
}

Status remove_endpoint(Tables& tables, uint32_t id) {
    const EndpointRows have = actual_rows(tables, id);
    const EndpointRows none;
    TRY_IN("attachments", tables.attachments.apply(diff(have.attachments, none.attachments)));
    TRY_IN("netns", tables.netns.apply(diff(have.netns, none.netns)));
    TRY_IN("endpoints", tables.endpoints.apply(diff(have.endpoints, none.endpoints)));
    TRY_IN("endpoint", tables.endpoint.apply(diff(have.endpoint, none.endpoint)));
    return {};
}

Result<uint32_t> free_endpoint_id(const Tables& tables, const std::set<uint32_t>& reserved) {
    for (uint32_t id = 1; id < ENDPOINTS_MAX; ++id)
        if (tables.endpoint.find(id) == nullptr && !reserved.contains(id)) return id;
    return fail(Code::exhausted, "endpoints: " + std::to_string(ENDPOINTS_MAX) + " on this node");
}

}  // namespace weft::agent
