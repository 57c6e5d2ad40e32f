// Garbage: an object all of whose owners are gone is deleted; an owner deleted in the foreground waits for the
// dependents that block it; one deleted as an orphan lets them go first. Whether an owner is gone is asked of the API
// itself, by uid, before anything is deleted: a cache may be late. Source: spec/kubernetes.md API-95, API-96.
#include <set>

#include <fmt/format.h>

#include "base/log.h"
#include "controller/reconcilers.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

constexpr std::string_view foreground_finalizer = "foregroundDeletion";
constexpr std::string_view orphan_finalizer = "orphan";
constexpr Duration sweep_period = std::chrono::minutes(5);

// The kinds that have owners or are owners.
std::vector<View*> owned_kinds(World& world) {
    return {&world.pods,     &world.replica_sets, &world.endpoint_slices, &world.deployments,
            &world.services, &world.ingresses,    &world.service_accounts};
}

std::string_view uid_of(const json::Value& reference) { return json::find_string(reference, {"uid"}); }

// Is the very object that the reference means still there?
Result<bool> exists(World& world, const json::Value& reference, std::string_view dependent_ns) {
    const kube::Resource* const resource =
        kube::find_resource(json::find_string(reference, {"apiVersion"}), json::find_string(reference, {"kind"}));
    if (resource == nullptr) return true;  // a kind we do not know: not ours to judge
    const ObjectKey key{resource->namespaced ? std::string(dependent_ns) : "",
                        std::string(json::find_string(reference, {"name"}))};
    for (View* const view : owned_kinds(world)) {
        if (!(view->resource() == *resource)) continue;
        const ObjectPtr cached = view->get(key);
        if (cached && cached->uid() == uid_of(reference)) return true;
    }
    const auto live = world.client().get(*resource, key);
    if (!live && live.error().code == Code::not_found) return false;
    if (!live) return fail(live.error());
    return live->uid() == uid_of(reference);
}

struct Dependent {
    View* view;
    ObjectPtr object;
    bool blocks = false;
};

std::vector<Dependent> dependents_of(World& world, const Object& owner) {
    std::vector<Dependent> dependents;
    for (View* const view : owned_kinds(world)) {
        view->for_each([&](const ObjectPtr& object) {
            for (const json::Value& reference : object->array({"metadata", "ownerReferences"})) {
                if (uid_of(reference) == owner.uid())
                    dependents.push_back({view, object, json::find_bool(reference, {"blockOwnerDeletion"})});
            }
        });
    }
    return dependents;
}

Status drop_finalizer(View& view, const ObjectKey& key, std::string_view finalizer) {
    const ObjectPtr current = view.get(key);
    if (!current) return {};
    Object next = *current;
    next.remove_finalizer(finalizer);
    return view.put(*current, next);
}

Status finish_foreground(World& world, View& view, const Object& owner) {
    bool waits = false;
    for (const Dependent& dependent : dependents_of(world, owner)) {
        waits = waits || dependent.blocks;
        if (dependent.object->deleting()) continue;
        TRY(dependent.view->remove(
            *dependent.object,
            {.uid = {}, .propagation_policy = dependent.blocks ? "Foreground" : "", .grace_period_s = -1}));
    }
    return waits ? Status{} : drop_finalizer(view, owner.key(), foreground_finalizer);
}

Status let_orphans_go(World& world, View& view, const Object& owner) {
    for (const Dependent& dependent : dependents_of(world, owner)) {
        json::Array kept;
        for (const json::Value& reference : dependent.object->array({"metadata", "ownerReferences"})) {
            if (uid_of(reference) != owner.uid()) kept.push_back(reference);
        }
        Object next = *dependent.object;
        if (kept.empty()) json::erase(next.body(), {"metadata", "ownerReferences"});
        else next.set({"metadata", "ownerReferences"}, std::move(kept));
        TRY(dependent.view->put(*dependent.object, next));
    }
    return drop_finalizer(view, owner.key(), orphan_finalizer);
}

Status collect(World& world, View& view, const Object& object) {
    const json::Array& owners = object.array({"metadata", "ownerReferences"});
    if (owners.empty()) return {};
    for (const json::Value& reference : owners) {
        if (TRY(exists(world, reference, object.ns()))) return {};
    }
    log::info("collecting, all owners are gone", {{"kind", view.resource().kind}, {"object", object.key().text()}});
    return view.remove(object);
}

Outcome reconcile(World& world, View& view, const ObjectKey& key) {
    const ObjectPtr object = view.get(key);
    if (!object) return Outcome::done();
    if (!object->deleting()) return settle(collect(world, view, *object));
    if (object->has_finalizer(orphan_finalizer)) return settle(let_orphans_go(world, view, *object));
    if (object->has_finalizer(foreground_finalizer)) return settle(finish_foreground(world, view, *object));
    return Outcome::done();
}

}  // namespace

void add_garbage_collector(World& world) {
    // One queue per kind; a change of one kind may wake another's: its dependents, or the owner that waits for it.
    struct Kinds {
        std::vector<View*> views;
        std::vector<kube::Brain::Queue*> queues;
    };
    const auto kinds = std::make_shared<Kinds>();
    kinds->views = owned_kinds(world);
    for (View* const view : kinds->views) {
        kinds->queues.push_back(
            &world.brain.add_reconciler(fmt::format("garbage_{}", view->resource().plural),
                                        [&world, view](const ObjectKey& key) { return reconcile(world, *view, key); }));
    }
    const auto wake_dependents = [kinds](const Object& owner) {
        for (size_t i = 0; i < kinds->views.size(); ++i) {
            kinds->views[i]->for_each([&](const ObjectPtr& object) {
                for (const json::Value& reference : object->array({"metadata", "ownerReferences"})) {
                    if (uid_of(reference) == owner.uid()) kinds->queues[i]->add(object->key());
                }
            });
        }
    };
    const auto wake_owners = [kinds](const Object& dependent) {
        for (const kube::OwnerReference& owner : dependent.owners()) {
            for (size_t i = 0; i < kinds->views.size(); ++i) {
                if (kinds->views[i]->resource().kind == owner.kind)
                    kinds->queues[i]->add({std::string(dependent.ns()), owner.name});
            }
        }
    };
    for (size_t i = 0; i < kinds->views.size(); ++i) {
        auto& queue = *kinds->queues[i];
        kinds->views[i]->on_change(
            [&queue, wake_dependents, wake_owners](const ObjectPtr& before, const ObjectPtr& after) {
                if (!after) {
                    wake_dependents(*before);
                    wake_owners(*before);
                } else if (!before || after->deleting()) {
                    queue.add(after->key());
                }
            });
    }
    // Nodes own nothing that has a queue here; a missed end (its owner's deletion fell between two lists) is found by
    // time.
    world.brain.every(sweep_period, [kinds] {
        for (size_t i = 0; i < kinds->views.size(); ++i)
            kinds->views[i]->for_each([&](const ObjectPtr& object) { kinds->queues[i]->add(object->key()); });
    });
}

}  // namespace weft::controller
