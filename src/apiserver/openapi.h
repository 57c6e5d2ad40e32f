// OpenAPI v3: one document per group-version, enough for kubectl ≥ 1.27: explain, client-side apply (patch keys) and
// the check that PATCH takes fieldValidation. Made from the kinds' schemas; nothing is written twice.
//
// Documents are a few hundred KB: make one per table and keep it. Threads: pure. Source: spec/kubernetes.md API-113.
#pragma once
#include "apiserver/kind.h"

namespace weft::apiserver {

json::Value openapi_v3(const KindTable& table, std::string_view group, std::string_view version);

// {"paths": {"apis/apps/v1": {"serverRelativeURL": "/openapi/v3/apis/apps/v1?hash=H"}}}; H changes with the document.
json::Value openapi_v3_index(const KindTable& table);

}  // namespace weft::apiserver
