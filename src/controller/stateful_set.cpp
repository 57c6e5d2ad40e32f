// StatefulSet: pods with a place: stable names <set>-<ordinal>, made and ended in order (ordinals.h), from templates
// that are kept (revisions.h). spec.hostname and spec.subdomain give each its name in DNS under the headless Service.
// volumeClaimTemplates are refused on the object: there is no storage here that could be claimed.
#include <map>

#include <fmt/format.h>

#include "base/log.h"
#include "controller/ordinals.h"
#include "controller/reconcilers.h"
#include "controller/revisions.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

constexpr std::string_view pod_name_label = "statefulset.kubernetes.io/pod-name";
constexpr std::string_view pod_index_label = "apps.kubernetes.io/pod-index";

// A pod's name rests before it is given again. Who waits for the end of the old pod by name, as kubectl delete does, asks
// for it, finds it ending, and only then lists and watches: a namesake that is there by then would be waited for for ever.
constexpr Duration name_rest = std::chrono::milliseconds(500);

using Places = std::map<int64_t, ObjectPtr>;  // by ordinal
using Gone = std::map<ObjectKey, MonotonicTime>;  // pods, and when that was heard; those within name_rest

// The controller's uid; "" = it has none.
std::string controller_uid(const Object& pod) {
    for (const kube::OwnerReference& owner : pod.owners()) {
        if (owner.controller) return owner.uid;
    }
    return "";
}

// A stranger without a controller that has a name and labels of ours becomes ours.
Result<Places> pods_of(World& world, const Object& set) {
    Places places;
    std::vector<ObjectPtr> strangers;
    const json::Value* const selector = set.find({"spec", "selector"});
    for (const ObjectPtr& pod : world.pods_with(set.ns(), set.find({"spec", "selector", "matchLabels"}))) {
        const auto ordinal = ordinal_of(set.name(), pod->name());
        if (!ordinal || !kube::selector_matches(selector, pod->labels())) continue;
        const std::string owner = controller_uid(*pod);
        if (owner == set.uid()) places[*ordinal] = pod;
        else if (owner.empty() && !pod->deleting()) strangers.push_back(pod);
    }
    for (const ObjectPtr& pod : strangers) {
        Object next = *pod;
        next.set_controller_owner(set);
        TRY(world.pods.put(*pod, next));
        places[*ordinal_of(set.name(), pod->name())] = std::make_shared<const Object>(std::move(next));
    }
    return places;
}

Object new_pod(const Object& set, int64_t ordinal, const Object& revision) {
    const std::string name = fmt::format("{}-{}", set.name(), ordinal);
    const json::Value pod_template = template_of(revision);
    Object pod = Object::of(kube::pods, {std::string(set.ns()), name});
    for (const std::string_view part : {"labels", "annotations", "finalizers"}) {
        if (const json::Value* const value = json::find(pod_template, {"metadata", part}))
            pod.set({"metadata", part}, *value);
    }
    if (const json::Value* const spec = json::find(pod_template, {"spec"})) pod.set({"spec"}, *spec);
    pod.set_label(pod_name_label, name);
    pod.set_label(pod_index_label, std::to_string(ordinal));
    pod.set_label(revision_label, revision.name());
    pod.set({"spec", "hostname"}, json::Value(name));
    const std::string_view service = set.string({"spec", "serviceName"});
    if (!service.empty()) pod.set({"spec", "subdomain"}, service);
    pod.set_controller_owner(set);
    return pod;
}

void shorten(Duration& wait, Duration left) { wait = wait == Duration::zero() ? left : std::min(wait, left); }

