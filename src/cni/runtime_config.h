// RuntimeConfig: what a runtime asks for beside the network itself, by capability (`runtimeConfig`) or CNI_ARGS.
//
//   portMappings  checked here; what is mapped is what the Pod says, which the agent reads itself (CNI-25)
//   ips, IP=      one IPv4 address that the pod shall have; the agent says whether it can
//   the rest      an endpoint has no say in it: code 2 when it is asked for
//
// Errors: code 7 naming the field when it cannot be meant, code 2 when it can but not here. Threads: pure.
// Source: spec/kubernetes.md CNI-24, CNI-34.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"
#include "cni/failure.h"

namespace weft::cni {

struct RuntimeConfig {
    std::vector<protocol::cni::HostPort> host_ports;
    std::string address;  // without its length; "" = any
};

// `config`: the whole configuration. `wished`: IP of CNI_ARGS, "" = none.
Outcome<RuntimeConfig> parse_runtime_config(const json::Value& config, std::string_view wished);

}  // namespace weft::cni
