#include "store/database.h"

#include <fmt/format.h>

namespace weft::store {

std::unexpected<Error> sqlite_fail(sqlite3* handle, std::string_view doing) {
    return fail(Code::io, fmt::format("{}: {}", doing, sqlite3_errmsg(handle)));
}

Statement& Statement::bind(int index, int64_t value) {
    sqlite3_bind_int64(statement_, index, value);
    return *this;
}

Statement& Statement::bind(int index, std::string_view bytes) {
    // An empty view may have a null pointer, which SQLite would take for NULL.
    sqlite3_bind_blob64(statement_, index, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
    return *this;
}

Result<bool> Statement::step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    auto error = sqlite_fail(sqlite3_db_handle(statement_), "store");
    reset();
    return error;
}

Status Statement::run() {
    while (TRY(step())) {
    }
    reset();
    return {};
}

void Statement::reset() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

std::string Statement::bytes(int column) const {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return data == nullptr ? std::string() : std::string(data, size_t(sqlite3_column_bytes(statement_, column)));
}

Result<Database> Database::open(const std::string& path, Use use, const std::string& vfs) {
    sqlite3* handle = nullptr;
    const int flags = (use == Use::write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE) |
                      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    const int code = sqlite3_open_v2(path.c_str(), &handle, flags, vfs.empty() ? nullptr : vfs.c_str());
    Database database(handle);
    if (code != SQLITE_OK) return sqlite_fail(handle, "open " + path);
    sqlite3_extended_result_codes(handle, 1);
    sqlite3_busy_timeout(handle, busy_timeout_ms);
    TRY_IN("open " + path,
           database.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
                            "PRAGMA journal_size_limit=33554432;"
                            "PRAGMA cache_size=-16384; PRAGMA temp_store=MEMORY;"));
    if (use == Use::read) TRY(database.execute("PRAGMA query_only=1;"));
    return database;
}

Result<Statement> Database::prepare(std::string_view sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v3(handle_.get(), sql.data(), int(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement,
                           nullptr) != SQLITE_OK)
        return sqlite_fail(handle_.get(), fmt::format("prepare \"{}\"", sql));
    return Statement(statement);
}

Status Database::execute(const char* sql) {
    if (sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
        return sqlite_fail(handle_.get(), sql);
    return {};
}

}  // namespace weft::store
