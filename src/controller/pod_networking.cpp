// PodNetworking: says whether its vSwitches are there (status Ready or Fail), again every 30 s while one is missing.
// Which pods it gets is decided in pod_profile.cpp. Source: spec/acs.md §3.4.
#include "controller/pod_profile.h"
#include "controller/reconcilers.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

constexpr Duration look_again = std::chrono::seconds(30);

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr object = world.pod_networkings.get(key);
    if (!object || object->deleting()) return Outcome::done();
    const NetworkingState state = judge_pod_networking(world, *object);
    const bool ready = state.problem.empty();
    json::Array vswitches;
    for (const cloud::VSwitch& vswitch : state.vswitches)
        vswitches.push_back(json::Object{{"id", vswitch.name}, {"zone", vswitch.zone}});
    json::Object status{{"status", ready ? "Ready" : "Fail"}, {"vSwitches", std::move(vswitches)}};
    if (!ready) status["message"] = state.problem;
    // The time alone is no reason to write.
    json::Object shown;
    if (const json::Object* const now = json::find_object(object->body(), {"status"})) shown = *now;
    const std::string updated(object->string({"status", "updateAt"}));
    shown.erase("updateAt");
    const Outcome next_look = ready ? Outcome::done() : Outcome::again(look_again);
    if (shown == status && !updated.empty()) return next_look;
    Object next = *object;
    status["updateAt"] = rfc3339(world.clock.wall());
    next.set({"status"}, std::move(status));
    if (const Status written = world.pod_networkings.put_status(*object, next); !written) return settle(written);
    if (ready)
        world.events.normal(*object, "SyncPodNetworkingSucceed", "Synced");
    else
        world.events.warning(*object, "SyncPodNetworkingFailed", state.problem);
    return next_look;
}

}  // namespace

void add_pod_networking_reconciler(World& world) {
    auto& queue =
        world.brain.add_reconciler("pod_networking", [&world](const ObjectKey& key) { return reconcile(world, key); });
    world.pod_networkings.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        const bool same = before && after && before->generation() == after->generation();
        if (after && !same) queue.add(after->key());
    });
    world.vswitches.on_change([&world, &queue](const ObjectPtr& before, const ObjectPtr& after) {
        if (before && after) return;
        world.pod_networkings.for_each([&](const ObjectPtr& networking) { queue.add(networking->key()); });
    });
}

}  // namespace weft::controller
