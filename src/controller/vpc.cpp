// VPC: gives it its number, says whether it is accepted and ready, counts its vSwitches, gets it a public address for
// its Ingresses, and refuses its deletion while anything uses it.
#include <set>

#include <fmt/format.h>

#include "base/strings.h"
#include "cloud/annotations.h"
#include "controller/pools.h"
#include "controller/reconcilers.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

// Numbers rest this long after their VPC is gone: nodes may still hold frames, maps and namespaces that carry them.
constexpr Duration vni_rest = std::chrono::hours(7 * 24);
const ObjectKey released_key{"kube-system", "weft-released-vnis"};  // ConfigMap: number → when its VPC went

Result<Object> released_vnis(World& world) {
    auto stored = world.client().get(kube::config_maps, released_key);
    if (!stored && stored.error().code == Code::not_found) return Object::of(kube::config_maps, released_key);
    return stored;
}

Status record_release(World& world, int64_t vni) {
    Object record = TRY(released_vnis(world));
    const std::string number = std::to_string(vni);
    if (json::has(record.body(), {"data", number})) return {};
    record.set({"data", number}, json::Value(rfc3339(world.clock.wall())));
    if (record.uid().empty()) {
        TRY(world.client().create(kube::config_maps, record));
    } else {
        TRY(world.client().update(kube::config_maps, record));
    }
    return {};
}

Result<int64_t> lowest_free_vni(World& world, const Object& vpc) {
    std::set<int64_t> taken;
    world.vpcs.for_each([&](const ObjectPtr& other) {
        if (other->uid() == vpc.uid()) return;
        taken.insert(other->integer({"spec", "vni"}));
        taken.insert(other->integer({"status", "vni"}));
    });
    const Object record = TRY(released_vnis(world));
    if (const json::Object* const data = json::find_object(record.body(), {"data"})) {
        for (const auto& [number, when] : *data) {
            WallTime released;
            const bool known = when.is_string() && parse_rfc3339(std::string(json::view(when.get_string())), released);
            const auto vni = parse_unsigned(std::string_view(number.data(), number.size()));
            if (vni && (!known || world.clock.wall() - released < vni_rest)) taken.insert(int64_t(*vni));
        }
    }
    for (int64_t vni = 1; vni <= int64_t(cloud::vni_max); ++vni) {
        if (!taken.contains(vni)) return vni;
    }
    return fail(Code::exhausted, "every VPC number is taken");
}

// Why the VPC cannot be: reason and message; an empty reason when it can.
struct Judgement {
    std::string reason, message;
};

Judgement judge(const World& world, const Object& object) {
    const auto vpc = cloud::parse_vpc(object.body());
    if (!vpc) return {"Invalid", vpc.error().message};
    if (vpc->is_default) {
        const auto all = world.valid_vpcs();
        const cloud::Vpc* const winner = cloud::default_vpc(all);
        if (winner != nullptr && winner->name != vpc->name)
            return {"DefaultConflict", fmt::format("spec.default: VPC {} is the default already", winner->name)};
    }
    const int64_t given = object.integer({"spec", "vni"});
    if (given == 0) return {};
    const int64_t current = object.integer({"status", "vni"});
    if (current != 0 && current != given)
        return {"VNIChanged", fmt::format("spec.vni: {}: the VPC has number {}, which never changes", given, current)};
    std::string holder;
    world.vpcs.for_each([&](const ObjectPtr& other) {
        const int64_t theirs = other->integer({"status", "vni"}, other->integer({"spec", "vni"}));
        if (other->uid() == object.uid() || theirs != given) return;
        // Whoever has it in status keeps it; of two that only ask, the first by name.
        if (current == 0 && (other->integer({"status", "vni"}) == given || other->name() < object.name()))
            holder = other->name();
    });
    if (!holder.empty()) return {"VNIConflict", fmt::format("spec.vni: {}: VPC {} has this number", given, holder)};
    return {};
}

bool wants_ingress_address(const World& world, const Object& vpc) {
    bool wants = false;
    world.ingresses.for_each([&](const ObjectPtr& ingress) {
        if (wants || ingress->deleting() || !world.is_our_ingress(*ingress)) return;
        const auto owner = world.vpc_of(ingress->ns());
        wants = owner && owner->name == vpc.name();
    });
    return wants;
}

