// Brain: the one thread of a process that owns all mutable state and runs its reconcilers to completion.
//
//   ears (a thread per watched kind: list, watch, resume, relist on 410) --> inbox --> brain: cache --> work queues --> reconcile
//
// Set up before run(): watch() gives a Cache that only the brain's thread touches (no locks); add_reconciler() gives a queue;
// on_change() maps a changed object to keys of that queue. Nothing is reconciled before all caches are in sync, so nothing
// can be deleted out of ignorance. A lost API server leaves everything as it is; ears retry with back-off (0.1 s .. 5 s).
// run_until_idle() is for tests and simulations: no threads, the client is listed and watched in place.
// Source: style.md 2.7, 2.8.
#pragma once
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "kube/client.h"
#include "kube/object.h"

namespace weft::kube {

// What a reconciler says at the end.
struct Outcome {
    enum class Kind : uint8_t { done, again, failed };
    Kind kind = Kind::done;
    Duration after{};   // again
    Error error{};      // failed: logged once per change of message, retried with back-off

    static Outcome done() { return {}; }
    static Outcome again(Duration after) { return {Kind::again, after, {}}; }
    static Outcome failed(Error error) { return {Kind::failed, {}, std::move(error)}; }
    // For `return Outcome::from(status)`.
    static Outcome from(const Status& status) { return status ? done() : failed(status.error()); }
};

// All objects of one watched kind. Pointers stay valid while held (shared).
class Cache {
public:
    virtual ~Cache() = default;
    virtual ObjectPtr get(const ObjectKey& key) const = 0;  // nullptr when absent
    virtual void for_each(const std::function<void(const ObjectPtr&)>& visit) const = 0;  // ordered by key
    virtual void for_each_in(std::string_view ns, const std::function<void(const ObjectPtr&)>& visit) const = 0;
    virtual size_t size() const = 0;

    ObjectPtr get(std::string_view name) const { return get(ObjectKey{"", std::string(name)}); }
};

class Brain {
public:
    using Reconcile = std::function<Outcome(const ObjectKey&)>;
    // before or after is null on add and delete. Called on the brain's thread after the cache has changed.
    using OnChange = std::function<void(const ObjectPtr& before, const ObjectPtr& after)>;

    class Queue {
    public:
        virtual ~Queue() = default;
        virtual void add(const ObjectKey& key) = 0;
        virtual void add_after(const ObjectKey& key, Duration after) = 0;
    };

    static std::unique_ptr<Brain> create(Client& client, const Clock& clock = system_clock());
    virtual ~Brain() = default;

    // Same resource and options twice gives the same Cache.
    virtual const Cache& watch(const Resource& resource, const ListOptions& options = {}) = 0;
    virtual void on_change(const Cache& cache, OnChange handler) = 0;
    // `name` stands in logs and in the metric weft_reconcile_total{reconciler,outcome}.
    virtual Queue& add_reconciler(std::string_view name, Reconcile reconcile) = 0;
    // Runs `work` every `period` on the brain's thread, first after all caches are in sync.
    virtual void every(Duration period, std::function<void()> work) = 0;
    // Runs once, when all caches have synced for the first time.
    virtual void on_synced(std::function<void()> work) = 0;

    // From any thread: run this on the brain's thread soon.
    virtual void post(std::function<void()> work) = 0;
    virtual bool synced() const = 0;  // any thread
    // Age of the oldest ear's last sign of life (event, bookmark, list); any thread.
    virtual Duration staleness() const = 0;

    virtual void run(std::stop_token stop) = 0;
    virtual void run_until_idle() = 0;

    virtual Client& client() = 0;
    virtual const Clock& clock() const = 0;
};

// Events on the user's object (spec: errors are seen there, never only in a log). The same (object, reason, message) within
// 10 minutes only raises `count`. Failing to write one is logged, not returned.
class EventRecorder {
public:
    EventRecorder(Client& client, std::string_view component, const Clock& clock = system_clock());
    ~EventRecorder();
    void normal(const Object& about, std::string_view reason, std::string_view message);
    void warning(const Object& about, std::string_view reason, std::string_view message);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace weft::kube
