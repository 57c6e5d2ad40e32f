// Keeper: makes and keeps the sockets of a node's service endpoints, and starts the workers that use them.
//
// It holds CAP_SYS_ADMIN (to enter a VPC's namespace) and nothing else, and parses nothing from the network. Because it
// keeps a duplicate of every listener, connections and datagrams for a dead worker wait in the kernel until the next
// one reads them; because workers keep duplicates too, a dead keeper loses nothing: the next one adopts them.
//
// Tour: namespaces (a VPC's namespace by its number), listeners (the table of kept sockets), spawn (exec of a worker
// without rights), worker_slot (one worker's life, and adoption, as a state machine), main (start, poll loop).
// Source: design.md §3, §5.7.
#pragma once
#include <stop_token>
#include <string>
#include <vector>

#include "base/instance.h"
#include "base/result.h"
#include "protocol/dns_options.h"

namespace weft::keeper {

struct Options {
    Instance instance;
    std::string node;
    std::string self_binary;   // what to exec for a worker
    protocol::DnsOptions dns;  // for `weft dns`
    std::vector<std::string> workers = {"alb", "dns"};
};

// Call in the node's network namespace, from the only thread. Workers go on when it returns.
// Errors: conflict when another keeper of this node lives.
Status run(const Options& options, std::stop_token stop);

}  // namespace weft::keeper
