// AddressPool: counts, conditions, and the ledger in status.allocations: entries whose owner is gone are struck out,
// addresses that an owner's status shows but the ledger has lost are entered again. The rules of giving stand in
// pools.h.
#include <set>

#include <fmt/format.h>

#include "base/log.h"
#include "cloud/annotations.h"
#include "controller/pools.h"
#include "controller/reconcilers.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

constexpr unsigned pool_mask_min = 16, pool_ipv6_mask_min = 112;  // a pool is walked address by address

Result<std::vector<net::Prefix>> parse_cidrs(const Object& pool) {
    std::vector<net::Prefix> prefixes;
    const auto texts = json::find_strings(pool.body(), {"spec", "cidrs"});
    if (texts.empty()) return fail(Code::invalid, "spec.cidrs: Required value");
    for (size_t i = 0; i < texts.size(); ++i) {
        const std::string field = fmt::format("spec.cidrs[{}]", i);
        const net::Prefix prefix = TRY_IN(field, net::Prefix::parse(texts[i]));
        const unsigned mask_min = prefix.is_v4() ? pool_mask_min : pool_ipv6_mask_min;
        if (prefix.length() < mask_min)
            return fail(Code::invalid, fmt::format("{}: {}: must be /{} or smaller", field, texts[i], mask_min));
        for (const net::Prefix& other : prefixes) {
            if (prefix.overlaps(other))
                return fail(Code::invalid, fmt::format("{}: {}: overlaps {}", field, texts[i], other.text()));
        }
        prefixes.push_back(prefix);
    }
    return prefixes;
}

bool covers(const std::vector<net::Prefix>& prefixes, const net::Address& address) {
    return std::any_of(prefixes.begin(), prefixes.end(), [&](const net::Prefix& p) { return p.contains(address); });
}

// Of two pools that overlap the older serves.
Status check_pool(const World& world, const Object& pool) {
    const auto mine = TRY(parse_cidrs(pool));
    std::string error;
    world.address_pools.for_each([&](const ObjectPtr& other) {
        const auto theirs = parse_cidrs(*other);
        const auto age = [](const Object& o) {
            return std::pair(o.string({"metadata", "creationTimestamp"}), o.name());
        };
        if (other->uid() == pool.uid() || !theirs || !(age(*other) < age(pool))) return;
        for (const net::Prefix& a : mine) {
            for (const net::Prefix& b : *theirs) {
                if (a.overlaps(b))
                    error = fmt::format("spec.cidrs: {}: overlaps {} of pool {}", a.text(), b.text(), other->name());
            }
        }
    });
    if (!error.empty()) return fail(Code::conflict, error);
    return {};
}

bool is_ipv6(std::string_view address) { return address.find(':') != std::string_view::npos; }

// nullopt: of either family.
bool is_of(const json::Value& allocation, std::string_view kind, std::string_view uid, std::optional<bool> ipv6) {
    return json::find_string(allocation, {"kind"}) == kind && json::find_string(allocation, {"uid"}) == uid &&
           (!ipv6 || is_ipv6(json::find_string(allocation, {"address"})) == *ipv6);
}

const json::Value* find_allocation(const Object& pool, std::string_view kind, std::string_view uid,
                                   std::optional<bool> ipv6) {
    for (const json::Value& allocation : pool.array({"status", "allocations"})) {
        if (is_of(allocation, kind, uid, ipv6)) return &allocation;
    }
    return nullptr;
}

// Addresses that statuses show, with whom: they are spoken for even when no ledger has them.
std::vector<AddressOwner> shown_owners(const World& world) {
    std::vector<AddressOwner> owners;
    for (const ObjectPtr& service : world.services.under(world.balanced_services, "")) {
        if (!service->has_finalizer(cloud::load_balancer_finalizer)) continue;
        const auto vpc = world.vpc_of(service->ns());
        for (const json::Value& entry : service->array({"status", "loadBalancer", "ingress"})) {
            const std::string shown(json::find_string(entry, {"ip"}));
            if (shown.empty()) continue;
            owners.push_back({"Service", std::string(service->ns()), std::string(service->name()),
                              std::string(service->uid()), vpc ? vpc->name : "", shown, is_ipv6(shown)});
        }
    }
    world.vpcs.for_each([&](const ObjectPtr& vpc) {
        const std::string shown(vpc->string({"status", "ingressAddresses", cloud::ingress_class_controller}));
        if (shown.empty()) return;
        owners.push_back(
            {"VPC", "", std::string(vpc->name()), std::string(vpc->uid()), std::string(vpc->name()), shown});
    });
    return owners;
}

