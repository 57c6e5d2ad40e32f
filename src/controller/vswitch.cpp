// VSwitch: says whether it lies where it may and which route table it uses, counts its addresses, and refuses its
// deletion while an address is in use or a custom route table is bound to it.
#include <algorithm>

#include <fmt/format.h>

#include "cloud/annotations.h"
#include "controller/reconcilers.h"
#include "controller/reservations.h"
#include "controller/supply.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

struct Judgement {
    std::string reason, message;
};

// Nothing of the VPC can be programmed on a node.
Judgement not_numbered(std::string_view vpc) {
    return {"VPCNotReady", fmt::format("spec.vpc: VPC {} has no number yet", vpc)};
}

// What only a new one must keep: those that were accepted stay.
Judgement judge_new(const World& world, const cloud::VSwitch& vswitch, const std::vector<cloud::VSwitch>& others) {
    if (const auto vpc = world.valid_vpc(vswitch.vpc); vpc && vpc->vni == 0) return not_numbered(vpc->name);
    const auto accepted = std::count_if(others.begin(), others.end(), [](const auto& v) { return v.is_accepted; });
    if (size_t(accepted) >= cloud::vswitches_max)
        return {"QuotaExceeded",
                fmt::format("spec.vpc: VPC {} has {} vSwitches, and may have no more", vswitch.vpc, accepted)};
    std::optional<std::string> in_the_way;
    world.route_tables.for_each([&](const ObjectPtr& table) {
        if (!in_the_way) in_the_way = cloud::route_in_the_way(vswitch, table->body());
    });
    return in_the_way ? Judgement{"RouteConflict", *in_the_way} : Judgement{};
}

