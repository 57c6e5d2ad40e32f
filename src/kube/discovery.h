// Discovery: which kinds a server has, by any of the names a person types. Classic form (/api/v1, /apis/<g>/<v>), which
// every server speaks. A discovered Resource's texts live as long as the process. Source: spec/kubernetes.md API-110, API-112.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "kube/client.h"

namespace weft::kube {

struct ServedKind {
    Resource resource;
    std::string singular;
    std::vector<std::string> short_names;
    std::vector<std::string> categories;
};

Result<std::vector<ServedKind>> discover(const Endpoint& endpoint);

// "pods", "pod", "po", "deployments.apps"; not_found says what was asked.
Result<Resource> find_by_name(const std::vector<ServedKind>& kinds, std::string_view name);
Result<Resource> find_by_kind(const std::vector<ServedKind>& kinds, std::string_view api_version, std::string_view kind);

}  // namespace weft::kube
