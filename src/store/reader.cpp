#include "store/reader.h"

#include <fmt/format.h>

#include "store/schema.h"

namespace weft::store {

// At a revision a key holds the row that began at or before it and was superseded, if at all, after it.
#define THEN "revision <= ?1 AND (superseded IS NULL OR superseded > ?1) AND kind <> 3"
#define NOW "superseded IS NULL AND kind <> 3"
#define IN_RANGE " AND key >= ?2 AND key < ?3"

Result<std::unique_ptr<Reader>> Reader::open(const std::string& path, const std::string& vfs) {
    std::unique_ptr<Reader> reader(new Reader(TRY(Database::open(path, Database::Use::read, vfs))));
    Database& database = reader->database_;
    reader->newest_ = TRY(database.prepare("SELECT MAX(revision) FROM log"));
    reader->get_now_ = TRY(database.prepare("SELECT key, value, revision FROM log WHERE " NOW " AND key = ?2"));
    reader->get_then_ = TRY(database.prepare("SELECT key, value, revision FROM log WHERE " THEN " AND key = ?2"));
    reader->range_now_ =
        TRY(database.prepare("SELECT key, value, revision FROM log WHERE " NOW IN_RANGE " ORDER BY key LIMIT ?4"));
    reader->range_then_ =
        TRY(database.prepare("SELECT key, value, revision FROM log WHERE " THEN IN_RANGE " ORDER BY key LIMIT ?4"));
    reader->rest_now_ = TRY(database.prepare("SELECT COUNT(*) FROM log WHERE " NOW IN_RANGE));
    reader->rest_then_ = TRY(database.prepare("SELECT COUNT(*) FROM log WHERE " THEN IN_RANGE));
    reader->history_ = TRY(
        database.prepare("SELECT e.revision, e.key, e.kind, e.value, p.value, p.revision FROM log e LEFT JOIN log p ON "
                         "p.revision = e.previous"
                         " WHERE e.revision > ?1 AND e.revision <= ?4 AND e.key >= ?2 AND e.key < ?3 AND e.key <> x''"
                         " ORDER BY e.revision LIMIT ?5"));
    return reader;
}

#undef THEN
#undef NOW
#undef IN_RANGE

Result<std::optional<Entry>> Reader::get(std::string_view key, Revision revision) {
    Statement& statement = revision == 0 ? get_now_ : get_then_;
    if (revision != 0) statement.bind(1, revision);
    std::optional<Entry> entry;
    if (TRY(statement.bind(2, key).step())) entry = Entry{statement.bytes(0), statement.bytes(1), statement.integer(2)};
    statement.reset();
    return entry;
}

Result<RangeResult> Reader::range(std::string_view prefix, const RangeOptions& options) {
    RangeResult result;
    TRY(database_.execute("BEGIN"));  // one snapshot for all statements below
    Status done = [&]() -> Status {
        TRY(newest_.step());
        const Revision newest = newest_.integer(0);
        newest_.reset();
        if (options.revision > newest)
            return fail(Code::invalid,
                        fmt::format("revision {} is in the future, {} is the newest", options.revision, newest));
        const bool now = options.revision == 0;
        result.revision = now ? newest : options.revision;
        std::string end = prefix_end(prefix);
        if (end.empty()) end = "\xff";
        std::string from = std::max(std::string(prefix), options.start_after);
        if (from == options.start_after && !from.empty()) from.push_back('\0');

        Statement& range = now ? range_now_ : range_then_;
        if (!now) range.bind(1, options.revision);
        range.bind(2, from).bind(3, end).bind(4, options.limit == 0 ? int64_t(-1) : int64_t(options.limit) + 1);
        while (TRY(range.step())) {
            if (options.limit != 0 && result.entries.size() == options.limit) {
                result.more = true;
                break;
            }
            result.entries.push_back({range.bytes(0), range.bytes(1), range.integer(2)});
        }
        range.reset();
        if (!result.more || !options.count_rest) return {};
        from = result.entries.back().key;
        from.push_back('\0');
        Statement& rest = now ? rest_now_ : rest_then_;
        if (!now) rest.bind(1, options.revision);
        TRY(rest.bind(2, from).bind(3, end).step());
        result.rest = size_t(rest.integer(0));
        rest.reset();
        return {};
    }();
    (void)database_.execute("COMMIT");
    TRY(std::move(done));
    return result;
}

Result<std::vector<EventPtr>> Reader::history(std::string_view prefix, Revision after, Revision last) {
    std::string end = prefix_end(prefix);
    if (end.empty()) end = "\xff";
    history_.bind(1, after).bind(2, prefix).bind(3, end).bind(4, last).bind(5, int64_t(history_chunk_max));
    std::vector<EventPtr> events;
    while (TRY(history_.step())) {
        auto event = std::make_shared<Event>();
        const Kind kind = Kind(history_.integer(2));
        event->type = kind == Kind::created   ? Event::Type::created
                      : kind == Kind::updated ? Event::Type::updated
                                              : Event::Type::removed;
        event->revision = history_.integer(0);
        event->key = history_.bytes(1);
        event->value = history_.bytes(3);
        event->previous_value = history_.bytes(4);
        event->previous_revision = history_.integer(5);
        events.push_back(std::move(event));
    }
    history_.reset();
    return events;
}

Status Reader::checkpoint() {
    // A passive checkpoint never waits: frames that a reader still needs stay for the next time.
    const int code = sqlite3_wal_checkpoint_v2(database_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    const bool is_done_elsewhere = (code & 0xff) == SQLITE_BUSY;  // the writer is at it
    if (code != SQLITE_OK && !is_done_elsewhere) return sqlite_fail(database_.get(), "checkpoint");
    return {};
}

Result<std::unique_ptr<Reader, ReaderPool::GiveBack>> ReaderPool::borrow() {
    std::unique_ptr<Reader> reader;
    {
        const std::lock_guard lock(mutex_);
        if (!free_.empty()) {
            reader = std::move(free_.back());
            free_.pop_back();
        }
    }
    if (!reader) reader = TRY(Reader::open(path_, vfs_));
    return std::unique_ptr<Reader, GiveBack>(reader.release(), GiveBack{this});
}

void ReaderPool::give_back(Reader* reader) {
    std::unique_ptr<Reader> owned(reader);
    const std::lock_guard lock(mutex_);
    if (free_.size() < readers_kept_max) free_.push_back(std::move(owned));
}

}  // namespace weft::store
