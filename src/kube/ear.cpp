#include "kube/ear.h"

#include <condition_variable>
#include <mutex>

#include "base/log.h"
#include "base/metrics.h"

namespace weft::kube {

Ear::Ear(Client& client, const Clock& clock, const Resource& resource, const ListOptions& options)
    : client_(client), clock_(clock), resource_(resource), options_(options),
      last_life_(clock.now().time_since_epoch().count()) {}

void Ear::note_life() {
    heard_ = true;
    last_life_.store(clock_.now().time_since_epoch().count(), std::memory_order_relaxed);
}

Status Ear::listen_once(std::stop_token stop, const std::function<void(EarNews&&)>& tell) {
    if (version_.empty()) {
        ObjectList list = TRY_IN("list", client_.list(resource_, options_));
        version_ = list.resource_version;
        note_life();
        tell(std::move(list));
    }
    return client_.watch(resource_, options_, version_, stop, [&](WatchEvent&& event) {
        note_life();
        if (!event.object.resource_version().empty()) version_ = event.object.resource_version();
        if (event.type != WatchEvent::Type::bookmark) tell(std::move(event));
        return !stop.stop_requested();
    });
}

void Ear::run(std::stop_token stop, const std::function<void(EarNews&&)>& tell) {
    Duration backoff = backoff_first;
    std::string last_error;
    std::mutex mutex;
    std::condition_variable_any never;
    while (!stop.stop_requested()) {
        heard_ = false;
        const Status status = listen_once(stop, tell);
        if (stop.stop_requested()) return;
        if (heard_) backoff = backoff_first;
        if (status) {
            last_error.clear();
            if (heard_) continue;  // an ordinary end of stream: resume at once
        } else if (status.error().code == Code::gone) {
            version_.clear();
            metrics::counter("weft_watch_relists_total", {{"kind", std::string(resource_.kind)}},
                             "Lists made again because history no longer reached back.")
                .add();
            if (heard_) continue;
        } else if (status.error().message != last_error) {
            last_error = status.error().message;
            log::warning("watch lost", {{"kind", resource_.kind}, {"error", last_error}});
        }
        std::unique_lock lock(mutex);
        never.wait_for(lock, stop, backoff, [] { return false; });
        backoff = std::min(backoff * 2, backoff_max);
    }
}

}  // namespace weft::kube
