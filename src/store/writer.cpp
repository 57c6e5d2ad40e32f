#include "store/writer.h"

#include <fmt/format.h>
#include <pthread.h>

#include "base/log.h"
#include "store/schema.h"

namespace weft::store {

static constexpr int wal_busy_timeout_ms = 50;  // for readers to let go of the WAL
static constexpr int wal_pages_retry = 512;     // after they did not

// Until `ran` the write may look at its caller's variables, so the caller has to stay; afterwards only ours.
struct Writer::Pending {
    enum class Phase : uint8_t { waiting, running, ran, done, given_up };
    Write write;
    std::function<Status(Database&)> raw;
    Mode mode = Mode::keep;
    Phase phase = Phase::waiting;  // under mutex_
    bool overdue = false;          // under mutex_: its caller waits for `ran`
    Status status;
    Revision revision = 0;
    bool changed = false;
};

struct Writer::Statements {
    Statement current, range, supersede, insert;

    static Result<std::unique_ptr<Statements>> prepare(Database& database) {
        auto all = std::make_unique<Statements>();
        all->current =
            TRY(database.prepare("SELECT revision, kind, value FROM log WHERE key = ? AND superseded IS NULL"));
        all->range =
            TRY(database.prepare("SELECT key, value, revision FROM log WHERE superseded IS NULL AND kind <> 3"
                                 " AND key >= ? AND key < ? ORDER BY key"));
        all->supersede = TRY(database.prepare("UPDATE log SET superseded = ? WHERE revision = ?"));
        all->insert =
            TRY(database.prepare("INSERT INTO log(revision, key, kind, value, previous) VALUES(?, ?, ?, ?, ?)"));
        return all;
    }
};

// What one write sees: the open transaction, with everything earlier writes of the batch did.
class Writer::View final : public Transaction {
public:
    View(Statements& statements, Revision& newest, std::vector<EventPtr>& events, uint64_t failed_batches)
        : statements_(statements), newest_(newest), events_(events), failed_batches_(failed_batches) {}

    uint64_t failed_batches() const override { return failed_batches_; }

    Result<std::optional<Entry>> get(std::string_view key) override {
        const Row row = TRY(current(key));
        if (!row.present) return std::optional<Entry>();
        return Entry{std::string(key), row.value, row.revision};
    }

    Result<std::vector<Entry>> range(std::string_view prefix) override {
        std::vector<Entry> entries;
        const std::string end = prefix_end(prefix);
        statements_.range.bind(1, prefix).bind(2, end.empty() ? "\xff" : end);
        while (TRY(statements_.range.step()))
            entries.push_back({statements_.range.bytes(0), statements_.range.bytes(1), statements_.range.integer(2)});
        statements_.range.reset();
        return entries;
    }

    Result<Revision> put(std::string_view key, std::string value, std::optional<Revision> expected) override {
        const Row row = TRY(current(key));
        TRY(check(row, key, expected));
        return append(key, row.present ? Kind::updated : Kind::created, std::move(value), row);
    }

    Result<Revision> remove(std::string_view key, std::optional<Revision> expected) override {
        const Row row = TRY(current(key));
        if (!row.present) return fail(Code::not_found, fmt::format("{}: not found", key));
        TRY(check(row, key, expected));
        return append(key, Kind::removed, {}, row);
    }

private:
    struct Row {
        bool present = false;   // an entry is there (not a removal's trace)
        Revision revision = 0;  // of the row that the next one supersedes, 0: none
        std::string value;
    };

    Result<Row> current(std::string_view key) {
        Row row;
        Statement& statement = statements_.current;
        if (TRY(statement.bind(1, key).step())) {
            row = {Kind(statement.integer(1)) != Kind::removed, statement.integer(0), statement.bytes(2)};
        }
        statement.reset();
        return row;
    }

    static Status check(const Row& row, std::string_view key, std::optional<Revision> expected) {
        if (!expected) return {};
        if (*expected == 0)
            return row.present ? Status(fail(Code::already_exists, fmt::format("{}: already exists", key))) : Status();
        if (!row.present) return fail(Code::not_found, fmt::format("{}: not found", key));
        if (row.revision != *expected)
            return fail(Code::conflict, fmt::format("{}: is at revision {}, not {}", key, row.revision, *expected));
        return {};
    }

