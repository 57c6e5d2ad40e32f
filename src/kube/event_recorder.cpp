#include <list>
#include <mutex>

#include "base/log.h"
#include "base/rng.h"
#include "kube/brain.h"

namespace weft::kube {

namespace {
constexpr Duration repeat_window = std::chrono::minutes(10);
constexpr size_t remembered_max = 1000;

struct Recorded {
    std::string id;  // object, reason and message
    ObjectKey key;
    int64_t count;
    MonotonicTime last;
};
}  // namespace

struct EventRecorder::State {
    Client& client;
    const std::string component;
    const Clock& clock;
    std::mutex mutex;
    std::list<Recorded> recorded;  // the one raised longest ago first
    std::map<std::string_view, std::list<Recorded>::iterator> by_id;

    void forget(std::list<Recorded>::iterator known) {
        by_id.erase(known->id);
        recorded.erase(known);
    }

    void forget_old() {
        while (!recorded.empty() && clock.now() - recorded.front().last > repeat_window) forget(recorded.begin());
    }

    // The oldest makes room: the price is a second Event of it, not a lost one.
    void remember(const std::string& id, const ObjectKey& key) {
        if (const auto known = by_id.find(id); known != by_id.end()) forget(known->second);
        if (recorded.size() >= remembered_max) forget(recorded.begin());
        recorded.push_back({id, key, 1, clock.now()});
        by_id.emplace(recorded.back().id, std::prev(recorded.end()));
    }

    Status raise_count(Recorded& known) {
        const json::Value patch =
            json::Object{{"count", known.count + 1}, {"lastTimestamp", rfc3339(clock.wall())}};
        TRY(client.patch(events, known.key, PatchType::merge, patch));
        known.count++;
        known.last = clock.now();
        return {};
    }

    Result<ObjectKey> write_new(const Object& about, std::string_view type, std::string_view reason,
                                std::string_view message) {
        const std::string ns(about.ns().empty() ? "default" : about.ns());
        Object event = Object::of(events, {ns, fmt::format("{}.{}", about.name(), random_hex(8))});
        event.set({"involvedObject"}, json::Object{{"apiVersion", about.api_version()},
                                                   {"kind", about.kind()},
                                                   {"namespace", about.ns()},
                                                   {"name", about.name()},
                                                   {"uid", about.uid()},
                                                   {"resourceVersion", about.resource_version()}});
        if (about.ns().empty()) json::erase(event.body(), {"involvedObject", "namespace"});
        event.set({"type"}, type);
        event.set({"reason"}, reason);
        event.set({"message"}, message);
        event.set({"source", "component"}, json::Value(component));
        event.set({"reportingComponent"}, json::Value(component));
        event.set({"reportingInstance"}, "");
        event.set({"firstTimestamp"}, json::Value(rfc3339(clock.wall())));
        event.set({"lastTimestamp"}, json::Value(rfc3339(clock.wall())));
        event.set({"count"}, 1);
        return TRY(client.create(events, event)).key();
    }

    void record(const Object& about, std::string_view type, std::string_view reason, std::string_view message) {
        const std::lock_guard lock(mutex);
        forget_old();
        const std::string id =
            fmt::format("{}|{}|{}|{}|{}", about.kind(), about.key().text(), about.uid(), reason, message);
        if (const auto known = by_id.find(id); known != by_id.end()) {
            const Status raised = raise_count(*known->second);
            if (raised) return recorded.splice(recorded.end(), recorded, known->second);
            if (raised.error().code != Code::not_found) return complain(about, reason, raised.error());
        }
        const Result<ObjectKey> written = write_new(about, type, reason, message);
        if (!written) return complain(about, reason, written.error());
        remember(id, *written);
    }

    static void complain(const Object& about, std::string_view reason, const Error& error) {
        log::warning(
            "event not written",
            {{"kind", about.kind()}, {"object", about.key().text()}, {"reason", reason}, {"error", error.message}});
    }
};

EventRecorder::EventRecorder(Client& client, std::string_view component, const Clock& clock)
    : state_(new State{.client = client, .component = std::string(component), .clock = clock}) {}

EventRecorder::~EventRecorder() = default;

void EventRecorder::normal(const Object& about, std::string_view reason, std::string_view message) {
    state_->record(about, "Normal", reason, message);
}

void EventRecorder::warning(const Object& about, std::string_view reason, std::string_view message) {
    state_->record(about, "Warning", reason, message);
}

}  // namespace weft::kube
