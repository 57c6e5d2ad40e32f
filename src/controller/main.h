// Controller: the cluster's control loops as one process. `run` returns when stopped, or with an error when another
// controller took the lead. Everything it knows it finds in the API: it may be killed between any two writes.
//
// Health: <run_dir>/controller.health.sock; ready = leading and all caches in sync.
// Threads: one brain, one ear per watched kind, one for the Lease. The tour of the room: world.h. Source: design.md §3.
#pragma once
#include <stop_token>
#include <string>

#include "base/instance.h"
#include "base/result.h"
#include "kube/client.h"

namespace weft::controller {

struct Options {
    Instance instance;
    kube::Endpoint api;
    std::string region = "cn-local";
};

Status run(const Options& options, std::stop_token stop);

}  // namespace weft::controller
