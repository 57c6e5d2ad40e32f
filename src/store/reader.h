// Reader: a connection that sees one consistent snapshot per call (SQLite's WAL gives it; the writer is not disturbed).
// ReaderPool lends them; a borrowed reader goes back by scope. Threads: the pool any, a Reader its borrower's.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "store/database.h"
#include "store/log.h"

namespace weft::store {

inline constexpr size_t history_chunk_max = 1000;  // events of one replayed batch
inline constexpr size_t readers_kept_max = 8;

class Reader {
public:
    static Result<std::unique_ptr<Reader>> open(const std::string& path, const std::string& vfs);

    Result<std::optional<Entry>> get(std::string_view key, Revision revision);
    Result<RangeResult> range(std::string_view prefix, const RangeOptions& options);
    // Events with after < revision <= last, oldest first, at most history_chunk_max.
    Result<std::vector<EventPtr>> history(std::string_view prefix, Revision after, Revision last);
    // Moves committed pages from the WAL into the database, as far as nobody is disturbed.
    Status checkpoint();

private:
    explicit Reader(Database database) : database_(std::move(database)) {}

    Database database_;
    Statement newest_, get_now_, get_then_, range_now_, range_then_, rest_now_, rest_then_, history_;
};

class ReaderPool {
public:
    ReaderPool(std::string path, std::string vfs) : path_(std::move(path)), vfs_(std::move(vfs)) {}

    struct GiveBack {
        ReaderPool* pool;
        void operator()(Reader* reader) const { pool->give_back(reader); }
    };
    Result<std::unique_ptr<Reader, GiveBack>> borrow();

private:
    void give_back(Reader* reader);

    const std::string path_, vfs_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Reader>> free_;
};

}  // namespace weft::store
