// Slices: which endpoints a Service has, and in which EndpointSlices they stand. Pure: objects in, wanted slices out.
//
// An endpoint stays in the slice it is in, so a change of one pod rewrites one slice. At most slice_endpoints_max per
// slice, exactly one address each, of one family; pods whose named ports differ in number stand in different slices. A Service without
// endpoints of one of its families has one empty slice of it. Threads: values only. Source: spec/kubernetes.md EPS-1, EPS-5..EPS-10, EPS-13.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kube/object.h"

namespace weft::controller {

inline constexpr size_t slice_endpoints_max = 100;
inline constexpr std::string_view service_name_label = "kubernetes.io/service-name";
inline constexpr std::string_view managed_by_label = "endpointslice.kubernetes.io/managed-by";
inline constexpr std::string_view slice_manager = "endpointslice-controller.k8s.io";

using ZoneOfNode = std::function<std::string(std::string_view node)>;

// Endpoints that share one list of ports and one family.
struct EndpointGroup {
    json::Array ports;
    std::vector<json::Value> endpoints;
    std::string address_type = "IPv4";
};
// For every family of the Service, the pods that have an address of it.
std::vector<EndpointGroup> endpoint_groups(const kube::Object& service, const std::vector<kube::ObjectPtr>& pods,
                                           const ZoneOfNode& zone_of_node);

struct SlicePlan {
    std::vector<kube::Object> creates;
    std::vector<std::pair<kube::ObjectPtr, kube::Object>> updates;  // from, to
    std::vector<kube::ObjectPtr> deletes;
};
// `existing` are the slices of this Service that we manage. `now` stands in the trigger annotation of what changes.
SlicePlan plan_slices(const kube::Object& service, const std::vector<kube::ObjectPtr>& existing,
                      std::vector<EndpointGroup> groups, std::string_view now);

}  // namespace weft::controller
