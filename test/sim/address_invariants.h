// What must hold of addresses at every moment of a simulation, whoever is dead: no address is wired twice, what is
// wired is lent to its node, leases overlap only where one was split, a kept address is its own name's. "" or what is
// wrong.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "agent/sim_node.h"
#include "controller/reservations.h"

namespace weft::sim {

using Nodes = std::map<std::string, std::unique_ptr<agent::sim::SimNode>>;

inline std::vector<kube::Object> all(kube::Client& api, const kube::Resource& resource) {
    return MUST(api.list(resource, {})).items;
}

// Leases may lie over each other only where one holds a single address that the other withholds or has surrendered.
inline std::string overlap(const std::vector<kube::Object>& blocks) {
    for (const kube::Object& a : blocks) {
        const net::Prefix single = MUST(net::Prefix::parse(a.string({"spec", "cidr"})));
        for (const kube::Object& b : blocks) {
            const net::Prefix other = MUST(net::Prefix::parse(b.string({"spec", "cidr"})));
            if (&a == &b || other.size() < single.size() || !other.overlaps(single)) continue;
            const auto withheld = json::find_strings(b.body(), {"spec", "withheld"});
            const bool is_withheld =
                std::find(withheld.begin(), withheld.end(), single.address.text()) != withheld.end();
            const bool is_given_up = b.deleting() && b.find({"status", "free"}) && b.integer({"status", "free"}) == 0;
            bool used = false;  // by the other's node: one node lists an address under both
            for (const json::Value& entry : b.array({"status", "allocations"}))
                used = used || (json::find_string(entry, {"address"}) == single.address.text() &&
                                a.string({"spec", "node"}) != b.string({"spec", "node"}));
            if (single.size() != 1 || other.size() == 1 || used || !(is_withheld || is_given_up))
                return fmt::format("{} and {} overlap", a.name(), b.name());
        }
    }
    return "";
}

inline std::string kept_for_another(kube::Client& api, const Nodes& nodes,
                                    const std::map<net::Address, std::string>& wired) {
    for (const kube::Object& eni : all(api, kube::pod_enis)) {
        const auto kept = controller::kept_address(eni);
        if (!kept || !wired.contains(kept->address)) continue;
        for (const auto& [name, node] : nodes) {
            for (const auto& [key, allocation] : node->log->allocations()) {
                if (allocation.address == kept->address && allocation.confirmed && allocation.pod_name != eni.name())
                    return fmt::format("{}, kept for {}, is {}'s", kept->address.text(), eni.name(),
                                       allocation.pod_name);
            }
        }
    }
    return "";
}

// Holds at every moment; "" or what is wrong.
inline std::string wrong_now(kube::Client& api, const Nodes& nodes) {
    std::map<net::Address, std::string> wired;
    for (const auto& [name, node] : nodes) {
        for (const auto& [link, fake] : node->links) {
            if (!fake.is_open) continue;
            const auto [at, fresh] = wired.emplace(fake.plug.address, name);
            if (!fresh) return fmt::format("{} is wired on {} and {}", fake.plug.address.text(), at->second, name);
        }
    }
    std::vector<kube::Object> blocks = all(api, kube::address_blocks);
    if (const std::string wrong = overlap(blocks); !wrong.empty()) return wrong;
    for (const auto& [address, name] : wired) {
        const bool lent = std::any_of(blocks.begin(), blocks.end(), [&](const kube::Object& block) {
            return block.string({"spec", "node"}) == name &&
                   MUST(net::Prefix::parse(block.string({"spec", "cidr"}))).contains(address);
        });
        if (!lent) return fmt::format("{} is wired on {}, which has no block of it", address.text(), name);
    }
    return kept_for_another(api, nodes, wired);
}

}  // namespace weft::sim
