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
};

void relay_log(const SpliceTarget& to, const Call& call, http::Exchange& exchange);
// 400 without WebSocket headers.
void splice_exec(const SpliceTarget& to, const Call& call, const http::Request& request, http::Exchange& exchange);

void send_failure(const Failure& failure, const Call& call, http::Exchange& exchange);

}  // namespace weft::apiserver
