// The Log as its callers see it: opening (lost or older file?), snapshots for readers, watches that first replay
// history and then go live, compaction and checkpoints in the background. Writing is writer.cpp, live events
// broadcast.cpp.
#include "store/log.h"

#include <fmt/format.h>
#include <pthread.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/strings.h"
#include "store/broadcast.h"
#include "store/reader.h"
#include "store/schema.h"
#include "store/writer.h"

namespace weft::store {

static constexpr auto maintenance_period = std::chrono::seconds(10);
static constexpr int64_t compaction_rows_max = 2000;  // per batch, so that writers do not wait long

namespace {

class SqliteLog final : public Log {
public:
    SqliteLog(Options options, std::string cluster_id, Revision newest, Revision compacted)
        : options_(std::move(options)),
          clock_(options_.clock == nullptr ? system_clock() : *options_.clock),
          cluster_id_(std::move(cluster_id)),
          compacted_(compacted),
          broadcast_(newest),
          readers_(options_.path, options_.vfs) {}

    Status start(Database database, Seen seen) {
        writer_ = TRY(Writer::start(std::move(database), std::move(seen), cluster_id_, broadcast_.published(),
                                    broadcast_, [this] { want_checkpoint(); }));
        marks_.push_back({clock_.now(), broadcast_.published()});
        if (options_.background) {
            maintenance_ = std::jthread([this](std::stop_token stop) { maintain_until(stop); });
            pthread_setname_np(maintenance_.native_handle(), "store-upkeep");
        }
        return {};
    }

    Result<Revision> write(Write write, MonotonicTime until) override {
        return writer_->run(std::move(write), Writer::Mode::keep, until);
    }

    Status dry_run(Write write, MonotonicTime until) override {
        TRY(writer_->run(std::move(write), Writer::Mode::roll_back, until));
        return {};
    }

    Result<std::optional<Entry>> get(std::string_view key, Revision revision) override {
        auto reader = TRY(readers_.borrow());
        auto entry = TRY(reader->get(key, revision));
        TRY(check_history(revision));
        return entry;
    }

    Result<RangeResult> range(std::string_view prefix, const RangeOptions& options) override {
        auto reader = TRY(readers_.borrow());
        RangeResult result = TRY(reader->range(prefix, options));
        TRY(check_history(options.revision));
        return result;
    }

    Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision after) override;

    Revision revision() const override { return broadcast_.published(); }

    Revision compacted() const override { return compacted_; }

    bool wait_for(Revision revision, MonotonicTime until) override { return broadcast_.wait_for(revision, until); }

    std::string cluster_id() const override { return cluster_id_; }

    bool writable() const override { return writer_->writable(); }

    Counters counters() const override {
        Counters counters = writer_->counters();
        counters.watchers_dropped = broadcast_.dropped();
        return counters;
    }

    Status compact(Revision revision) override;
    Status maintain() override;

private:
    friend class ReplayingWatch;

    // Checked after reading: compacted_ moves before rows go, so a snapshot that lacks rows is always noticed.
    Status check_history(Revision revision) const {
        if (revision == 0 || revision >= compacted_) return {};
        return fail(Code::gone,
                    fmt::format("revision {} was compacted; history begins at {}", revision, compacted_.load()));
    }

    void maintain_until(std::stop_token stop);
    void want_checkpoint();

    const Options options_;
    const Clock& clock_;
    const std::string cluster_id_;
    std::atomic<Revision> compacted_;
    Broadcast broadcast_;
    ReaderPool readers_;

    struct Mark {
        MonotonicTime when;
        Revision revision;
    };

    std::mutex upkeep_mutex_;
    std::deque<Mark> marks_;  // which revision was the newest, when
    std::mutex sleep_mutex_;
    std::condition_variable_any sleep_;
    bool checkpoint_wanted_ = false;
    std::unique_ptr<Writer> writer_;  // asks for checkpoints until it ends
    std::jthread maintenance_;
};

// Replays (after, joined] from the database in chunks, then hands out what the broadcast has collected meanwhile.
class ReplayingWatch final : public Watch {
public:
    ReplayingWatch(SqliteLog& log, std::string_view prefix, Revision after)
        : log_(log), prefix_(prefix), listener_(std::string(prefix)), at_(after) {
        joined_ = log_.broadcast_.join(listener_);
    }

    ~ReplayingWatch() override { log_.broadcast_.leave(listener_); }

    Result<Batch> next(MonotonicTime until, std::stop_token stop) override {
        if (at_ < joined_) return replay();
        Batch batch = TRY(log_.broadcast_.take(listener_, until, stop));
        // A list may have seen a commit just before it was published.
        std::erase_if(batch.events, [&](const EventPtr& event) { return event->revision <= at_; });
        at_ = batch.progress = std::max(at_, batch.progress);
        return batch;
    }

private:
    Result<Batch> replay() {
        auto reader = TRY(log_.readers_.borrow());
        Batch batch;
        batch.events = TRY(reader->history(prefix_, at_, joined_));
        TRY(log_.check_history(at_));
        const bool whole = batch.events.size() < history_chunk_max;
        at_ = batch.progress = whole ? joined_ : batch.events.back()->revision;
        return batch;
    }

