// AccountToken: what a pod shows to be its ServiceAccount: a JWT (HS256) signed with the instance's own key, which is made
// once and kept in state_dir/account.key (0600). It names account, and pod if it was asked for one, by uid; it counts
// as long as both exist and its time is not over.
//
// Errors: verify gives nothing for whatever is not exactly one of ours. Comparison in constant time. Limits:
// token_bytes_max. Threads: any. Source: spec/kubernetes.md API-130; RFC 7519, RFC 7515.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/instance.h"
#include "base/result.h"

namespace weft::apiserver {

inline constexpr std::string_view account_issuer = "https://kubernetes.default.svc.cluster.local";
inline constexpr size_t token_bytes_max = 8192;
inline constexpr int64_t account_token_s_default = 3600, account_token_s_min = 600;

struct AccountClaims {
    std::string ns, account, account_uid;
    std::string pod, pod_uid;  // "" = bound to no pod
    std::vector<std::string> audiences;
    int64_t issued_s = 0, expires_s = 0;  // Unix time

    std::string user() const { return "system:serviceaccount:" + ns + ":" + account; }
};

// `make`: a new one when there is none yet, else not_found.
Result<std::string> account_key(const Instance& instance, bool make);
std::string sign_claims(const AccountClaims& claims, std::string_view key);
std::optional<AccountClaims> verify_token(std::string_view token, std::string_view key, WallTime now);

}  // namespace weft::apiserver
