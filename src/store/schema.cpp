#include "store/schema.h"

#include <fmt/format.h>

#include "base/rng.h"

namespace weft::store {

// migrations[n] leads from version n to n + 1. Never edit one that was released; append.
static constexpr const char* migrations[] = {
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE log(revision INTEGER PRIMARY KEY, key BLOB NOT NULL, kind INTEGER NOT NULL,"
    " value BLOB NOT NULL, previous INTEGER, superseded INTEGER);"
    "CREATE INDEX log_by_key ON log(key, revision);"
    "CREATE UNIQUE INDEX log_current ON log(key) WHERE superseded IS NULL;"
    "CREATE INDEX log_by_superseded ON log(superseded) WHERE superseded IS NOT NULL;"
    "CREATE INDEX log_removed ON log(revision) WHERE kind = 3 AND superseded IS NULL;"
    // A list of an empty store already has a revision above 0.
    "INSERT INTO log VALUES(1, x'', 3, x'', NULL, NULL);",
};
static_assert(std::size(migrations) == schema_version);

Status prepare_schema(Database& database) {
    Statement statement = TRY(database.prepare("PRAGMA user_version"));
    TRY(statement.step());
    const int64_t found = statement.integer(0);
    statement.reset();
    if (found > schema_version)
        return fail(Code::invalid, fmt::format("the store was written by a newer weft (schema {}, this one knows {})",
                                               found, schema_version));
    for (int64_t version = found; version < schema_version; version++) {
        TRY(database.execute("BEGIN IMMEDIATE"));
        Status done = database.execute(migrations[version]);
        if (done && version == 0) done = write_meta(database, "cluster_id", random_uuid());
        if (done) done = database.execute(fmt::format("PRAGMA user_version={}", version + 1).c_str());
        if (done) done = database.execute("COMMIT");
        if (!done) {
            (void)database.execute("ROLLBACK");
            return fail(done.error().in(fmt::format("migrate the store to schema {}", version + 1)));
        }
    }
    return {};
}

Result<std::string> read_meta(Database& database, std::string_view name) {
    Statement statement = TRY(database.prepare("SELECT value FROM meta WHERE name = CAST(? AS TEXT)"));
    statement.bind(1, name);
    if (!TRY(statement.step())) return std::string();
    return statement.bytes(0);
}

Status write_meta(Database& database, std::string_view name, std::string_view value) {
    Statement statement = TRY(database.prepare("INSERT OR REPLACE INTO meta VALUES(CAST(? AS TEXT), ?)"));
    return statement.bind(1, name).bind(2, value).run();
}

std::string prefix_end(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && uint8_t(end.back()) == 0xff) end.pop_back();
    if (!end.empty()) end.back() = char(uint8_t(end.back()) + 1);
    return end;
}

}  // namespace weft::store
