// Phases: the life of a request, in order; the same words in code, metrics, access log and docs.
//
//   receive  bytes to a request head          → 400 408 414 431 501 505
//   route    host and path to a backend group → 404
//   choose   one endpoint of the group        → 503
//   connect  a pooled or new connection       → 502 504, or choose again
//   send     the request goes up, until the response head comes → 502 504, or choose again
//   relay    bodies both ways, or an upgraded connection
//   finish   the last byte left; log, metrics, both connections kept or closed
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "base/clock.h"

namespace weft::alb {

enum class Phase : uint8_t { receive, route, choose, connect, send, relay, finish };
inline constexpr size_t phase_count = 7;
inline constexpr std::array<std::string_view, phase_count> phase_names{"receive", "route", "choose", "connect",
                                                                       "send",    "relay", "finish"};

using PhaseTimes = std::array<Duration, phase_count>;

}  // namespace weft::alb
