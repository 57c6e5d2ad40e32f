// Patches on a plain JSON value: merge (RFC 7396) and JSON patch (RFC 6902). The API server's own, with schemas and
// strategic merge, is apiserver/patch.h; this one serves FakeClient. Pure. Errors: invalid, naming the operation.
#pragma once
#include "base/json.h"

namespace weft::kube {

void apply_merge_patch(json::Value& target, const json::Value& patch);
Status apply_json_patch(json::Value& target, const json::Value& patch);

}  // namespace weft::kube
