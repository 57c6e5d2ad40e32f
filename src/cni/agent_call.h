// One question to the node's agent over its unix socket. Errors: not reachable within connect_timeout_s, or no reply
// within reply_timeout_s: code 11, the runtime tries again; a reply that cannot be read: code 6; else the agent's own.
#pragma once
#include <string>

#include "cni/failure.h"

namespace weft::cni {

struct Called {
    bool reached = false;  // false: nothing was asked, `outcome` says why
    Outcome<protocol::cni::Wired> outcome;
};

Called call_agent(const std::string& socket_path, const protocol::cni::Request& request);

}  // namespace weft::cni
