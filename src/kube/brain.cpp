#include "kube/brain.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <variant>

#include "base/log.h"
#include "base/metrics.h"
#include "kube/ear.h"
#include "kube/work_queue.h"

namespace weft::kube {

namespace {

constexpr size_t inbox_max = 10000;        // ears wait above this; posted work never does
constexpr int idle_rounds_max = 10000;     // run_until_idle: reconcilers that never agree are a bug

class MapCache : public Cache {
public:
    MapCache(const Resource& resource, const ListOptions& options) : resource(resource), options(options) {}

    ObjectPtr get(const ObjectKey& key) const override {
        const auto found = objects.find(key);
        return found == objects.end() ? nullptr : found->second;
    }

    void for_each(const std::function<void(const ObjectPtr&)>& visit) const override {
        for (const auto& [key, object] : objects) visit(object);
    }

    void for_each_in(std::string_view ns, const std::function<void(const ObjectPtr&)>& visit) const override {
        for (auto at = objects.lower_bound({std::string(ns), ""}); at != objects.end() && at->first.ns == ns; ++at)
            visit(at->second);
    }

    size_t size() const override { return objects.size(); }

    void put(Object&& object) {
        ObjectKey key = object.key();
        ObjectPtr& slot = objects[key];
        // The same version again (a relist, a resumed watch) is no change.
        if (slot && slot->resource_version() == object.resource_version() && !object.resource_version().empty()) return;
        const ObjectPtr before = std::exchange(slot, std::make_shared<const Object>(std::move(object)));
        tell(before, slot);
    }

    void erase(const ObjectKey& key) {
        const auto found = objects.find(key);
        if (found == objects.end()) return;
        const ObjectPtr before = found->second;
        objects.erase(found);
        tell(before, nullptr);
    }

    void replace_all(std::vector<Object>&& items) {
        std::set<ObjectKey> present;
        for (const Object& object : items) present.insert(object.key());
        std::vector<ObjectKey> absent;
        for (const auto& [key, object] : objects)
            if (!present.contains(key)) absent.push_back(key);
        for (const ObjectKey& key : absent) erase(key);
        for (Object& object : items) put(std::move(object));
        listed = true;
    }

    const Resource resource;
    const ListOptions options;
    std::map<ObjectKey, ObjectPtr> objects;
    std::vector<Brain::OnChange> handlers;
    bool listed = false;
    std::string version;  // of run_until_idle(): seen up to here; "" = to be listed

private:
    void tell(const ObjectPtr& before, ObjectPtr after) {
        for (const Brain::OnChange& handler : handlers) handler(before, after);
    }
};

class Reconciler : public Brain::Queue {
public:
    Reconciler(std::string_view name, Brain::Reconcile reconcile, const Clock& clock)
        : name_(name), reconcile_(std::move(reconcile)), clock_(clock),
          counters_{&counter("done"), &counter("again"), &counter("failed")} {}

    void add(const ObjectKey& key) override { queue_.add(key); }

    void add_after(const ObjectKey& key, Duration after) override { queue_.add_after(key, clock_.now() + after); }

    // Works on one key; false when none is due.
    bool step() {
        const std::optional<ObjectKey> key = queue_.pop(clock_.now());
        if (!key) return false;
        const Outcome outcome = reconcile_(*key);
        counters_[size_t(outcome.kind)]->add();
        if (outcome.kind == Outcome::Kind::failed) {
            queue_.failed(*key, clock_.now());
            log_change(*key, outcome.error);
            return true;
        }
        queue_.succeeded(*key);
        last_error_.erase(*key);
        if (outcome.kind == Outcome::Kind::again) queue_.add_after(*key, clock_.now() + outcome.after);
        return true;
    }

    std::optional<MonotonicTime> next_due() const {
        return queue_.idle() ? queue_.next_due() : std::optional<MonotonicTime>(clock_.now());
    }

private:
    metrics::Counter& counter(std::string outcome) const {
        return metrics::counter("weft_reconcile_total", {{"reconciler", name_}, {"outcome", std::move(outcome)}},
                                "Looks at one object by a reconciler.");
    }

