// AddressSpace: every address of one vSwitch and whether it is lent, held for a pod's name, or loose, so that free
// space is found from its low end. Built from blocks and reservations, thrown away after one look.
//
// Loose: an address that nobody was lent: outside of every block, or withheld from one whose agent has said that it
// leaves it alone. Limits: a vSwitch has at most 2^16 addresses (vswitch_mask_min). Threads: values only.
// Source: design.md §6.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cloud/ipam.h"

namespace weft::cloud {

class AddressSpace {
public:
    AddressSpace(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Reservation> reserved);

    // Takes what was lent just now.
    void take(const net::Prefix& cidr);

    size_t whole_blocks() const;  // /28s of which nothing is lent or held
    std::optional<net::Prefix> lowest_whole_block() const;
    // Where something is lent already first, so that whole blocks stay whole.
    std::optional<net::Address> lowest_loose() const;

    uint64_t loose() const { return loose_; }

    bool is_loose(const net::Address& address) const;
    // Loose, or held by a reservation and otherwise loose: what the reservation's own pod may be lent.
    bool is_unlent(const net::Address& address) const;

private:
    enum State : uint8_t { outside = 0, free = 1, held = 2, lent = 3 };

    std::optional<uint32_t> offset_of(const net::Address& address) const;
    void set(uint32_t offset, State state);
    bool is_whole(uint32_t block) const;

    const VSwitch& vswitch_;
    AddressRange usable_;
    uint32_t first_ = 0;  // of the usable ones, from the vSwitch's own first address
    std::vector<State> states_;
    std::vector<uint16_t> touched_;  // per /28: addresses lent or held
    uint64_t loose_ = 0;
};

}  // namespace weft::cloud
