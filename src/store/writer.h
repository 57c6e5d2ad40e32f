// Writer: the one thread that changes the database. It takes everything that waits as one batch, runs each write in a
// savepoint of its own, commits once (one fsync), publishes the events, and only then lets the callers return.
//
// Errors: a write's own failure is its own; a failed commit fails the whole batch with io and changes nothing.
// Threads: run() from any, blocks. Source: design.md §9.
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
    // `next`: the newest revision in the database. `broadcast` must outlive the writer.
    static Result<std::unique_ptr<Writer>> start(Database database, Seen seen, std::string cluster_id, Revision newest,
                                                 Broadcast& broadcast);
    ~Writer();

    enum class Mode : uint8_t { keep, roll_back };
    Result<Revision> run(Write write, Mode mode);
    // Work on the tables themselves that makes no revision (compaction); same thread, same batching.
    Status run_raw(std::function<Status(Database&)> work);

    bool writable() const;
    Log::Counters counters() const;

private:
    struct Pending;
    struct Statements;
    class View;

    Writer(Database database, Seen seen, std::string cluster_id, Revision newest, Broadcast& broadcast);
    Status submit(Pending& pending);
    void loop(std::stop_token stop);
    void commit_batch(std::vector<Pending*>& batch);
    Status run_in_savepoint(Pending& pending, std::vector<EventPtr>& events);

    Database database_;
    std::unique_ptr<Statements> statements_;
    Seen seen_;
    const std::string cluster_id_;
    Revision newest_;
    uint64_t failed_batches_ = 0;  // the writer thread's
    Broadcast& broadcast_;

    mutable std::mutex mutex_;
    std::condition_variable_any arrived_;
    std::condition_variable finished_;
    std::deque<Pending*> queue_;
    bool stopping_ = false;
    bool writable_ = true;
    Log::Counters counters_;
    std::jthread thread_;  // last: joins before the rest goes
};

}  // namespace weft::store
