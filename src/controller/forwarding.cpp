// Forwarding: a pod that asks to forward others' packets, in a namespace whose administrator has not allowed it, is
// told so by an Event; it runs, but forwards nothing.
#include <fmt/format.h>

#include "cloud/annotations.h"
#include "controller/reconcilers.h"

namespace weft::controller {
namespace {

using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr pod = world.pods.get(key);
    if (!pod || pod->deleting() || !cloud::asks_to_forward(pod->body())) return Outcome::done();
    const ObjectPtr ns = world.namespaces.get(key.ns);
    const std::string refusal = cloud::forwarding_refusal(pod->body(), ns ? &ns->body() : nullptr);
    if (!refusal.empty())
        world.events.warning(*pod, "ForwardingNotAllowed",
                             fmt::format("metadata.annotations[{}]: {}", cloud::allow_forwarding, refusal));
    return Outcome::done();
}

}  // namespace

void add_forwarding_reconciler(World& world) {
    auto& queue =
        world.brain.add_reconciler("forwarding", [&world](const ObjectKey& key) { return reconcile(world, key); });
    world.pods.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        const bool is_told = before && cloud::asks_to_forward(before->body());
        if (after && !is_told && cloud::asks_to_forward(after->body())) queue.add(after->key());
    });
    world.namespaces.on_change([&world, &queue](const ObjectPtr& before, const ObjectPtr& after) {
        if (!before || !after) return;
        if (before->label(cloud::allow_forwarding) == after->label(cloud::allow_forwarding)) return;
        world.pods.for_each_in(after->name(), [&](const ObjectPtr& pod) { queue.add(pod->key()); });
    });
}

}  // namespace weft::controller
