#include "apiserver/authorize.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include "apiserver/negotiate.h"
#include "apiserver/selector.h"
#include "base/fd.h"
#include "base/rng.h"
#include "base/strings.h"

namespace weft::apiserver {

static constexpr size_t token_bytes = 32;

// Reading lists and watches; writing is said per resource.
static const std::vector<std::string_view> read_verbs{"get", "list", "watch"};
static const std::vector<std::string_view> write_verbs{"create", "update", "patch", "delete"};
static const std::vector<std::string_view> status_verbs{"update", "patch"};

static const std::vector<Role>& roles() {
    static const std::vector<Role> all{
        {"root", true, {}},
        {"up", true, {}},
        // Allocation, status, workloads; namespaces and garbage make it delete objects of any kind.
        {"controller",
         false,
         {{read_verbs, {"*"}},
          {{"delete", "deletecollection"}, {"*"}},
          {write_verbs,
           {"namespaces",
            "namespaces/status",
            "namespaces/finalize",
            "nodes",
            "nodes/status",
            "pods",
            "pods/status",
            "pods/binding",
            "services",
            "services/status",
            "endpointslices",
            "endpoints",
            "ingresses",
            "ingresses/status",
            "ingressclasses",
            "configmaps",
            "serviceaccounts",
            "events",
            "leases",
            "deployments",
            "deployments/status",
            "deployments/scale",
            "replicasets",
            "replicasets/status",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/status",
            "statefulsets/scale",
            "controllerrevisions",
            "vpcs",
            "vpcs/status",
            "vswitches",
            "vswitches/status",
            "addresspools",
            "addresspools/status",
            "addressblocks",
            "addressblocks/status",
            "securitygroups",
            "securitygroups/status",
            "podnetworkings",
            "podnetworkings/status",
            "podenis",
            "podenis/status",
            "routetables",
            "routetables/status",
            "vpcpeerings",
            "vpcpeerings/status"}},
          // Owner references and finalizers of any other kind.
          {{"patch"}, {"*", "secrets"}}}},
        {"agent",
         false,
         {{read_verbs,
           {"namespaces", "nodes", "pods", "services", "endpointslices", "ingresses", "ingressclasses", "configmaps",
            "vpcs", "vswitches", "addresspools", "addressblocks", "securitygroups", "routetables", "leases"}},
          {status_verbs, {"addressblocks/status", "nodes/status"}},
          {{"patch"}, {"nodes"}},  // what its uplink carries
          {write_verbs, {"events", "leases"}}}},
        {"runtime",
         false,
         {{read_verbs,
           {"namespaces", "nodes", "pods", "services", "configmaps", "secrets", "serviceaccounts", "leases", "vpcs"}},
          {write_verbs, {"nodes", "nodes/status", "pods/status", "events", "leases"}},
          {{"delete"}, {"pods"}},
          {{"create"}, {"serviceaccounts/token"}}}},
        {"alb",
         false,
         {{read_verbs, {"namespaces", "services", "endpointslices", "ingresses", "ingressclasses", "vpcs"}},
          // Only those of type kubernetes.io/tls: see permits().
          {{"list", "watch"}, {"secrets"}}}},
        {"dns", false, {{read_verbs, {"namespaces", "pods", "services", "endpointslices", "vpcs"}}}},
    };
    return all;
}

const Role& account_role() {
    static const Role role{
        "serviceaccount", false, {{read_verbs, {"pods", "services", "endpointslices", "configmaps", "events"}}}};
    return role;
}

const Role* find_role(std::string_view name) {
    for (const Role& role : roles())
        if (role.name == name) return &role;
    return nullptr;
}

bool Role::allows(Verb verb, const Kind& kind, std::string_view subresource) const {
    if (everything) return true;
    const std::string resource = subresource.empty() ? kind.plural : fmt::format("{}/{}", kind.plural, subresource);
    const auto has = [](const std::vector<std::string_view>& list, std::string_view item) {
        return std::find(list.begin(), list.end(), item) != list.end();
    };
    for (const Rule& rule : rules) {
        if (!has(rule.verbs, verb_name(verb))) continue;
        if (has(rule.resources, resource)) return true;
        // Secrets and definitions are nobody's by a star, except to be read and removed by the garbage collector.
        const bool guarded = kind.plural == "secrets" || kind.plural == "customresourcedefinitions";
        const bool writes = verb == Verb::create || verb == Verb::update || verb == Verb::patch;
        if (has(rule.resources, "*") && !(guarded && writes)) return true;
    }
    return false;
}

static Result<std::string> read_or_make_token(const std::string& path) {
    auto found = read_file(path);
    if (found && trim(*found).size() >= token_bytes) return std::string(trim(*found));
    if (!found && found.error().code != Code::not_found) return fail(found.error());
    std::string token = random_hex(token_bytes);
    TRY(write_file(path, token + "\n", 0600));
    return token;
}

Result<Tokens> Tokens::open(const Instance& instance) {
    Tokens tokens;
    TRY(make_directories(instance.run_dir(), 0700));
    TRY(make_directories(instance.state_dir(), 0700));
    TRY(make_directories(instance.run_dir() + "/tokens", 0700));
    for (const Role& role : roles()) {
        const bool is_root = role.name == "root";
        tokens.tokens_[std::string(role.name)] =
            TRY(read_or_make_token(is_root ? instance.state_dir() + "/root.token" : instance.token_file(role.name)));
    }
    return tokens;
}

Outcome<Identity> Tokens::identify(std::string_view authorization) const {
    if (authorization.empty()) return Identity{};
    const size_t space = authorization.find(' ');
    const std::string_view scheme = authorization.substr(0, space);
    const std::string_view token = space == std::string_view::npos ? "" : trim(authorization.substr(space + 1));
    Identity identity;
    if (equals_ignoring_case(scheme, "bearer") && !token.empty()) {
        // Every token is looked at, each in constant time.
        for (const auto& [name, secret] : tokens_) {
            if (secret.size() != token.size() || CRYPTO_memcmp(secret.data(), token.data(), token.size()) != 0)
                continue;
            identity.role = find_role(name);
            identity.user = name == "root" ? "weft:root" : "system:weft:" + name;
        }
    }
    if (identity.role == nullptr) return refuse(401, "Unauthorized", "Unauthorized");
    return identity;
}

// What the garbage collector has to write on an object of any kind, and nothing that says what is in it.
static bool is_ties_only(const Call& call) {
    const auto patch = json::parse(call.body);
    if (media_type(call.content_type) != "application/merge-patch+json" || !patch || !patch->is_object()) return false;
    const json::Object* metadata = json::find_object(*patch, {"metadata"});
    if (metadata == nullptr || patch->get_object().size() != 1) return false;
    return std::all_of(metadata->begin(), metadata->end(), [](const auto& member) {
        const std::string_view name = member.key();
        return name == "ownerReferences" || name == "finalizers" || name == "uid" || name == "resourceVersion";
    });
}

// Judged as it will be parsed: a comma may be part of a value.
bool selects_tls_only(const Kind& secrets, std::string_view fields) {
    const auto selector = Selector::parse(secrets, {}, fields);
    return selector && selector->demands("type", "kubernetes.io/tls");
}

bool permits(const Identity& identity, const Access& access) {
    if (identity.role == nullptr || (!identity.ns.empty() && identity.ns != access.ns)) return false;
    if (!identity.role->allows(access.verb, access.kind, access.subresource)) return false;
    if (identity.role->everything || access.kind.plural != "secrets") return true;
    // The proxy is open to the street: of the Secrets it sees those that may be certificates, and no token or password.
    if (identity.role->name == "alb" && !access.is_of_tls_only) return false;
    return access.verb != Verb::patch || access.is_ties_only;
}

Done authorize(const Identity& identity, const Target& target, const Call& call) {
    if (identity.role == nullptr) return refuse(401, "Unauthorized", "Unauthorized");
    // exec is a change, whatever method starts it.
    Access access{target.verb, *target.kind, target.subresource, target.key.ns};
    if (!identity.role->everything && target.kind->plural == "secrets") {
        access.is_of_tls_only = selects_tls_only(*target.kind, call.query.get("fieldSelector"));
        access.is_ties_only = target.verb == Verb::patch && is_ties_only(call);
    }
    if (permits(identity, access)) return {};
    const std::string where =
        target.key.ns.empty() ? "at the cluster scope" : fmt::format("in the namespace \"{}\"", target.key.ns);
    const std::string name = target.key.name.empty() ? "" : fmt::format(" \"{}\"", target.key.name);
    Failure failure(
        Refusal{403,
                "Forbidden",
                fmt::format("{}{} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {}",
                            target.kind->group_plural(), name, identity.user, verb_name(target.verb), target.resource(),
                            target.kind->group, where),
                {}});
    return refuse(std::move(failure).about(*target.kind, target.key.name));
}

}  // namespace weft::apiserver
