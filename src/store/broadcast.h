// Broadcast: hands committed events to live listeners. The writer never waits: a listener whose buffer is full is
// marked lost, gets Code::gone at its next read and lists again. Threads: publish from the writer; the rest from any.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>

#include "store/log.h"

namespace weft::store {

class Broadcast {
public:
    explicit Broadcast(Revision published) : published_(published) {}

    class Listener {
    public:
        explicit Listener(std::string prefix) : prefix_(std::move(prefix)) {}

    private:
        friend class Broadcast;
        std::string prefix_;
        std::deque<EventPtr> events_;
        Revision progress_ = 0;
        bool lost_ = false;
        std::condition_variable_any changed_;
    };

    // From the returned revision on (exclusive), the listener gets every event under its prefix.
    Revision join(Listener& listener);
    void leave(Listener& listener);

    void publish(std::vector<EventPtr> events, Revision revision);

    // Everything buffered, waiting until `until` if there is nothing; wakes early when `stop` is asked.
    Result<Watch::Batch> take(Listener& listener, MonotonicTime until, std::stop_token stop);

    Revision published() const;
    bool wait_for(Revision revision, MonotonicTime until);
    uint64_t dropped() const;

private:
    mutable std::mutex mutex_;
    std::condition_variable published_changed_;
    std::vector<Listener*> listeners_;
    Revision published_;
    uint64_t dropped_ = 0;
};

}  // namespace weft::store
