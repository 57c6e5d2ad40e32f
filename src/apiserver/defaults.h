// Defaults and preparation: what the server adds to an object, and what a client's write may not touch.
//
// apply_defaults: the schema's own plus those that depend on other fields (Service types, image tags). It may run
// twice. prepare_*: which half of the object a write changes (API-73), generation (API-37), fields kept from the stored
// object (API-31, API-40, SVC-46). uid, creationTimestamp on create and resourceVersion are the REST code's. Threads:
// pure. Source: spec/kubernetes.md §1.4, API-65, API-73, SVC-1..9, SVC-46..48.
#pragma once
#include "apiserver/kind.h"

namespace weft::apiserver {

enum class Part : uint8_t { main, status };

void apply_defaults(const Kind& kind, json::Value& object);

// Drops what a client may not set, sets the kind's first status (Pod Pending, Namespace Active), generation 1.
void prepare_create(const Kind& kind, json::Value& object);

// `object` is the wish, `stored` what is there. Part::main keeps stored status; Part::status keeps all but status (and,
// for built-ins, labels and annotations). Bumps generation when it must.
void prepare_update(const Kind& kind, json::Value& object, const json::Value& stored, Part part);

}  // namespace weft::apiserver
