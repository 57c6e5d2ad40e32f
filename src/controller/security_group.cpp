// SecurityGroup: stored, checked for its VPC, and honest about it: until groups are enforced, Programmed is False.
#include <fmt/format.h>

#include "controller/reconcilers.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr group = world.security_groups.get(key);
    if (!group || group->deleting()) return Outcome::done();
    Object next = *group;
    const std::string vpc(group->string({"spec", "vpc"}));
    const bool accepted = world.vpcs.get(vpc) != nullptr;
    kube::set_condition(next, "Accepted", accepted, accepted ? "Accepted" : "VPCNotFound",
                        accepted ? "" : fmt::format("spec.vpc: VPC {} does not exist", vpc), world.clock);
    kube::set_condition(next, "Programmed", false, "NotEnforced",
                        "security groups are stored, but no rule is enforced: every pod of the VPC reaches every other",
                        world.clock);
    return settle(world.security_groups.put_status(*group, next));
}

}  // namespace

void add_security_group_reconciler(World& world) {
    auto& queue =
        world.brain.add_reconciler("security_group", [&world](const ObjectKey& key) { return reconcile(world, key); });
    world.security_groups.on_change([&queue](const ObjectPtr&, const ObjectPtr& after) {
        if (after) queue.add(after->key());
    });
    world.vpcs.on_change([&world, &queue](const ObjectPtr& before, const ObjectPtr& after) {
        if (before && after) return;
        world.security_groups.for_each([&](const ObjectPtr& group) { queue.add(group->key()); });
    });
}

}  // namespace weft::controller
