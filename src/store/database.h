// Database: one SQLite connection and its prepared statements, closed by scope; the only files that know sqlite3.h are
// those that include this one. Threads: a Database is used by one thread at a time.
// Errors: every SQLite failure is Code::io with SQLite's own words ("database or disk is full").
#pragma once
#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace weft::store {

inline constexpr int busy_timeout_ms = 5000;

class Statement {
public:
    Statement() = default;

    Statement(Statement&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}

    Statement& operator=(Statement&& other) noexcept {
        std::swap(statement_, other.statement_);
        return *this;
    }

    ~Statement() { sqlite3_finalize(statement_); }

    // Bound bytes must live until the statement is reset.
    Statement& bind(int index, int64_t value);
    Statement& bind(int index, std::string_view bytes);
    Result<bool> step();  // true: a row is there
    Status run();         // step to the end, then reset
    void reset();

    int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }

    bool is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

    std::string bytes(int column) const;

private:
    friend class Database;

    explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

    sqlite3_stmt* statement_ = nullptr;
};

class Database {
public:
    enum class Use : uint8_t { write, read };

    // WAL, synchronous=FULL, no automatic checkpoint (the writer must not pay for it).
    static Result<Database> open(const std::string& path, Use use, const std::string& vfs);

    Result<Statement> prepare(std::string_view sql);
    Status execute(const char* sql);

    sqlite3* get() const { return handle_.get(); }

private:
    struct Close {
        void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
    };

    explicit Database(sqlite3* handle) : handle_(handle) {}

    std::unique_ptr<sqlite3, Close> handle_;
};

std::unexpected<Error> sqlite_fail(sqlite3* handle, std::string_view doing);

}  // namespace weft::store