    SqliteLog& log_;
    const std::string prefix_;
    Broadcast::Listener listener_;
    Revision joined_ = 0;
    Revision at_;
};

Result<std::unique_ptr<Watch>> SqliteLog::watch(std::string_view prefix, Revision after) {
    auto watch = std::make_unique<ReplayingWatch>(*this, prefix, after);
    if (after < compacted_)
        return fail(Code::gone, fmt::format("too old resource version: {} ({})", after, compacted_.load()));
    return watch;
}

Status SqliteLog::compact(Revision revision) {
    const Revision target = std::min(revision, broadcast_.published());
    if (target <= compacted_) return {};
    compacted_ = target;
    TRY(writer_->run_raw(
        [&](Database& database) { return write_meta(database, "compacted", fmt::to_string(target)); }));
    bool more = true;
    while (more) {
        TRY(writer_->run_raw([&](Database& database) -> Status {
            int64_t rows = 0;
            for (const char* sql :
                 {"DELETE FROM log WHERE revision IN (SELECT revision FROM log WHERE superseded <= ? LIMIT ?)",
                  "DELETE FROM log WHERE revision IN (SELECT revision FROM log WHERE kind = 3 AND superseded IS NULL"
                  " AND revision <= ? AND revision < (SELECT MAX(revision) FROM log) LIMIT ?)"}) {
                Statement statement = TRY(database.prepare(sql));
                TRY(statement.bind(1, target).bind(2, compaction_rows_max).run());
                rows = std::max(rows, int64_t(sqlite3_changes(database.get())));
            }
            more = rows == compaction_rows_max;
            return {};
        }));
    }
    return {};
}

Status SqliteLog::maintain() {
    const std::lock_guard lock(upkeep_mutex_);
    const MonotonicTime now = clock_.now();
    const Revision newest = broadcast_.published();
    if (now - marks_.back().when >= maintenance_period) marks_.push_back({now, newest});
    Revision target = newest - history_revisions_max;
    while (!marks_.empty() && marks_.front().when + history_age_min <= now) {
        target = std::max(target, marks_.front().revision);
        marks_.pop_front();
    }
    if (marks_.empty()) marks_.push_back({now, newest});
    if (target > compacted_) TRY(compact(target));
    auto reader = TRY(readers_.borrow());
    return reader->checkpoint();
}

void SqliteLog::want_checkpoint() {
    const std::lock_guard lock(sleep_mutex_);
    checkpoint_wanted_ = true;
    sleep_.notify_all();
}

void SqliteLog::maintain_until(std::stop_token stop) {
    MonotonicTime due = system_clock().now() + maintenance_period;
    while (!stop.stop_requested()) {
        bool wanted = false;
        {
            std::unique_lock lock(sleep_mutex_);
            sleep_.wait_until(lock, stop, due, [&] { return checkpoint_wanted_; });
            wanted = std::exchange(checkpoint_wanted_, false);
        }
        if (stop.stop_requested()) return;
        Status done;
        if (system_clock().now() >= due) {
            due = system_clock().now() + maintenance_period;
            done = maintain();
        } else if (wanted) {
            if (auto reader = readers_.borrow()) done = (*reader)->checkpoint();
        }
        if (!done) log::warning("store upkeep failed", {{"error", done.error().message}});
    }
}

Result<Revision> newest_revision(Database& database) {
    Statement statement = TRY(database.prepare("SELECT MAX(revision) FROM log"));
    TRY(statement.step());
    return statement.integer(0);
}

// The database goes on where an older one had been, so that no revision is ever given twice, and every watcher lists
// again.
Status jump_to(Database& database, Revision revision) {
    Statement statement = TRY(database.prepare("UPDATE log SET superseded = ? WHERE key = x'' AND superseded IS NULL"));
    TRY(statement.bind(1, revision).run());
    statement = TRY(database.prepare("INSERT INTO log VALUES(?, x'', 3, x'', NULL, NULL)"));
    TRY(statement.bind(1, revision).run());
    return write_meta(database, "compacted", fmt::to_string(revision));
}

}  // namespace

Result<std::unique_ptr<Log>> Log::open(const Options& options) {
    Database database = TRY(Database::open(options.path, Database::Use::write, options.vfs));
    TRY_IN(options.path, prepare_schema(database));
    const std::string cluster_id = TRY(read_meta(database, "cluster_id"));
    Revision newest = TRY(newest_revision(database));

    Seen seen = TRY(Seen::open(options.path + ".seen"));
    if (const auto& last = seen.found(); last && (last->cluster_id != cluster_id || last->revision > newest)) {
        const std::string what = last->cluster_id != cluster_id ? "is not the one that was used last"
                                                                : "is older than when it was used last";
        if (!options.force)
            return fail(Code::conflict, fmt::format("{}: this store {} (revision {} here, {} then); clients would miss "
                                                    "changes. Put the right file back, or accept this one with --force",
                                                    options.path, what, newest, last->revision));
        log::warning("store accepted by force",
                     {{"path", options.path}, {"revision", newest}, {"seen", last->revision}});
        newest = std::max(newest, last->revision) + 1;
        TRY(database.execute("BEGIN IMMEDIATE"));
        TRY(jump_to(database, newest));
        TRY(database.execute("COMMIT"));
    }
    const std::string compacted = TRY(read_meta(database, "compacted"));
    auto log =
        std::make_unique<SqliteLog>(options, cluster_id, newest, Revision(parse_unsigned(compacted).value_or(0)));
    TRY(log->start(std::move(database), std::move(seen)));
    return log;
}

}  // namespace weft::store
