// ReplicaSet: keeps as many pods of its template as spec.replicas says. Counts what it has just created or deleted even
// when no watch has told of it yet (view.h), so a late cache never makes it do a thing twice.
#include <fmt/format.h>

#include "base/log.h"
#include "controller/reconcilers.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

constexpr size_t name_base_max = 58;  // generateName's base (API-32)
constexpr int64_t burst_max = 50;     // pods created or deleted at one look; the rest at the next

bool is_owned_by(const Object& pod, const Object& set) {
    for (const kube::OwnerReference& owner : pod.owners()) {
        if (owner.controller) return owner.uid == set.uid();
    }
    return false;
}

bool has_controller(const Object& pod) {
    for (const kube::OwnerReference& owner : pod.owners()) {
        if (owner.controller) return true;
    }
    return false;
}

// Pods that count; a stranger without a controller that the selector matches becomes ours.
Result<std::vector<ObjectPtr>> pods_of(World& world, const Object& set) {
    std::vector<ObjectPtr> mine, strangers;
    const json::Value* const selector = set.find({"spec", "selector"});
    for (const ObjectPtr& pod : world.pods_with(set.ns(), set.find({"spec", "selector", "matchLabels"}))) {
        if (pod->deleting() || is_terminal(*pod) || !kube::selector_matches(selector, pod->labels())) continue;
        if (is_owned_by(*pod, set)) mine.push_back(pod);
        else if (!has_controller(*pod)) strangers.push_back(pod);
    }
    for (const ObjectPtr& pod : strangers) {
        Object next = *pod;
        next.set_controller_owner(set);
        TRY(world.pods.put(*pod, next));
        mine.push_back(std::make_shared<const Object>(std::move(next)));
    }
    return mine;
}

Object new_pod(const Object& set) {
    Object pod = Object::of(kube::pods, {std::string(set.ns()), ""});
    json::erase(pod.body(), {"metadata", "name"});
    pod.set({"metadata", "generateName"}, json::Value(std::string(set.name().substr(0, name_base_max - 1)) + "-"));
    for (const std::string_view part : {"labels", "annotations", "finalizers"}) {
        if (const json::Value* const value = set.find({"spec", "template", "metadata", part}))
            pod.set({"metadata", part}, *value);
    }
    if (const json::Value* const spec = set.find({"spec", "template", "spec"})) pod.set({"spec"}, *spec);
    pod.set_controller_owner(set);
    return pod;
}

// Which pod goes first: not bound, not ready, then the youngest.
int rank(const Object& pod) {
    if (pod.string({"spec", "nodeName"}).empty()) return 0;
    if (pod.string({"status", "phase"}) != "Running") return 1;
    return is_ready(pod) ? 3 : 2;
}

void order_for_removal(std::vector<ObjectPtr>& pods) {
    std::sort(pods.begin(), pods.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
        const int ra = rank(*a), rb = rank(*b);
        if (ra != rb) return ra < rb;
        const auto made_a = a->string({"metadata", "creationTimestamp"}),
                   made_b = b->string({"metadata", "creationTimestamp"});
        if (made_a != made_b) return made_a > made_b;
        return a->name() < b->name();
    });
}

Status create_pods(World& world, const Object& set, int64_t count) {
    for (int64_t i = 0; i < std::min(count, burst_max); ++i) {
        const auto created = world.pods.create(new_pod(set));
        if (!created) {
            world.events.warning(set, "FailedCreate", "Error creating: " + created.error().message);
            return fail(created.error());
        }
        world.events.normal(set, "SuccessfulCreate", fmt::format("Created pod: {}", created->name()));
    }
    return {};
}

Status delete_pods(World& world, const Object& set, std::vector<ObjectPtr> pods, int64_t count) {
    order_for_removal(pods);
    for (int64_t i = 0; i < std::min(count, burst_max); ++i) {
        TRY(world.pods.remove(*pods[size_t(i)]));
        world.events.normal(set, "SuccessfulDelete", fmt::format("Deleted pod: {}", pods[size_t(i)]->name()));
    }
    return {};
}

