// SIGTERM and SIGINT as a stop request: blocked in every thread, awaited by one that ends with the process.
// Threads: block before any thread starts; stop_on_signals() once a process.
#pragma once
#include <stop_token>

namespace weft {

void block_stop_signals();
// Stops at the first of them. Requires block_stop_signals().
std::stop_token stop_on_signals();

}  // namespace weft
