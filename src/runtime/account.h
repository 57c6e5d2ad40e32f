// Account: what a pod's containers find in /var/run/secrets/kubernetes.io/serviceaccount: the token of its ServiceAccount,
// the CA of the API server and the namespace; and tokens for projected volumes.
//
// Not for a pod, or an account, that says automountServiceAccountToken: false when the pod begins. A token is asked for
// by other threads (hands.h), anew after four fifths of its life; until that succeeds the old one stays, so a container
// starts again also while the API server is away. Threads: the brain's. Source: spec/kubernetes.md API-130; Kubernetes'
// kube-api-access volume.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "kube/client.h"
#include "runtime/volumes.h"

namespace weft::runtime {

inline constexpr std::string_view account_mount = "/var/run/secrets/kubernetes.io/serviceaccount";
inline constexpr std::string_view account_volume = "_kube-api-access";  // no user's volume can have this name

struct TokenWish {
    std::string audience;  // "" = the API server
    int64_t lifetime_s = 3600;
    auto operator<=>(const TokenWish&) const = default;
};

// One pod's.
struct AccountTokens {
    struct Token {
        std::string text;
        MonotonicTime renew_at{};
        bool asked = false;
        std::string error;  // of the last try
    };
    std::map<TokenWish, Token> tokens;
};

using RequestToken = std::function<Result<std::string>(const kube::Object& pod, const TokenWish& wish)>;
// Over the API server's serviceaccounts/token.
RequestToken token_requester(kube::Endpoint api);

std::string account_of(const kube::Object& pod);
// Whether the pod gets the mount, by what it says itself, else by its account (nullptr: there is none yet).
Result<bool> automounts(const kube::Object& pod, const kube::ObjectPtr& account);
// The token there is; `ask` is called when one is missing or to be renewed, and does not wait. While there is none:
// unavailable, or what the last try said.
Result<std::string> current_token(AccountTokens& tokens, const TokenWish& wish,
                                  const std::function<void(const TokenWish&)>& ask, MonotonicTime now);
void token_came(AccountTokens& tokens, const TokenWish& wish, const Result<std::string>& token, MonotonicTime now);
// Whether one that there never was is being asked for and nothing is wrong so far.
bool first_is_awaited(const AccountTokens& tokens);
// When the first of them is to be renewed; for one that should have been, a moment after `now`.
std::optional<MonotonicTime> renewal(const AccountTokens& tokens, MonotonicTime now);

// The files of the mount.
Result<VolumePlan> plan_account_volume(const kube::Object& pod, const References& references);

}  // namespace weft::runtime