std::vector<std::string> users_of(const World& world, const Object& vpc) {
    std::vector<std::string> users;
    world.vswitches.for_each([&](const ObjectPtr& v) {
        if (v->string({"spec", "vpc"}) == vpc.name()) users.push_back("vSwitch " + std::string(v->name()));
    });
    world.security_groups.for_each([&](const ObjectPtr& g) {
        if (g->string({"spec", "vpc"}) == vpc.name()) users.push_back("security group " + std::string(g->name()));
    });
    world.address_pools.for_each([&](const ObjectPtr& p) {
        if (p->string({"spec", "vpc"}) == vpc.name()) users.push_back("address pool " + std::string(p->name()));
    });
    world.namespaces.for_each([&](const ObjectPtr& ns) {
        if (ns->annotation(cloud::vpc_annotation) == vpc.name())
            users.push_back("namespace " + std::string(ns->name()));
    });
    world.pods.for_each([&](const ObjectPtr& pod) {
        const auto owner = world.vpc_of(pod->ns());
        if (owner && owner->name == vpc.name()) users.push_back("pod " + pod->key().text());
    });
    return users;
}

Status retire(World& world, const Object& vpc) {
    if (!vpc.has_finalizer(cloud::cloud_finalizer)) return {};
    const auto users = users_of(world, vpc);
    if (!users.empty()) {
        Object next = vpc;
        kube::set_condition(next, "Ready", false, "InUse", "deletion waits: used by " + name_list(users), world.clock);
        return world.vpcs.put_status(vpc, next);
    }
    TRY(release_public_address(world, "VPC", vpc.uid()));
    if (const int64_t vni = vpc.integer({"status", "vni"}); vni != 0) TRY(record_release(world, vni));
    Object next = vpc;
    next.remove_finalizer(cloud::cloud_finalizer);
    return world.vpcs.put(vpc, next);
}

Status give_ingress_address(World& world, const Object& vpc, Object& next) {
    const std::string shown(vpc.string({"status", "ingressAddresses", cloud::ingress_class_controller}));
    if (shown.empty() && !wants_ingress_address(world, vpc)) return {};
    const auto address = allocate_public_address(
        world, {"VPC", "", std::string(vpc.name()), std::string(vpc.uid()), std::string(vpc.name()), shown});
    if (!address) {
        if (address.error().code == Code::exhausted)
            world.events.warning(vpc, "IngressAddressUnavailable", address.error().message);
        return address.error().code == Code::conflict ? Status(fail(address.error())) : Status{};
    }
    next.set({"status", "ingressAddresses", cloud::ingress_class_controller}, json::Value(address->text()));
    return {};
}

Status refresh(World& world, const ObjectPtr& vpc) {
    if (!vpc->has_finalizer(cloud::cloud_finalizer)) {
        Object next = *vpc;
        next.add_finalizer(cloud::cloud_finalizer);
        return world.vpcs.put(*vpc, next);  // the change brings us back here
    }
    Object next = *vpc;
    int64_t vswitch_count = 0;
    world.vswitches.for_each([&](const ObjectPtr& v) { vswitch_count += v->string({"spec", "vpc"}) == vpc->name(); });
    next.set({"status", "vSwitchCount"}, vswitch_count);

    const Judgement judgement = judge(world, *vpc);
    const bool accepted = judgement.reason.empty();
    kube::set_condition(next, "Accepted", accepted, accepted ? "Accepted" : judgement.reason, judgement.message,
                        world.clock);
    if (accepted) {
        if (vpc->integer({"status", "vni"}) == 0) {
            const int64_t given = vpc->integer({"spec", "vni"});
            next.set({"status", "vni"}, given != 0 ? given : TRY(lowest_free_vni(world, *vpc)));
        }
        TRY(give_ingress_address(world, *vpc, next));
        kube::set_condition(next, "Ready", true, "Ready", "", world.clock);
    } else {
        world.events.warning(*vpc, judgement.reason, judgement.message);
        kube::set_condition(next, "Ready", false, "NotAccepted", judgement.message, world.clock);
    }
    return world.vpcs.put_status(*vpc, next);
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr vpc = world.vpcs.get(key);
    if (!vpc) return Outcome::done();
    return settle(vpc->deleting() ? retire(world, *vpc) : refresh(world, vpc));
}

}  // namespace

void add_vpc_reconciler(World& world) {
    auto& queue = world.brain.add_reconciler("vpc", [&world](const ObjectKey& key) { return reconcile(world, key); });
    const auto all = [&world, &queue](const ObjectPtr&, const ObjectPtr&) {
        world.vpcs.for_each([&](const ObjectPtr& vpc) { queue.add(vpc->key()); });
    };
    const auto deleting = [&world, &queue](const ObjectPtr&, const ObjectPtr& after) {
        if (after) return;  // only an end can free a VPC
        world.vpcs.for_each([&](const ObjectPtr& vpc) {
            if (vpc->deleting()) queue.add(vpc->key());
        });
    };
    world.vpcs.on_change(all);
    world.vswitches.on_change(all);
    world.ingresses.on_change(all);
    world.ingress_classes.on_change(all);
    world.address_pools.on_change(all);
    world.namespaces.on_change(all);
    world.security_groups.on_change(deleting);
    world.pods.on_change(deleting);
}

}  // namespace weft::controller
