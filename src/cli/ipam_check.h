// IpamCheck: what is wrong with the addresses of an instance: the API (vSwitches, blocks, pods, PodENIs) compared with
// what every node's agent remembers and what its kernel has. Pure: facts in, findings out; ipam.cpp gathers and mends.
//
//   double      two have it                         leak     nobody has it, and yet it is not free
//   orphan      in use without a lease              stale    a record says what is not so
//
// A world in motion shows differences that pass: ask twice and keep what both looks show (same `key`). Threads: values
// only. Source: design.md §6; docs/design/addresses.md.
#pragma once
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/allocation_log.h"
#include "kube/object.h"

namespace weft::cli {

struct AddressesOfNode {
    std::vector<agent::Allocation> log;
    std::set<std::pair<uint32_t, net::Address>> doors;  // (VNI, IPv4 address) of pods in the data plane
    std::string problem;                                // why it could not be read; "" = it was
};

struct IpamFacts {
    std::vector<kube::Object> vpcs, namespaces, vswitches, blocks, pods, pod_enis, nodes;
    std::map<std::string, AddressesOfNode> by_node;  // those of this machine; others are judged by the API alone
};

struct AddressFinding {
    std::string kind;     // double, leak, orphan, stale
    std::string subject;  // "10.0.1.5", a block's or a vSwitch's name
    std::string node;     // "" = no one node's
    std::string what;     // a sentence
    std::string fix;      // what to do, or what --repair does

    // What --repair does; nothing when only a person can know.
    enum class Repair : uint8_t { none, release, lease_again, delete_pod, delete_block, delete_eni };
    Repair repair = Repair::none;
    agent::Allocation allocation;  // release, lease_again
    kube::ObjectKey object;        // delete_*

    std::string key() const { return kind + " " + subject + " " + node + " " + what; }
};

std::vector<AddressFinding> check_addresses(const IpamFacts& facts);

// The lease that an address in use lacks: the block of its own name again, or it alone where others have been lent
// that.
struct MissingLease {
    std::string name, vpc, vswitch, node;
    net::Prefix cidr;
    std::string withhold_in;  // name of another node's block that must leave it alone first; "" = none
};

std::optional<MissingLease> missing_lease(const agent::Allocation& allocation, const std::string& node,
                                          const IpamFacts& facts);

}  // namespace weft::cli