void set_allocations(Object& pool, json::Array allocations, uint64_t total) {
    const int64_t used = int64_t(allocations.size());
    pool.set({"status", "total"}, int64_t(total));
    pool.set({"status", "used"}, used);
    pool.set({"status", "allocations"}, std::move(allocations));
}

json::Value allocation_of(const AddressOwner& owner, const net::Address& address) {
    json::Object allocation{
        {"address", address.text()}, {"kind", owner.kind}, {"name", owner.name}, {"uid", owner.uid}};
    if (!owner.ns.empty()) allocation["namespace"] = owner.ns;
    return allocation;
}

std::vector<net::Prefix> of_family(std::vector<net::Prefix> prefixes, bool ipv6) {
    std::erase_if(prefixes, [&](const net::Prefix& prefix) { return prefix.is_v4() == ipv6; });
    return prefixes;
}

uint64_t size_of(const std::vector<net::Prefix>& prefixes) {
    uint64_t total = 0;
    for (const net::Prefix& prefix : prefixes) total += prefix.size();
    return total;
}

// Enters the allocation in the ledger; success means it is durable.
Status enter(World& world, const Object& pool, const std::vector<net::Prefix>& prefixes, const AddressOwner& owner,
             const net::Address& address) {
    json::Array allocations = pool.array({"status", "allocations"});
    allocations.push_back(allocation_of(owner, address));
    Object next = pool;
    set_allocations(next, std::move(allocations), size_of(prefixes));
    TRY(world.address_pools.put_status(pool, next));
    log::info("public address given", {{"pool", pool.name()},
                                       {"address", address.text()},
                                       {"kind", owner.kind},
                                       {"owner", owner.ns.empty() ? owner.name : owner.ns + "/" + owner.name}});
    return {};
}

// Pools that may serve a VPC, its own first, then by name.
std::vector<ObjectPtr> pools_for(const World& world, std::string_view vpc) {
    std::vector<ObjectPtr> own, shared;
    world.address_pools.for_each([&](const ObjectPtr& pool) {
        if (pool->deleting() || !check_pool(world, *pool)) return;
        const std::string_view only_for = pool->string({"spec", "vpc"});
        if (only_for == vpc) own.push_back(pool);
        if (only_for.empty()) shared.push_back(pool);
    });
    const auto by_name = [](const ObjectPtr& a, const ObjectPtr& b) { return a->name() < b->name(); };
    std::sort(own.begin(), own.end(), by_name);
    std::sort(shared.begin(), shared.end(), by_name);
    own.insert(own.end(), shared.begin(), shared.end());
    return own;
}

bool owner_exists(const World& world, const json::Value& allocation) {
    const std::string ns(json::find_string(allocation, {"namespace"}));
    const std::string name(json::find_string(allocation, {"name"}));
    const View& view = json::find_string(allocation, {"kind"}) == "VPC" ? world.vpcs : world.services;
    const ObjectPtr owner = view.get(ObjectKey{ns, name});
    return owner && owner->uid() == json::find_string(allocation, {"uid"});
}

// The ledger as it should be: without those whose owner is gone, with those that a status shows.
json::Array repaired(const World& world, const Object& pool, const std::vector<net::Prefix>& prefixes) {
    json::Array ledger;
    std::set<std::string> given;
    for (const json::Value& allocation : pool.array({"status", "allocations"})) {
        if (!owner_exists(world, allocation)) continue;
        given.insert(std::string(json::find_string(allocation, {"address"})));
        ledger.push_back(allocation);
    }
    for (const AddressOwner& owner : shown_owners(world)) {
        const auto address = net::Address::parse(owner.shown);
        if (!address || !covers(prefixes, *address) || !given.insert(owner.shown).second) continue;
        ledger.push_back(allocation_of(owner, *address));
    }
    return ledger;
}

