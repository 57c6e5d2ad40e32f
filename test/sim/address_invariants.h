// What must hold of addresses at every moment of a simulation, whoever is dead: no address is wired twice, what is
// wired is lent to its node, leases overlap only where one was split, a kept address is its own name's and is kept for its
// time by the monotonic clock.
//
// Looks only at what has changed since the last look: a million of them must be affordable. Threads: one.
#pragma once
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "agent/sim_node.h"
#include "controller/reservations.h"

namespace weft::sim {

using Nodes = std::map<std::string, std::unique_ptr<agent::sim::SimNode>>;

// An AddressBlock as these rules need it.
struct Lease {
    net::Prefix cidr;
    std::string node;
    std::set<net::Address> withheld, allocated;
    bool is_given_up = false;  // on its way out, and its agent has said that it gives nothing more of it

    static Lease of(const kube::Object& block) {
        Lease lease;
        lease.cidr = MUST(net::Prefix::parse(block.string({"spec", "cidr"})));
        lease.node = block.string({"spec", "node"});
        for (const std::string& text : json::find_strings(block.body(), {"spec", "withheld"}))
            lease.withheld.insert(MUST(net::Address::parse(text)));
        for (const json::Value& entry : block.array({"status", "allocations"}))
            lease.allocated.insert(MUST(net::Address::parse(json::find_string(entry, {"address"}))));
        lease.is_given_up = block.deleting() && block.find({"status", "free"}) && block.integer({"status", "free"}) == 0;
        return lease;
    }

    // May both be? Only where one holds a single address that the other withholds or has surrendered, and its node does
    // not use it; one node lists an address under both.
    bool may_stand_beside(const Lease& other) const {
        if (!cidr.overlaps(other.cidr)) return true;
        const Lease& narrow = cidr.size() <= other.cidr.size() ? *this : other;
        const Lease& wide = &narrow == this ? other : *this;
        const net::Address& address = narrow.cidr.address;
        const bool is_used = wide.allocated.contains(address) && wide.node != narrow.node;
        return narrow.cidr.size() == 1 && wide.cidr.size() > 1 && !is_used &&
               (wide.withheld.contains(address) || wide.is_given_up);
    }
};

class AddressInvariants {
public:
    AddressInvariants(kube::Client& api, const Clock& clock)
        : clock_(clock),
          brain_(kube::Brain::create(api, clock)),
          blocks_(brain_->watch(kube::address_blocks)),
          enis_(brain_->watch(kube::pod_enis)),
          pods_(brain_->watch(kube::pods)) {
        brain_->on_change(blocks_, [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
            const std::string name((after ? after : before)->name());
            changed_.insert(name);
            if (after) leases_.insert_or_assign(name, Lease::of(*after));
            else leases_.erase(name);
        });
        brain_->on_change(enis_, [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
            const kube::Object& eni = after ? *after : *before;
            watch_release(eni, after == nullptr);
            kept_.erase(std::string(eni.name()));
            const auto kept = after ? controller::kept_address(eni) : std::nullopt;
            if (kept) kept_.emplace(eni.name(), kept->address);
        });
    }

    // The pods as the API has them now.
    const kube::Cache& pods() {
        brain_->run_until_idle();
        return pods_;
    }

    // Records were deleted by hand: no promise is broken by that.
    void pardon_releases() {
        brain_->run_until_idle();
        released_early_.clear();
    }

    // "" or what is wrong.
    std::string wrong(const Nodes& nodes) {
        brain_->run_until_idle();
        if (!released_early_.empty()) return released_early_;
        if (std::string found = overlap(); !found.empty()) return found;
        std::vector<Wired> wired;
        for (const auto& [name, node] : nodes)
            for (const auto& [link, fake] : node->links)
                if (fake.is_open) wired.push_back({fake.plug.address, &name});
        std::sort(wired.begin(), wired.end(), [](const Wired& a, const Wired& b) { return a.address < b.address; });
        for (size_t i = 0; i < wired.size(); ++i) {
            const Wired& it = wired[i];
            if (i > 0 && wired[i - 1].address == it.address)
                return fmt::format("{} is wired on {} and {}", it.address.text(), *wired[i - 1].node, *it.node);
            const bool lent = std::any_of(leases_.begin(), leases_.end(), [&](const auto& entry) {
                return entry.second.node == *it.node && entry.second.cidr.contains(it.address);
            });
            if (!lent) return fmt::format("{} is wired on {}, which has no block of it", it.address.text(), *it.node);
        }
        return kept_for_another(nodes);
    }

private:
    struct Wired {
        net::Address address;
        const std::string* node;
    };

    std::string overlap() {
        for (const std::string& name : changed_) {
            const auto changed = leases_.find(name);
            if (changed == leases_.end()) continue;
            for (const auto& [other, lease] : leases_)
                if (other != name && !lease.may_stand_beside(changed->second))
                    return fmt::format("{} and {} overlap", name, other);
        }
        changed_.clear();
        return "";
    }

    std::string kept_for_another(const Nodes& nodes) const {
        if (kept_.empty()) return "";
        for (const auto& [node_name, node] : nodes) {
            for (const auto& [key, allocation] : node->log->allocations()) {
                if (!allocation.confirmed) continue;
                for (const auto& [pod, address] : kept_)
                    if (allocation.address == address && allocation.pod_name != pod && is_wired(nodes, address))
                        return fmt::format("{}, kept for {}, is {}'s", address.text(), pod, allocation.pod_name);
            }
        }
        return "";
    }

    // Seen at our next look only, as its beginning is: at most seen_late_max late.
    void watch_release(const kube::Object& eni, bool is_gone) {
        const std::string name(eni.name());
        if (!is_gone) {
            if (eni.string({"status", "phase"}) == "Unbind") unbound_.try_emplace(name, clock_.now());
            else unbound_.erase(name);
            return;
        }
        const auto since = unbound_.find(name);
        const auto kept = controller::kept_address(eni);
        if (since != unbound_.end() && kept &&
            clock_.now() - since->second + seen_late_max < kept->type.release_after)
            released_early_ = fmt::format("{}, kept for {}, was released early", kept->address.text(), name);
        unbound_.erase(name);
    }

    static bool is_wired(const Nodes& nodes, const net::Address& address) {
        for (const auto& [name, node] : nodes)
            for (const auto& [link, fake] : node->links)
                if (fake.is_open && fake.plug.address == address) return true;
        return false;
    }

    static constexpr Duration seen_late_max = std::chrono::seconds(60);

    const Clock& clock_;
    std::unique_ptr<kube::Brain> brain_;
    const kube::Cache &blocks_, &enis_, &pods_;
    std::map<std::string, Lease, std::less<>> leases_;
    std::set<std::string> changed_;
    std::map<std::string, net::Address> kept_;        // by the pod's name
    std::map<std::string, MonotonicTime> unbound_;    // since when
    std::string released_early_;
};

}  // namespace weft::sim
