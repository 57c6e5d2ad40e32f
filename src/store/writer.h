// Writer: the one thread that changes the database. It takes everything that waits as one batch, runs each write in a
// savepoint of its own, commits once (one fsync), publishes the events, and only then lets the callers return.
//
// The WAL is kept short: above wal_pages_copied upkeep is asked to copy it into the database beside us; above
// wal_pages_max we do what is left ourselves, since a WAL that is always written to never comes to an end by itself,
// and one that fills the disk could not be copied any more.
//
// Errors: a write's own failure is its own; a failed commit fails the whole batch with io and changes nothing.
// Threads: run() from any, blocks until its write is durable, refused, or its time is over. Source: design.md §9.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "store/broadcast.h"
#include "store/database.h"
#include "store/log.h"
#include "store/seen.h"

namespace weft::store {

class Writer {
public:
    // `newest`: the newest revision in the database. `broadcast` must outlive the writer. `wal_is_long` is called on
    // the writer's thread.
    static Result<std::unique_ptr<Writer>> start(Database database, Seen seen, std::string cluster_id, Revision newest,
                                                 Broadcast& broadcast, std::function<void()> wal_is_long = {});
    ~Writer();

    enum class Mode : uint8_t { keep, roll_back };
    Result<Revision> run(Write write, Mode mode, MonotonicTime until);
    // Work on the tables themselves that makes no revision (compaction); same thread, same batching.
    Status run_raw(std::function<Status(Database&)> work);

    bool writable() const;
    Log::Counters counters() const;

private:
    struct Pending;
    using PendingPtr = std::shared_ptr<Pending>;  // a caller whose time is over leaves its own behind
    struct Statements;
    class View;

    Writer(Database database, Seen seen, std::string cluster_id, Revision newest, Broadcast& broadcast,
           std::function<void()> wal_is_long);
    Status submit(const PendingPtr& pending, MonotonicTime until);
    void loop(std::stop_token stop);
    void commit_batch(std::vector<PendingPtr>& batch);
    Status run_in_savepoint(Pending& pending, std::vector<EventPtr>& events);
    void keep_wal_short();

    Database database_;
    std::unique_ptr<Statements> statements_;
    Seen seen_;
    const std::string cluster_id_;
    Revision newest_;
    uint64_t failed_batches_ = 0;                         // the writer thread's
    int wal_pages_ = 0, wal_pages_next_ = wal_pages_max;  // in the WAL; when to begin it anew
    Broadcast& broadcast_;
    const std::function<void()> wal_is_long_;

    mutable std::mutex mutex_;
    std::condition_variable_any arrived_;
    std::condition_variable finished_;
    std::deque<PendingPtr> queue_;
    bool stopping_ = false;
    bool writable_ = true;
    Log::Counters counters_;
    std::jthread thread_;  // last: joins before the rest goes
};

}  // namespace weft::store
