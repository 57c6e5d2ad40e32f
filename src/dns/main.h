// DNS: names for every VPC of the cloud, on the kube-dns address of each one's Service CIDR, from one process per node
// that holds no right at all.
//
// Tour, in the order of a query's walk: hand (a thread: UDP, TCP sockets) → respond (bytes to bytes) → stages (the
// list) → cluster_zone (names of the VPC's view), forward (upstream). Behind it: index (objects to views), server (the
// brain: watches, publishes snapshots, asks the keeper for sockets). Source: design.md §5.7, §8; spec/kubernetes.md §8;
// spec/acs.md §9.
#pragma once
#include <stop_token>
#include <string>

#include "base/result.h"
#include "protocol/dns_options.h"
#include "worker/worker.h"

namespace weft::dns {

struct Options {
    std::string health_socket;           // "" = none
    protocol::DnsOptions dns;            // what an administrator may choose
    std::string zone = "cluster.local";
    unsigned hands = 0;                  // 0 = one per CPU, at most hands_max
};

inline constexpr unsigned hands_max = 8;

// Enters the sandbox before it reads the first byte. Errors: invalid names the option.
Status run(worker::Start start, const Options& options, std::stop_token stop);

}  // namespace weft::dns
