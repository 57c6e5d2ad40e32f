#include "apiserver/objects.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace weft::apiserver {

std::string prefix_of(const kube::Resource& resource, std::string_view ns) {
    const std::string_view group = resource.group.empty() ? "core" : resource.group;
    if (ns.empty()) return fmt::format("{}/{}/", group, resource.plural);
    return fmt::format("{}/{}/{}/", group, resource.plural, ns);
}

std::string key_of(const kube::Resource& resource, const kube::ObjectKey& key) {
    const std::string_view group = resource.group.empty() ? "core" : resource.group;
    return fmt::format("{}/{}/{}/{}", group, resource.plural, key.ns, key.name);
}

json::Value inflate(const Kind& kind, std::string_view value, store::Revision revision) {
    auto parsed = json::parse(value);
    json::Value object = parsed ? std::move(*parsed) : json::Value(json::Object{});
    json::set(object, {"metadata", "resourceVersion"}, json::Value(fmt::to_string(revision)));
    if (kind.custom) json::set(object, {"apiVersion"}, json::Value(kind.api_version()));
    return object;
}

static std::string deflate(json::Value object) {
    json::erase(object, {"metadata", "resourceVersion"});
    return json::serialize(object);
}

store::Revision revision_of(const json::Value& object) {
    return store::Revision(parse_unsigned(json::find_string(object, {"metadata", "resourceVersion"})).value_or(0));
}

static kube::ObjectKey object_key(const json::Value& object) {
    return {std::string(json::find_string(object, {"metadata", "namespace"})),
            std::string(json::find_string(object, {"metadata", "name"}))};
}

// The transaction as admission sees it.
class Objects::View final : public StoreView {
public:
    explicit View(store::Transaction& transaction) : transaction_(transaction) {}

    std::optional<json::Value> get(const kube::Resource& resource, const kube::ObjectKey& key) override {
        auto entry = transaction_.get(key_of(resource, key));
        if (!entry || !*entry) return std::nullopt;
        auto object = json::parse((*entry)->value);
        if (!object) return std::nullopt;
        return std::move(*object);
    }

    void each(const kube::Resource& resource, std::string_view ns,
              const std::function<bool(const json::Value&)>& visit) override {
        auto entries = transaction_.range(prefix_of(resource, ns));
        if (!entries) return;
        for (const store::Entry& entry : *entries) {
            const auto object = json::parse(entry.value);
            if (object && !visit(*object)) return;
        }
    }

private:
    store::Transaction& transaction_;
};

Done Objects::write(const std::function<Done(store::Transaction&, View&)>& work, WriteOptions options) {
    std::optional<Failure> failure;
    const store::Write closure = [&](store::Transaction& transaction) -> Status {
        View view(transaction);
        if (!admission_loaded_ || failed_batches_ != transaction.failed_batches()) {
            admission_.load(view);
            admission_loaded_ = true;
            failed_batches_ = transaction.failed_batches();
        }
        Done done = work(transaction, view);
        if (done) return {};
        failure = std::move(done.error());
        return fail(Code::denied, "refused");
    };
    Status status;
    if (options.dry_run) {
        status = log_.dry_run(closure, options.until);
    } else if (auto written = log_.write(closure, options.until); !written) {
        status = fail(written.error());
    }
    if (failure) return refuse(std::move(*failure));
    if (!status) return refuse(status.error());
    return {};
}

Outcome<json::Value> Objects::get(const Kind& kind, const kube::ObjectKey& key) {
    auto entry = TRY(log_.get(key_of(kind.resource, key)));
    if (!entry) return not_found(kind, key.name);
    return inflate(kind, entry->value, entry->revision);
}

Outcome<json::Value> Objects::create(const Kind& kind, json::Value object, WriteOptions options) {
    const kube::ObjectKey key = object_key(object);
    const std::string store_key = key_of(kind.resource, key);
    TRY(write(
        [&](store::Transaction& transaction, View& view) -> Done {
            if (TRY(transaction.get(store_key))) return already_exists(kind, key.name);
            json::Value wish = object;
            TRY(admission_.admit(view, kind, Operation::create, wish, nullptr));
            const store::Revision revision = TRY(transaction.put(store_key, deflate(wish), 0));
            if (!options.dry_run) admission_.stored(kind, nullptr, &wish);
            object = std::move(wish);
            if (!options.dry_run)
                json::set(object, {"metadata", "resourceVersion"}, json::Value(fmt::to_string(revision)));
            return {};
        },
        options));
    return object;
}

Outcome<json::Value> Objects::update(const Kind& kind, json::Value object, store::Revision expected,
                                     WriteOptions options) {
    const kube::ObjectKey key = object_key(object);
    const std::string store_key = key_of(kind.resource, key);
    TRY(write(
        [&](store::Transaction& transaction, View& view) -> Done {
            const auto entry = TRY(transaction.get(store_key));
            if (!entry) return not_found(kind, key.name);
            if (entry->revision != expected) return conflict(kind, key.name);
            const json::Value stored = inflate(kind, entry->value, entry->revision);
            json::Value wish = object;
            TRY(admission_.admit(view, kind, Operation::update, wish, &stored));
            const store::Revision revision = TRY(transaction.put(store_key, deflate(wish), expected));
            if (!options.dry_run) admission_.stored(kind, &stored, &wish);
            object = std::move(wish);
            if (!options.dry_run)
                json::set(object, {"metadata", "resourceVersion"}, json::Value(fmt::to_string(revision)));
            return {};
        },
        options));
    return object;
}

Outcome<json::Value> Objects::remove(const Kind& kind, const kube::ObjectKey& key, store::Revision expected,
                                     WriteOptions options) {
    const std::string store_key = key_of(kind.resource, key);
    json::Value removed;
    TRY(write(
        [&](store::Transaction& transaction, View& view) -> Done {
            const auto entry = TRY(transaction.get(store_key));
            if (!entry) return not_found(kind, key.name);
            if (entry->revision != expected) return conflict(kind, key.name);
            removed = inflate(kind, entry->value, entry->revision);
            json::Value stored = removed;
            TRY(admission_.admit(view, kind, Operation::remove, stored, &removed));
            const store::Revision revision = TRY(transaction.remove(store_key, expected));
            if (options.dry_run) return {};
            admission_.stored(kind, &removed, nullptr);
            json::set(removed, {"metadata", "resourceVersion"}, json::Value(fmt::to_string(revision)));
            return {};
        },
        options));
    return removed;
}

Done Objects::may_remove(const Kind& kind, const kube::ObjectKey& key, MonotonicTime until) {
    return write(
        [&](store::Transaction& transaction, View& view) -> Done {
            const auto entry = TRY(transaction.get(key_of(kind.resource, key)));
            if (!entry) return not_found(kind, key.name);
            json::Value stored = inflate(kind, entry->value, entry->revision);
            const json::Value before = stored;
            TRY(admission_.admit(view, kind, Operation::remove, stored, &before));
            return {};
        },
        {.dry_run = true, .until = until});
}

}  // namespace weft::apiserver
