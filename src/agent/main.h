// weft agent: keeps one node's kernel as the API wants it: maps, links, routes, addresses; and answers weft-cni.
//
// It runs inside the node's network namespace and may die at any moment: what it needs to know again it finds in the
// pinned maps, in the links and filters, in the allocation log and in the API. With unchanged objects a restart writes
// no map, changes nothing by netlink and keeps every program. Until the API has been heard in full nothing is taken
// away. Threads: one brain; ears for the API and CNI; a sweep for conntrack. Source: design.md §3, §5, §6, §9.
#pragma once
#include <stop_token>
#include <string>

#include "base/instance.h"
#include "base/result.h"
#include "kube/client.h"

namespace weft::agent {

struct Options {
    Instance instance;
    std::string node;
    std::string uplink = "eth0";
    kube::Endpoint api;
    std::string cni_folder;  // where 05-weft.conflist is put once an ADD can work; "" = in the node's run folder
};

// Returns when stopped, leaving everything in the kernel as it is.
Status run(const Options& options, std::stop_token stop);
// The same over a client of the caller's; options.api is not used.
Status run(const Options& options, kube::Client& client, std::stop_token stop);

}  // namespace weft::agent
