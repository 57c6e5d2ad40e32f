// Families of a Service: which of them it has, from policy, families and addresses given, and what its VPC offers.
//
// The order of steps is the one every Kubernetes follows: default the policy, infer families from addresses, let
// headless Services without a selector have both, refuse what the VPC does not offer, append the second family.
// Errors: 422 causes naming spec.ipFamilyPolicy, spec.ipFamilies, spec.clusterIPs. Threads: values only.
// Source: spec/kubernetes.md SVC-60..SVC-66.
#pragma once
#include <string>
#include <vector>

#include "apiserver/validate.h"
#include "base/json.h"

namespace weft::apiserver {

// A dual Service that becomes SingleStack drops its second address and family when the wish merely repeats them.
void drop_second_family(json::Value& spec, const json::Value& before);

// Fills spec.ipFamilyPolicy and spec.ipFamilies; not for ExternalName. `before` is the stored spec or null.
FieldErrors settle_families(json::Value& spec, const json::Value* before, bool offers_ipv6);

// What may not change: the primary family and address ever, the second one except by SingleStack.
void validate_family_change(const json::Value& spec, const json::Value& before, FieldErrors& errors);

}  // namespace weft::apiserver
