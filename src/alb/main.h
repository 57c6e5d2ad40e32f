// weft alb: the L7 proxy of a node, for all its VPCs; a worker of the keeper without any right (worker/worker.h).
//
// Brain: watches Ingresses and what they name, compiles them (config.h), applies the result (proxy.h), tells problems
// as Events. Hands: event loops that serve requests (hand.h, exchange.h). It neither listens nor accepts before the
// first sync.
#pragma once
#include <stop_token>
#include <string>

#include "alb/limits.h"
#include "base/result.h"
#include "worker/worker.h"

namespace weft::alb {

struct Options {
    std::string health_socket;  // "" = none
    unsigned hands = hands_default;
    bool sandbox = true;
};

// Returns when stopped, after exchanges in flight had drain_time.
Status run(worker::Start start, const Options& options, std::stop_token stop);

inline Status run(worker::Start start, std::stop_token stop) {
    return run(std::move(start), Options{}, std::move(stop));
}

}  // namespace weft::alb
