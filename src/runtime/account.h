// Account: what a pod's containers find in /var/run/secrets/kubernetes.io/serviceaccount: the token of its ServiceAccount,
// the CA of the API server and the namespace; and tokens for projected volumes.
//
// Not for a pod, or an account, that says automountServiceAccountToken: false. A token is asked for anew after four
// fifths of its life; until that succeeds the old one stays. Threads: the brain's. Source: spec/kubernetes.md API-130;
// Kubernetes' kube-api-access volume.
#pragma once
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
    };
    std::optional<bool> automount;  // once it is known
    std::map<TokenWish, Token> tokens;
};

using RequestToken = std::function<Result<std::string>(const kube::Object& pod, const TokenWish& wish)>;
// Over the API server's serviceaccounts/token.
RequestToken token_requester(kube::Endpoint api);

// Whether the pod gets the mount; reads its ServiceAccount unless the pod says so itself.
Result<bool> automounts(const kube::Object& pod, kube::Client& client);
// A token that still counts, the one we have or a new one.
Result<std::string> current_token(AccountTokens& tokens, const kube::Object& pod, const TokenWish& wish,
                                  const RequestToken& request, MonotonicTime now);
// When the first of them is to be renewed.
std::optional<MonotonicTime> renewal(const AccountTokens& tokens);

// The files of the mount.
Result<VolumePlan> plan_account_volume(const kube::Object& pod, const References& references);

}  // namespace weft::runtime
