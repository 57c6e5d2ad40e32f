// Processes: one function per long-running process of the binary; each builds its options from the command line, runs
// until SIGTERM, and returns the exit code.
#pragma once
#include <string>
#include <vector>

#include "protocol/dns_options.h"

namespace weft::cmd {

struct ProcessArgs {
    std::string instance;
    std::string node;
    std::string zones;         // runtime: "cn-local-a,cn-local-b"
    std::string cni_binary;    // runtime
    std::string cni_folder;    // agent: where a container runtime looks for its network, "" = the node's own run folder
    std::string self_binary;
    protocol::DnsOptions dns;  // keeper, dns
    bool force = false;        // apiserver: accept a store that is older than the last one seen
};

int apiserver(const ProcessArgs& args);
int controller(const ProcessArgs& args);
int agent(const ProcessArgs& args);
int keeper(const ProcessArgs& args);
int runtime(const ProcessArgs& args);
int alb(const ProcessArgs& args);
int dns(const ProcessArgs& args);

}  // namespace weft::cmd