// Ready for at least minReadySeconds. `wait` becomes the shortest time until another pod is.
bool is_available(const Object& pod, Duration min_ready, WallTime now, Duration& wait) {
    if (!is_ready(pod) || is_terminal(pod)) return false;
    if (min_ready == Duration::zero()) return true;
    WallTime since;
    const json::Value* const ready = kube::find_condition(pod, "Ready");
    if (!parse_rfc3339(std::string(json::find_string(*ready, {"lastTransitionTime"})), since)) return false;
    const Duration left = since + min_ready - now;
    if (left <= Duration::zero()) return true;
    shorten(wait, left);
    return false;
}

struct Revisions {
    ObjectPtr current, update;
};

// `current` is what pods below the partition are made from: the last one that was rolled out to all.
Result<Revisions> find_revisions(World& world, const Object& set) {
    Revisions found;
    found.update = TRY(newest_revision(world, set));
    const ObjectPtr current = world.controller_revisions.get(
        ObjectKey{std::string(set.ns()), std::string(set.string({"status", "currentRevision"}))});
    found.current = current ? current : found.update;
    return found;
}

class StatefulSetLook {
public:
    StatefulSetLook(World& world, const Gone& gone, ObjectPtr set)
        : world_(world), gone_(gone), set_(std::move(set)), settings_(ordinal_settings(set_->body())),
          min_ready_(std::chrono::seconds(set_->integer({"spec", "minReadySeconds"}))) {}

    Outcome run() {
        if (!set_->array({"spec", "volumeClaimTemplates"}).empty()) {
            world_.events.warning(*set_, "VolumeClaimTemplatesNotSupported",
                                  "spec.volumeClaimTemplates: there is no storage to claim here; use emptyDir volumes");
            return settle(write_status({}, nullptr));
        }
        auto places = pods_of(world_, *set_);
        if (!places) return settle(fail(places.error()));
        const auto revisions = find_revisions(world_, *set_);
        if (!revisions) return settle(fail(revisions.error()));
        const Status managed = step(*places, *revisions);
        places = pods_of(world_, *set_);
        if (!places) return settle(fail(places.error()));
        const Status written = write_status(*places, &*revisions);
        if (!managed) return settle(managed);
        if (!written) return settle(written);
        return wait_ > Duration::zero() ? Outcome::again(wait_) : Outcome::done();
    }

private:
    std::vector<OrdinalPod> states(const Places& places, const Object& update) {
        std::vector<OrdinalPod> states;
        for (const auto& [ordinal, pod] : places)
            states.push_back({ordinal, pod->label(revision_label) == update.name(),
                              is_available(*pod, min_ready_, world_.clock.wall(), wait_), is_terminal(*pod),
                              pod->deleting()});
        return states;
    }

    Status step(const Places& places, const Revisions& revisions) {
        const OrdinalStep step = next_step(settings_, states(places, *revisions.update));
        for (const auto& make : step.makes) {
            const Object pod = new_pod(*set_, make.ordinal, make.updated ? *revisions.update : *revisions.current);
            if (rests(pod.key())) continue;
            const auto created = world_.pods.create(pod);
            if (!created) {
                world_.events.warning(*set_, "FailedCreate",
                                      fmt::format("create Pod {} in StatefulSet {} failed error: {}", pod.name(),
                                                  set_->name(), created.error().message));
                return fail(created.error());
            }
            world_.events.normal(*set_, "SuccessfulCreate",
                                 fmt::format("create Pod {} in StatefulSet {} successful", pod.name(), set_->name()));
        }
        for (const int64_t ordinal : step.ends) {
            const Object& pod = *places.at(ordinal);
            TRY(world_.pods.remove(pod));
            world_.events.normal(*set_, "SuccessfulDelete",
                                 fmt::format("delete Pod {} in StatefulSet {} successful", pod.name(), set_->name()));
        }
        return {};
    }

    bool rests(const ObjectKey& pod) {
        const auto found = gone_.find(pod);
        if (found == gone_.end()) return false;
        const Duration left = found->second + name_rest - world_.clock.now();
        if (left > Duration::zero()) shorten(wait_, left);
        return left > Duration::zero();
    }

