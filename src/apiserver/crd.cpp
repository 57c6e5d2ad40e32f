#include "apiserver/crd.h"

#include <fmt/format.h>

#include "apiserver/objects.h"
#include "base/log.h"
#include "kube/object.h"

namespace weft::apiserver {

bool is_crd(const Kind& kind) { return kind.resource == kube::custom_resource_definitions; }

Status Kinds::load(store::Log& log) {
    const auto crds = TRY(log.range(prefix_of(kube::custom_resource_definitions)));
    for (const store::Entry& entry : crds.entries) {
        const auto crd = TRY(json::parse(entry.value));
        put(crd);
    }
    return {};
}

void Kinds::put(const json::Value& crd) {
    if (!is_established(crd)) return;
    const std::lock_guard lock(mutex_);
    auto next = published_.get()->with_crd(crd);
    if (next) {
        published_.publish(std::move(*next));
    } else {
        log::error("a stored CustomResourceDefinition does not compile",
                   {{"crd", json::find_string(crd, {"metadata", "name"})}, {"error", next.error().message}});
    }
}

void Kinds::remove(std::string_view crd_name) {
    const std::lock_guard lock(mutex_);
    published_.publish(published_.get()->without_crd(crd_name));
}

bool is_established(const json::Value& crd) {
    const json::Array* conditions = json::find_array(crd, {"status", "conditions"});
    if (conditions == nullptr) return false;
    for (const json::Value& condition : *conditions)
        if (json::find_string(condition, {"type"}) == "Established")
            return json::find_string(condition, {"status"}) == "True";
    return false;
}

// The first name of `crd` that another kind of its group already has, with whose it is.
static std::string name_clash(const KindTable& table, const json::Value& crd) {
    const std::string_view own = json::find_string(crd, {"metadata", "name"});
    const std::string_view group = json::find_string(crd, {"spec", "group"});
    const std::string_view kind_name = json::find_string(crd, {"spec", "names", "kind"});
    const std::string_view plural = json::find_string(crd, {"spec", "names", "plural"});
    const auto shorts = json::find_strings(crd, {"spec", "names", "shortNames"});
    for (const KindPtr& other : table.all()) {
        if (other->group != group || other->crd_name == own || other->group_plural() == own) continue;
        if (other->kind_name == kind_name) return fmt::format("\"{}\" is already in use", kind_name);
        if (other->plural == plural) return fmt::format("\"{}\" is already in use", plural);
        for (const std::string& name : shorts)
            if (std::find(other->short_names.begin(), other->short_names.end(), name) != other->short_names.end())
                return fmt::format("\"{}\" is already in use", name);
    }
    return {};
}

static void set_condition(json::Value& crd, std::string_view type, bool status, std::string_view reason,
                          std::string_view message, const Clock& clock) {
    kube::Object object(std::move(crd));
    kube::set_condition(object, type, status, reason, message, clock);
    crd = std::move(object.body());
}

void establish(const KindTable& table, json::Value& crd, const Clock& clock) {
    kube::Object object(std::move(crd));
    if (!object.deleting()) object.add_finalizer(crd_cleanup_finalizer);
    crd = std::move(object.body());

    const std::string clash = name_clash(table, crd);
    json::Array stored = json::find_array(crd, {"status", "storedVersions"}) != nullptr
                             ? *json::find_array(crd, {"status", "storedVersions"})
                             : json::Array();
    if (const json::Array* versions = json::find_array(crd, {"spec", "versions"})) {
        for (const json::Value& version : *versions) {
            const json::Value name(json::find_string(version, {"name"}));
            if (json::find_bool(version, {"storage"}) && std::find(stored.begin(), stored.end(), name) == stored.end())
                stored.push_back(name);
        }
    }
    json::set(crd, {"status", "storedVersions"}, json::Value(std::move(stored)));
    if (!clash.empty()) {
        set_condition(crd, "NamesAccepted", false, "NameConflict", clash, clock);
        set_condition(crd, "Established", false, "NotAccepted", "not all names are accepted", clock);
        return;
    }
    if (const json::Value* names = json::find(crd, {"spec", "names"}))
        json::set(crd, {"status", "acceptedNames"}, json::Value(*names));
    set_condition(crd, "NamesAccepted", true, "NoConflicts", "no conflicts found", clock);
    set_condition(crd, "Established", true, "InitialNamesAccepted", "the initial names have been accepted", clock);
}

static const Kind* any_kind_of(const KindTable& table, std::string_view crd_name) {
    for (const KindPtr& kind : table.all())
        if (kind->crd_name == crd_name) return kind.get();
    return nullptr;
}

Done remove_custom_objects(Objects& objects, Kinds& kinds, const Clock& clock, const json::Value& crd) {
    const std::string_view name = json::find_string(crd, {"metadata", "name"});
    const auto table = kinds.table();
    const Kind* kind = any_kind_of(*table, name);
    if (kind != nullptr) {
        const auto range = TRY(objects.log().range(prefix_of(kind->resource)));
        for (const store::Entry& entry : range.entries) {
            kube::Object object(inflate(*kind, entry.value, entry.revision));
            const bool held = !object.array({"metadata", "finalizers"}).empty();
            if (held && object.deleting()) continue;
            if (held) object.set({"metadata", "deletionTimestamp"}, rfc3339(clock.wall()));
            if (held) object.set({"metadata", "deletionGracePeriodSeconds"}, 0);
            // Whoever changes an object meanwhile finds its CRD deleting; the next delete of the CRD tries again.
            if (held) (void)objects.update(*kind, object.body(), entry.revision, {});
            else (void)objects.remove(*kind, object.key(), entry.revision, {});
        }
    }
    finish_crd(objects, kinds, name);
    return {};
}

void finish_crd(Objects& objects, Kinds& kinds, std::string_view crd_name) {
    const auto table = kinds.table();
    const Kind* crds = table->find(kube::custom_resource_definitions);
    if (crds == nullptr || crd_name.empty()) return;
    auto stored = objects.get(*crds, {"", std::string(crd_name)});
    if (!stored) return;
    kube::Object crd(std::move(*stored));
    if (!crd.deleting() || !crd.has_finalizer(crd_cleanup_finalizer)) return;
    if (const Kind* kind = any_kind_of(*table, crd_name)) {
        const auto left = objects.log().range(prefix_of(kind->resource), {.limit = 1});
        if (!left || !left->entries.empty()) return;
    }
    const store::Revision revision = revision_of(crd.body());
    crd.remove_finalizer(crd_cleanup_finalizer);
    const bool held = !crd.array({"metadata", "finalizers"}).empty();
    const auto done = held ? objects.update(*crds, crd.body(), revision, {})
                           : objects.remove(*crds, {"", std::string(crd_name)}, revision, {});
    if (done && !held) kinds.remove(crd_name);
}

}  // namespace weft::apiserver
