#include "kube/fake_client.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/rng.h"
#include "kube/patch.h"
#include "kube/selector.h"

namespace weft::kube {

namespace {

struct Change {
    uint64_t version;
    WatchEvent::Type type;
    ObjectPtr before;  // null when there was none
    ObjectPtr object;
};

struct Filter {
    std::string ns;
    LabelSelector labels;
    FieldSelector fields;

    static Result<Filter> of(const ListOptions& options) {
        return Filter{options.ns, TRY(LabelSelector::parse(options.label_selector)),
                      TRY(FieldSelector::parse(options.field_selector))};
    }

    bool matches(const Object& object) const {
        return (ns.empty() || object.ns() == ns) && labels.matches(object.labels()) && fields.matches(object);
    }
};

std::string named(const Resource& resource, const ObjectKey& key) {
    return fmt::format("{}{}{} \"{}\"", resource.plural, resource.group.empty() ? "" : ".", resource.group, key.name);
}

WatchEvent bookmark(uint64_t version) {
    Object object;
    object.set({"metadata", "resourceVersion"}, json::Value(std::to_string(version)));
    return {WatchEvent::Type::bookmark, std::move(object)};
}

bool same_but_for_status(const Object& a, const Object& b) {
    const auto holds_all_of = [](const json::Object& mine, const json::Object& theirs) {
        return std::all_of(theirs.begin(), theirs.end(), [&](const auto& pair) {
            if (pair.key() == "metadata" || pair.key() == "status") return true;
            const json::Value* const own = mine.if_contains(pair.key());
            return own != nullptr && *own == pair.value();
        });
    };
    const json::Object &left = a.body().get_object(), &right = b.body().get_object();
    return holds_all_of(left, right) && holds_all_of(right, left);
}

}  // namespace

struct FakeClient::State {
    const Clock& clock;
    mutable std::mutex mutex;
    std::condition_variable_any changed;
    std::map<std::string, std::map<ObjectKey, ObjectPtr>> kinds;  // history shares what is stored
    std::map<std::string, std::deque<Change>> history;  // by Resource::path(), in the order of versions
    uint64_t version = 1;
    uint64_t compacted = 0;  // history before this is gone
    uint64_t uids = 0;
    std::optional<Code> failure;
    std::vector<std::string> writes;

    ObjectPtr find(const Resource& resource, const ObjectKey& key) {
        auto& objects = kinds[resource.path()];
        const auto found = objects.find(key);
        return found == objects.end() ? nullptr : found->second;
    }

    Status begin_write(std::string_view verb, const Resource& resource, const ObjectKey& key) {
        if (failure) {
            const Code code = *failure;
            failure.reset();
            return fail(code, fmt::format("{} {} {}: asked to fail", verb, resource.plural, key.text()));
        }
        writes.push_back(fmt::format("{} {} {}", verb, resource.plural, key.text()));
        return {};
    }

    void record(const Resource& resource, WatchEvent::Type type, ObjectPtr before, ObjectPtr object) {
        history[resource.path()].push_back({version, type, std::move(before), std::move(object)});
        changed.notify_all();
    }

    // The first change of the kind after `seen`; null = none yet.
    const Change* change_after(const std::string& kind, uint64_t seen) const {
        const auto found = history.find(kind);
        if (found == history.end()) return nullptr;
        const auto at = std::upper_bound(found->second.begin(), found->second.end(), seen,
                                         [](uint64_t version, const Change& change) { return version < change.version; });
        return at == found->second.end() ? nullptr : &*at;
    }

    // Looks random and is the same in every run, so that a simulation's seed replays it.
    std::string next_uid() {
        const uint32_t scattered = uint32_t(++uids) * 2654435761u;  // odd: no two are alike
        return fmt::format("{:08x}-{:04x}-4000-8000-000000000000", scattered, uids >> 32);
    }

    Object store_new(const Resource& resource, Object object, const std::string& uid) {
        object.set({"apiVersion"}, json::Value(resource.api_version()));
        object.set({"kind"}, resource.kind);
        object.set({"metadata", "uid"}, json::Value(uid));
        object.set({"metadata", "creationTimestamp"}, json::Value(rfc3339(clock.wall())));
        object.set({"metadata", "generation"}, 1);
        object.set({"metadata", "resourceVersion"}, json::Value(std::to_string(++version)));
        const auto stored = std::make_shared<const Object>(std::move(object));
        kinds[resource.path()][stored->key()] = stored;
        record(resource, WatchEvent::Type::added, nullptr, stored);
        return *stored;
    }

    void drop(const Resource& resource, const ObjectKey& key) {
        auto& objects = kinds[resource.path()];
        ObjectPtr last = objects.at(key);
        objects.erase(key);
        Object final = *last;
        final.set({"metadata", "resourceVersion"}, json::Value(std::to_string(++version)));
        record(resource, WatchEvent::Type::deleted, std::move(last), std::make_shared<const Object>(std::move(final)));
    }

