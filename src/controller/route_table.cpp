// RouteTable: gives it its number, says of each route whether it carries packets and where it leads, and refuses the
// table's deletion while a vSwitch is bound to it or routes are left in it. A system table goes with its VPC only.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "cloud/annotations.h"
#include "controller/next_hop.h"
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

// Those that have a number stay before those that have none, then the older ones.
bool is_over_the_limit(const World& world, const cloud::RouteTable& table) {
    const auto rank = [](const cloud::RouteTable& t) { return std::tuple(t.number == 0, t.created, t.name); };
    size_t before = 0;
    world.route_tables.for_each([&](const ObjectPtr& object) {
        const auto other = cloud::parse_route_table(object->body());
        if (other && other->vpc == table.vpc && !other->is_system() && rank(*other) < rank(table)) ++before;
    });
    return before >= cloud::custom_tables_max;
}

Judgement judge(const World& world, const Object& object, const std::optional<cloud::Vpc>& vpc) {
    const auto table = cloud::parse_route_table(object.body());
    if (!table) return {"Invalid", table.error().message};
    if (!vpc) return {"VPCNotFound", fmt::format("spec.vpc: VPC {} does not exist", table->vpc)};
    if (vpc->vni == 0) return {"VPCNotReady", fmt::format("spec.vpc: VPC {} has no number yet", table->vpc)};
    if (!table->is_system() && is_over_the_limit(world, *table))
        return {"LimitExceeded", fmt::format("spec.vpc: VPC {} has {} custom tables, and may have no more", table->vpc,
                                             cloud::custom_tables_max)};
    return {};
}

Result<int64_t> lowest_free_number(const World& world) {
    std::set<int64_t> taken;
    world.route_tables.for_each([&](const ObjectPtr& table) { taken.insert(table->integer({"status", "number"})); });
    for (int64_t number = cloud::custom_table_first; number <= int64_t(UINT32_MAX); ++number) {
        if (!taken.contains(number)) return number;
    }
    return fail(Code::exhausted, "every route table number is taken");
}

// Those that are not accepted have no addresses and no system route.
std::vector<cloud::VSwitch> accepted_vswitches(const World& world, std::string_view vpc) {
    auto vswitches = world.valid_vswitches_of(vpc);
    std::erase_if(vswitches, [](const cloud::VSwitch& vswitch) { return !vswitch.is_accepted; });
    return vswitches;
}

int64_t users_count(const World& world, const cloud::Vpc& vpc, int64_t number) {
    int64_t count = 0;
    for (const cloud::VSwitch& vswitch : world.valid_vswitches_of(vpc.name)) {
        const ObjectPtr named = vswitch.route_table.empty() ? nullptr : world.route_tables.get(vswitch.route_table);
        count += cloud::table_number(vswitch, vpc, named ? &named->body() : nullptr) == number;
    }
    return count;
}

void put_routes(World& world, const cloud::RouteTable& table, const cloud::Vpc& vpc, Object& next) {
    const auto judged =
        cloud::judge_routes(table, vpc, accepted_vswitches(world, vpc.name), hop_finder(world, vpc));
    next.set({"status", "routes"}, cloud::routes_status(judged));
    next.set({"status", "routeCount"}, int64_t(judged.size()));
    std::vector<std::string> idle;
    for (const cloud::JudgedRoute& route : judged) {
        if (route.state == cloud::RouteState::active) continue;
        idle.push_back(route.message);
        const bool is_conflict = route.state == cloud::RouteState::conflict;
        world.events.warning(next, is_conflict ? "RouteConflict" : "NextHopMissing", route.message);
    }
    next.set({"status", "activeCount"}, int64_t(judged.size() - idle.size()));
    kube::set_condition(next, "Ready", idle.empty(), idle.empty() ? "Ready" : "RoutesNotActive", name_list(idle),
                        world.clock);
}

Status refresh(World& world, const Object& object, const std::string& deletion_waits_for) {
    Object next = object;
    if (!object.deleting() && !object.has_finalizer(cloud::cloud_finalizer)) {
        next.add_finalizer(cloud::cloud_finalizer);
        return world.route_tables.put(object, next);  // the change brings us back here
    }
    const auto vpc = world.valid_vpc(object.string({"spec", "vpc"}));
    const Judgement judgement = judge(world, object, vpc);
    const bool accepted = judgement.reason.empty();
    kube::set_condition(next, "Accepted", accepted, accepted ? "Accepted" : judgement.reason, judgement.message,
                        world.clock);
    next.set({"status", "observedGeneration"}, object.generation());
    if (accepted) {
        const auto table = MUST(cloud::parse_route_table(object.body()));
        next.set({"status", "type"}, table.is_system() ? "system" : "custom");
        if (table.is_system()) {
            next.set({"status", "number"}, int64_t(vpc->vni));
        } else if (table.number < cloud::custom_table_first) {
            next.set({"status", "number"}, TRY(lowest_free_number(world)));
        }
        next.set({"status", "vSwitchCount"}, users_count(world, *vpc, next.integer({"status", "number"})));
        put_routes(world, table, *vpc, next);
    } else {
        // Without a number no vSwitch is bound to it.
        if (object.find({"status"}) != nullptr) json::erase(next.body(), {"status", "number"});
        next.set({"status", "routes"}, json::Array{});
        next.set({"status", "activeCount"}, 0);
        kube::set_condition(next, "Ready", false, "NotAccepted", judgement.message, world.clock);
        world.events.warning(object, judgement.reason, judgement.message);
    }
    if (!deletion_waits_for.empty())
        kube::set_condition(next, "Ready", false, "InUse", "deletion waits: " + deletion_waits_for, world.clock);
    return world.route_tables.put_status(object, next);
}

