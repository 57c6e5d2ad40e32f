#include "store/broadcast.h"

#include <algorithm>

namespace weft::store {

Revision Broadcast::join(Listener& listener) {
    const std::lock_guard lock(mutex_);
    listeners_.push_back(&listener);
    listener.progress_ = published_;
    return published_;
}

void Broadcast::leave(Listener& listener) {
    const std::lock_guard lock(mutex_);
    std::erase(listeners_, &listener);
}

void Broadcast::publish(std::vector<EventPtr> events, Revision revision) {
    const std::lock_guard lock(mutex_);
    published_ = revision;
    published_changed_.notify_all();
    for (Listener* listener : listeners_) {
        if (listener->lost_) continue;
        bool wake = false;
        for (const EventPtr& event : events) {
            if (!std::string_view(event->key).starts_with(listener->prefix_)) continue;
            listener->events_.push_back(event);
            wake = true;
        }
        listener->progress_ = revision;
        if (listener->events_.size() > watch_buffer_events_max) {
            listener->lost_ = true;
            listener->events_.clear();
            dropped_++;
        }
        if (wake) listener->changed_.notify_all();
    }
}

Result<Watch::Batch> Broadcast::take(Listener& listener, MonotonicTime until, std::stop_token stop) {
    std::unique_lock lock(mutex_);
    listener.changed_.wait_until(lock, stop, until, [&] { return listener.lost_ || !listener.events_.empty(); });
    if (listener.lost_) return fail(Code::gone, "the watch was too slow and was closed");
    Watch::Batch batch;
    batch.events.assign(listener.events_.begin(), listener.events_.end());
    batch.progress = listener.progress_;
    listener.events_.clear();
    return batch;
}

Revision Broadcast::published() const {
    const std::lock_guard lock(mutex_);
    return published_;
}

bool Broadcast::wait_for(Revision revision, MonotonicTime until) {
    std::unique_lock lock(mutex_);
    return published_changed_.wait_until(lock, until, [&] { return published_ >= revision; });
}

uint64_t Broadcast::dropped() const {
    const std::lock_guard lock(mutex_);
    return dropped_;
}

}  // namespace weft::store
