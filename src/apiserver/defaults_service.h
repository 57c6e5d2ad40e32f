// A Service's defaults and what an update keeps, drops or allocates anew (SVC-1..9, SVC-46, SVC-47). Inside the room
// only.
#pragma once
#include "base/json.h"

namespace weft::apiserver {

inline constexpr int64_t affinity_timeout_default_s = 10800;

void default_service(json::Value& object);

// Omitted allocated fields come from the stored object; what the new type may not have goes, unless it was just
// written.
void keep_service_fields(json::Value& object, const json::Value& stored);

}  // namespace weft::apiserver
