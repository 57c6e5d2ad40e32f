// The file format: one table of revisions, `log`, in which a row is what its key held from `revision` until
// `superseded` (NULL: still). A snapshot at R is every row with revision <= R < superseded that is not a removal; a
// watch from R is every row with revision > R; compaction drops rows superseded at or before R. `meta` holds cluster_id
// and compacted. The newest row is never dropped, so MAX(revision) is the revision of the store. PRAGMA user_version is
// the schema's number; migrations only go up. Kinds of rows (stored, do not change): 1 created, 2 updated, 3 removed.
#pragma once
#include "store/database.h"
#include "store/log.h"

namespace weft::store {

enum class Kind : int64_t { created = 1, updated = 2, removed = 3 };

inline constexpr int64_t schema_version = 1;

// Creates or migrates. invalid: the file was written by a newer weft.
Status prepare_schema(Database& database);

Result<std::string> read_meta(Database& database, std::string_view name);  // "" when absent
Status write_meta(Database& database, std::string_view name, std::string_view value);

// The first key after every key that begins with `prefix`; "" when there is none.
std::string prefix_end(std::string_view prefix);

}  // namespace weft::store
