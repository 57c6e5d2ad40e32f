// Prove: applies examples/hello in both VPCs and makes the requests a user would make, so that `up` says "ready" only of a
// network that works. Source: issue 3 ("proves the main job itself").
#pragma once
#include <string>

#include "base/instance.h"
#include "base/result.h"
#include "kube/client.h"
#include "kube/discovery.h"

namespace weft::cli {

struct Stage {
    const Instance& instance;
    const kube::Endpoint& endpoint;
    kube::Client& client;
    const std::vector<kube::ServedKind>& kinds;
    std::string examples;  // folder
};

// Prints its steps. What a person may try next is left in `public_address` and `ingress_address`.
struct Proven {
    std::string public_address, ingress_address;
};
Result<Proven> prove(const Stage& stage);

}  // namespace weft::cli
