// Patch: JSON patch, merge patch and strategic merge patch against an object's JSON; pure, the caller stores the
// result.
//
// The result is not yet decoded: run decode() on it with the request's fieldValidation (API-90: for patches a strict
// error is a 422 on field "patch"). Limits: patch_operations_max. Threads: pure. Source: spec/kubernetes.md §1.7; RFC
// 6902, RFC 7386.
#pragma once
#include "apiserver/kind.h"

namespace weft::apiserver {

inline constexpr size_t patch_operations_max = 10000;
inline constexpr size_t patch_copied_bytes_max = 8 * 1024 * 1024;  // over all copy operations of one patch

enum class PatchType : uint8_t { json, merge, strategic };

// By media type, parameters ignored; nullopt-like: Refusal 415 naming the accepted types (no strategic merge for CRs).
std::expected<PatchType, Refusal> patch_type(const Kind& kind, std::string_view content_type);

std::expected<json::Value, Refusal> apply_patch(const Kind& kind, PatchType type, const json::Value& current,
                                                const json::Value& patch);

// The three, for callers with only a schema.
std::expected<json::Value, Refusal> json_patch(const json::Value& current, const json::Value& patch);
json::Value merge_patch(json::Value current, const json::Value& patch);
std::expected<json::Value, Refusal> strategic_merge(const Schema* schema, json::Value current,
                                                    const json::Value& patch);

}  // namespace weft::apiserver
