// Exec: one more program in a running container, its input and output over a WebSocket as kubectl speaks it.
//
// The program is started by `weft shim --exec` (exec_main), which reads its plan from descriptor 3, enters the
// container's cgroup and namespaces and becomes the program; it ends with the runtime, or when the client leaves.
// Source: spec/kubernetes.md API-140, API-141.
#pragma once
#include <string>
#include <vector>

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

int exec_main();

// The closing Status of an exec that ended so.
std::string exit_status(int exit_code);

}  // namespace weft::runtime
