// Log: a revisioned key/value log. Every put and remove gets the next revision of one global sequence; readers see a
// snapshot at a revision; watchers get every change after a revision, in order, none twice, none lost.
//
// Keys are bytes ("apps/deployments/default/web"), values are serialized JSON without metadata.resourceVersion: an
// entry's revision *is* its resourceVersion. Writes are closures, run one after the other on the single writer thread
// against the transaction's own view; all that wait together are one SQLite transaction and cost one fsync. write()
// returns when that is durable. A closure that fails leaves nothing behind, the others of its batch stand.
//
// Errors: already_exists / not_found / conflict from preconditions; timeout when a write's time is over; gone when a
// revision was compacted or a watcher was too slow; io when the disk refuses (reads and running watches go on; the next
// write tries again). Threads: any. Source: spec/kubernetes.md API-45..60, API-132, API-133; store/schema.cpp is the
// file format.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace weft::store {

using Revision = int64_t;  // > 0; 0 is "none" or "latest", as said

inline constexpr size_t watch_buffer_events_max = 8192;  // a watcher further behind is dropped
inline constexpr size_t write_batch_max = 512;           // writes that share one fsync
inline constexpr size_t write_queue_max = 4096;          // waiting writes; more: unavailable
inline constexpr int wal_pages_copied = 1024;            // 4 MiB in the WAL: upkeep copies them into the database
inline constexpr int wal_pages_max = 4096;               // 16 MiB: the writer itself begins the WAL anew
inline constexpr MonotonicTime never = MonotonicTime::max();
inline constexpr auto history_age_min = std::chrono::minutes(5);
inline constexpr Revision history_revisions_max = 100'000;

struct Entry {
    std::string key;
    std::string value;
    Revision revision = 0;
};

// What a write sees and does. Valid only inside its closure.
class Transaction {
public:
    virtual ~Transaction() = default;
    virtual Result<std::optional<Entry>> get(std::string_view key) = 0;
    virtual Result<std::vector<Entry>> range(std::string_view prefix) = 0;
    // `expected`: nullopt = whatever is there; 0 = the key must be absent (else already_exists); N = the entry's
    // revision must be N (else conflict, or not_found when absent). Returns the revision given.
    virtual Result<Revision> put(std::string_view key, std::string value, std::optional<Revision> expected) = 0;
    virtual Result<Revision> remove(std::string_view key, std::optional<Revision> expected) = 0;
    // Batches that failed to commit so far: a change tells the keeper of an index that what it was told did not happen.
    virtual uint64_t failed_batches() const = 0;
};

using Write = std::function<Status(Transaction&)>;

struct RangeOptions {
    Revision revision = 0;    // 0 = latest
    size_t limit = 0;         // 0 = all
    std::string start_after;  // full key of the last entry already seen, "" = from the beginning
    bool count_rest = false;  // fill RangeResult::rest
};

struct RangeResult {
    Revision revision = 0;  // of the snapshot
    std::vector<Entry> entries;
    bool more = false;
    size_t rest = 0;  // entries after the last one returned
};

struct Event {
    enum class Type : uint8_t { created, updated, removed };
    Type type;
    Revision revision;
    std::string key;
    std::string value;           // empty when removed
    std::string previous_value;  // empty when created
    Revision previous_revision = 0;
};

using EventPtr = std::shared_ptr<const Event>;

// One listener's stream. Threads: one; destroy to unsubscribe.
class Watch {
public:
    virtual ~Watch() = default;

    struct Batch {
        std::vector<EventPtr> events;  // may be empty when the time is over
        Revision progress = 0;         // everything up to here has been delivered
    };

    // Waits for events until `until` or `stop`. gone: this listener was too slow and is closed.
    virtual Result<Batch> next(MonotonicTime until, std::stop_token stop) = 0;
};

struct Options {
    std::string path;    // of the database file; "<path>.seen" stands beside it and detects a lost or older database
    bool force = false;  // accept a lost or older database: watchers may have missed changes
    std::string vfs;     // SQLite VFS name, "" = the system's; the durability test has its own
    const Clock* clock = nullptr;
    bool background = true;  // a maintenance thread checkpoints and compacts; false: only when maintain() is called
};

class Log {
public:
    // Creates the file if it is new. conflict: the file is older than what was last seen, or is lost; invalid: a newer
    // schema.
    static Result<std::unique_ptr<Log>> open(const Options& options);
    virtual ~Log() = default;

    // Runs `write` on the writer thread; durable when it returns. The revision is the last one it was given (or the
    // current one when it changed nothing). timeout after `until`: `write` did not run and will not, or, as the message
    // says then, its commit still waits for the disk.
    virtual Result<Revision> write(Write write, MonotonicTime until = never) = 0;
    // The same view and checks, but everything is rolled back and no revision is used.
    virtual Status dry_run(Write write, MonotonicTime until = never) = 0;

    virtual Result<std::optional<Entry>> get(std::string_view key, Revision revision = 0) = 0;
    virtual Result<RangeResult> range(std::string_view prefix, const RangeOptions& options = {}) = 0;
    // Every change of keys under `prefix` with a revision > after. gone when that was compacted.
    virtual Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision after) = 0;

    virtual Revision revision() const = 0;   // newest committed
    virtual Revision compacted() const = 0;  // history begins after this
    virtual bool wait_for(Revision revision, MonotonicTime until) = 0;
    virtual std::string cluster_id() const = 0;  // random, for the life of the file
    virtual bool writable() const = 0;           // false after a failed commit until one succeeds

    virtual Status compact(Revision revision) = 0;  // forgets what only older snapshots need
    virtual Status maintain() = 0;                  // checkpoint, and compact what is older than the limits above

    struct Counters {
        uint64_t batches = 0, writes = 0, watchers_dropped = 0;
    };

    virtual Counters counters() const = 0;
};

}  // namespace weft::store
