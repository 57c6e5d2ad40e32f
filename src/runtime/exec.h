// Exec: one more program in a running container, its input and output over a WebSocket as kubectl speaks it.
//
// The program is started by `weft shim --exec` (exec_main), which reads its plan from descriptor 3, enters the
// container's cgroup and namespaces and becomes the program; it ends with the runtime, or when the client leaves.
// Source: spec/kubernetes.md API-140, API-141.
#pragma once
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/url.h"
#include "http/websocket.h"
#include "protocol/runtime.h"

namespace weft::runtime {

struct ExecOptions {
    std::vector<std::string> command;
    bool in = false, out = false, err = false, tty = false;
};
Result<ExecOptions> parse_exec_options(const http::Query& query);

struct ExecTarget {
    std::string self_binary;
    protocol::runtime::Launch plan;  // of the container, its argv replaced by the command
    int pid = 0;
    uint64_t pid_started = 0;
};

// Runs to the end over a stream that has been upgraded; the closing Status goes on channel 3.
void run_exec(const ExecTarget& target, const ExecOptions& options, io::Stream& stream);

// Runs the plan's argv to its end, without a client: for probes and hooks. Errors: timeout, or unavailable when `stop`
// came first (the program is killed).
struct Ran {
    int exit_code = 0;
    std::string output;  // both streams, the first ran_output_max bytes
};

inline constexpr size_t ran_output_max = 10 * 1024;
Result<Ran> run_in_container(const ExecTarget& target, Duration timeout, std::stop_token stop = {});

int exec_main();

// The closing Status of an exec that ended so.
std::string exit_status(int exit_code);

}  // namespace weft::runtime
