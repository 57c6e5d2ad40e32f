#include "agent/addresses.h"

#include <algorithm>

namespace weft::agent {
namespace {

// A block is 16 addresses; one of a foreign hand may be larger, but not so large that looking through it takes long.
constexpr uint64_t block_addresses_max = 4096;
constexpr Duration rounding_max = std::chrono::seconds(3);

cloud::AddressRange usable(const Block& block, const cloud::VSwitch* vswitch) {
    if (vswitch != nullptr) return cloud::usable_addresses(vswitch->cidr, block.cidr);
    return {block.cidr.address, std::min(block.cidr.size(), block_addresses_max)};
}

std::set<net::Address> taken_addresses(const std::string& vpc, const AllocationLog& log, uint64_t now_s) {
    std::set<net::Address> taken;
    for (const auto& [key, allocation] : log.allocations())
        if (allocation.vpc == vpc) taken.insert(allocation.address);
    for (const auto& [cooling, until] : log.cooling())
        if (cooling.vpc == vpc && until > now_s) taken.insert(cooling.address);
    return taken;
}

// It need not have rested: what comes late for the old pod of the name is meant for the name.
std::optional<Choice> reserved_address(const std::vector<Block>& blocks, const cloud::VSwitch& vswitch,
                                       const AllocationLog& log, const Asker& asker) {
    for (const auto& [key, allocation] : log.allocations())
        if (allocation.vpc == vswitch.vpc && allocation.address == *asker.address) return std::nullopt;
    for (const Block& block : blocks) {
        if (block.deleting || block.vpc != vswitch.vpc || block.vswitch != vswitch.name) continue;
        if (block.pod_namespace != asker.pod_namespace || block.pod_name != asker.pod_name) continue;
        if (usable(block, &vswitch).contains(*asker.address)) return Choice{block.name, *asker.address};
    }
    return std::nullopt;
}

// `end` as text, or what `actual` says of this address if that is as good.
std::string end_of_rest(const net::Address& address, WallTime end, const json::Value* actual) {
    const json::Array* shown = actual == nullptr ? nullptr : json::find_array(*actual, {"cooling"});
    if (shown != nullptr) {
        for (const json::Value& entry : *shown) {
            if (json::find_string(entry, {"address"}) != address.text()) continue;
            const std::string text(json::find_string(entry, {"until"}));
            WallTime until;
            if (!parse_rfc3339(text, until)) break;
            if (until - end < rounding_max && end - until < rounding_max) return text;
        }
    }
    return rfc3339(end);
}

}  // namespace

Result<Block> parse_block(const json::Value& object) {
    Block block;
    block.name = json::find_string(object, {"metadata", "name"});
    block.vpc = json::find_string(object, {"spec", "vpc"});
    block.vswitch = json::find_string(object, {"spec", "vSwitch"});
    block.cidr = TRY_IN("spec.cidr", net::Prefix::parse(json::find_string(object, {"spec", "cidr"})));
    block.deleting = json::has(object, {"metadata", "deletionTimestamp"});
    for (const std::string& text : json::find_strings(object, {"spec", "withheld"}))
        block.withheld.insert(TRY_IN("spec.withheld", net::Address::parse(text)));
    block.pod_namespace = json::find_string(object, {"spec", "pod", "namespace"});
    block.pod_name = json::find_string(object, {"spec", "pod", "name"});
    block.generation = json::find_int(object, {"metadata", "generation"});
    if (block.vpc.empty()) return fail(Code::invalid, "spec.vpc: must not be empty");
    if (block.vswitch.empty()) return fail(Code::invalid, "spec.vSwitch: must not be empty");
    return block;
}

std::optional<Choice> choose_address(const std::vector<Block>& blocks, const cloud::VSwitch& vswitch,
                                     const AllocationLog& log, uint64_t now_s, const Asker& asker) {
    if (asker.address) return reserved_address(blocks, vswitch, log, asker);
    const std::set<net::Address> taken = taken_addresses(vswitch.vpc, log, now_s);
    std::optional<Choice> best;
    for (const Block& block : blocks) {
        if (block.deleting || block.vpc != vswitch.vpc || block.vswitch != vswitch.name || !block.pod_name.empty())
            continue;
        const cloud::AddressRange range = usable(block, &vswitch);
        for (uint64_t i = 0; i < std::min(range.count, block_addresses_max); ++i) {
            const net::Address address = range.first.plus(i);
            if (best && best->address < address) break;
            if (taken.contains(address) || block.withheld.contains(address)) continue;
            best = Choice{block.name, address};
            break;
        }
    }
    return best;
}

std::expected<Choice, WishProblem> wished_address(const std::vector<Block>& blocks, const cloud::VSwitch& vswitch,
                                                  const AllocationLog& log, uint64_t now_s,
                                                  const net::Address& address) {
    if (!cloud::usable_addresses(vswitch.cidr, vswitch.cidr).contains(address))
        return std::unexpected(WishProblem::outside);
    if (taken_addresses(vswitch.vpc, log, now_s).contains(address)) return std::unexpected(WishProblem::taken);
    for (const Block& block : blocks) {
        if (block.deleting || block.vpc != vswitch.vpc || block.vswitch != vswitch.name || !block.pod_name.empty())
            continue;
        if (block.cidr.contains(address) && !block.withheld.contains(address)) return Choice{block.name, address};
    }
    return std::unexpected(WishProblem::not_here);
}

json::Object desired_block_status(const Block& block, const cloud::VSwitch* vswitch, const AllocationLog& log,
                                  uint64_t now_s, WallTime now, const json::Value* actual) {
    json::Array allocations;
    json::Array cooling;
    std::map<net::Address, const Allocation*> by_address;
    for (const auto& [key, allocation] : log.allocations())
        if (allocation.vpc == block.vpc && block.cidr.contains(allocation.address))
            by_address.emplace(allocation.address, &allocation);
    for (const auto& [address, allocation] : by_address)
        allocations.push_back(json::Object{{"address", address.text()},
                                           {"namespace", allocation->pod_namespace},
                                           {"name", allocation->pod_name},
                                           {"uid", allocation->pod_uid}});
    for (const auto& [resting, until] : log.cooling()) {
        if (resting.vpc != block.vpc || until <= now_s || !block.cidr.contains(resting.address)) continue;
        const WallTime end = now + std::chrono::seconds(until - now_s);
        cooling.push_back(
            json::Object{{"address", resting.address.text()}, {"until", end_of_rest(resting.address, end, actual)}});
    }
    auto size = int64_t(usable(block, vswitch).count);
    for (const net::Address& address : block.withheld) {
        const bool is_taken = by_address.contains(address) || log.cooling().contains({block.vpc, address});
        if (!is_taken) --size;
    }
    const auto used = int64_t(allocations.size());
    // A block asked back gives nothing out any more: 0 tells the controller that it may end it once it is unused.
    const int64_t free = block.deleting ? 0 : std::max<int64_t>(0, size - used - int64_t(cooling.size()));
    json::Object status{
        {"allocations", std::move(allocations)}, {"cooling", std::move(cooling)}, {"used", used}, {"free", free},
        {"observedGeneration", block.generation}};
    // By this the controller finds the VPC's number again, should its status be lost.
    if (!by_address.empty()) status["vni"] = int64_t(by_address.begin()->second->vni);
    return status;
}

}  // namespace weft::agent