    // Stores `next` over the object that is there; what a client may not write is kept.
    Object replace(const Resource& resource, Object next) {
        ObjectPtr& slot = kinds[resource.path()].at(next.key());
        const Object& stored = *slot;
        for (const std::string_view field : {"uid", "creationTimestamp", "generation", "deletionTimestamp",
                                             "deletionGracePeriodSeconds", "resourceVersion"}) {
            if (const json::Value* kept = stored.find({"metadata", field}))
                next.set({"metadata", field}, *kept);
            else
                json::erase(next.body(), {"metadata", field});
        }
        if (next == stored) return stored;
        if (!same_but_for_status(stored, next)) next.set({"metadata", "generation"}, stored.generation() + 1);
        next.set({"metadata", "resourceVersion"}, json::Value(std::to_string(++version)));
        ObjectPtr before = std::exchange(slot, std::make_shared<const Object>(next));
        record(resource, WatchEvent::Type::modified, std::move(before), slot);
        if (next.deleting() && next.array({"metadata", "finalizers"}).empty() &&
            next.integer({"metadata", "deletionGracePeriodSeconds"}) == 0)
            drop(resource, next.key());
        return next;
    }

    Result<Object> write(const Resource& resource, const Object& object, std::string_view verb, bool only_status) {
        TRY(begin_write(verb, resource, object.key()));
        const ObjectPtr stored = find(resource, object.key());
        if (stored == nullptr) return fail(Code::not_found, named(resource, object.key()) + " not found");
        if (!object.resource_version().empty() && object.resource_version() != stored->resource_version())
            return fail(Code::conflict,
                        fmt::format("Operation cannot be fulfilled on {}: the object has been modified; please "
                                    "apply your changes to the latest version and try again",
                                    named(resource, object.key())));
        if (!object.uid().empty() && object.uid() != stored->uid())
            return fail(Code::conflict, fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}",
                                                    object.uid(), stored->uid()));
        Object next = only_status ? *stored : object;
        const json::Value* status = only_status ? object.find({"status"}) : stored->find({"status"});
        if (status != nullptr)
            next.set({"status"}, *status);
        else
            json::erase(next.body(), {"status"});
        return replace(resource, std::move(next));
    }
};

FakeClient::FakeClient(const Clock& clock) : state_(new State{.clock = clock}) {}

FakeClient::~FakeClient() = default;

Result<Object> FakeClient::get(const Resource& resource, const ObjectKey& key) {
    const std::lock_guard lock(state_->mutex);
    const ObjectPtr stored = state_->find(resource, key);
    if (stored == nullptr) return fail(Code::not_found, named(resource, key) + " not found");
    return *stored;
}

Result<ObjectList> FakeClient::list(const Resource& resource, const ListOptions& options) {
    const Filter filter = TRY(Filter::of(options));
    const std::lock_guard lock(state_->mutex);
    ObjectList list{std::to_string(state_->version), {}};
    for (const auto& [key, object] : state_->kinds[resource.path()])
        if (filter.matches(*object)) list.items.push_back(options.metadata_only ? metadata_of(*object) : *object);
    return list;
}

Result<Object> FakeClient::create(const Resource& resource, const Object& object) {
    const std::lock_guard lock(state_->mutex);
    Object next = object;
    if (next.name().empty()) {
        const std::string base(next.string({"metadata", "generateName"}));
        if (base.empty())
            return fail(Code::invalid, "metadata.name: Required value: name or generateName is required");
        next.set({"metadata", "name"}, json::Value(base + random_name_suffix(5)));
    }
    TRY(state_->begin_write("create", resource, next.key()));
    if (state_->find(resource, next.key()) != nullptr)
        return fail(Code::already_exists, named(resource, next.key()) + " already exists");
    json::erase(next.body(), {"status"});
    return state_->store_new(resource, std::move(next), state_->next_uid());
}

Result<Object> FakeClient::update(const Resource& resource, const Object& object) {
    const std::lock_guard lock(state_->mutex);
    return state_->write(resource, object, "update", false);
}

Result<Object> FakeClient::update_status(const Resource& resource, const Object& object) {
    const std::lock_guard lock(state_->mutex);
    return state_->write(resource, object, "update_status", true);
}

Result<Object> FakeClient::patch(const Resource& resource, const ObjectKey& key, PatchType type,
                                 const json::Value& patch, std::string_view subresource) {
    const std::lock_guard lock(state_->mutex);
    const bool only_status = subresource == "status";
    const ObjectPtr stored = state_->find(resource, key);
    if (stored == nullptr && type == PatchType::apply) {
        Object fresh(patch);
        fresh.set({"metadata", "name"}, json::Value(key.name));
        if (resource.namespaced) fresh.set({"metadata", "namespace"}, json::Value(key.ns));
        TRY(state_->begin_write("patch", resource, key));
        return state_->store_new(resource, std::move(fresh), state_->next_uid());
    }
    if (stored == nullptr) return fail(Code::not_found, named(resource, key) + " not found");
    Object next = *stored;
    const std::string version(stored->resource_version());
    if (type == PatchType::json)
        TRY(apply_json_patch(next.body(), patch));
    else
        apply_merge_patch(next.body(), patch);  // without a schema the strategic kinds replace lists whole
    return state_->write(resource, next, only_status ? "patch_status" : "patch", only_status);
}

