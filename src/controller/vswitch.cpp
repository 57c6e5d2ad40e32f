// VSwitch: says whether it lies where it may, counts its addresses, and refuses its deletion while an address is in
// use.
#include <fmt/format.h>

#include "cloud/annotations.h"
#include "controller/reconcilers.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

struct Judgement {
    std::string reason, message;
};

Judgement judge(const World& world, const Object& object) {
    const auto vswitch = cloud::parse_vswitch(object.body());
    if (!vswitch) return {"Invalid", vswitch.error().message};
    const auto vpcs = world.valid_vpcs();
    const auto vpc =
        std::find_if(vpcs.begin(), vpcs.end(), [&](const cloud::Vpc& v) { return v.name == vswitch->vpc; });
    const Status checked = cloud::check_vswitch(*vswitch, vpc == vpcs.end() ? nullptr : &*vpc, world.valid_vswitches());
    if (checked) return {};
    switch (checked.error().code) {
        case Code::not_found:
            return {"VPCNotFound", checked.error().message};
        case Code::conflict:
            return {"CIDRConflict", checked.error().message};
        default:
            return {"Invalid", checked.error().message};
    }
}

std::vector<std::string> users_of(const World& world, const Object& vswitch) {
    std::vector<std::string> users;
    world.address_blocks.for_each([&](const ObjectPtr& block) {
        if (block->string({"spec", "vSwitch"}) != vswitch.name()) return;
        for (const json::Value& allocation : block->array({"status", "allocations"}))
            users.push_back(fmt::format("pod {}/{}", json::find_string(allocation, {"namespace"}),
                                        json::find_string(allocation, {"name"})));
    });
    if (!users.empty()) return users;
    world.pods.for_each([&](const ObjectPtr& pod) {
        if (pod->annotation(cloud::chosen_vswitch_annotation) == vswitch.name() && !is_terminal(*pod))
            users.push_back("pod " + pod->key().text());
    });
    return users;
}

// Deletes what is left of the vSwitch itself; true when nothing is.
Result<bool> blocks_are_gone(World& world, const Object& vswitch) {
    std::vector<ObjectPtr> blocks;
    world.address_blocks.for_each([&](const ObjectPtr& block) {
        if (block->string({"spec", "vSwitch"}) == vswitch.name()) blocks.push_back(block);
    });
    for (const ObjectPtr& block : blocks) {
        if (!block->deleting()) TRY(world.address_blocks.remove(*block));
    }
    return blocks.empty();
}

Status retire(World& world, const Object& vswitch) {
    if (!vswitch.has_finalizer(cloud::cloud_finalizer)) return {};
    const auto users = users_of(world, vswitch);
    Object next = vswitch;
    if (!users.empty()) {
        kube::set_condition(next, "Ready", false, "InUse", "deletion waits: used by " + name_list(users), world.clock);
        return world.vswitches.put_status(vswitch, next);
    }
    if (!TRY(blocks_are_gone(world, vswitch))) {
        kube::set_condition(next, "Ready", false, "Releasing", "deletion waits: nodes hand their blocks back",
                            world.clock);
        return world.vswitches.put_status(vswitch, next);
    }
    next.remove_finalizer(cloud::cloud_finalizer);
    return world.vswitches.put(vswitch, next);
}

Status refresh(World& world, const Object& vswitch) {
    Object next = vswitch;
    if (!vswitch.has_finalizer(cloud::cloud_finalizer)) {
        next.add_finalizer(cloud::cloud_finalizer);
        return world.vswitches.put(vswitch, next);  // the change brings us back here
    }
    const Judgement judgement = judge(world, vswitch);
    const bool accepted = judgement.reason.empty();
    if (const auto values = cloud::parse_vswitch(vswitch.body())) {
        const cloud::Counts counts = cloud::counts(*values, world.blocks_of(*values));
        next.set({"status", "totalIPCount"}, int64_t(counts.total));
        next.set({"status", "availableIPCount"}, int64_t(counts.available));
    }
    kube::set_condition(next, "Accepted", accepted, accepted ? "Accepted" : judgement.reason, judgement.message,
                        world.clock);
    kube::set_condition(next, "Ready", accepted, accepted ? "Ready" : "NotAccepted", judgement.message, world.clock);
    if (!accepted) world.events.warning(vswitch, judgement.reason, judgement.message);
    return world.vswitches.put_status(vswitch, next);
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr vswitch = world.vswitches.get(key);
    if (!vswitch) return Outcome::done();
    return settle(vswitch->deleting() ? retire(world, *vswitch) : refresh(world, *vswitch));
}

}  // namespace

void add_vswitch_reconciler(World& world) {
    auto& queue =
        world.brain.add_reconciler("vswitch", [&world](const ObjectKey& key) { return reconcile(world, key); });
    const auto all = [&world, &queue](const ObjectPtr&, const ObjectPtr&) {
        world.vswitches.for_each([&](const ObjectPtr& v) { queue.add(v->key()); });
    };
    world.vswitches.on_change(all);
    world.vpcs.on_change([all](const ObjectPtr& before, const ObjectPtr& after) {
        const bool same = before && after && *before->find({"spec"}) == *after->find({"spec"});
        if (!same) all(before, after);
    });
    world.address_blocks.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        queue.add({"", std::string((after ? after : before)->string({"spec", "vSwitch"}))});
    });
    world.pods.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        if (after) return;
        const std::string_view chosen = before->annotation(cloud::chosen_vswitch_annotation);
        if (!chosen.empty()) queue.add({"", std::string(chosen)});
    });
}

}  // namespace weft::controller
