#include "cloud/ipam.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "cloud/address_space.h"

namespace weft::cloud {
namespace {

struct NodeState {
    uint64_t free = 0;
    size_t used = 0;
    uint32_t waiting = 0;

    uint64_t surplus() const { return free - std::min<uint64_t>(free, waiting); }

    uint64_t lack() const { return waiting - std::min<uint64_t>(free, waiting); }
};

using Nodes = std::map<std::string, NodeState>;

Nodes state_by_node(std::span<const Block> blocks, std::span<const Need> needs) {
    Nodes nodes;
    for (const Block& block : blocks) {
        nodes[block.node].free += block.free();
        if (block.pod.empty()) nodes[block.node].used += block.allocated.size();
    }
    for (const Need& need : needs) nodes[need.node].waiting += need.waiting;
    return nodes;
}

bool is_small(const VSwitch& vswitch) {
    return vswitch.cidr.size() < small_vswitch_size;
}

bool contains(const std::vector<net::Address>& addresses, const net::Address& address) {
    return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

// On its way to be loose, so not to be asked for again: of blocks asked back, and what their agents have yet to see.
uint64_t on_the_way(std::span<const Block> blocks) {
    std::set<net::Address> singles;
    for (const Block& block : blocks)
        if (block.is_single()) singles.insert(block.cidr.address);
    uint64_t n = 0;
    for (const Block& block : blocks) {
        if (!block.reachable) continue;
        const bool loose_already = block.surrendered && !block.is_single();
        if (block.leaving && !loose_already) n += block.usable - std::min<size_t>(block.usable, block.allocated.size());
        if (block.leaving || block.acknowledged) continue;
        for (const net::Address& address : block.withheld)
            n += block.is_taken(address) || singles.contains(address) ? 0 : 1;
    }
    return n;
}

// One plan in the making.
class Planner {
public:
    Planner(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Need> needs,
            std::span<const Reservation> reserved)
        : vswitch_(vswitch),
          blocks_(blocks),
          reserved_(reserved),
          space_(vswitch, blocks, reserved),
          nodes_(state_by_node(blocks, needs)) {
        for (const Block& block : blocks) withheld_[block.name] = block.withheld;
    }

    LeasePlan plan(uint32_t loose_wanted) {
        serve_reservations();
        // Nodes with waiting pods come first, so that one node's spare never takes what another node's pod waits for.
        for (const bool waiting : {true, false}) {
            for (auto& [node, state] : nodes_) {
                if ((state.waiting > 0) == waiting && (waiting || state.used > 0)) lease_to(node, state);
            }
        }
        return_singles();
        uint64_t lack = loose_wanted - std::min<uint64_t>(loose_wanted, space_.loose());
        for (const auto& [node, state] : nodes_) lack += state.lack();
        lack -= std::min(lack, on_the_way(blocks_));
        if (lack > 0) lack = take_back_empty(lack);
        if (lack > 0)
            split(lack);
        else if (plan_.short_nodes.empty() && loose_wanted == 0)
            restore();
        for (const Block& block : blocks_) {
            if (withheld_[block.name] != block.withheld) plan_.withhold.push_back({block.name, withheld_[block.name]});
        }
        return std::move(plan_);
    }

private:
    const Block* single_at(const net::Address& address) const {
        for (const Block& block : blocks_)
            if (block.is_single() && block.cidr.address == address) return &block;
        return nullptr;
    }

    const Block* wide_over(const net::Address& address) const {
        for (const Block& block : blocks_)
            if (!block.is_single() && block.cidr.contains(address)) return &block;
        return nullptr;
    }

    void take_back(const Block& block) {
        if (contains_name(plan_.take_back, block.name)) return;
        plan_.take_back.push_back(block.name);
        NodeState& state = nodes_[block.node];
        state.free -= std::min<uint64_t>(state.free, block.free());
    }

    static bool contains_name(const std::vector<std::string>& names, std::string_view name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    }

    // A reserved address is lent to the node of its pod, alone; while no pod lives, the lease stays where it is.
    void serve_reservations() {
        for (const Reservation& reservation : reserved_) {
            if (const Block* const single = single_at(reservation.address)) {
                const bool is_its = single->pod == reservation.pod;
                const bool elsewhere = !reservation.node.empty() && single->node != reservation.node;
                if (!single->leaving && (is_its ? elsewhere : single->allocated.empty())) take_back(*single);
                continue;
            }
            const Block* const wide = wide_over(reservation.address);
            if (wide != nullptr && !wide->leaving && !wide->is_withheld(reservation.address))
                withheld_[wide->name].push_back(reservation.address);
            if (reservation.node.empty() || !space_.is_unlent(reservation.address)) continue;
            lend(reservation.node, net::Prefix::host(reservation.address), reservation.pod);
        }
        for (const Block& block : blocks_) {
            if (block.pod.empty() || block.leaving) continue;
            const bool wanted = std::any_of(reserved_.begin(), reserved_.end(), [&](const Reservation& r) {
                return r.address == block.cidr.address && r.pod == block.pod;
            });
            if (!wanted) take_back(block);
        }
    }

    void lend(const std::string& node, const net::Prefix& cidr, const std::string& pod = {}) {
        plan_.leases.push_back({node, cidr, pod});
        space_.take(cidr);
    }

    // Until the node has what it waits for (and its spare, as long as whole blocks are plenty).
    void lease_to(const std::string& node, NodeState& state) {
        size_t whole = is_small(vswitch_) ? 0 : space_.whole_blocks();
        while (whole > blocks_kept_for_splitting && state.free < state.waiting + spare_addresses) {
            const net::Prefix cidr = *space_.lowest_whole_block();
            state.free += usable_addresses(vswitch_.cidr, cidr).count;
            lend(node, cidr);
            --whole;
        }
        while (state.free < state.waiting) {
            const auto address = space_.lowest_loose();
            if (!address) {
                plan_.short_nodes.push_back(node);
                return;
            }
            lend(node, net::Prefix::host(*address));
            ++state.free;
        }
    }

    // Single addresses go back as soon as they are empty and nobody of their node waits for them.
    void return_singles() {
        for (const Block& block : blocks_) {
            if (!block.is_single() || !block.pod.empty() || block.leaving || !block.is_empty()) continue;
            if (nodes_[block.node].surplus() >= block.free()) take_back(block);
        }
    }

    // Empty blocks of nodes that can spare them; what is still lacking then.
    uint64_t take_back_empty(uint64_t lack) {
        for (const Block& block : blocks_) {
            if (lack == 0) break;
            if (block.is_single() || block.leaving || !block.reachable || !block.is_empty() || block.free() == 0)
                continue;
            if (nodes_[block.node].surplus() < block.free()) continue;
            take_back(block);
            lack -= std::min<uint64_t>(lack, block.free());
        }
        return lack;
    }

    // Free addresses out of blocks in use, the highest first: the agent gives the lowest.
    void split(uint64_t lack) {
        for (const Block& block : blocks_) {
            if (block.is_single() || block.leaving || !block.reachable || contains_name(plan_.take_back, block.name))
                continue;
            NodeState& state = nodes_[block.node];
            std::vector<net::Address>& withheld = withheld_[block.name];
            const AddressRange range = usable_addresses(vswitch_.cidr, block.cidr);
            for (uint64_t i = range.count; i-- > 0 && lack > 0 && state.surplus() > 0;) {
                const net::Address address = range.first.plus(i);
                if (block.is_taken(address) || contains(withheld, address)) continue;
                withheld.push_back(address);
                --state.free;
                --lack;
            }
        }
    }

    // Nobody is short: what was withheld and is lent or held by nobody belongs to its block again.
    void restore() {
        for (const Block& block : blocks_) {
            if (block.leaving) continue;
            std::erase_if(withheld_[block.name], [&](const net::Address& address) {
                const bool lent_now = std::any_of(plan_.leases.begin(), plan_.leases.end(),
                                                  [&](const auto& lease) { return lease.cidr.contains(address); });
                const bool is_held = std::any_of(reserved_.begin(), reserved_.end(),
                                                 [&](const Reservation& r) { return r.address == address; });
                return !lent_now && !is_held && single_at(address) == nullptr;
            });
        }
    }

    const VSwitch& vswitch_;
    const std::span<const Block> blocks_;
    const std::span<const Reservation> reserved_;
    AddressSpace space_;
    Nodes nodes_;
    std::map<std::string, std::vector<net::Address>> withheld_;  // by block, as it should be
    LeasePlan plan_;
};

Result<std::vector<net::Address>> addresses_of(const json::Value& object, json::Path path) {
    std::vector<net::Address> addresses;
    const json::Array* const entries = json::find_array(object, path);
    if (entries == nullptr) return addresses;
    for (const json::Value& entry : *entries) {
        const std::string_view text =
            entry.is_string() ? json::view(entry.get_string()) : json::find_string(entry, {"address"});
        addresses.push_back(TRY(net::Address::parse(text)));
    }
    return addresses;
}

}  // namespace

bool Block::is_taken(const net::Address& address) const {
    return contains(allocated, address) || contains(cooling, address);
}

bool Block::is_withheld(const net::Address& address) const {
    return contains(withheld, address);
}

uint32_t Block::free() const {
    if (leaving || !pod.empty()) return 0;
    size_t gone = allocated.size() + cooling.size();
    for (const net::Address& address : withheld) gone += is_taken(address) ? 0 : 1;
    return usable - uint32_t(std::min<size_t>(usable, gone));
}

Result<Block> parse_block(const json::Value& object, const VSwitch& vswitch) {
    Block block;
    block.name = json::find_string(object, {"metadata", "name"});
    block.node = json::find_string(object, {"spec", "node"});
    block.cidr = TRY_IN("spec.cidr", net::Prefix::parse(json::find_string(object, {"spec", "cidr"})));
    block.leaving = json::has(object, {"metadata", "deletionTimestamp"});
    block.surrendered =
        block.leaving && json::has(object, {"status", "free"}) && json::find_int(object, {"status", "free"}) == 0;
    const std::string_view pod = json::find_string(object, {"spec", "pod", "name"});
    if (!pod.empty()) block.pod = fmt::format("{}/{}", json::find_string(object, {"spec", "pod", "namespace"}), pod);
    block.withheld = TRY_IN("spec.withheld", addresses_of(object, {"spec", "withheld"}));
    block.allocated = TRY_IN("status.allocations", addresses_of(object, {"status", "allocations"}));
    block.cooling = TRY_IN("status.cooling", addresses_of(object, {"status", "cooling"}));
    block.acknowledged = block.withheld.empty() || json::find_int(object, {"status", "observedGeneration"}) >=
                                                       json::find_int(object, {"metadata", "generation"}, 1);
    block.usable = uint32_t(usable_addresses(vswitch.cidr, block.cidr).count);
    return block;
}

bool is_handed_back(const json::Value& object) {
    const auto is_empty = [&](std::string_view list) {
        const json::Array* const entries = json::find_array(object, {"status", list});
        return entries == nullptr || entries->empty();
    };
    return json::has(object, {"metadata", "deletionTimestamp"}) && json::has(object, {"status", "free"}) &&
           json::find_int(object, {"status", "free"}) == 0 && json::find_int(object, {"status", "used"}) == 0 &&
           is_empty("allocations") && is_empty("cooling");
}

std::string block_name(std::string_view vswitch, const net::Prefix& cidr) {
    std::string address = cidr.address.text();
    std::replace_if(address.begin(), address.end(), [](char c) { return c == '.' || c == ':'; }, '-');
    return fmt::format("{}-{}{}", vswitch, address, cidr.size() == 1 ? "-32" : "");
}

LeasePlan plan_leases(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Need> needs,
                      std::span<const Reservation> reserved, uint32_t loose_wanted) {
    return Planner(vswitch, blocks, needs, reserved).plan(loose_wanted);
}

Counts counts(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Reservation> reserved) {
    Counts result;
    result.total = usable_addresses(vswitch).count;
    std::set<net::Address> used;
    for (const Block& block : blocks) used.insert(block.allocated.begin(), block.allocated.end());
    for (const Reservation& reservation : reserved) used.insert(reservation.address);
    result.available = result.total - std::min<uint64_t>(result.total, used.size());
    return result;
}

Capacity::Capacity(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Need> needs,
                   std::span<const Reservation> reserved)
    : loose_(AddressSpace(vswitch, blocks, reserved).loose() + on_the_way(blocks)) {
    std::set<std::string_view> unreachable;
    for (const Block& block : blocks)
        if (!block.reachable) unreachable.insert(block.node);
    for (const auto& [name, state] : state_by_node(blocks, needs)) {
        const uint64_t surplus = unreachable.contains(name) ? 0 : state.surplus();
        shares_.emplace(name, Share{state.free, state.waiting, surplus, state.lack()});
        surplus_ += surplus;
        lack_ += state.lack();
    }
}

uint64_t Capacity::on(std::string_view node) const {
    const auto found = shares_.find(node);
    const Share mine = found == shares_.end() ? Share{} : found->second;
    const uint64_t reach = loose_ + surplus_ - mine.surplus + mine.free;
    const uint64_t owed = lack_ - mine.lack + mine.waiting;  // to pods that already wait
    return reach - std::min(reach, owed);
}

uint64_t capacity_on_node(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Need> needs,
                          std::string_view node, std::span<const Reservation> reserved) {
    return Capacity(vswitch, blocks, needs, reserved).on(node);
}

std::optional<net::Address> lowest_free(std::span<const net::Prefix> prefixes, const std::set<net::Address>& taken) {
    for (const net::Prefix& prefix : prefixes) {
        for (uint64_t i = 0; i < prefix.size(); ++i) {
            const net::Address address = prefix.address.plus(i);
            if (!taken.contains(address)) return address;
        }
    }
    return std::nullopt;
}

}  // namespace weft::cloud
