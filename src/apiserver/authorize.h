// Authorize: bearer tokens and what their holders may do. The root token (in the kubeconfig) and `up` may do
// everything; each component has a token of its own, in instance.token_file(component), and a short list of verbs and
// resources.
//
// Tokens are compared in constant time. A component's token is kept across restarts of this process (its file is read
// back), so a component never has to notice one. Threads: immutable after open. Source: design.md §2, §3.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/call.h"
#include "apiserver/target.h"
#include "base/instance.h"

namespace weft::apiserver {

// A rule allows each of `verbs` on each of `resources` ("pods", "pods/status"; "*" = all, "*/*" = all and their
// subresources).
struct Rule {
    std::vector<std::string_view> verbs;
    std::vector<std::string_view> resources;
};

struct Role {
    std::string_view name;
    bool everything = false;
    std::vector<Rule> rules;

    bool allows(Verb verb, const Kind& kind, std::string_view subresource) const;
};

// "agent", "controller", "runtime", "alb", "dns", "up", "root"; nullptr for another name.
const Role* find_role(std::string_view name);

// What a pod may do as its ServiceAccount: look at what runs in its own namespace.
const Role& account_role();

// Whose a token is, and which of the audiences that were asked about it is meant for.
struct TokenOwner {
    Identity identity;
    std::vector<std::string> audiences;
};

class Tokens {
public:
    // Reads or makes every token and writes the component files (0600 in a 0700 folder).
    static Result<Tokens> open(const Instance& instance);
    // For tests: role name → token.
    explicit Tokens(std::map<std::string, std::string> tokens) : tokens_(std::move(tokens)) {}

    const std::string& root() const { return tokens_.at("root"); }
    // 401 for a header that is there but wrong; anonymous without one.
    Outcome<Identity> identify(std::string_view authorization) const;

private:
    Tokens() = default;
    std::map<std::string, std::string> tokens_;  // by role name
};

// What is to be done, whether somebody does it (authorize) or asks whether he may (review.h).
struct Access {
    Verb verb = Verb::get;
    const Kind& kind;
    std::string_view subresource{}, ns{};
    bool is_of_tls_only = false;  // shows no Secret but those of type kubernetes.io/tls
    bool is_ties_only = false;    // writes ownerReferences and finalizers and nothing else
};
bool permits(const Identity& identity, const Access& access);
// Whether a fieldSelector narrows Secrets to those of type kubernetes.io/tls.
bool selects_tls_only(const Kind& secrets, std::string_view fields);

// 403 with Kubernetes' words. `call`: who may patch a Secret without owning everything may do so only by a merge patch
// of its ownerReferences and finalizers.
Done authorize(const Identity& identity, const Target& target, const Call& call);

}  // namespace weft::apiserver
