// Conntrack: a row of the data plane's memory of connections, as a person reads it: who opened it to whom, by which
// Service. Pure; the verb is in conntrack.cpp. Source: bpf/abi/conntrack.h.
#pragma once
#include <optional>
#include <string>

#include "base/json.h"
#include "kernel/abi.h"

namespace weft::cli {

struct End {
    net::Address address;
    uint16_t port = 0;
    std::string text() const;  // "10.0.1.5:40000", "[fd00::1]:80"
    bool operator==(const End&) const = default;
};

struct Connection {
    uint32_t vpc = 0;
    uint8_t protocol = 0;
    std::string state;         // half-open, established, closing, old
    End initiator, responder;  // responder: the backend, or in a translation row the frontend
    std::optional<End> by;  // the frontend that the initiator asked for (connection row), the backend (translation row)
    bool is_translation_row = false;
    uint16_t seen_port = 0;  // by which the responder knows the initiator, where that is another than its own; else 0
    bool from_outside = false, hairpin = false;
    uint64_t packets = 0, bytes = 0, reply_packets = 0, reply_bytes = 0;
    uint32_t idle_s = 0, age_s = 0;
};

Connection connection_of(const abi::ct_key& key, const abi::ct_entry& entry, uint32_t now_s);
bool speaks_of(const Connection& connection, const net::Address& address);  // either end, or what stands between
std::string protocol_text(uint8_t protocol);                                // tcp, udp, icmp, icmpv6, else the number
json::Value to_json(const Connection& connection, const std::string& node);

}  // namespace weft::cli
