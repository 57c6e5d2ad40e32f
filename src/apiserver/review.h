// Review: questions about identity and rights that are answered and not stored: who am I, may I, what may I, may another,
// whose token is this (`kubectl auth whoami`, `kubectl auth can-i`). They are kinds with one verb, create.
//
// Answered by the same permits() that authorize() asks: nothing here grants anything. Of others only the root token may
// ask. Threads: pure. Source: spec/kubernetes.md API-130; authentication.k8s.io/v1, authorization.k8s.io/v1.
#pragma once
#include <functional>
#include <optional>
#include <span>

#include "apiserver/authorize.h"
#include "apiserver/call.h"

namespace weft::apiserver {

struct ReviewKind {
    std::string_view group, plural, kind;
    bool namespaced = false;
    bool about_others = false;  // only for who may do everything
};
inline constexpr std::string_view review_version = "v1";
std::span<const ReviewKind> review_kinds();

struct ReviewAsker {
    const Identity& identity;
    const KindTable& table;
    std::function<Outcome<TokenOwner>(std::string_view token, const std::vector<std::string>& audiences)> whose;
};

// nullopt: the path is no review's.
Outcome<std::optional<Reply>> answer_review(const Call& call, const ReviewAsker& asker);

// The groups of a user, as Kubernetes calls them.
std::vector<std::string> groups_of(const Identity& identity);
// Who a name belongs to: a component, a ServiceAccount; anyone else has no rights.
Identity identity_named(std::string_view user, const std::vector<std::string>& groups);
// Impersonation (Impersonate-User, -Uid, -Group; Impersonate-Extra-... is refused): only who may do everything may
// speak for others.
Outcome<Identity> impersonate(const Identity& identity, const Call& call);

}  // namespace weft::apiserver
