// Garbage: an object all of whose owners are gone is deleted; an owner deleted in the foreground waits for the
// dependents that block it; one deleted as an orphan lets them go first. Whether an owner is gone is asked of the API
// itself, by uid, before anything is deleted: a cache may be late. Kinds that CRDs add are looked at by time: every
// custom_period, and only while there are such kinds. Source: spec/kubernetes.md API-95, API-96.
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/log.h"
#include "controller/custom_kinds.h"
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
constexpr Duration custom_period = std::chrono::seconds(5);

// One object with the way to write it: by its View, or by the client alone when its kind has none.
struct Item {
    kube::Resource resource;
    View* view;
    ObjectPtr object;
};

void add_owner_uids(const Object& object, std::set<std::string>& uids) {
    for (const json::Value& reference : object.array({"metadata", "ownerReferences"}))
        uids.emplace(json::find_string(reference, {"uid"}));
}

bool blocks(const Object& dependent, std::string_view owner_uid) {
    for (const json::Value& reference : dependent.array({"metadata", "ownerReferences"})) {
        if (json::find_string(reference, {"uid"}) == owner_uid && json::find_bool(reference, {"blockOwnerDeletion"}))
            return true;
    }
    return false;
}

class Garbage {
public:
    explicit Garbage(World& world) : world_(world) {
        for (View* const view :
             {&world.pods, &world.replica_sets, &world.endpoint_slices, &world.deployments, &world.stateful_sets,
              &world.controller_revisions, &world.services, &world.ingresses, &world.service_accounts,
              &world.config_maps, &world.secrets})
            watch(*view);
    }

    // A missed end (an owner's deletion fell between two lists) is found by time.
    void sweep() {
        for (const Watched& kind : watched_)
            kind.view->for_each([&](const ObjectPtr& object) { kind.queue->add(object->key()); });
    }

    void look_at_custom_kinds() {
        const auto kinds = custom_kinds(world_.client());
        if (!kinds) return;
        std::map<std::string, Item> now;
        for (const kube::Resource& kind : (*kinds)->resources()) {
            auto list = world_.client().list(kind);
            if (!list && list.error().code == Code::not_found) continue;  // its definition is on its way out
            if (!list) return;                                           // what cannot be seen is not gone
            for (Object& object : list->items)
                now[std::string(object.uid())] = {kind, nullptr, std::make_shared<const Object>(std::move(object))};
        }
        const auto before = std::exchange(custom_, std::move(now));
        const auto texts = std::exchange(kinds_, *kinds);  // of the resources in `before`
        for (const auto& [uid, item] : before) {
            if (!custom_.contains(uid)) gone(*item.object);
        }
        for (const auto& [uid, item] : custom_) {
            if (const Status status = tend(item); !status && status.error().code != Code::conflict)
                log::warning("garbage", {{"object", item.object->key().text()}, {"error", status.error().message}});
        }
    }

private:
    struct Watched {
        View* view;
        const Index* by_owner;
        kube::Brain::Queue* queue;
    };

    void watch(View& view) {
        kube::Brain::Queue& queue = world_.brain.add_reconciler(
            fmt::format("garbage_{}", view.resource().plural), [this, &view](const ObjectKey& key) {
                const ObjectPtr object = view.get(key);
                return object ? settle(tend({view.resource(), &view, object})) : Outcome::done();
            });
        watched_.push_back({&view, &view.add_index(add_owner_uids), &queue});
        view.on_change([this, &queue](const ObjectPtr& before, const ObjectPtr& after) {
            if (!after) gone(*before);
            else if (!before || after->deleting()) queue.add(after->key());
        });
    }

    // Its dependents may be next, and an owner may have waited for it.
    void gone(const Object& object) {
        for (const Watched& kind : watched_) {
            for (const ObjectKey& key : kind.by_owner->keys(object.uid())) kind.queue->add(key);
            for (const kube::OwnerReference& owner : object.owners()) {
                if (kind.view->resource().kind == owner.kind) kind.queue->add({std::string(object.ns()), owner.name});
            }
        }
    }

    Status tend(const Item& item) {
        if (!item.object->deleting()) return collect(item);
        if (item.object->has_finalizer(orphan_finalizer)) return let_orphans_go(item);
        if (item.object->has_finalizer(foreground_finalizer)) return finish_foreground(item);
        return {};
    }

    Status collect(const Item& item) {
        const json::Array& owners = item.object->array({"metadata", "ownerReferences"});
        if (owners.empty()) return {};
        for (const json::Value& reference : owners) {
            if (TRY(exists(reference, item.object->ns()))) return {};
        }
        log::info("collecting, all owners are gone",
                  {{"kind", item.resource.kind}, {"object", item.object->key().text()}});
        return remove(item, "");
    }