    void log_change(const ObjectKey& key, const Error& error) {
        std::string& last = last_error_[key];
        if (last == error.message) return;
        last = error.message;
        log::warning("reconcile failed", {{"reconciler", name_}, {"object", key.text()}, {"error", error.message}});
    }

    const std::string name_;
    const Brain::Reconcile reconcile_;
    const Clock& clock_;
    const std::array<metrics::Counter*, 3> counters_;  // by Outcome::Kind
    WorkQueue queue_;
    std::map<ObjectKey, std::string> last_error_;
};

struct Periodic {
    Duration period;
    std::function<void()> work;
    std::optional<MonotonicTime> due;  // set when the caches are in sync
};

class ThreadedBrain : public Brain {
public:
    ThreadedBrain(Client& client, const Clock& clock) : client_(client), clock_(clock) {}

    const Cache& watch(const Resource& resource, const ListOptions& options) override {
        ENSURE(!running_);
        for (const auto& cache : caches_) {
            if (cache->resource == resource && cache->options.ns == options.ns &&
                cache->options.label_selector == options.label_selector &&
                cache->options.field_selector == options.field_selector &&
                cache->options.metadata_only == options.metadata_only)
                return *cache;
        }
        caches_.push_back(std::make_unique<MapCache>(resource, options));
        ears_.push_back(std::make_unique<Ear>(client_, clock_, resource, options));
        return *caches_.back();
    }

    void on_change(const Cache& cache, OnChange handler) override {
        for (const auto& mine : caches_)
            if (mine.get() == &cache) return mine->handlers.push_back(std::move(handler));
        ENSURE(false && "on_change: not a cache of this brain");
    }

    Queue& add_reconciler(std::string_view name, Reconcile reconcile) override {
        reconcilers_.push_back(std::make_unique<Reconciler>(name, std::move(reconcile), clock_));
        return *reconcilers_.back();
    }

    void every(Duration period, std::function<void()> work) override {
        periodics_.push_back({period, std::move(work), std::nullopt});
    }

    void on_synced(std::function<void()> work) override { on_synced_.push_back(std::move(work)); }

    void post(std::function<void()> work) override {
        const std::lock_guard lock(mutex_);
        inbox_.emplace_back(std::move(work));
        arrived_.notify_one();
    }

    bool synced() const override { return synced_.load(std::memory_order_acquire); }

    Duration staleness() const override {
        Duration oldest{};
        for (const auto& ear : ears_) oldest = std::max(oldest, clock_.now() - ear->last_life());
        return oldest;
    }

    void run(std::stop_token stop) override;
    void run_until_idle() override;

    Client& client() override { return client_; }

    const Clock& clock() const override { return clock_; }

private:
    struct Heard {
        size_t ear;
        EarNews news;
    };
    using Item = std::variant<Heard, std::function<void()>>;

    void hear(size_t ear, EarNews&& news, std::stop_token stop) {
        std::unique_lock lock(mutex_);
        drained_.wait(lock, stop, [&] { return inbox_.size() < inbox_max; });
        inbox_.emplace_back(Heard{ear, std::move(news)});
        arrived_.notify_one();
    }

    void take(Item&& item) {
        if (auto* work = std::get_if<std::function<void()>>(&item)) return (*work)();
        Heard& heard = std::get<Heard>(item);
        MapCache& cache = *caches_[heard.ear];
        if (auto* list = std::get_if<ObjectList>(&heard.news)) return cache.replace_all(std::move(list->items));
        apply(cache, std::get<WatchEvent>(std::move(heard.news)));
    }

    static void apply(MapCache& cache, WatchEvent&& event) {
        if (event.type == WatchEvent::Type::deleted) return cache.erase(event.object.key());
        if (event.type != WatchEvent::Type::bookmark) cache.put(std::move(event.object));
    }

