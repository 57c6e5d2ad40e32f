// Ingress: shows in status the address its traffic enters by: its VPC's address for our class. Taken away again when
// the class is not ours any more.
#include "cloud/annotations.h"
#include "controller/reconcilers.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

std::string address_of_vpc(const World& world, std::string_view ns) {
    const auto vpc = world.vpc_of(ns);
    if (!vpc) return "";
    const ObjectPtr object = world.vpcs.get(vpc->name);
    return object ? std::string(object->string({"status", "ingressAddresses", cloud::ingress_class_controller})) : "";
}

bool shows(const Object& ingress, const std::string& address) {
    const json::Array& entries = ingress.array({"status", "loadBalancer", "ingress"});
    return entries.size() == 1 && json::find_string(entries[0], {"ip"}) == address;
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr ingress = world.ingresses.get(key);
    if (!ingress || ingress->deleting()) return Outcome::done();
    const std::string address = address_of_vpc(world, key.ns);
    if (address.empty()) return Outcome::done();
    Object next = *ingress;
    if (world.is_our_ingress(*ingress)) {
        if (shows(*ingress, address)) return Outcome::done();
        next.set({"status", "loadBalancer", "ingress"}, json::Array{json::Object{{"ip", address}}});
    } else {
        if (!shows(*ingress, address)) return Outcome::done();  // another controller's status is its own
        next.set({"status", "loadBalancer"}, json::Object{});
    }
    return settle(world.ingresses.put_status(*ingress, next));
}

}  // namespace

void add_ingress_reconciler(World& world) {
    auto& queue =
        world.brain.add_reconciler("ingress", [&world](const ObjectKey& key) { return reconcile(world, key); });
    const auto all = [&world, &queue](const ObjectPtr&, const ObjectPtr&) {
        world.ingresses.for_each([&](const ObjectPtr& ingress) { queue.add(ingress->key()); });
    };
    world.ingresses.on_change([&queue](const ObjectPtr&, const ObjectPtr& after) {
        if (after) queue.add(after->key());
    });
    world.ingress_classes.on_change(all);
    world.vpcs.on_change(all);
    world.namespaces.on_change(all);
}

}  // namespace weft::controller
