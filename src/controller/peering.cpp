// VPCPeering: joins two VPCs of this cluster at once (there is one account), or says why not; counts the routes that
// lead over it. A deleted one is Deleting until no route is Active over it any more.
#include <algorithm>

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
    const auto peering = cloud::parse_peering(object.body());
    if (!peering) return {"Invalid", peering.error().message};
    const auto vpcs = world.valid_vpcs();
    const auto find = [&](std::string_view name) {
        const auto found = std::find_if(vpcs.begin(), vpcs.end(), [&](const cloud::Vpc& v) { return v.name == name; });
        return found == vpcs.end() ? nullptr : &*found;
    };
    std::vector<cloud::Peering> others;
    world.vpc_peerings.for_each([&](const ObjectPtr& other) {
        if (auto parsed = cloud::parse_peering(other->body()); parsed && !other->deleting())
            others.push_back(std::move(*parsed));
    });
    const Status checked = cloud::check_peering(*peering, find(peering->vpc), find(peering->peer), others);
    if (checked) return {};
    const std::string& message = checked.error().message;
    switch (checked.error().code) {
        case Code::not_found: return {"VPCNotFound", message};
        case Code::conflict: return {"CIDROverlap", message};
        case Code::already_exists: return {"PeeringExists", message};
        default: return {"Invalid", message};
    }
}

int64_t routes_over(const World& world, std::string_view peering, std::string_view vpc) {
    int64_t count = 0;
    world.route_tables.for_each([&](const ObjectPtr& table) {
        if (table->string({"spec", "vpc"}) != vpc) return;
        for (const cloud::ActiveRoute& route : cloud::active_routes(table->body()))
            count += route.type == cloud::HopType::vpc_peer && route.id == peering;
    });
    return count;
}

Status refresh(World& world, const Object& object) {
    Object next = object;
    if (!object.deleting() && !object.has_finalizer(cloud::cloud_finalizer)) {
        next.add_finalizer(cloud::cloud_finalizer);
        return world.vpc_peerings.put(object, next);  // the change brings us back here
    }
    const int64_t routes = routes_over(world, object.name(), object.string({"spec", "vpc"}));
    const int64_t peer_routes = routes_over(world, object.name(), object.string({"spec", "peerVpc"}));
    next.set({"status", "observedGeneration"}, object.generation());
    next.set({"status", "routeCount"}, routes);
    next.set({"status", "peerRouteCount"}, peer_routes);
    if (object.deleting()) {
        next.set({"status", "state"}, cloud::peering_deleting);
        kube::set_condition(next, "Ready", false, "Deleting", "", world.clock);
        const bool is_told = object.string({"status", "state"}) == cloud::peering_deleting;
        const bool is_unused = is_told && routes + peer_routes == 0;
        if (!is_unused) return world.vpc_peerings.put_status(object, next);
        next = object;
        next.remove_finalizer(cloud::cloud_finalizer);
        return world.vpc_peerings.put(object, next);
    }
    const Judgement judgement = judge(world, object);
    const bool accepted = judgement.reason.empty();
    next.set({"status", "state"}, accepted ? cloud::peering_activated : cloud::peering_rejected);
    kube::set_condition(next, "Accepted", accepted, accepted ? "Accepted" : judgement.reason, judgement.message,
                        world.clock);
    kube::set_condition(next, "Ready", accepted, accepted ? "Activated" : judgement.reason, judgement.message,
                        world.clock);
    if (!accepted) world.events.warning(object, judgement.reason, judgement.message);
    return world.vpc_peerings.put_status(object, next);
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr peering = world.vpc_peerings.get(key);
    if (!peering || (peering->deleting() && !peering->has_finalizer(cloud::cloud_finalizer))) return Outcome::done();
    return settle(refresh(world, *peering));
}

}  // namespace

void add_peering_reconciler(World& world) {
    auto& queue =
        world.brain.add_reconciler("peering", [&world](const ObjectKey& key) { return reconcile(world, key); });
    const auto all = [&world, &queue](const ObjectPtr&, const ObjectPtr&) {
        world.vpc_peerings.for_each([&](const ObjectPtr& peering) { queue.add(peering->key()); });
    };
    world.vpc_peerings.on_change(all);
    world.vpcs.on_change(all);
    world.route_tables.on_change([&world, &queue](const ObjectPtr& before, const ObjectPtr& after) {
        const std::string_view vpc = (after ? after : before)->string({"spec", "vpc"});
        world.vpc_peerings.for_each([&](const ObjectPtr& peering) {
            if (peering->string({"spec", "vpc"}) == vpc || peering->string({"spec", "peerVpc"}) == vpc)
                queue.add(peering->key());
        });
    });
}

}  // namespace weft::controller
