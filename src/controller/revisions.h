// Revisions: the templates a StatefulSet has had, kept as ControllerRevisions: what a pod below the partition is made
// from, and what `kubectl rollout history` and `undo` read.
//
// A template that comes back gets its old revision with the highest number. At most spec.revisionHistoryLimit that no
// pod uses are kept. Threads: the brain's. Source: the StatefulSet's documented history.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "controller/world.h"

namespace weft::controller {

inline constexpr std::string_view revision_label = "controller-revision-hash";

// Oldest first.
std::vector<kube::ObjectPtr> revisions_of(World& world, const kube::Object& owner);
// The revision of the owner's template of now, made or renumbered if need be.
Result<kube::ObjectPtr> newest_revision(World& world, const kube::Object& owner);
// The pod template that a revision keeps.
json::Value template_of(const kube::Object& revision);
Status forget_revisions(World& world, const kube::Object& owner, const std::set<std::string>& in_use);

}  // namespace weft::controller
