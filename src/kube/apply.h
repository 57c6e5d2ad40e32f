// Apply: client-side apply, as kubectl does it: create, or a merge patch made of three states (last applied, live, new).
// The last applied object stands in the annotation kubectl.kubernetes.io/last-applied-configuration, so kubectl and
// `weft apply` may take turns on one object. Lists are replaced whole. Threads: any.
#pragma once
#include <string>

#include "kube/client.h"
#include "kube/discovery.h"

namespace weft::kube {

enum class Applied : uint8_t { created, configured, unchanged };

// What a merge patch must hold so that `live` gets everything `wanted` says and loses what only `last` said; an empty
// object when nothing is to be done. Pure.
json::Value three_way_patch(const json::Value& last, const json::Value& live, const json::Value& wanted);

// `ns` is used for namespaced objects that name none.
Result<Applied> apply(Client& client, const Resource& resource, Object wanted, std::string_view ns);

// Every document of a YAML text, in order; `done` is told of each. Stops at the first error, which names the object.
Status apply_yaml(Client& client, const std::vector<ServedKind>& kinds, std::string_view yaml, std::string_view ns,
                  const std::function<void(const Object&, Applied)>& done);

// Documents, with `List` objects taken apart.
Result<std::vector<Object>> read_manifests(std::string_view yaml);

}  // namespace weft::kube