    // What is new, in place of an ear. An API that does not answer leaves the cache as it is.
    void catch_up(MapCache& cache) {
        if (!cache.version.empty()) {
            std::stop_source at_once;
            at_once.request_stop();
            const Status seen = client_.watch(cache.resource, cache.options, cache.version, at_once.get_token(),
                                              [&cache](WatchEvent&& event) {
                                                  cache.version = event.object.resource_version();
                                                  apply(cache, std::move(event));
                                                  return true;
                                              });
            if (seen || seen.error().code != Code::gone) return;
            cache.version.clear();
        }
        if (Result<ObjectList> list = client_.list(cache.resource, cache.options)) {
            cache.version = list->resource_version;
            cache.replace_all(std::move(list->items));
        }
    }

    // After a sync: runs one key of each reconciler and what is due by time; false when there was nothing to do.
    bool work_once() {
        if (!note_sync()) return false;
        bool worked = false;
        for (size_t i = 0; i < periodics_.size(); i++) {
            if (periodics_[i].due && *periodics_[i].due > clock_.now()) continue;
            periodics_[i].due = clock_.now() + periodics_[i].period;
            periodics_[i].work();
            worked = true;
        }
        for (size_t i = 0; i < reconcilers_.size(); i++) worked |= reconcilers_[i]->step();
        return worked;
    }

    bool note_sync() {
        if (synced()) return true;
        for (const auto& cache : caches_)
            if (!cache->listed) return false;
        synced_.store(true, std::memory_order_release);
        for (size_t i = 0; i < on_synced_.size(); i++) on_synced_[i]();
        return true;
    }

    std::optional<MonotonicTime> next_due() const {
        std::optional<MonotonicTime> due;
        const auto sooner = [&](std::optional<MonotonicTime> when) {
            if (when && (!due || *when < *due)) due = when;
        };
        for (const Periodic& periodic : periodics_) sooner(periodic.due);
        for (const auto& reconciler : reconcilers_) sooner(reconciler->next_due());
        return due;
    }

    bool drain_inbox() {
        std::deque<Item> items;
        {
            const std::lock_guard lock(mutex_);
            items.swap(inbox_);
        }
        drained_.notify_all();
        for (Item& item : items) take(std::move(item));
        return !items.empty();
    }

    Client& client_;
    const Clock& clock_;
    std::vector<std::unique_ptr<MapCache>> caches_;  // same index as ears_
    std::vector<std::unique_ptr<Ear>> ears_;
    std::vector<std::unique_ptr<Reconciler>> reconcilers_;
    std::vector<Periodic> periodics_;
    std::vector<std::function<void()>> on_synced_;
    bool running_ = false;
    std::atomic<bool> synced_{false};
    std::mutex mutex_;
    std::condition_variable_any arrived_, drained_;
    std::deque<Item> inbox_;
};

void ThreadedBrain::run(std::stop_token stop) {
    running_ = true;
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < ears_.size(); i++) {
        threads.emplace_back([this, i](std::stop_token ear_stop) {
            ears_[i]->run(ear_stop, [&](EarNews&& news) { hear(i, std::move(news), ear_stop); });
        });
    }
    while (!stop.stop_requested()) {
        drain_inbox();
        if (work_once()) continue;
        const std::optional<MonotonicTime> due = synced() ? next_due() : std::nullopt;
        std::unique_lock lock(mutex_);
        const auto ready = [&] { return !inbox_.empty(); };
        if (!due)
            arrived_.wait(lock, stop, ready);
        else if (*due > clock_.now())
            arrived_.wait_for(lock, stop, *due - clock_.now(), ready);
    }
    for (std::jthread& thread : threads) thread.request_stop();
    threads.clear();  // joins
    running_ = false;
}

void ThreadedBrain::run_until_idle() {
    for (int round = 0; round < idle_rounds_max; round++) {
        for (const auto& cache : caches_) catch_up(*cache);
        bool worked = drain_inbox();
        while (work_once()) worked = true;
        if (!worked) return;
    }
    ENSURE(false && "run_until_idle: the reconcilers never come to rest");
}

}  // namespace

std::unique_ptr<Brain> Brain::create(Client& client, const Clock& clock) {
    return std::make_unique<ThreadedBrain>(client, clock);
}

}  // namespace weft::kube
