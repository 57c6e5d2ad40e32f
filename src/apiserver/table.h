// Table: what `kubectl get` prints, made by the server: columns and one row of cells per object.
//
// Built-in kinds have a function each (table_builtin.cpp); CRs their additionalPrinterColumns by a small JSONPath:
// .a.b,
// ['a.b/c'], [0], [*], [?(@.type=="Ready")]. Ages are computed at reply time. Threads: pure.
// Source: spec/kubernetes.md API-22, API-59, §1.10.
#pragma once
#include <optional>
#include <span>

#include "apiserver/kind.h"
#include "base/clock.h"

namespace weft::apiserver {

enum class IncludeObject : uint8_t { none, metadata, object };
std::optional<IncludeObject> parse_include_object(std::string_view text);  // "" = Metadata; nullopt = refuse

// A Table without list metadata (the caller sets metadata.resourceVersion, continue, remainingItemCount).
json::Value to_table(const Kind& kind, std::span<const json::Value* const> objects, IncludeObject include, WallTime now,
                     bool with_columns = true);

// PartialObjectMetadata of an object (also for Accept ...;as=PartialObjectMetadata).
json::Value partial_metadata(const json::Value& object);

// "5s", "3m2s", "4h10m", "2d3h", "45d", "2y3d"; "<unknown>" for what is no time; "<invalid>" for the future.
std::string age(std::string_view rfc3339_time, WallTime now);

// Every value the path meets; empty when it meets none or is malformed. `json_path` without braces: ".status.vni".
std::vector<const json::Value*> json_path(const json::Value& root, std::string_view path);

}  // namespace weft::apiserver