Status refresh(World& world, const Object& pool) {
    Object next = pool;
    if (!pool.deleting() && !pool.has_finalizer(cloud::cloud_finalizer)) {
        next.add_finalizer(cloud::cloud_finalizer);
        return world.address_pools.put(pool, next);  // the change brings us back here
    }
    const Status checked = check_pool(world, pool);
    const bool accepted = checked.has_value();
    if (const auto prefixes = parse_cidrs(pool))
        set_allocations(next, repaired(world, pool, *prefixes), size_of(*prefixes));
    const std::string message = accepted ? "" : checked.error().message;
    const std::string reason = accepted                                 ? "Accepted"
                               : checked.error().code == Code::conflict ? "CIDRConflict"
                                                                        : "Invalid";
    kube::set_condition(next, "Accepted", accepted, reason, message, world.clock);
    kube::set_condition(next, "Ready", accepted, accepted ? "Ready" : "NotAccepted", message, world.clock);
    if (!accepted) world.events.warning(pool, reason, message);
    if (!pool.deleting()) return world.address_pools.put_status(pool, next);

    if (next.integer({"status", "used"}) == 0) {
        Object last = pool;
        last.remove_finalizer(cloud::cloud_finalizer);
        return world.address_pools.put(pool, last);
    }
    std::vector<std::string> users;
    for (const json::Value& allocation : next.array({"status", "allocations"}))
        users.push_back(
            fmt::format("{} {}", json::find_string(allocation, {"kind"}), json::find_string(allocation, {"name"})));
    kube::set_condition(next, "Ready", false, "InUse", "deletion waits: used by " + name_list(users), world.clock);
    return world.address_pools.put_status(pool, next);
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr pool = world.address_pools.get(key);
    return pool ? settle(refresh(world, *pool)) : Outcome::done();
}

}  // namespace

Result<net::Address> allocate_public_address(World& world, const AddressOwner& owner) {
    const std::vector<ObjectPtr> pools = pools_for(world, owner.vpc);
    std::set<net::Address> taken;
    for (const AddressOwner& other : shown_owners(world)) {
        const auto address = net::Address::parse(other.shown);
        if (address && other.uid != owner.uid) taken.insert(*address);
    }
    std::vector<std::string> names;
    for (const ObjectPtr& pool : pools) {
        names.emplace_back(pool->name());
        if (const json::Value* const known = find_allocation(*pool, owner.kind, owner.uid, owner.ipv6))
            return net::Address::parse(json::find_string(*known, {"address"}));
        for (const json::Value& allocation : pool->array({"status", "allocations"})) {
            if (const auto address = net::Address::parse(json::find_string(allocation, {"address"})))
                taken.insert(*address);
        }
    }
    // Its status shows one that no ledger knows: it stays what clients know it by.
    const auto shown = net::Address::parse(owner.shown);
    for (const ObjectPtr& pool : pools) {
        const auto prefixes = TRY(parse_cidrs(*pool));
        if (!shown || taken.contains(*shown) || !covers(prefixes, *shown)) continue;
        TRY(enter(world, *pool, prefixes, owner, *shown));
        return *shown;
    }
    for (const ObjectPtr& pool : pools) {
        const auto prefixes = TRY(parse_cidrs(*pool));
        const auto address = cloud::lowest_free(of_family(prefixes, owner.ipv6), taken);
        if (!address) continue;
        TRY(enter(world, *pool, prefixes, owner, *address));
        return *address;
    }
    if (names.empty()) return fail(Code::exhausted, fmt::format("no AddressPool serves VPC {}", owner.vpc));
    return fail(Code::exhausted,
                fmt::format("no free {}address in pool {}", owner.ipv6 ? "IPv6 " : "", name_list(names)));
}

Status release_public_address(World& world, std::string_view kind, std::string_view uid, std::optional<bool> ipv6) {
    std::vector<ObjectPtr> holders;
    world.address_pools.for_each([&](const ObjectPtr& pool) {
        if (find_allocation(*pool, kind, uid, ipv6) != nullptr) holders.push_back(pool);
    });
    for (const ObjectPtr& pool : holders) {
        json::Array kept;
        for (const json::Value& allocation : pool->array({"status", "allocations"})) {
            if (!is_of(allocation, kind, uid, ipv6)) kept.push_back(allocation);
        }
        Object next = *pool;
        const auto prefixes = parse_cidrs(*pool);
        set_allocations(next, std::move(kept), prefixes ? size_of(*prefixes) : 0);
        TRY(world.address_pools.put_status(*pool, next));
    }
    return {};
}

void add_pool_reconciler(World& world) {
    auto& queue = world.brain.add_reconciler("pool", [&world](const ObjectKey& key) { return reconcile(world, key); });
    const auto all = [&world, &queue](const ObjectPtr&, const ObjectPtr&) {
        world.address_pools.for_each([&](const ObjectPtr& pool) { queue.add(pool->key()); });
    };
    const auto owner = [all](const ObjectPtr& before, const ObjectPtr& after) {
        // Only the coming and going of those who may hold an address.
        const Object& object = after ? *after : *before;
        const bool may_hold = object.kind() == "VPC" || object.has_finalizer(cloud::load_balancer_finalizer) ||
                              (before && before->has_finalizer(cloud::load_balancer_finalizer));
        if (may_hold && !(before && after)) all(before, after);
    };
    world.address_pools.on_change(all);
    world.services.on_change(owner);
    world.vpcs.on_change(owner);
}

}  // namespace weft::controller
