// IPAM: how a vSwitch is cut into blocks, which block a node gets next, when one is asked back, and what is still free.
//
// A vSwitch is cut into /28 blocks; a node is lent whole blocks, lowest first, ahead of need. Of a small vSwitch, and
// of the last free block of any, addresses are lent one by one (/32 blocks), as many as pods wait. Empty blocks are
// asked back when another node is short; single addresses as soon as they are empty.
//
// Handing back, without a race: the controller deletes the AddressBlock, which its finalizer block_finalizer keeps;
// the node's agent hands out nothing more from a block with a deletionTimestamp and says so by status.free = 0; once
// nothing of it is in use or cooling either, the controller takes the finalizer away. Of a node that is gone it does
// so at once.
//
// Pure: no clock, no API. Threads: values only. Source: design.md §6, docs/design/objects.md.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cloud/vswitch.h"
#include "net/address.h"

namespace weft::cloud {

inline constexpr unsigned block_mask = 28;              // 16 addresses
inline constexpr uint32_t spare_addresses = 4;          // a node keeps these many beyond its waiting pods
inline constexpr uint64_t small_vswitch_size = 64;      // below: single addresses only
inline constexpr size_t blocks_kept_for_splitting = 1;  // the last free blocks are lent address by address
inline constexpr std::string_view block_finalizer = "weft.dev/address-block";

// An AddressBlock as the rules need it.
struct Block {
    std::string name;
    std::string node;
    net::Prefix cidr;
    bool leaving = false;  // has a deletionTimestamp: nothing more is handed out from it
    uint32_t used = 0;
    uint32_t cooling = 0;
    uint32_t free = 0;  // usable, neither used nor cooling; 0 when leaving

    bool is_empty() const { return used == 0 && cooling == 0; }
};
Result<Block> parse_block(const json::Value& object, const VSwitch& vswitch);

// A block asked back whose agent has said that it hands out nothing more, and of which nothing is in use.
bool is_handed_back(const json::Value& object);

// "vsw-zone-a-10-0-1-0"
std::string block_name(std::string_view vswitch, const net::Address& first);

// How many pods, bound to the node with this vSwitch, have no address yet.
struct Need {
    std::string node;
    uint32_t waiting = 0;
};

struct LeasePlan {
    struct Lease {
        std::string node;
        net::Prefix cidr;
        bool operator==(const Lease&) const = default;
    };
    std::vector<Lease> leases;
    std::vector<std::string> take_back;    // names of blocks to ask back
    std::vector<std::string> short_nodes;  // could not be given enough
};
LeasePlan plan_leases(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Need> needs);

struct Counts {
    uint64_t total = 0;      // size less the reserved addresses
    uint64_t available = 0;  // total less those in use
};
Counts counts(const VSwitch& vswitch, std::span<const Block> blocks);

// How many more pods of this vSwitch could be bound to the node, now or after blocks have come back.
uint64_t capacity_on_node(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Need> needs,
                          std::string_view node);

// The lowest address of the prefixes (in their order) that is not taken.
std::optional<net::Address> lowest_free(std::span<const net::Prefix> prefixes, const std::set<net::Address>& taken);

}  // namespace weft::cloud
