#include "controller/view.h"

#include "base/strings.h"

namespace weft::controller {
namespace {

constexpr Duration audit_period = std::chrono::seconds(30);  // a cache that is later than this is asked about
constexpr Duration after_conflict = std::chrono::milliseconds(20);

uint64_t version_of(const kube::Object& object) { return parse_unsigned(object.resource_version()).value_or(0); }

}  // namespace

View::View(kube::Brain& brain, const kube::Resource& resource, const kube::ListOptions& options)
    : brain_(brain),
      resource_(resource),
      metadata_only_(options.metadata_only),
      cache_(brain.watch(resource, options)) {
    on_change([this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        forget(before, after);
        refresh_indexes((after ? after : before)->key());
    });
    brain.every(audit_period, [this] { audit(); });
}

kube::ObjectPtr View::get(const kube::ObjectKey& key) const {
    const auto own = own_.find(key);
    return own != own_.end() ? own->second.object : cache_.get(key);
}

void View::for_each(const Visit& visit) const {
    cache_.for_each([&](const kube::ObjectPtr& object) {
        if (own_.empty() || !own_.contains(object->key())) visit(object);
    });
    for (const auto& [key, own] : own_) visit(own.object);
}

void View::for_each_in(std::string_view ns, const Visit& visit) const {
    cache_.for_each_in(ns, [&](const kube::ObjectPtr& object) {
        if (own_.empty() || !own_.contains(object->key())) visit(object);
    });
    for (auto at = own_.lower_bound({std::string(ns), ""}); at != own_.end() && at->first.ns == ns; ++at)
        visit(at->second.object);
}

const Index& View::add_index(Index::Texts texts) { return indexes_.emplace_back(std::move(texts)); }

std::vector<kube::ObjectPtr> View::under(const Index& index, std::string_view text) const {
    std::vector<kube::ObjectPtr> objects;
    for (const kube::ObjectKey& key : index.keys(text)) {
        if (kube::ObjectPtr object = get(key)) objects.push_back(std::move(object));
    }
    return objects;
}

void View::refresh_indexes(const kube::ObjectKey& key) {
    const kube::ObjectPtr now = indexes_.empty() ? nullptr : get(key);
    for (Index& index : indexes_) index.refresh(key, now);
}

void View::on_change(kube::Brain::OnChange handler) {
    handlers_.push_back(handler);
    brain_.on_change(cache_, std::move(handler));
}

Result<kube::Object> View::create(const kube::Object& object) {
    kube::Object stored = TRY(brain_.client().create(resource_, object));
    remember(stored);
    return stored;
}

Status View::put(const kube::Object& before, const kube::Object& after) {
    if (after == before) return {};
    ENSURE(!metadata_only_);  // what we do not see we would take away
    return remember_if_there(brain_.client().update(resource_, after));
}

Status View::put_status(const kube::Object& before, const kube::Object& after) {
    if (after == before) return {};
    return remember_if_there(brain_.client().update_status(resource_, after));
}

Result<kube::Object> View::merge(const kube::ObjectKey& key, const json::Value& patch) {
    kube::Object stored = TRY(brain_.client().patch(resource_, key, kube::PatchType::merge, patch));
    remember(stored);
    return stored;
}

Status View::remove(const kube::Object& object, const kube::DeleteOptions& options) {
    kube::DeleteOptions exact = options;
    exact.uid = object.uid();
    const Status removed = brain_.client().remove(resource_, object.key(), exact);
    if (!removed && removed.error().code != Code::not_found) return removed;
    if (cache_.get(object.key()) == nullptr && !own_.contains(object.key())) return {};
    kube::Object shown = object;
    if (!shown.deleting()) shown.set({"metadata", "deletionTimestamp"}, json::Value(rfc3339(brain_.clock().wall())));
    own_[object.key()] = {std::make_shared<const kube::Object>(std::move(shown)), version_of(object), true,
                          brain_.clock().now()};
    refresh_indexes(object.key());
    return {};
}

// Gone meanwhile: nothing is left to be written, and the watch will say so.
Status View::remember_if_there(const Result<kube::Object>& written) {
    if (!written && written.error().code == Code::not_found) return {};
    if (!written) return fail(written.error());
    remember(*written);
    return {};
}

void View::remember(const kube::Object& written) {
    const kube::ObjectPtr cached = cache_.get(written.key());
    // The last finalizer of a deleted object is gone: the reply is its last breath, the cache will tell of its end.
    if (cached && cached->uid() == written.uid() && version_of(*cached) >= version_of(written)) return;
    own_[written.key()] = {std::make_shared<const kube::Object>(metadata_only_ ? kube::metadata_of(written) : written),
                           version_of(written), false, brain_.clock().now()};
    refresh_indexes(written.key());
}

void View::forget(const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
    const kube::Object& known = after ? *after : *before;
    const auto found = own_.find(known.key());
    if (found == own_.end()) return;
    const Own& own = found->second;
    const bool same = own.object->uid() == known.uid();
    const bool caught_up = !after ? same
                           : same ? (own.removed ? after->deleting() : version_of(*after) >= own.version)
                                  : version_of(*after) > own.version;
    if (caught_up) own_.erase(found);
}

// What we made and another deleted between two lists never reaches the cache; nobody would tell us of its end.
void View::audit() {
    std::vector<kube::ObjectPtr> ended;
    for (const auto& [key, own] : own_) {
        if (brain_.clock().now() - own.since < audit_period || cache_.get(key) != nullptr) continue;
        const auto live = brain_.client().get(resource_, key);
        const bool is_gone = live ? live->uid() != own.object->uid() : live.error().code == Code::not_found;
        if (is_gone) ended.push_back(own.object);
    }
    for (const kube::ObjectPtr& object : ended) {
        for (const auto& handler : handlers_) handler(object, nullptr);  // the first one forgets it
    }
}

kube::Outcome settle(const Status& status) {
    if (!status && status.error().code == Code::conflict) return kube::Outcome::again(after_conflict);
    return kube::Outcome::from(status);
}

}  // namespace weft::controller
