#include "cloud/ipam.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace weft::cloud {
namespace {

// What is lent out, so that free space can be walked from its low end.
class Space {
public:
    Space(const VSwitch& vswitch, std::span<const Block> blocks)
        : vswitch_(vswitch), usable_(usable_addresses(vswitch)) {
        for (const Block& block : blocks) take(block.cidr);
    }

    void take(const net::Prefix& cidr) {
        if (!vswitch_.cidr.contains(cidr)) return;
        for (uint64_t i = 0; i < cidr.size(); i += block_size) touched_.insert(base_of(cidr.address.plus(i)));
        if (cidr.size() >= block_size) {
            for (uint64_t i = 0; i < cidr.size(); i += block_size) full_.insert(base_of(cidr.address.plus(i)));
        } else {
            for (uint64_t i = 0; i < cidr.size(); ++i) singles_.insert(cidr.address.plus(i));
        }
    }

    size_t whole_blocks_free() const {
        size_t n = 0;
        for (uint64_t i = 0; i < vswitch_.cidr.size(); i += block_size) {
            if (is_whole_and_free(vswitch_.cidr.address.plus(i))) ++n;
        }
        return n;
    }

    std::optional<net::Prefix> lowest_whole_block() const {
        for (uint64_t i = 0; i < vswitch_.cidr.size(); i += block_size) {
            const net::Address first = vswitch_.cidr.address.plus(i);
            if (is_whole_and_free(first)) return net::Prefix::of(first, block_mask);
        }
        return std::nullopt;
    }

    std::optional<net::Prefix> lowest_single() const {
        for (uint64_t i = 0; i < usable_.count; ++i) {
            const net::Address address = usable_.first.plus(i);
            if (!full_.contains(base_of(address)) && !singles_.contains(address)) return net::Prefix::host(address);
        }
        return std::nullopt;
    }

    uint64_t not_lent() const {
        uint64_t n = 0;
        for (uint64_t i = 0; i < usable_.count; ++i) {
            const net::Address address = usable_.first.plus(i);
            if (!full_.contains(base_of(address)) && !singles_.contains(address)) ++n;
        }
        return n;
    }

private:
    static constexpr uint64_t block_size = 1u << (32 - block_mask);

    static net::Address base_of(const net::Address& address) { return net::Prefix::of(address, block_mask).address; }

    bool is_whole_and_free(const net::Address& first) const {
        const net::Prefix cidr = net::Prefix::of(first, block_mask);
        return !touched_.contains(first) && usable_addresses(vswitch_.cidr, cidr).count > 0;
    }

    const VSwitch& vswitch_;
    AddressRange usable_;
    std::set<net::Address> touched_;  // first addresses of /28s of which something is lent
    std::set<net::Address> full_;     // ... that are lent whole
    std::set<net::Address> singles_;
};

struct NodeState {
    uint64_t free = 0;
    uint32_t used = 0;
    uint32_t waiting = 0;
};

std::map<std::string, NodeState> state_by_node(std::span<const Block> blocks, std::span<const Need> needs) {
    std::map<std::string, NodeState> nodes;
    for (const Block& block : blocks) {
        nodes[block.node].free += block.free;
        nodes[block.node].used += block.used;
    }
    for (const Need& need : needs) nodes[need.node].waiting += need.waiting;
    return nodes;
}

bool is_small(const VSwitch& vswitch) { return vswitch.cidr.size() < small_vswitch_size; }

// Lends to one node until it has what it waits for (and its spare, as long as whole blocks are plenty).
void lease_to(const std::string& node, NodeState& state, bool small, Space& space, LeasePlan& plan) {
    size_t whole = small ? 0 : space.whole_blocks_free();
    while (whole > blocks_kept_for_splitting && state.free < state.waiting + spare_addresses) {
        const net::Prefix cidr = *space.lowest_whole_block();
        plan.leases.push_back({node, cidr});
        space.take(cidr);
        --whole;
        state.free += cidr.size();  // at an edge up to three fewer: the next look corrects it
    }
    while (state.free < state.waiting) {
        const auto cidr = space.lowest_single();
        if (!cidr) {
            plan.short_nodes.push_back(node);
            return;
        }
        plan.leases.push_back({node, *cidr});
        space.take(*cidr);
        ++state.free;
    }
}

}  // namespace

Result<Block> parse_block(const json::Value& object, const VSwitch& vswitch) {
    Block block;
    block.name = json::find_string(object, {"metadata", "name"});
    block.node = json::find_string(object, {"spec", "node"});
    block.cidr = TRY_IN("spec.cidr", net::Prefix::parse(json::find_string(object, {"spec", "cidr"})));
    block.leaving = json::has(object, {"metadata", "deletionTimestamp"});
    const json::Array* const allocations = json::find_array(object, {"status", "allocations"});
    const json::Array* const cooling = json::find_array(object, {"status", "cooling"});
    block.used = allocations != nullptr ? uint32_t(allocations->size()) : 0;
    block.cooling = cooling != nullptr ? uint32_t(cooling->size()) : 0;
    const uint64_t usable = usable_addresses(vswitch.cidr, block.cidr).count;
    const uint64_t taken = block.used + block.cooling;
    block.free = block.leaving || taken >= usable ? 0 : uint32_t(usable - taken);
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

std::string block_name(std::string_view vswitch, const net::Address& first) {
    std::string address = first.text();
    std::replace_if(address.begin(), address.end(), [](char c) { return c == '.' || c == ':'; }, '-');
    return fmt::format("{}-{}", vswitch, address);
}

LeasePlan plan_leases(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Need> needs) {
    LeasePlan plan;
    Space space(vswitch, blocks);
    auto nodes = state_by_node(blocks, needs);
    // Nodes with waiting pods come first, so that one node's spare never takes what another node's pod waits for.
    for (const bool waiting : {true, false}) {
        for (auto& [node, state] : nodes) {
            if ((state.waiting > 0) != waiting || (!waiting && state.used == 0)) continue;
            lease_to(node, state, is_small(vswitch), space, plan);
        }
    }
    for (const Block& block : blocks) {
        NodeState& state = nodes[block.node];
        const bool is_single = block.cidr.size() == 1;
        if (block.leaving || !block.is_empty() || state.free < state.waiting + block.free) continue;
        if (!is_single && plan.short_nodes.empty()) continue;
        plan.take_back.push_back(block.name);
        state.free -= block.free;
    }
    return plan;
}

Counts counts(const VSwitch& vswitch, std::span<const Block> blocks) {
    Counts result;
    result.total = usable_addresses(vswitch).count;
    uint64_t used = 0;
    for (const Block& block : blocks) used += block.used;
    result.available = result.total - std::min(result.total, used);
    return result;
}

uint64_t capacity_on_node(const VSwitch& vswitch, std::span<const Block> blocks, std::span<const Need> needs,
                          std::string_view node) {
    uint64_t here = 0;
    uint64_t loose = Space(vswitch, blocks).not_lent();  // not lent, or about to come back from others
    uint64_t owed = 0;                                   // to pods that already wait
    for (const auto& [name, state] : state_by_node(blocks, needs)) {
        if (name == node) here = state.free;
        owed += name == node ? state.waiting : state.waiting - std::min<uint64_t>(state.waiting, state.free);
    }
    for (const Block& block : blocks) {
        if (block.node == node || !block.is_empty() || block.leaving) continue;
        const auto need = std::find_if(needs.begin(), needs.end(), [&](const Need& n) { return n.node == block.node; });
        if (need == needs.end() || need->waiting == 0) loose += block.free;
    }
    const uint64_t reach = here + loose;
    return reach - std::min(reach, owed);
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
