// Discovery: which groups, versions and resources are served, in the classic form (/api, /apis, /apis/g, /apis/g/v) and
// the aggregated one (APIGroupDiscoveryList v2, with an ETag), so that kubectl finds its way in one or two requests.
// Threads: pure. Source: spec/kubernetes.md API-110..112.
#pragma once
#include "apiserver/call.h"

namespace weft::apiserver {

// nullopt: not a discovery path, or a group that is not served (404).
Outcome<std::optional<Reply>> discover(const KindTable& table, const Call& call);

}  // namespace weft::apiserver
