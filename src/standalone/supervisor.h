// Supervisor: starts weft's processes on this machine and starts them again when they end (back-off 0.1 s .. 5 s, reset
// after 30 s of life). It may itself be killed at any time: the others live on, and the next one adopts them by pid file.
//
//   apiserver, controller          machine's own namespace      cgroup weft-I/system
//   agent, keeper, runtime         each node's namespace        cgroup weft-I/NODE/system   (the keeper starts alb and dns)
//
// Runs until SIGTERM; ending the others is the work of down.h. Source: design.md §3.
#pragma once
#include <stop_token>
#include <string>
#include <vector>

#include "base/instance.h"
#include "base/result.h"
#include "protocol/dns_options.h"
#include "standalone/process.h"
#include "standalone/topology.h"

namespace weft::standalone {

struct SupervisorOptions {
    Instance instance;
    std::vector<NodeSpec> nodes;
    std::string self_binary;  // the weft binary
    std::string cni_binary;   // weft-cni beside it
    protocol::DnsOptions dns;
};

std::vector<ProcessSpec> processes(const SupervisorOptions& options);

std::string supervisor_pid_file(const Instance& instance);

Status supervise(const SupervisorOptions& options, std::stop_token stop);

// Ready by /readyz on its health socket.
bool is_ready(const ProcessSpec& process);

}  // namespace weft::standalone
