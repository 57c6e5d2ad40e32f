// Limits of the L7 proxy, with units and the reason for each number.
#pragma once
#include <chrono>
#include <cstddef>

#include "base/clock.h"

namespace weft::alb {

inline constexpr unsigned hands_default = 2;  // one per core of the smallest machine we support

// Memory: what one direction of one connection may hold. Above high we stop reading from its source, below low we go
// on.
inline constexpr size_t buffer_high_bytes = 64 * 1024;
inline constexpr size_t buffer_low_bytes = 16 * 1024;
inline constexpr size_t read_bytes = 16 * 1024;         // asked for at once
inline constexpr size_t direct_write_bytes = 8 * 1024;  // pieces from here on go to the socket without a copy

inline constexpr size_t idle_connection_bytes_max = 300;  // design.md §11
inline constexpr size_t connections_per_hand_max = 16 * 1024;  // beyond: new ones wait in the listen queue
inline constexpr size_t idle_upstreams_per_backend_max = 64;
inline constexpr unsigned connect_attempts_max = 3;    // endpoints tried for one request
inline constexpr unsigned relay_rounds_per_turn = 32;  // then other connections of the hand get their turn
inline constexpr size_t linger_bytes_max = 64 * 1024;  // read and dropped after an early answer

// How long a hand waits; a test has less time.
struct Timeouts {
    Duration idle = std::chrono::seconds(60);       // downstream, between requests
    Duration head = std::chrono::seconds(10);       // first to last byte of a request head
    Duration connect = std::chrono::seconds(3);     // one SYN retransmission fits
    Duration stall = std::chrono::seconds(60);      // an exchange in which nothing moves
    Duration tunnel_idle = std::chrono::hours(1);   // WebSockets may be silent for long
};
// Below the 30 s for which an address cools down before another pod gets it (design.md §6).
inline constexpr Duration upstream_idle_timeout = std::chrono::seconds(20);
// A request that must not be sent twice takes only a connection that was in use this lately, or a new one.
inline constexpr Duration upstream_fresh_time = std::chrono::seconds(2);
inline constexpr Duration endpoint_rest_time = std::chrono::seconds(2);  // passed over after a failed connect
inline constexpr Duration linger_time = std::chrono::seconds(1);
inline constexpr Duration drain_time = std::chrono::seconds(5);           // exchanges in flight at stop
inline constexpr Duration listen_retry = std::chrono::milliseconds(300);  // the VPC's service endpoint is not there yet

}  // namespace weft::alb