// What a table that shall be deleted waits for; "" when nothing.
std::string what_uses(const World& world, const Object& object) {
    const auto table = cloud::parse_route_table(object.body());
    if (!table) return {};
    if (table->is_system()) {
        const bool is_needed = world.vpcs.get(table->vpc) != nullptr;
        return is_needed ? fmt::format("it is the system table of VPC {} and goes with it", table->vpc) : "";
    }
    std::vector<std::string> users;
    world.vswitches.for_each([&](const ObjectPtr& vswitch) {
        if (vswitch->string({"spec", "routeTable"}) == table->name)
            users.push_back("vSwitch " + std::string(vswitch->name()));
    });
    if (!users.empty()) return "bound to " + name_list(users);
    if (!table->routes.empty()) return fmt::format("it holds {} custom routes", table->routes.size());
    return {};
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr table = world.route_tables.get(key);
    if (!table) return Outcome::done();
    if (!table->deleting()) return settle(refresh(world, *table, {}));
    if (!table->has_finalizer(cloud::cloud_finalizer)) return Outcome::done();
    // It carries packets until it goes.
    if (const std::string users = what_uses(world, *table); !users.empty())
        return settle(refresh(world, *table, users));
    Object next = *table;
    next.remove_finalizer(cloud::cloud_finalizer);
    return settle(world.route_tables.put(*table, next));
}

bool leads_out_the_same(const ObjectPtr& before, const ObjectPtr& after) {
    const auto same = [&](json::Path path) {
        const json::Value* const a = before->find(path);
        const json::Value* const b = after->find(path);
        return (a == nullptr && b == nullptr) || (a != nullptr && b != nullptr && *a == *b);
    };
    if (!before || !after) return false;
    return same({"status", "podIP"}) && same({"status", "podIPs"}) && same({"status", "phase"}) &&
           before->uid() == after->uid() &&
           before->annotation(cloud::allow_forwarding) == after->annotation(cloud::allow_forwarding) &&
           before->annotation(cloud::allocated_eni_annotation) == after->annotation(cloud::allocated_eni_annotation);
}

}  // namespace

void add_route_table_reconciler(World& world) {
    auto& queue =
        world.brain.add_reconciler("route_table", [&world](const ObjectKey& key) { return reconcile(world, key); });
    const auto add_of = [&world, &queue](std::string_view vpc) {
        world.route_tables.for_each([&](const ObjectPtr& table) {
            if (table->string({"spec", "vpc"}) == vpc) queue.add(table->key());
        });
    };
    world.route_tables.on_change([&queue, add_of](const ObjectPtr& before, const ObjectPtr& after) {
        if (after) queue.add(after->key());
        if (!before || !after) add_of((after ? after : before)->string({"spec", "vpc"}));  // the limit
    });
    world.vpcs.on_change(
        [add_of](const ObjectPtr& before, const ObjectPtr& after) { add_of((after ? after : before)->name()); });
    world.vswitches.on_change([add_of](const ObjectPtr& before, const ObjectPtr& after) {
        add_of((after ? after : before)->string({"spec", "vpc"}));
    });
    world.vpc_peerings.on_change([add_of](const ObjectPtr& before, const ObjectPtr& after) {
        const Object& peering = after ? *after : *before;
        add_of(peering.string({"spec", "vpc"}));
        add_of(peering.string({"spec", "peerVpc"}));
    });
    world.pods.on_change([&world, &queue](const ObjectPtr& before, const ObjectPtr& after) {
        if (leads_out_the_same(before, after)) return;
        std::set<std::string> ids;
        for (const ObjectPtr& pod : {before, after}) {
            if (!pod) continue;
            ids.insert({pod->key().text(), std::string(pod->name()),
                        std::string(pod->annotation(cloud::allocated_eni_annotation))});
        }
        for (const std::string& id : ids)
            for (const ObjectKey& table : world.tables_by_hop.keys(id)) queue.add(table);
    });
    world.namespaces.on_change([&world, &queue](const ObjectPtr& before, const ObjectPtr& after) {
        const bool same = before && after &&
                          before->label(cloud::allow_forwarding) == after->label(cloud::allow_forwarding) &&
                          before->annotation(cloud::vpc_annotation) == after->annotation(cloud::vpc_annotation);
        if (same) return;
        world.route_tables.for_each([&](const ObjectPtr& table) { queue.add(table->key()); });
    });
}

}  // namespace weft::controller
