#include "controller/revisions.h"

#include <algorithm>

#include <fmt/format.h>

#include "controller/rollout.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectPtr;

constexpr std::string_view hash_label = "controller.kubernetes.io/hash";
constexpr std::string_view patch_directive = "$patch";  // `rollout undo` sends data as a strategic patch: replace all
constexpr size_t name_base_max = 200;

const kube::OwnerReference* controller_of(const std::vector<kube::OwnerReference>& owners) {
    for (const kube::OwnerReference& owner : owners) {
        if (owner.controller) return &owner;
    }
    return nullptr;
}

bool is_owned_by(const Object& object, const Object& owner) {
    const auto owners = object.owners();
    const kube::OwnerReference* const controller = controller_of(owners);
    return controller != nullptr && controller->uid == owner.uid();
}

json::Value template_now(const Object& owner) {
    const json::Value* const now = owner.find({"spec", "template"});
    return now ? *now : json::Value(json::Object{});
}

Object revision_for(const Object& owner, const std::string& name, std::string_view hash, int64_t number) {
    Object revision = Object::of(kube::controller_revisions, {std::string(owner.ns()), name});
    for (const auto& [label, value] : owner.labels()) revision.set_label(label, value);
    if (const json::Object* const labels = json::find_object(owner.body(), {"spec", "selector", "matchLabels"})) {
        for (const auto& label : *labels) revision.set({"metadata", "labels", label.key()}, label.value());
    }
    revision.set_label(hash_label, hash);
    revision.set_controller_owner(owner);
    json::Value kept = template_now(owner);
    json::set(kept, {patch_directive}, json::Value("replace"));
    revision.set({"data", "spec", "template"}, std::move(kept));
    revision.set({"revision"}, number);
    return revision;
}

}  // namespace

json::Value template_of(const Object& revision) {
    const json::Value* const kept = revision.find({"data", "spec", "template"});
    json::Value pod_template = kept ? *kept : json::Value(json::Object{});
    json::erase(pod_template, {patch_directive});
    return pod_template;
}

std::vector<ObjectPtr> revisions_of(World& world, const Object& owner) {
    std::vector<ObjectPtr> revisions;
    world.controller_revisions.for_each_in(owner.ns(), [&](const ObjectPtr& revision) {
        if (is_owned_by(*revision, owner) && !revision->deleting()) revisions.push_back(revision);
    });
    std::sort(revisions.begin(), revisions.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
        return std::pair(a->integer({"revision"}), a->name()) < std::pair(b->integer({"revision"}), b->name());
    });
    return revisions;
}

Result<ObjectPtr> newest_revision(World& world, const Object& owner) {
    const auto revisions = revisions_of(world, owner);
    const int64_t highest = revisions.empty() ? 0 : revisions.back()->integer({"revision"});
    const json::Value now = template_now(owner);
    for (auto it = revisions.rbegin(); it != revisions.rend(); ++it) {
        if (!same_template(template_of(**it), now)) continue;
        if (*it == revisions.back()) return *it;
        Object next = **it;
        next.set({"revision"}, highest + 1);
        TRY(world.controller_revisions.put(**it, next));
        return std::make_shared<const Object>(std::move(next));
    }
    const std::string hash = template_hash(now, owner.integer({"status", "collisionCount"}));
    const std::string name = fmt::format("{}-{}", owner.name().substr(0, name_base_max), hash);
    const auto made = world.controller_revisions.create(revision_for(owner, name, hash, highest + 1));
    if (made) return std::make_shared<const Object>(*made);
    if (made.error().code != Code::already_exists) return fail(made.error());
    // Left by a set that was deleted without its dependents: ours now. One with another owner is on its way out.
    const Object existing = TRY(world.client().get(kube::controller_revisions, {std::string(owner.ns()), name}));
    const auto owners = existing.owners();
    if (controller_of(owners) != nullptr && !is_owned_by(existing, owner))
        return fail(Code::unavailable, fmt::format("ControllerRevision {} belongs to another object", name));
    Object next = existing;
    if (!is_owned_by(existing, owner)) next.set_controller_owner(owner);
    next.set({"revision"}, highest + 1);
    TRY(world.controller_revisions.put(existing, next));
    return std::make_shared<const Object>(std::move(next));
}

Status forget_revisions(World& world, const Object& owner, const std::set<std::string>& in_use) {
    std::vector<ObjectPtr> unused;
    for (const ObjectPtr& revision : revisions_of(world, owner)) {
        if (!in_use.contains(std::string(revision->name()))) unused.push_back(revision);
    }
    const auto limit = size_t(std::max<int64_t>(0, owner.integer({"spec", "revisionHistoryLimit"}, 10)));
    for (size_t i = 0; i + limit < unused.size(); ++i) TRY(world.controller_revisions.remove(*unused[i]));
    return {};
}

}  // namespace weft::controller
