// Hints: which zone or node should prefer an endpoint, written on the ready endpoints of a Service. Pure.
//
// spec.trafficDistribution names the rule; the annotation service.kubernetes.io/topology-mode: Auto wins over it and
// spreads by the zones' CPU, or not at all when that would overload a zone by more than a fifth. An endpoint without a
// zone gets no hint, and consumers then ignore the hints of that Service. Source: spec/kubernetes.md EPS-15, DP-5.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "controller/slices.h"

namespace weft::controller {

// CPU by zone of the Ready nodes; empty when there are none or one of them stands in no zone.
using ZoneCpu = std::map<std::string, double, std::less<>>;
ZoneCpu zone_cpu(const std::vector<kube::ObjectPtr>& nodes);

enum class HintRule : uint8_t { none, same_zone, same_node, by_cpu };
HintRule hint_rule(const kube::Object& service);

void add_hints(std::vector<EndpointGroup>& groups, HintRule rule, const ZoneCpu& cpu);

}  // namespace weft::controller
