// Pod annotations: what the cloud writes back on a pod once its address is taken: interface, VPC, vSwitch, region, zone
// (spec/acs.md §3.2). The block's status, written by the node's agent, is what tells us.
#include "cloud/annotations.h"
#include "controller/reconcilers.h"
#include "controller/reservations.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr pod = world.pods.get(key);
    if (!pod || pod->deleting() || pod->annotation(cloud::chosen_vswitch_annotation).empty()) return Outcome::done();
    const ObjectPtr block = world.block_of(*pod);
    if (!block) return Outcome::done();
    const std::string_view vswitch_name = block->string({"spec", "vSwitch"});
    const ObjectPtr vswitch = world.vswitches.get(vswitch_name);
    if (!vswitch) return Outcome::done();
    const std::map<std::string_view, std::string> wanted = {
        {cloud::allocated_eni_annotation, eni_id(pod->uid())},
        {cloud::vpc_id_annotation, std::string(block->string({"spec", "vpc"}))},
        {cloud::vswitch_id_annotation, std::string(vswitch_name)},
        {cloud::region_label, world.region},
        {cloud::zone_label, std::string(vswitch->string({"spec", "zone"}))},
    };
    json::Object missing;
    for (const auto& [name, value] : wanted) {
        if (pod->annotation(name) != value) missing[name] = value;
    }
    if (missing.empty()) return Outcome::done();
    const json::Value patch = json::Object{{"metadata", json::Object{{"annotations", std::move(missing)}}}};
    const auto patched = world.pods.merge(key, patch);
    if (patched || patched.error().code == Code::not_found) return Outcome::done();
    return settle(fail(patched.error()));
}

}  // namespace

void add_pod_annotator(World& world) {
    auto& queue =
        world.brain.add_reconciler("pod_annotation", [&world](const ObjectKey& key) { return reconcile(world, key); });
    world.address_blocks.on_change([&queue](const ObjectPtr&, const ObjectPtr& after) {
        if (!after) return;
        for (const json::Value& allocation : after->array({"status", "allocations"}))
            queue.add({std::string(json::find_string(allocation, {"namespace"})),
                       std::string(json::find_string(allocation, {"name"}))});
    });
    world.pods.on_change([&queue](const ObjectPtr&, const ObjectPtr& after) {
        if (after && !after->annotation(cloud::chosen_vswitch_annotation).empty()) queue.add(after->key());
    });
}

}  // namespace weft::controller