    // Is the very object that the reference means still there?
    Result<bool> exists(const json::Value& reference, std::string_view dependent_ns) {
        const std::string_view uid = json::find_string(reference, {"uid"});
        const std::string_view version = json::find_string(reference, {"apiVersion"});
        const std::string_view kind = json::find_string(reference, {"kind"});
        const kube::Resource* resource = kube::find_resource(version, kind);
        if (resource == nullptr && kinds_) resource = kinds_->find(version, kind);
        if (resource == nullptr) return true;  // a kind we do not know: not ours to judge
        const ObjectKey key{resource->namespaced ? std::string(dependent_ns) : "",
                            std::string(json::find_string(reference, {"name"}))};
        for (const Watched& watched : watched_) {
            if (!(watched.view->resource() == *resource)) continue;
            const ObjectPtr cached = watched.view->get(key);
            if (cached && cached->uid() == uid) return true;
        }
        const auto live = world_.client().get(*resource, key);
        if (!live && live.error().code == Code::not_found) return false;
        if (!live) return fail(live.error());
        return live->uid() == uid;
    }

    std::vector<Item> dependents_of(const Object& owner) const {
        std::vector<Item> dependents;
        for (const Watched& kind : watched_) {
            for (ObjectPtr& object : kind.view->under(*kind.by_owner, owner.uid()))
                dependents.push_back({kind.view->resource(), kind.view, std::move(object)});
        }
        for (const auto& [uid, item] : custom_) {
            std::set<std::string> owners;
            add_owner_uids(*item.object, owners);
            if (owners.contains(std::string(owner.uid()))) dependents.push_back(item);
        }
        return dependents;
    }

    Status finish_foreground(const Item& owner) {
        bool waits = false;
        for (const Item& dependent : dependents_of(*owner.object)) {
            const bool is_blocking = blocks(*dependent.object, owner.object->uid());
            waits = waits || is_blocking;
            if (!dependent.object->deleting()) TRY(remove(dependent, is_blocking ? "Foreground" : ""));
        }
        return waits ? Status{} : drop_finalizer(owner, foreground_finalizer);
    }

    Status let_orphans_go(const Item& owner) {
        for (const Item& dependent : dependents_of(*owner.object)) {
            json::Array kept;
            for (const json::Value& reference : dependent.object->array({"metadata", "ownerReferences"})) {
                if (json::find_string(reference, {"uid"}) != owner.object->uid()) kept.push_back(reference);
            }
            TRY(set_list(dependent, "ownerReferences", std::move(kept)));
        }
        return drop_finalizer(owner, orphan_finalizer);
    }

    Status drop_finalizer(const Item& item, std::string_view finalizer) {
        json::Array kept;
        for (const json::Value& name : item.object->array({"metadata", "finalizers"})) {
            if (!name.is_string() || json::view(name.get_string()) != finalizer) kept.push_back(name);
        }
        return set_list(item, "finalizers", std::move(kept));
    }

    // A patch, because of any kind no more than its metadata is ours to write.
    Status set_list(const Item& item, std::string_view name, json::Array list) {
        json::Object metadata{{"resourceVersion", item.object->resource_version()}};
        metadata[name] = list.empty() ? json::Value(nullptr) : json::Value(std::move(list));
        const json::Value patch = json::Object{{"metadata", std::move(metadata)}};
        const ObjectKey key = item.object->key();
        const auto patched = item.view ? item.view->merge(key, patch)
                                       : world_.client().patch(item.resource, key, kube::PatchType::merge, patch);
        if (patched || patched.error().code == Code::not_found) return {};
        return fail(patched.error());
    }

    Status remove(const Item& item, std::string_view propagation) {
        const kube::DeleteOptions options{.uid = std::string(item.object->uid()),
                                          .propagation_policy = std::string(propagation),
                                          .grace_period_s = -1};
        if (item.view) return item.view->remove(*item.object, options);
        const Status removed = world_.client().remove(item.resource, item.object->key(), options);
        return !removed && removed.error().code == Code::not_found ? Status{} : removed;
    }

    World& world_;
    std::vector<Watched> watched_;
    std::shared_ptr<const CustomKinds> kinds_;
    std::map<std::string, Item> custom_;  // by uid, as last listed
};

}  // namespace

void add_garbage_collector(World& world) {
    const auto garbage = std::make_shared<Garbage>(world);
    world.brain.every(sweep_period, [garbage] { garbage->sweep(); });
    world.brain.every(custom_period, [garbage] { garbage->look_at_custom_kinds(); });
}

}  // namespace weft::controller