    Result<Revision> append(std::string_view key, Kind kind, std::string value, const Row& row) {
        const Revision revision = newest_ + 1;
        if (row.revision != 0) TRY(statements_.supersede.bind(1, revision).bind(2, row.revision).run());
        Statement& insert = statements_.insert;
        insert.bind(1, revision).bind(2, key).bind(3, int64_t(kind)).bind(4, value);
        if (row.present) insert.bind(5, row.revision);
        TRY(insert.run());
        newest_ = revision;
        auto event = std::make_shared<Event>();
        event->type = kind == Kind::created   ? Event::Type::created
                      : kind == Kind::updated ? Event::Type::updated
                                              : Event::Type::removed;
        event->revision = revision;
        event->key = key;
        event->value = std::move(value);
        if (row.present) event->previous_value = row.value;
        if (row.present) event->previous_revision = row.revision;
        events_.push_back(std::move(event));
        return revision;
    }

    Statements& statements_;
    Revision& newest_;
    std::vector<EventPtr>& events_;
    const uint64_t failed_batches_;
};

Writer::Writer(Database database, Seen seen, std::string cluster_id, Revision newest, Broadcast& broadcast,
               std::function<void()> wal_is_long)
    : database_(std::move(database)),
      seen_(std::move(seen)),
      cluster_id_(std::move(cluster_id)),
      newest_(newest),
      broadcast_(broadcast),
      wal_is_long_(std::move(wal_is_long)) {}

Writer::~Writer() = default;

Result<std::unique_ptr<Writer>> Writer::start(Database database, Seen seen, std::string cluster_id, Revision newest,
                                              Broadcast& broadcast, std::function<void()> wal_is_long) {
    std::unique_ptr<Writer> writer(new Writer(std::move(database), std::move(seen), std::move(cluster_id), newest,
                                              broadcast, std::move(wal_is_long)));
    writer->statements_ = TRY(Statements::prepare(writer->database_));
    sqlite3_wal_hook(
        writer->database_.get(),
        [](void* self, sqlite3*, const char*, int pages) {
            static_cast<Writer*>(self)->wal_pages_ = pages;
            return SQLITE_OK;
        },
        writer.get());
    (void)writer->seen_.write({writer->cluster_id_, newest});
    writer->thread_ = std::jthread([raw = writer.get()](std::stop_token stop) { raw->loop(stop); });
    pthread_setname_np(writer->thread_.native_handle(), "store-writer");
    return writer;
}

Result<Revision> Writer::run(Write write, Mode mode, MonotonicTime until) {
    const auto pending = std::make_shared<Pending>(Pending{.write = std::move(write), .mode = mode});
    TRY(submit(pending, until));
    return pending->revision;
}

Status Writer::run_raw(std::function<Status(Database&)> work) {
    return submit(std::make_shared<Pending>(Pending{.raw = std::move(work)}), never);
}

Status Writer::submit(const PendingPtr& pending, MonotonicTime until) {
    using Phase = Pending::Phase;
    std::unique_lock lock(mutex_);
    if (stopping_) return fail(Code::unavailable, "the store is closing");
    if (queue_.size() >= write_queue_max) return fail(Code::unavailable, "too many writes are waiting");
    queue_.push_back(pending);
    arrived_.notify_one();
    const auto done = [&] { return pending->phase == Phase::done; };
    if (until == never) {
        finished_.wait(lock, done);
        return std::move(pending->status);
    }
    if (finished_.wait_until(lock, until, done)) return std::move(pending->status);
    if (pending->phase == Phase::waiting) {
        pending->phase = Phase::given_up;
        std::erase(queue_, pending);
        return fail(Code::timeout, "the write waited too long for its turn and was not made");
    }
    pending->overdue = true;
    finished_.wait(lock, [&] { return pending->phase != Phase::running; });
    if (done()) return std::move(pending->status);
    return fail(Code::timeout, "the disk takes too long; the write may still be made");
}

void Writer::loop(std::stop_token stop) {
    std::vector<PendingPtr> batch;
    while (true) {
        {
            std::unique_lock lock(mutex_);
            arrived_.wait(lock, stop, [&] { return !queue_.empty(); });
            if (queue_.empty()) {  // asked to stop, and nobody waits
                stopping_ = true;
                return;
            }
            const size_t count = std::min(queue_.size(), write_batch_max);
            batch.assign(queue_.begin(), queue_.begin() + ptrdiff_t(count));
            queue_.erase(queue_.begin(), queue_.begin() + ptrdiff_t(count));
        }
        commit_batch(batch);
        {
            const std::lock_guard lock(mutex_);
            for (const PendingPtr& pending : batch) pending->phase = Pending::Phase::done;
            finished_.notify_all();
        }
        batch.clear();
        keep_wal_short();
    }
}

void Writer::keep_wal_short() {
    if (wal_pages_ < wal_pages_copied) return;
    if (wal_is_long_) wal_is_long_();
    if (wal_pages_ < wal_pages_next_) return;
    sqlite3* const handle = database_.get();
    sqlite3_busy_timeout(handle, wal_busy_timeout_ms);
    const int code = sqlite3_wal_checkpoint_v2(handle, nullptr, SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
    sqlite3_busy_timeout(handle, busy_timeout_ms);
    wal_pages_next_ = code == SQLITE_OK ? wal_pages_max : wal_pages_ + wal_pages_retry;
    if (code == SQLITE_OK)
        wal_pages_ = 0;
    else if ((code & 0xff) != SQLITE_BUSY)
        log::warning("the WAL could not be begun anew", {{"pages", wal_pages_}, {"error", sqlite3_errmsg(handle)}});
}

void Writer::commit_batch(std::vector<PendingPtr>& batch) {
    using Phase = Pending::Phase;
    const Revision before = newest_;
    std::vector<EventPtr> events;
    bool raw = false;
    uint64_t writes = 0;
    Status all = database_.execute("BEGIN IMMEDIATE");
    for (const PendingPtr& pending : batch) {
        if (!all) break;
        {
            const std::lock_guard lock(mutex_);
            if (pending->phase == Phase::given_up) continue;
            pending->phase = Phase::running;
        }
        pending->status = run_in_savepoint(*pending, events);
        {
            const std::lock_guard lock(mutex_);
            pending->phase = Phase::ran;
            if (pending->overdue) finished_.notify_all();
        }
        pending->revision = newest_;
        raw |= bool(pending->raw);
        writes += pending->changed;
        // A full disk or an I/O error may have rolled back the whole transaction, earlier writes of the batch included.
        if (sqlite3_get_autocommit(database_.get()) != 0)
            all = fail(pending->status ? Error{Code::io, "the transaction was rolled back"} : pending->status.error());
    }
    const bool anything = !events.empty() || raw;
    if (all) all = database_.execute(anything ? "COMMIT" : "ROLLBACK");
    if (!all) {
        if (sqlite3_get_autocommit(database_.get()) == 0) (void)database_.execute("ROLLBACK");
        newest_ = before;
        failed_batches_++;
        for (const PendingPtr& pending : batch) pending->status = fail(all.error());
        log::error("commit failed", {{"writes", batch.size()}, {"error", all.error().message}});
    } else if (!events.empty()) {
        (void)seen_.write({cluster_id_, newest_});
        broadcast_.publish(std::move(events), newest_);
    }
    const std::lock_guard lock(mutex_);
    if (!all || anything) writable_ = bool(all);
    if (all && anything) counters_.batches++;
    if (all) counters_.writes += writes;
}

Status Writer::run_in_savepoint(Pending& pending, std::vector<EventPtr>& events) {
    if (pending.raw) return pending.raw(database_);
    const Revision before = newest_;
    const size_t events_before = events.size();
    TRY(database_.execute("SAVEPOINT one"));
    View view(*statements_, newest_, events, failed_batches_);
    Status status = pending.write(view);
    pending.changed = status && pending.mode == Mode::keep && newest_ != before;
    if (!pending.changed) {
        newest_ = before;
        events.resize(events_before);
        if (sqlite3_get_autocommit(database_.get()) == 0) TRY(database_.execute("ROLLBACK TO one"));
    }
    if (sqlite3_get_autocommit(database_.get()) == 0) TRY(database_.execute("RELEASE one"));
    return status;
}

bool Writer::writable() const {
    const std::lock_guard lock(mutex_);
    return writable_;
}

Log::Counters Writer::counters() const {
    const std::lock_guard lock(mutex_);
    return counters_;
}

}  // namespace weft::store
