// Endpoints: the old form of a Service's backends, for those who still read or write it. Pure: objects in, wanted
// objects out.
//   a Service with a selector   its Endpoints are made of its slices, once it has had an endpoint: the first family, at
//                               most endpoints_max addresses, ready ones first
//   one without                 what a user wrote as Endpoints is mirrored into slices, unless told not to
// Threads: values only. Source: spec/kubernetes.md EPS-11, EPS-14.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "controller/slices.h"
#include "kube/object.h"

namespace weft::controller {

inline constexpr kube::Resource endpoints_resource{"", "v1", "endpoints", "Endpoints", true};
inline constexpr size_t endpoints_max = 1000;
inline constexpr std::string_view slice_mirror = "endpointslicemirroring-controller.k8s.io";

// Of `slices`, those that we manage count. Empty: there is nothing to write (yet). `existing` may be null.
std::optional<kube::Object> wanted_endpoints(const kube::Object& service, const std::vector<kube::ObjectPtr>& slices,
                                             const kube::ObjectPtr& existing);
// Written by a user for a Service without a selector, and not to be left alone?
bool is_mirrored(const kube::Object& service, const kube::Object& endpoints);
// `existing`: the mirrored slices of this Service. Null `endpoints`, or such as are not mirrored: none is wanted.
SlicePlan plan_mirror(const kube::Object& service, const kube::ObjectPtr& endpoints,
                      const std::vector<kube::ObjectPtr>& existing);

}  // namespace weft::controller
