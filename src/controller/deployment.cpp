// Deployment: keeps one ReplicaSet per template it ever had, and moves the pods from the old ones to the current one as
// rollout.h says. A revision number on each lets a person go back.
#include <fmt/format.h>

#include "base/log.h"
#include "base/strings.h"
#include "controller/reconcilers.h"
#include "controller/rollout.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

constexpr std::string_view revision_annotation = "deployment.kubernetes.io/revision";
constexpr std::string_view hash_label = "pod-template-hash";
constexpr int64_t history_limit_default = 10;

struct Family {
    ObjectPtr current;           // has the Deployment's template; null until made
    std::vector<ObjectPtr> old;  // the others
};

int64_t revision_of(const Object& object) {
    return int64_t(parse_unsigned(object.annotation(revision_annotation)).value_or(0));
}

bool is_owned_by(const Object& object, const Object& owner) {
    for (const kube::OwnerReference& reference : object.owners()) {
        if (reference.controller && reference.uid == owner.uid()) return true;
    }
    return false;
}

const json::Value& template_of(const Object& object) {
    static const json::Value none;
    const json::Value* const found = object.find({"spec", "template"});
    return found == nullptr ? none : *found;
}

Family family_of(const World& world, const Object& deployment) {
    Family family;
    world.replica_sets.for_each_in(deployment.ns(), [&](const ObjectPtr& set) {
        if (!is_owned_by(*set, deployment) || set->deleting()) return;
        // Of two with this template (a collision that a restart left) the older is current.
        if (!same_template(template_of(*set), template_of(deployment))) return family.old.push_back(set);
        if (!family.current) return void(family.current = set);
        const bool older =
            set->string({"metadata", "creationTimestamp"}) < family.current->string({"metadata", "creationTimestamp"});
        family.old.push_back(older ? std::exchange(family.current, set) : set);
    });
    return family;
}

ReplicaSetState state_of(const Object& set) {
    return {std::string(set.name()),
            std::string(set.string({"metadata", "creationTimestamp"})),
            set.integer({"spec", "replicas"}, 1),
            set.integer({"status", "replicas"}),
            set.integer({"status", "readyReplicas"}),
            set.integer({"status", "availableReplicas"})};
}

std::vector<ReplicaSetState> states_of(const std::vector<ObjectPtr>& sets) {
    std::vector<ReplicaSetState> states;
    for (const ObjectPtr& set : sets) states.push_back(state_of(*set));
    return states;
}

Object new_replica_set(const Object& deployment, const Family& family, const RolloutSettings& settings,
                       int64_t collisions) {
    const std::string hash = template_hash(template_of(deployment), collisions);
    Object set =
        Object::of(kube::replica_sets, {std::string(deployment.ns()), fmt::format("{}-{}", deployment.name(), hash)});
    set.set({"spec"}, json::Object{{"replicas", first_replicas(settings, states_of(family.old))},
                                   {"selector", *deployment.find({"spec", "selector"})},
                                   {"template", template_of(deployment)}});
    if (const int64_t seconds = deployment.integer({"spec", "minReadySeconds"}); seconds > 0)
        set.set({"spec", "minReadySeconds"}, seconds);
    set.set({"spec", "selector", "matchLabels", hash_label}, json::Value(hash));
    set.set({"spec", "template", "metadata", "labels", hash_label}, json::Value(hash));
    for (const auto& [name, value] : Object(template_of(deployment)).labels()) set.set_label(name, value);
    set.set_label(hash_label, hash);
    set.set_controller_owner(deployment);
    return set;
}

// Makes the ReplicaSet of the current template; done again after a restart it meets its own work by name.
Result<ObjectPtr> ensure_current(World& world, const Object& deployment, const Family& family,
                                 const RolloutSettings& settings) {
    if (family.current) return family.current;
    const int64_t collisions = deployment.integer({"status", "collisionCount"});
    const Object wanted = new_replica_set(deployment, family, settings, collisions);
    const auto created = world.replica_sets.create(wanted);
    if (created) {
        world.events.normal(
            deployment, "ScalingReplicaSet",
            fmt::format("Scaled up replica set {} to {}", wanted.name(), wanted.integer({"spec", "replicas"})));
        return std::make_shared<const Object>(*created);
    }
    if (created.error().code != Code::already_exists) return fail(created.error());
    const Object existing = TRY(world.client().get(kube::replica_sets, wanted.key()));
    if (is_owned_by(existing, deployment) && same_template(template_of(existing), template_of(deployment)))
        return std::make_shared<const Object>(existing);
    Object next = deployment;  // the name belongs to another template: the next look uses another one
    next.set({"status", "collisionCount"}, collisions + 1);
    TRY(world.deployments.put_status(deployment, next));
    return fail(Code::conflict, fmt::format("replica set {} has another template", wanted.name()));
}

// Revisions: the current set's is one above all others'; the Deployment shows the same.
Status number_revisions(World& world, const Object& deployment, const Object& current, const Family& family) {
    int64_t highest_old = 0;
    for (const ObjectPtr& set : family.old) highest_old = std::max(highest_old, revision_of(*set));
    int64_t revision = revision_of(current);
    if (revision <= highest_old) {
        revision = highest_old + 1;
        Object next = current;
        next.set_annotation(revision_annotation, std::to_string(revision));
        TRY(world.replica_sets.put(current, next));
    }
    if (revision_of(deployment) == revision) return {};
    Object next = deployment;
    next.set_annotation(revision_annotation, std::to_string(revision));
    return world.deployments.put(deployment, next);
}