// Ready for at least minReadySeconds. `wait` becomes the shortest time until another pod is.
bool is_available(const Object& pod, Duration min_ready, WallTime now, Duration& wait) {
    if (!is_ready(pod)) return false;
    if (min_ready == Duration::zero()) return true;
    WallTime since;
    const json::Value* const ready = kube::find_condition(pod, "Ready");
    if (!parse_rfc3339(std::string(json::find_string(*ready, {"lastTransitionTime"})), since)) return false;
    const Duration left = since + min_ready - now;
    if (left <= Duration::zero()) return true;
    wait = wait == Duration::zero() ? left : std::min(wait, left);
    return false;
}

Result<Duration> write_status(World& world, const ObjectKey& key, const std::vector<ObjectPtr>& pods,
                              const Status& managed) {
    const ObjectPtr set = world.replica_sets.get(key);
    if (!set) return Duration::zero();
    const Duration min_ready = std::chrono::seconds(set->integer({"spec", "minReadySeconds"}));
    int64_t ready = 0, available = 0;
    Duration wait{};
    for (const ObjectPtr& pod : pods) {
        ready += is_ready(*pod);
        available += is_available(*pod, min_ready, world.clock.wall(), wait);
    }
    Object next = *set;
    next.set({"status", "replicas"}, int64_t(pods.size()));
    const std::pair<std::string_view, int64_t> counts[] = {
        {"fullyLabeledReplicas", int64_t(pods.size())}, {"readyReplicas", ready}, {"availableReplicas", available}};
    for (const auto& [name, count] : counts) {
        if (count != 0) next.set({"status", name}, count);
        else json::erase(next.body(), {"status", name});
    }
    next.set({"status", "observedGeneration"}, set->generation());
    const bool was_failing = kube::find_condition(*set, "ReplicaFailure") != nullptr;
    if (!managed && managed.error().code != Code::conflict) {
        kube::set_condition(next, "ReplicaFailure", true, "FailedCreate", managed.error().message, world.clock);
    } else if (was_failing && managed) {
        json::erase(next.body(), {"status", "conditions"});  // the only condition a ReplicaSet has
    }
    TRY(world.replica_sets.put_status(*set, next));
    return wait;
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr set = world.replica_sets.get(key);
    if (!set || set->deleting()) return Outcome::done();
    const auto pods = pods_of(world, *set);
    if (!pods) return settle(fail(pods.error()));
    const int64_t missing = set->integer({"spec", "replicas"}, 1) - int64_t(pods->size());
    Status managed;
    if (missing > 0) managed = create_pods(world, *set, missing);
    if (missing < 0) managed = delete_pods(world, *set, *pods, -missing);

    const auto counted = pods_of(world, *set);
    if (!counted) return settle(fail(counted.error()));
    const auto wait = write_status(world, key, *counted, managed);
    if (!wait) return settle(fail(wait.error()));
    if (!managed) return settle(managed);
    if (std::abs(missing) > burst_max) return Outcome::again(Duration::zero());
    return *wait > Duration::zero() ? Outcome::again(*wait) : Outcome::done();
}

}  // namespace

void add_replica_set_reconciler(World& world) {
    auto& queue =
        world.brain.add_reconciler("replica_set", [&world](const ObjectKey& key) { return reconcile(world, key); });
    world.replica_sets.on_change([&queue](const ObjectPtr&, const ObjectPtr& after) {
        if (after) queue.add(after->key());
    });
    world.pods.on_change([&world, &queue](const ObjectPtr& before, const ObjectPtr& after) {
        const Object& pod = after ? *after : *before;
        bool owned = false;
        for (const ObjectPtr& side : {before, after}) {
            if (!side) continue;
            for (const kube::OwnerReference& owner : side->owners()) {
                if (!owner.controller) continue;
                owned = true;
                if (owner.kind == "ReplicaSet") queue.add({std::string(pod.ns()), owner.name});
            }
        }
        if (owned || before) return;
        world.replica_sets.for_each_in(pod.ns(), [&](const ObjectPtr& set) {  // a stranger may fit one of them
            if (kube::selector_matches(set->find({"spec", "selector"}), pod.labels())) queue.add(set->key());
        });
    });
}

}  // namespace weft::controller
