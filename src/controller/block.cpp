// AddressBlock: lends pieces of a vSwitch to nodes as cloud/ipam.h plans it, asks empty ones back, and withholds single
// addresses of blocks in use. Looks at one vSwitch at a time, because what one node is lent another cannot have.
//
// Each write is safe by itself, so a crash between two of them leaves only work undone: an address is lent only when
// it is in no block of the API, or withheld from one whose agent has said that it leaves it alone.
#include <algorithm>
#include <span>

#include "base/log.h"
#include "cloud/annotations.h"
#include "controller/reconcilers.h"
#include "controller/reservations.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

Object new_block(const cloud::VSwitch& vswitch, const cloud::LeasePlan::Lease& lease) {
    Object block = Object::of(kube::address_blocks, {"", cloud::block_name(vswitch.name, lease.cidr)});
    block.add_finalizer(cloud::block_finalizer);
    block.set({"spec"},
              json::Object{
                  {"vpc", vswitch.vpc}, {"vSwitch", vswitch.name}, {"cidr", lease.cidr.text()}, {"node", lease.node}});
    if (const size_t slash = lease.pod.find('/'); slash != lease.pod.npos)
        block.set({"spec", "pod"},
                  json::Object{{"namespace", lease.pod.substr(0, slash)}, {"name", lease.pod.substr(slash + 1)}});
    return block;
}

// Ends the life of blocks that were asked back and are free, and of those whose node is gone: no agent will ever hand
// them back, and nothing there uses them any more.
Status reclaim(World& world, std::string_view vswitch) {
    for (const ObjectPtr& block : world.address_blocks.under(world.blocks_by_vswitch, vswitch)) {
        const bool is_orphan = world.nodes.get(block->string({"spec", "node"})) == nullptr;
        if (is_orphan && !block->deleting()) {
            TRY(world.address_blocks.remove(*block));
        } else if (block->has_finalizer(cloud::block_finalizer) &&
                   ((is_orphan && block->deleting()) || cloud::is_handed_back(block->body()))) {
            Object next = *block;
            next.remove_finalizer(cloud::block_finalizer);
            // The deletion may have moved its version on; the conflict brings us back with the new one.
            TRY(world.address_blocks.put(*block, next));
        }
    }
    return {};
}

Status withhold(World& world, const cloud::LeasePlan::Withholding& wish) {
    const ObjectPtr block = world.address_blocks.get(wish.block);
    if (!block || block->deleting()) return {};
    json::Array addresses;
    for (const net::Address& address : wish.addresses) addresses.emplace_back(address.text());
    Object next = *block;
    if (addresses.empty())
        json::erase(next.body(), {"spec", "withheld"});
    else
        next.set({"spec", "withheld"}, std::move(addresses));
    log::info("block split", {{"block", wish.block}, {"withheld", int64_t(wish.addresses.size())}});
    return world.address_blocks.put(*block, next);
}

// Does a pod that is bound still wait for a lease?
bool is_waited_for(std::span<const cloud::Need> needs, std::span<const cloud::Reservation> reserved) {
    return !needs.empty() || std::any_of(reserved.begin(), reserved.end(), [](const auto& r) { return !r.node.empty(); });
}

// Blocks beyond single addresses, for nodes where nobody waits.
void forgo_spares(cloud::LeasePlan& plan, std::span<const cloud::Need> needs) {
    std::erase_if(plan.leases, [&](const auto& lease) {
        const auto waits = [&](const cloud::Need& need) { return need.node == lease.node; };
        return lease.pod.empty() && std::none_of(needs.begin(), needs.end(), waits);
    });
}

// To a vSwitch that is on its way out no pod is bound any more, but those that are must get what they wait for.
Status lend(World& world, const cloud::VSwitch& vswitch, bool is_ending) {
    const auto reserved = reservations_of(world, vswitch);
    auto needs = world.needs_of(vswitch);
    if (is_ending && !is_waited_for(needs, reserved)) return {};
    std::erase_if(needs, [&](const cloud::Need& need) { return world.nodes.get(need.node) == nullptr; });
    cloud::LeasePlan plan = cloud::plan_leases(vswitch, world.blocks_of(vswitch), needs, reserved,
                                               is_ending ? 0 : world.loose_wanted(vswitch.name));
    if (is_ending) forgo_spares(plan, needs);
    for (const auto& lease : plan.leases) {
        const auto created = world.address_blocks.create(new_block(vswitch, lease));
        // There already: our cache is late, or the block is on its way out; a change of it brings us back.
        if (!created && created.error().code != Code::already_exists) return fail(created.error());
        if (created) log::info("block leased", {{"block", created->name()}, {"node", lease.node}});
    }
    for (const auto& wish : plan.withhold) TRY(withhold(world, wish));
    for (const std::string& name : plan.take_back) {
        if (const ObjectPtr block = world.address_blocks.get(name)) TRY(world.address_blocks.remove(*block));
    }
    return {};
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr object = world.vswitches.get(key);
    const auto vswitch = object ? cloud::parse_vswitch(object->body()) : fail(Code::not_found, key.name);
    const Status reclaimed = reclaim(world, key.name);
    if (!reclaimed) return settle(reclaimed);
    // What is wrong with it its own reconciler says on the object.
    if (!vswitch || !kube::condition_is(*object, "Accepted", "True")) return Outcome::done();
    return settle(lend(world, *vswitch, object->deleting()));
}

}  // namespace

void add_block_reconciler(World& world) {
    auto& queue = world.brain.add_reconciler("block", [&world](const ObjectKey& key) { return reconcile(world, key); });
    const auto add = [&queue](std::string_view vswitch) {
        if (!vswitch.empty()) queue.add({"", std::string(vswitch)});
    };
    world.vswitches.on_change(
        [add](const ObjectPtr& before, const ObjectPtr& after) { add((after ? after : before)->name()); });
    world.address_blocks.on_change([add](const ObjectPtr& before, const ObjectPtr& after) {
        add((after ? after : before)->string({"spec", "vSwitch"}));
    });
    world.pods.on_change([add](const ObjectPtr& before, const ObjectPtr& after) {
        const std::string_view chosen = (after ? after : before)->annotation(cloud::chosen_vswitch_annotation);
        const bool was_bound = before && !before->annotation(cloud::chosen_vswitch_annotation).empty();
        if (!after || !was_bound || after->deleting() || is_terminal(*after)) add(chosen);
    });
    world.pod_enis.on_change([add](const ObjectPtr& before, const ObjectPtr& after) {
        if (before && after) return;
        if (const auto kept = kept_address(after ? *after : *before)) add(kept->vswitch);
    });
    world.on_loose_wish = add;
    world.nodes.on_change([&world, add](const ObjectPtr& before, const ObjectPtr& after) {
        if (before && after && is_ready(*before) == is_ready(*after)) return;
        // What was lent to it, and what its pods wait for; of a hundred VPCs most have nothing to do with it.
        const std::string name((after ? after : before)->name());
        world.address_blocks.for_each([&](const ObjectPtr& block) {
            if (block->string({"spec", "node"}) == name) add(block->string({"spec", "vSwitch"}));
        });
        for (const ObjectPtr& pod : world.pods.under(world.pods_by_node, name))
            add(pod->annotation(cloud::chosen_vswitch_annotation));
    });
}

}  // namespace weft::controller