    // No revisions: what the set asks for is refused.
    Status write_status(const Places& places, const Revisions* revisions) {
        const ObjectPtr set = world_.stateful_sets.get(set_->key());
        if (!set || set->uid() != set_->uid()) return {};
        int64_t ready = 0, available = 0, of_current = 0, of_update = 0;
        std::set<std::string> in_use;
        for (const auto& [ordinal, pod] : places) {
            ready += is_ready(*pod) && !is_terminal(*pod);
            available += is_available(*pod, min_ready_, world_.clock.wall(), wait_);
            in_use.emplace(pod->label(revision_label));
            of_current += revisions && !pod->deleting() && pod->label(revision_label) == revisions->current->name();
            of_update += revisions && !pod->deleting() && pod->label(revision_label) == revisions->update->name();
        }
        const auto total = int64_t(places.size());
        Object next = *set;
        next.set({"status", "replicas"}, total);
        next.set({"status", "observedGeneration"}, set_->generation());
        next.set({"status", "availableReplicas"}, available);
        if (next.find({"status", "collisionCount"}) == nullptr) next.set({"status", "collisionCount"}, 0);
        if (revisions) {
            ObjectPtr current = revisions->current;
            if (!settings_.on_delete && of_update == total && ready == total && total == settings_.replicas) {
                current = revisions->update;
                of_current = of_update;
            }
            next.set({"status", "currentRevision"}, current->name());
            next.set({"status", "updateRevision"}, revisions->update->name());
            in_use.emplace(current->name());
            in_use.emplace(revisions->update->name());
        }
        set_count(next, "readyReplicas", ready);
        set_count(next, "currentReplicas", of_current);
        set_count(next, "updatedReplicas", of_update);
        TRY(world_.stateful_sets.put_status(*set, next));
        return revisions ? forget_revisions(world_, *set_, in_use) : Status{};
    }

    static void set_count(Object& set, std::string_view name, int64_t count) {
        if (count != 0) set.set({"status", name}, count);
        else json::erase(set.body(), {"status", name});
    }

    World& world_;
    const Gone& gone_;
    const ObjectPtr set_;
    const OrdinalSettings settings_;
    const Duration min_ready_;
    Duration wait_{};
};

Outcome reconcile(World& world, const Gone& gone, const ObjectKey& key) {
    const ObjectPtr set = world.stateful_sets.get(key);
    if (!set || set->deleting()) return Outcome::done();
    return StatefulSetLook(world, gone, set).run();
}

}  // namespace

void add_stateful_set_reconciler(World& world) {
    const auto gone = std::make_shared<Gone>();
    auto& queue = world.brain.add_reconciler(
        "stateful_set", [&world, gone](const ObjectKey& key) { return reconcile(world, *gone, key); });
    world.stateful_sets.on_change([&queue](const ObjectPtr&, const ObjectPtr& after) {
        if (after) queue.add(after->key());
    });
    world.pods.on_change([&world, &queue, gone](const ObjectPtr& before, const ObjectPtr& after) {
        const Object& pod = after ? *after : *before;
        // The name tells of the set, also for a pod that is nobody's yet or whose place another holds.
        const std::string_view name = pod.name();
        const size_t dash = name.rfind('-');
        if (dash == std::string_view::npos || !ordinal_of(name.substr(0, dash), name)) return;
        if (!after) {
            const MonotonicTime now = world.clock.now();
            std::erase_if(*gone, [&](const auto& one) { return one.second + name_rest <= now; });
            gone->insert_or_assign(pod.key(), now);
        }
        queue.add({std::string(pod.ns()), std::string(name.substr(0, dash))});
    });
    world.controller_revisions.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        if (after) return;
        for (const kube::OwnerReference& owner : before->owners()) {
            if (owner.controller && owner.kind == "StatefulSet") queue.add({std::string(before->ns()), owner.name});
        }
    });
}

}  // namespace weft::controller
