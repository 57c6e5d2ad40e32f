// Index: objects → the values the hands answer from. Pure: what the caches hold now goes in, a namespace's zone or a
// VPC's view comes out.
//
// A headless Service's endpoint is listed when it is ready, or whatever it is under publishNotReadyAddresses. A pod is
// living while it has an address and its phase is Pending or Running. Objects that make no sense are left out: the API
// server and the controllers report those. Threads: pure. Source: spec/kubernetes.md DNS-1 … DNS-13;
// docs/design/objects.md.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dns/snapshot.h"
#include "kube/object.h"

namespace weft::dns {

struct NamespaceObjects {
    std::vector<kube::ObjectPtr> services, slices, pods;
};
NamespaceZone build_namespace(std::string_view dns_name, const NamespaceObjects& objects);

// The name a namespace has in its VPC's DNS view, and its VPC ("" = the default one).
std::string dns_name_of(const kube::Object& ns);
std::string vpc_of(const kube::Object& ns);

// Without namespaces yet; nullopt while the VPC has no number or no Service CIDR.
std::optional<View> build_view(const kube::Object& vpc);
// Puts `zone` under its name, with `kubernetes` in `default` where no Service of that name stands (only the default
// VPC's does). The first to take a name keeps it.
void add_namespace(View& view, const std::shared_ptr<const NamespaceZone>& zone);
void add_kubernetes(View& view);

}  // namespace weft::dns
