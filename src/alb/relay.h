// Relay: moves a body, or an upgraded connection's bytes, from one peer to the other as far as both go along right now.
//
// Pieces leave in the framing that the receiver was told: chunked, or raw. Nothing is read while the receiver is
// congested. Threads: one hand's.
#pragma once
#include "alb/peer.h"
#include "http/h1.h"

namespace weft::alb {

enum class BodyState : uint8_t {
    moving,     // not over; more comes with the next event
    done,       //
    malformed,  // the sender broke its framing
    truncated,  // the sender ended in the middle
};

// `moved` is set when anything was.
BodyState relay_body(http::BodyReader& body, Peer& from, Peer& to, bool chunked, bool& moved);

// One direction of a tunnel. Passes the end on (half-close); true when anything moved.
bool relay_raw(Peer& from, Peer& to);

}  // namespace weft::alb