Status FakeClient::remove(const Resource& resource, const ObjectKey& key, const DeleteOptions& options) {
    const std::lock_guard lock(state_->mutex);
    const ObjectPtr stored = state_->find(resource, key);
    if (stored == nullptr) return fail(Code::not_found, named(resource, key) + " not found");
    if (!options.uid.empty() && options.uid != stored->uid())
        return fail(Code::conflict, fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}",
                                                options.uid, stored->uid()));
    TRY(state_->begin_write("delete", resource, key));
    // Only a pod that runs on a node is given time; its node deletes it for good with a grace of 0.
    int64_t grace_s = 0;
    const std::string_view phase = stored->string({"status", "phase"});
    if (resource == pods && !stored->string({"spec", "nodeName"}).empty() && phase != "Failed" && phase != "Succeeded")
        grace_s = options.grace_period_s >= 0 ? options.grace_period_s
                                              : stored->integer({"spec", "terminationGracePeriodSeconds"}, 30);
    if (stored->deleting()) grace_s = std::min(grace_s, stored->integer({"metadata", "deletionGracePeriodSeconds"}));
    if (grace_s == 0 && stored->array({"metadata", "finalizers"}).empty()) {
        state_->drop(resource, key);
        return {};
    }
    Object target = *stored;
    if (!target.deleting()) {
        target.set({"metadata", "deletionTimestamp"},
                   json::Value(rfc3339(state_->clock.wall() + std::chrono::seconds(grace_s))));
        target.set({"metadata", "generation"}, target.generation() + 1);
    }
    target.set({"metadata", "deletionGracePeriodSeconds"}, grace_s);
    if (target == *stored) return {};
    target.set({"metadata", "resourceVersion"}, json::Value(std::to_string(++state_->version)));
    ObjectPtr& slot = state_->kinds[resource.path()].at(key);
    slot = std::make_shared<const Object>(std::move(target));
    state_->record(resource, WatchEvent::Type::modified, stored, slot);
    return {};
}

Status FakeClient::watch(const Resource& resource, const ListOptions& options, std::string_view resource_version,
                         std::stop_token stop, const std::function<bool(WatchEvent&&)>& on_event) {
    const Filter filter = TRY(Filter::of(options));
    const std::string kind = resource.path();
    const bool only_looks = stop.stop_requested();
    uint64_t seen = std::strtoull(std::string(resource_version).c_str(), nullptr, 10);
    std::unique_lock lock(state_->mutex);
    for (;;) {
        if (seen < state_->compacted)
            return fail(Code::gone, fmt::format("too old resource version: {} ({})", seen, state_->compacted));
        if (const Change* const found = state_->change_after(kind, seen)) {
            const Change change = *found;  // a copy: the callback runs unlocked
            seen = change.version;
            const bool before = change.before && filter.matches(*change.before);
            const bool after = change.type != WatchEvent::Type::deleted && filter.matches(*change.object);
            if (!before && !after) continue;
            const WatchEvent::Type type = !after    ? WatchEvent::Type::deleted
                                          : !before ? WatchEvent::Type::added
                                                    : WatchEvent::Type::modified;
            lock.unlock();
            const bool more = on_event({type, options.metadata_only ? metadata_of(*change.object) : *change.object});
            lock.lock();
            if (!more) return {};
            continue;
        }
        const bool moved = seen < state_->version;
        seen = state_->version;
        if (stop.stop_requested()) {
            lock.unlock();
            if (only_looks && moved) (void)on_event(bookmark(seen));
            return {};
        }
        state_->changed.wait(lock, stop, [&] { return state_->version != seen; });
    }
}

void FakeClient::seed(std::string_view yaml) {
    const std::vector<json::Value> documents = MUST(json::parse_yaml(yaml));
    const std::lock_guard lock(state_->mutex);
    for (const json::Value& document : documents) {
        Object object(document);
        const Resource* resource = find_resource(object.api_version(), object.kind());
        ENSURE(resource != nullptr);
        if (resource->namespaced && object.ns().empty()) object.set({"metadata", "namespace"}, "default");
        const std::string uid(object.uid());
        (void)state_->store_new(*resource, std::move(object), uid.empty() ? state_->next_uid() : uid);
    }
}

void FakeClient::fail_next(Code code) {
    const std::lock_guard lock(state_->mutex);
    state_->failure = code;
}

void FakeClient::compact() {
    const std::lock_guard lock(state_->mutex);
    state_->compacted = ++state_->version;
    state_->history.clear();
    state_->changed.notify_all();
}

std::vector<std::string> FakeClient::log() const {
    const std::lock_guard lock(state_->mutex);
    return state_->writes;
}

void FakeClient::clear_log() {
    const std::lock_guard lock(state_->mutex);
    state_->writes.clear();
}

}  // namespace weft::kube
