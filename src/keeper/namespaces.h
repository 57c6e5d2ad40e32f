// Namespaces: where sockets of a VPC are made. One thread goes into the VPC's namespace, makes them, and comes back.
//
// Errors: not_found while the agent has not made the VPC's namespace on this node. Threads: the keeper's only one.
// Source: kernel-facts §7 (setns per thread, costs).
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "base/fd.h"
#include "base/instance.h"
#include "base/result.h"

namespace weft::keeper {

struct Made {
    uint64_t netns_cookie = 0;
    std::vector<Fd> sockets;
};

class Namespaces {
public:
    static Result<Namespaces> open(const Instance& instance, std::string_view node);

    // `make` runs `n` times inside the namespace of `vni` (0 = the node's own). All or nothing.
    Result<Made> make_in(uint32_t vni, unsigned n, const std::function<Result<Fd>()>& make) const;
    // Which namespace stands behind `vni` now. A namespace made anew has another cookie (inode numbers come back).
    Result<uint64_t> cookie(uint32_t vni) const;

private:
    Namespaces(const Instance& instance, std::string_view node, Fd home)
        : instance_(instance), node_(node), home_(std::move(home)) {}

    Instance instance_;
    std::string node_;
    Fd home_;
};

}  // namespace weft::keeper
