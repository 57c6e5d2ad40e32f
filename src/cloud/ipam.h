// IPAM: how a vSwitch is cut into blocks, which block a node gets next, when one is asked back or split, and what is
// still free.
//
// A vSwitch is cut into /28 blocks; a node is lent whole blocks, lowest first, ahead of need. Of a small vSwitch, and
// of the last free block of any, addresses are lent one by one (/32 blocks), as many as pods wait. When a node is short
// and nothing is left, empty blocks of others are asked back, as many as are needed; then single free addresses are
// withheld from blocks in use and lent alone. A reserved address (fixed, chosen) is lent alone too, for its pod only.
//
// Handing back, without a race: the controller deletes the AddressBlock, which its finalizer block_finalizer keeps;
// the node's agent hands out nothing more from a block with a deletionTimestamp and says so by status.free = 0; once
// nothing of it is in use or cooling either, the controller takes the finalizer away. Of a node that is gone it does
// so at once. Withholding likewise: the controller names the address in spec.withheld; when status.observedGeneration
// shows that the agent has seen that, and the address is in no list of the status, it is loose.
//
// Pure: no clock, no API. Threads: values only. Source: design.md §6, docs/design/{objects,addresses}.md.
#pragma once
#include <cstdint>
#include <map>
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
    std::string pod;  // "namespace/name" it is lent for; "" = any pod of the node
    net::Prefix cidr;
    bool leaving = false;      // has a deletionTimestamp: nothing more is handed out from it
    bool surrendered = false;  // ... and its agent has said so
    bool acknowledged = true;  // its agent has seen `withheld` as it is
    bool reachable = true;     // its node can be asked for something back
    std::vector<net::Address> withheld, allocated, cooling;
    uint32_t usable = 0;  // addresses of it that pods may have at all

    bool is_single() const { return cidr.size() == 1; }

    bool is_empty() const { return allocated.empty() && cooling.empty(); }

    bool is_taken(const net::Address& address) const;  // allocated or cooling
    bool is_withheld(const net::Address& address) const;
    uint32_t free() const;  // what its node may give to any pod now
};

Result<Block> parse_block(const json::Value& object, const VSwitch& vswitch);

// A block asked back whose agent has said that it hands out nothing more, and of which nothing is in use or cools.
bool is_handed_back(const json::Value& object);

// "vsw-zone-a-10-0-1-0"; of a single address "vsw-zone-a-10-0-1-5-32".
std::string block_name(std::string_view vswitch, const net::Prefix& cidr);

// How many pods, bound to the node with this vSwitch and without a reserved address, have no address yet.
struct Need {
    std::string node;
    uint32_t waiting = 0;
};

// An address kept for pods of one name, whether one lives or not.
struct Reservation {
    net::Address address;
    std::string pod;   // "namespace/name"
    std::string node;  // of the pod that lives; "" = none does
};

struct LeasePlan {
    struct Lease {
        std::string node;
        net::Prefix cidr;
        std::string pod;
        bool operator==(const Lease&) const = default;
    };

    struct Withholding {
        std::string block;
        std::vector<net::Address> addresses;  // all that its spec should name
    };

    std::vector<Lease> leases;
    std::vector<std::string> take_back;    // names of blocks to ask back
    std::vector<Withholding> withhold;     // blocks whose spec.withheld changes
    std::vector<std::string> short_nodes;  // could not be given enough
};

// `loose_wanted`: so many addresses should be lent to nobody, for reservations to come.
LeasePlan plan_leases(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Need> needs,
                      std::span<const Reservation> reserved = {}, uint32_t loose_wanted = 0);

struct Counts {
    uint64_t total = 0;      // size less the reserved addresses
    uint64_t available = 0;  // total less those in use or kept for a name
};

Counts counts(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Reservation> reserved = {});

// How many more pods of this vSwitch could be bound to a node, now or after addresses have come back: looked at once for all
// nodes. "" asks of none in particular.
class Capacity {
public:
    Capacity(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Need> needs,
             std::span<const Reservation> reserved = {});

    uint64_t on(std::string_view node) const;

private:
    struct Share {
        uint64_t free = 0, waiting = 0;
        uint64_t surplus = 0, lack = 0;  // as others see it
    };

    std::map<std::string, Share, std::less<>> shares_;
    uint64_t loose_ = 0, surplus_ = 0, lack_ = 0;
};

uint64_t capacity_on_node(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Need> needs,
                          std::string_view node, std::span<const Reservation> reserved = {});

// The lowest address of the prefixes (in their order) that is not taken.
std::optional<net::Address> lowest_free(std::span<const net::Prefix> prefixes, const std::set<net::Address>& taken);

}  // namespace weft::cloud