Judgement judge(const World& world, const Object& object) {
    const auto vswitch = cloud::parse_vswitch(object.body());
    if (!vswitch) return {"Invalid", vswitch.error().message};
    auto vpc = world.valid_vpc(vswitch->vpc);
    // A block may be asked for that is not in effect yet: it is given once it is (give_ipv6_block).
    if (vpc && !vpc->ipv6_block && vswitch->is_accepted) vpc->ipv6_block = vpc->wanted_ipv6_block;
    const auto others = world.valid_vswitches_of(vswitch->vpc);
    const Status checked = cloud::check_vswitch(*vswitch, vpc ? &*vpc : nullptr, others);
    if (checked) return vswitch->is_accepted ? Judgement{} : judge_new(world, *vswitch, others);
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
    if (const std::string_view table = vswitch.string({"spec", "routeTable"});
        !table.empty() && table != cloud::system_table_name(vswitch.string({"spec", "vpc"})) &&
        world.route_tables.get(table))
        users.push_back(fmt::format("route table {}, to which spec.routeTable binds it", table));
    world.address_blocks.for_each([&](const ObjectPtr& block) {
        if (block->string({"spec", "vSwitch"}) != vswitch.name()) return;
        for (const json::Value& allocation : block->array({"status", "allocations"}))
            users.push_back(fmt::format("pod {}/{}", json::find_string(allocation, {"namespace"}),
                                        json::find_string(allocation, {"name"})));
    });
    for (const ObjectPtr& eni : world.pod_enis.under(world.enis_by_vswitch, vswitch.name())) {
        const auto kept = kept_address(*eni);
        const bool is_listed = std::find(users.begin(), users.end(), "pod " + eni->key().text()) != users.end();
        if (kept && kept->vswitch == vswitch.name() && !is_listed)
            users.push_back(fmt::format("address {}, kept for pod {}", kept->address.text(), eni->key().text()));
    }
    if (!users.empty()) return users;
    Membership members(world, vswitch.string({"spec", "vpc"}));
    world.pods.for_each([&](const ObjectPtr& pod) {
        const bool is_on_it = pod->annotation(cloud::chosen_vswitch_annotation) == vswitch.name();
        if (is_on_it && is_placed(*pod) && !is_terminal(*pod) && members.has(pod->ns()))
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

// Once given a block stays. A VPC without an IPv6 block has nothing to give.
void give_ipv6_block(World& world, const cloud::VSwitch& vswitch, Object& next) {
    const auto vpcs = world.valid_vpcs();
    const auto vpc = std::find_if(vpcs.begin(), vpcs.end(), [&](const cloud::Vpc& v) { return v.name == vswitch.vpc; });
    if (vpc == vpcs.end() || !vpc->ipv6_block) return;
    std::vector<cloud::VSwitch> all;  // refused ones too: what they were given they keep
    world.vswitches.for_each([&](const ObjectPtr& other) {
        if (auto parsed = cloud::parse_vswitch(other->body())) all.push_back(std::move(*parsed));
    });
    if (vswitch.ipv6_wish && !vpc->ipv6_block->contains(*vswitch.ipv6_wish)) return;  // not in effect yet
    const auto block = vswitch.ipv6_wish ? vswitch.ipv6_wish : cloud::lowest_free_ipv6_block(vswitch, *vpc, all);
    if (block) {
        next.set({"status", "ipv6CidrBlock"}, json::Value(block->text()));
    } else {
        world.events.warning(next, "IPv6BlockUnavailable",
                             fmt::format("every /64 of {} of VPC {} is taken", vpc->ipv6_block->text(), vpc->name));
    }
}

// Which route table it uses, and why not the one it names.
void put_route_table(World& world, const cloud::VSwitch& vswitch, Object& next) {
    const std::string system = cloud::system_table_name(vswitch.vpc);
    const std::string& named = vswitch.route_table;
    const ObjectPtr table = named.empty() ? nullptr : world.route_tables.get(named);
    const auto vpc = world.valid_vpc(vswitch.vpc);
    const bool binds = table && vpc && cloud::table_number(vswitch, *vpc, &table->body()) != vpc->vni;
    next.set({"status", "routeTable"}, binds ? named : system);
    std::string why;
    if (!named.empty() && named != system && !binds) {
        const char* what = !table                                              ? "does not exist"
                           : table->string({"spec", "vpc"}) != vswitch.vpc ? "is another VPC's"
                                                                               : "is not accepted";
        why = fmt::format("spec.routeTable: RouteTable {} {}: the system table is used", named, what);
        world.events.warning(next, "RouteTableNotBound", why);
    }
    kube::set_condition(next, "RouteTableBound", why.empty(), why.empty() ? "Bound" : "RouteTableNotBound", why,
                        world.clock);
}

void put_ready(const World& world, const Object& vswitch, const Judgement& judgement, Object& next) {
    Judgement not_ready{judgement.reason.empty() ? "" : "NotAccepted", judgement.message};
    const auto vpc = world.valid_vpc(vswitch.string({"spec", "vpc"}));
    if (vpc && vpc->vni == 0 && (not_ready.reason.empty() || judgement.reason == "VPCNotReady"))
        not_ready = not_numbered(vpc->name);
    const bool ready = not_ready.reason.empty();
    kube::set_condition(next, "Ready", ready, ready ? "Ready" : not_ready.reason, not_ready.message, world.clock);
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
        const cloud::Counts counts = cloud::counts(*values, world.blocks_of(*values), reservations_of(world, *values));
        next.set({"status", "totalIPCount"}, int64_t(counts.total));
        next.set({"status", "availableIPCount"}, int64_t(counts.available));
        put_supply(world, vswitch, counts, next);
        next.set({"status", "usedIPCount"}, int64_t(counts.total - counts.available));
        put_route_table(world, *values, next);
        if (accepted && !values->ipv6_given) give_ipv6_block(world, *values, next);
    }
    kube::set_condition(next, "Accepted", accepted, accepted ? "Accepted" : judgement.reason, judgement.message,
                        world.clock);
    put_ready(world, vswitch, judgement, next);
    // A VPC that was made with it gets its number in a moment.
    if (!accepted && judgement.reason != "VPCNotReady") world.events.warning(vswitch, judgement.reason, judgement.message);
    return world.vswitches.put_status(vswitch, next);
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr vswitch = world.vswitches.get(key);
    if (!vswitch) return Outcome::done();
    const Status written = vswitch->deleting() ? retire(world, *vswitch) : refresh(world, *vswitch);
    const ObjectPtr now = written ? world.vswitches.get(key) : nullptr;
    return now && wants_another_look(*now) ? Outcome::again(supply_look_again) : settle(written);
}

}  // namespace

void add_vswitch_reconciler(World& world) {
    auto& queue =
        world.brain.add_reconciler("vswitch", [&world](const ObjectKey& key) { return reconcile(world, key); });
    const auto add_of = [&world, &queue](std::string_view vpc) {
        for (const ObjectKey& key : world.vswitches_by_vpc.keys(vpc)) queue.add(key);
    };
    world.vswitches.on_change([&queue, add_of](const ObjectPtr& before, const ObjectPtr& after) {
        queue.add((after ? after : before)->key());
        const bool same_place = before && after && *before->find({"spec"}) == *after->find({"spec"}) &&
                                kube::condition_is(*before, "Accepted", "True") ==
                                    kube::condition_is(*after, "Accepted", "True");
        if (!same_place) add_of((after ? after : before)->string({"spec", "vpc"}));  // what overlapped it may not now
    });
    world.vpcs.on_change([add_of](const ObjectPtr& before, const ObjectPtr& after) {
        const auto same = [&](json::Path path) {
            const json::Value* const a = before->find(path);
            const json::Value* const b = after->find(path);
            return a == b || (a != nullptr && b != nullptr && *a == *b);
        };
        if (before && after && same({"spec"}) && same({"status", "cidrBlocks"}) && same({"status", "ipv6CidrBlock"}) &&
            same({"status", "vni"}))
            return;
        add_of((after ? after : before)->name());
    });
    world.route_tables.on_change([add_of](const ObjectPtr& before, const ObjectPtr& after) {
        add_of((after ? after : before)->string({"spec", "vpc"}));
    });
    world.address_blocks.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        queue.add({"", std::string((after ? after : before)->string({"spec", "vSwitch"}))});
    });
    world.pods.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        const Object& pod = after ? *after : *before;
        if (after && !is_terminal(*after) && pod.annotation(cloud::reserved_address_annotation).empty()) return;
        const std::string_view chosen = pod.annotation(cloud::chosen_vswitch_annotation);
        if (!chosen.empty()) queue.add({"", std::string(chosen)});
    });
    world.pod_enis.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        if (before && after) return;
        if (const auto kept = kept_address(after ? *after : *before)) queue.add({"", kept->vswitch});
    });
}

}  // namespace weft::controller
