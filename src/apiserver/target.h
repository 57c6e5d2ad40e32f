// Target: what a path under /api and /apis names: a kind, perhaps a namespace, an object, a subresource; and the verb.
//
//   /api/v1 or /apis/<group>/<version>, then [watch/] and one of
//   <resource>[/<name>[/<sub>]]    namespaces/<ns>/<resource>[/<name>[/<sub>]]    namespaces[/<name>[/status|finalize]]
//
// An empty segment (double or trailing slash) names nothing (API-4). Threads: pure. Source: spec/kubernetes.md
// API-1..4.
#pragma once
#include <memory>
#include <optional>

#include "apiserver/call.h"
#include "kube/object.h"

namespace weft::apiserver {

enum class Verb : uint8_t { get, list, watch, create, update, patch, remove, remove_collection, connect };
std::string_view verb_name(Verb verb);  // "get", "delete", "deletecollection"...

struct Target {
    std::shared_ptr<const KindTable> table;  // keeps `kind` alive, also for a stream that outlives the request
    const Kind* kind = nullptr;
    kube::ObjectKey key;  // ns "" = all or cluster-scoped, name "" = the collection
    std::string subresource;
    bool watch_prefix = false;  // the old /watch/ form
    Verb verb = Verb::get;

    std::string resource() const {  // "pods", "pods/status"
        return subresource.empty() ? kind->plural : kind->plural + "/" + subresource;
    }
};

// nullopt: nothing is there, plain 404. A Failure: 405.
Outcome<std::optional<Target>> find_target(std::shared_ptr<const KindTable> table, const Call& call);

}  // namespace weft::apiserver
