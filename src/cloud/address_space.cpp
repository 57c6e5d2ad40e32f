#include "cloud/address_space.h"

namespace weft::cloud {
namespace {

constexpr uint32_t block_size = 1u << (32 - block_mask);

}  // namespace

AddressSpace::AddressSpace(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Reservation> reserved)
    : vswitch_(vswitch),
      usable_(usable_addresses(vswitch)),
      states_(vswitch.cidr.size(), outside),
      touched_((vswitch.cidr.size() + block_size - 1) / block_size, 0) {
    if (usable_.count == 0) return;
    first_ = usable_.first.v4_host_order() - vswitch.cidr.address.v4_host_order();
    for (uint64_t i = 0; i < usable_.count; ++i) states_[first_ + i] = free;
    loose_ = usable_.count;
    // Wide blocks first: what is withheld from them may be lent singly.
    for (const Block& block : blocks) {
        if (block.cidr.size() == 1) continue;
        take(block.cidr);
        // Given back, though others of the block may be in use for long.
        const auto give_back = [&](const net::Address& address) {
            const auto offset = offset_of(address);
            if (offset && !block.is_taken(address)) set(*offset, free);
        };
        if (block.surrendered) {
            for (uint64_t i = 0; i < block.cidr.size(); ++i) give_back(block.cidr.address.plus(i));
        } else if (block.acknowledged) {
            for (const net::Address& address : block.withheld) give_back(address);
        }
    }
    for (const Block& block : blocks) {
        if (block.cidr.size() == 1) take(block.cidr);
    }
    for (const Reservation& reservation : reserved) {
        const auto offset = offset_of(reservation.address);
        if (offset && states_[*offset] == free) set(*offset, held);
    }
}

std::optional<uint32_t> AddressSpace::offset_of(const net::Address& address) const {
    if (!usable_.contains(address)) return std::nullopt;
    return address.v4_host_order() - vswitch_.cidr.address.v4_host_order();
}

void AddressSpace::set(uint32_t offset, State state) {
    if (states_[offset] == state || states_[offset] == outside) return;
    if (states_[offset] == free) --loose_;
    if (state == free) ++loose_;
    // An address given back out of a block leaves the /28 touched: it cannot be lent whole.
    if (state != free && states_[offset] == free) ++touched_[offset / block_size];
    states_[offset] = state;
}

void AddressSpace::take(const net::Prefix& cidr) {
    if (!vswitch_.cidr.contains(cidr)) return;
    const uint32_t from = cidr.address.v4_host_order() - vswitch_.cidr.address.v4_host_order();
    for (uint64_t i = 0; i < cidr.size(); ++i) set(uint32_t(from + i), lent);
}

bool AddressSpace::is_whole(uint32_t block) const {
    if (touched_[block] != 0) return false;
    const net::Address first = vswitch_.cidr.address.plus(uint64_t(block) * block_size);
    return usable_addresses(vswitch_.cidr, net::Prefix::of(first, block_mask)).count > 0;
}

size_t AddressSpace::whole_blocks() const {
    size_t n = 0;
    for (uint32_t block = 0; block < touched_.size(); ++block) n += is_whole(block) ? 1 : 0;
    return n;
}

std::optional<net::Prefix> AddressSpace::lowest_whole_block() const {
    for (uint32_t block = 0; block < touched_.size(); ++block) {
        if (is_whole(block))
            return net::Prefix::of(vswitch_.cidr.address.plus(uint64_t(block) * block_size), block_mask);
    }
    return std::nullopt;
}

std::optional<net::Address> AddressSpace::lowest_loose() const {
    std::optional<uint32_t> in_whole;
    for (uint64_t i = 0; i < usable_.count; ++i) {
        const auto offset = uint32_t(first_ + i);
        if (states_[offset] != free) continue;
        if (touched_[offset / block_size] != 0) return vswitch_.cidr.address.plus(offset);
        if (!in_whole) in_whole = offset;
    }
    if (!in_whole) return std::nullopt;
    return vswitch_.cidr.address.plus(*in_whole);
}

bool AddressSpace::is_loose(const net::Address& address) const {
    const auto offset = offset_of(address);
    return offset && states_[*offset] == free;
}

bool AddressSpace::is_unlent(const net::Address& address) const {
    const auto offset = offset_of(address);
    return offset && (states_[*offset] == free || states_[*offset] == held);
}

}  // namespace weft::cloud
