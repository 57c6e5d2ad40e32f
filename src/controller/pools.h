// Pools: public addresses out of AddressPools, for LoadBalancer Services and for the Ingress address of a VPC.
//
// Crash-safe by order: the pool's status.allocations is written, with its resourceVersion as precondition, before the
// address stands anywhere else; released there after it is gone from everywhere else. An address that a Service's or
// VPC's status already shows is never given to anyone else, and is taken in again when its allocation was lost.
//
// Errors: exhausted names the pools; conflict when a pool changed under us (look again). Threads: the brain's only.
// Source: docs/design/objects.md.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "controller/world.h"
#include "net/address.h"

namespace weft::controller {

// Whom an address is for; (kind, uid) has at most one of each family.
struct AddressOwner {
    std::string_view kind;  // "Service" or "VPC"
    std::string ns, name, uid;
    std::string vpc;
    std::string shown;  // the address of this family that its status shows already, "" = none
    bool ipv6 = false;
};

// The address the owner has, or a new one: pools of its VPC first, then those for everyone; the lowest free.
Result<net::Address> allocate_public_address(World& world, const AddressOwner& owner);
// `ipv6`: only that of the family.
Status release_public_address(World& world, std::string_view kind, std::string_view uid,
                              std::optional<bool> ipv6 = std::nullopt);

}  // namespace weft::controller