Status scale(World& world, const Object& deployment, const Scale& wanted) {
    const ObjectPtr set = world.replica_sets.get(ObjectKey{std::string(deployment.ns()), wanted.name});
    if (!set) return {};
    const int64_t before = set->integer({"spec", "replicas"}, 1);
    Object next = *set;
    next.set({"spec", "replicas"}, wanted.replicas);
    TRY(world.replica_sets.put(*set, next));
    if (before != wanted.replicas)
        world.events.normal(
            deployment, "ScalingReplicaSet",
            fmt::format("Scaled {} replica set {} from {} to {}", wanted.replicas > before ? "up" : "down", wanted.name,
                        before, wanted.replicas));
    return {};
}

Status forget_history(World& world, const Object& deployment, std::vector<ObjectPtr> old) {
    const int64_t limit = deployment.integer({"spec", "revisionHistoryLimit"}, history_limit_default);
    std::erase_if(old, [](const ObjectPtr& set) {
        return set->integer({"spec", "replicas"}) != 0 || set->integer({"status", "replicas"}) != 0;
    });
    std::sort(old.begin(), old.end(),
              [](const ObjectPtr& a, const ObjectPtr& b) { return revision_of(*a) < revision_of(*b); });
    for (size_t i = 0; i + size_t(std::max<int64_t>(0, limit)) < old.size(); ++i)
        TRY(world.replica_sets.remove(*old[i]));
    return {};
}

void set_counts(Object& next, const ReplicaSetState& current, const std::vector<ReplicaSetState>& old, int64_t wanted) {
    int64_t existing = current.existing, ready = current.ready, available = current.available;
    for (const ReplicaSetState& set : old) {
        existing += set.existing;
        ready += set.ready;
        available += set.available;
    }
    const std::pair<std::string_view, int64_t> counts[] = {
        {"replicas", existing},
        {"updatedReplicas", current.existing},
        {"readyReplicas", ready},
        {"availableReplicas", available},
        {"unavailableReplicas", std::max<int64_t>(0, std::max(existing, wanted) - available)}};
    for (const auto& [name, count] : counts) {  // zeros are left out, as Kubernetes does
        if (count != 0) next.set({"status", name}, count);
        else json::erase(next.body(), {"status", name});
    }
}

Status write_status(World& world, const ObjectKey& key, const Object& current, const Family& family,
                    const RolloutSettings& settings) {
    const ObjectPtr deployment = world.deployments.get(key);
    if (!deployment) return {};
    Object next = *deployment;
    const ReplicaSetState now = state_of(current);
    set_counts(next, now, states_of(family.old), settings.replicas);
    next.set({"status", "observedGeneration"}, deployment->generation());

    const bool enough = next.integer({"status", "availableReplicas"}) >= settings.replicas - settings.max_unavailable;
    kube::set_condition(
        next, "Available", enough, enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
        enough ? "Deployment has minimum availability." : "Deployment does not have minimum availability.",
        world.clock);
    const bool complete = now.existing == settings.replicas && now.available == settings.replicas &&
                          next.integer({"status", "replicas"}) == settings.replicas;
    kube::set_condition(next, "Progressing", true, complete ? "NewReplicaSetAvailable" : "ReplicaSetUpdated",
                        complete ? fmt::format("ReplicaSet \"{}\" has successfully progressed.", current.name())
                                 : fmt::format("ReplicaSet \"{}\" is progressing.", current.name()),
                        world.clock);
    return world.deployments.put_status(*deployment, next);
}

Status reconcile(World& world, const ObjectPtr& deployment) {
    const RolloutSettings settings = rollout_settings(deployment->body());
    Family family = family_of(world, *deployment);
    if (deployment->boolean({"spec", "paused"}) && !family.current) return {};
    const ObjectPtr current = TRY(ensure_current(world, *deployment, family, settings));
    TRY(number_revisions(world, *deployment, *current, family));
    if (deployment->boolean({"spec", "paused"})) {
        if (family.old.empty()) TRY(scale(world, *deployment, {std::string(current->name()), settings.replicas}));
    } else {
        for (const Scale& wanted : next_scales(settings, state_of(*current), states_of(family.old)))
            TRY(scale(world, *deployment, wanted));
        TRY(forget_history(world, *deployment, family.old));
    }
    return write_status(world, deployment->key(), *current, family, settings);
}

}  // namespace

void add_deployment_reconciler(World& world) {
    auto& queue = world.brain.add_reconciler("deployment", [&world](const ObjectKey& key) {
        const ObjectPtr deployment = world.deployments.get(key);
        if (!deployment || deployment->deleting()) return Outcome::done();
        return settle(reconcile(world, deployment));
    });
    world.deployments.on_change([&queue](const ObjectPtr&, const ObjectPtr& after) {
        if (after) queue.add(after->key());
    });
    world.replica_sets.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        const Object& set = after ? *after : *before;
        for (const kube::OwnerReference& owner : set.owners()) {
            if (owner.kind == "Deployment") queue.add({std::string(set.ns()), owner.name});
        }
    });
}

}  // namespace weft::controller
