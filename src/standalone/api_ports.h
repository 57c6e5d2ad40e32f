// ApiPorts: how pods reach the API server. In every node's namespace a socket listens on port 6443 of the host endpoint's
// device, where each VPC's `kubernetes.default` leads, and is handed to the API server, which keeps it.
//
// Bound to that device: the street does not reach it, and answers leave by it whatever VPC's address they go to. A new
// one is made when the API server, the node's namespace or the device was made anew. Threads: the supervisor's.
// Source: design.md §5.1.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/instance.h"
#include "base/result.h"

namespace weft::standalone {

inline constexpr uint16_t api_port = 6443;

class ApiPorts {
public:
    ApiPorts(Instance instance, std::vector<std::string> nodes) : instance_(std::move(instance)), nodes_(std::move(nodes)) {}

    // Call it often; it looks once a second. 0: the API server does not run.
    void tend(int apiserver_pid, MonotonicTime now);

private:
    struct Place {
        int apiserver_pid = 0;
        uint64_t netns = 0;
        int link = 0;
        bool operator==(const Place&) const = default;
    };

    Status tend_node(const std::string& node, int apiserver_pid);

    const Instance instance_;
    const std::vector<std::string> nodes_;
    std::map<std::string, Place> given_;
    MonotonicTime next_{};
};

}  // namespace weft::standalone
