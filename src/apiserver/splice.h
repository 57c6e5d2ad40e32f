// Splice: carries a log or exec conversation between an API client and a node's runtime.
//
// Errors: a runtime that cannot be reached is a 500 `error dialing backend: ...`; what the runtime refuses is passed on
// as it is. Threads: the connection's, plus one for the other direction of an exec, joined before returning.
#pragma once
#include <string>

#include "apiserver/call.h"

namespace weft::apiserver {

struct SpliceTarget {
    std::string socket;  // unix socket of the runtime
    std::string target;  // "/log/default/web/app?follow=true"
    // Why nobody can enter the container, as far as its pod's status tells; "" = it runs. A client whose WebSocket was
    // refused comes again with SPDY and shows only the second answer: then it is this.
    std::string not_running{};
};

void relay_log(const SpliceTarget& to, const Call& call, http::Exchange& exchange);
// 400 without WebSocket headers.
void splice_exec(const SpliceTarget& to, const Call& call, const http::Request& request, http::Exchange& exchange);

void send_failure(const Failure& failure, const Call& call, http::Exchange& exchange);

}  // namespace weft::apiserver
