#include "apiserver/review.h"

#include <fmt/format.h>

#include "apiserver/account_token.h"
#include "apiserver/negotiate.h"
#include "apiserver/validate.h"
#include "base/strings.h"

namespace weft::apiserver {

namespace {

constexpr std::string_view authentication = "authentication.k8s.io", authorization = "authorization.k8s.io";
constexpr std::string_view account_prefix = "system:serviceaccount:", component_prefix = "system:weft:";
constexpr std::string_view masters_group = "system:masters";

struct Question {
    std::string verb, group, resource, subresource, ns, path;
    json::Value fields;  // fieldSelector
    bool is_resource = true;
};

Kind kind_of(const ReviewKind& review) {
    Kind kind;
    kind.group = review.group;
    kind.plural = review.plural;
    kind.kind_name = review.kind;
    return kind;
}

const Kind* find_resource(const KindTable& table, std::string_view group, std::string_view plural) {
    for (const KindPtr& kind : table.all())
        if (kind->group == group && kind->plural == plural) return kind.get();
    return nullptr;
}

std::optional<Verb> verb_named(std::string_view name) {
    for (const Verb verb : {Verb::get, Verb::list, Verb::watch, Verb::create, Verb::update, Verb::patch, Verb::remove,
                            Verb::remove_collection})
        if (verb_name(verb) == name) return verb;
    return std::nullopt;
}

// Who may ask anything may read what says how this server is to be spoken to.
bool may_read_path(std::string_view path) {
    for (const std::string_view open :
         {"/api", "/apis", "/healthz", "/livez", "/readyz", "/version", "/openapi", "/metrics"})
        if (path == open || path.starts_with(std::string(open) + "/")) return true;
    return path == "/";
}

bool asks_for_tls_only(const Kind& secrets, const json::Value& fields) {
    if (const std::string_view raw = json::find_string(fields, {"rawSelector"}); !raw.empty())
        return selects_tls_only(secrets, raw);
    const json::Array* const requirements = json::find_array(fields, {"requirements"});
    return requirements != nullptr && std::any_of(requirements->begin(), requirements->end(), [](const auto& one) {
        return json::find_string(one, {"key"}) == "type" && json::find_string(one, {"operator"}) == "In" &&
               json::find_strings(one, {"values"}) == std::vector<std::string>{"kubernetes.io/tls"};
    });
}

bool may(const Identity& identity, const KindTable& table, const Question& question) {
    if (identity.role == nullptr) return false;
    if (identity.role->everything) return true;
    if (!question.is_resource)
        return (question.verb == "get" || question.verb == "head") && may_read_path(question.path);
    const Kind* const kind = find_resource(table, question.group, question.resource);
    auto verb = verb_named(question.verb);
    if (kind == nullptr || !verb) return false;
    if (question.subresource == "exec" || question.subresource == "log") verb = Verb::connect;
    // No question can say that a patch is of a Secret's ties only: the answer is about any patch.
    return permits(identity, {.verb = *verb,
                              .kind = *kind,
                              .subresource = question.subresource,
                              .ns = question.ns,
                              .is_of_tls_only = asks_for_tls_only(*kind, question.fields)});
}

Outcome<Question> read_question(const Kind& kind, const json::Value& body) {
    const auto given = [&](std::string_view field) -> const json::Value* {
        const json::Value* const value = json::find(body, {"spec", field});
        return value != nullptr && value->is_object() ? value : nullptr;
    };
    const json::Value* const resource = given("resourceAttributes");
    const json::Value* const path = given("nonResourceAttributes");
    if ((resource == nullptr) == (path == nullptr))
        return unprocessable(kind, "",
                             {invalid_value("spec.resourceAttributes", json::Value(nullptr),
                                            "exactly one of nonResourceAttributes or resourceAttributes must be "
                                            "specified")});
    Question question;
    question.is_resource = resource != nullptr;
    const json::Value& from = resource != nullptr ? *resource : *path;
    question.verb = json::find_string(from, {"verb"});
    question.group = json::find_string(from, {"group"});
    question.resource = json::find_string(from, {"resource"});
    question.subresource = json::find_string(from, {"subresource"});
    question.ns = json::find_string(from, {"namespace"});
    question.path = json::find_string(from, {"path"});
    if (const json::Value* const fields = json::find(from, {"fieldSelector"})) question.fields = *fields;
    return question;
}

json::Object user_info(const Identity& identity) {
    json::Array groups;
    for (const std::string& group : groups_of(identity)) groups.emplace_back(group);
    json::Object info{{"username", identity.user}, {"groups", std::move(groups)}};
    if (!identity.uid.empty()) info["uid"] = identity.uid;
    return info;
}

json::Object access_status(const Identity& who, const KindTable& table, const Question& question) {
    json::Object status{{"allowed", may(who, table, question)}};
    const bool known = !question.is_resource || question.resource == "*" ||
                       find_resource(table, question.group, question.resource) != nullptr;
    if (!known)
        status["evaluationError"] = fmt::format("the server doesn't have a resource type \"{}\" in group \"{}\"",
                                                question.resource, question.group);
    return status;
}

json::Array strings(const std::vector<std::string_view>& list) {
    json::Array array;
    for (const std::string_view text : list) array.emplace_back(text);
    return array;
}

std::string group_of(const KindTable& table, std::string_view resource) {
    const std::string_view plural = resource.substr(0, resource.find('/'));
    for (const KindPtr& kind : table.all())
        if (kind->plural == plural) return kind->group;
    return "*";
}

json::Object rules_status(const Identity& who, const KindTable& table, std::string_view ns) {
    json::Array resources, paths;
    const auto path_rule = [&](std::vector<std::string_view> verbs, std::vector<std::string_view> urls) {
        paths.push_back(json::Object{{"verbs", strings(verbs)}, {"nonResourceURLs", strings(urls)}});
    };
    if (who.role != nullptr && who.role->everything) {
        resources.push_back(
            json::Object{{"verbs", strings({"*"})}, {"apiGroups", strings({"*"})}, {"resources", strings({"*"})}});
        path_rule({"*"}, {"*"});
    } else if (who.role != nullptr && (who.ns.empty() || who.ns == ns)) {
        for (const Rule& rule : who.role->rules)
            for (const std::string_view resource : rule.resources)
                resources.push_back(json::Object{{"verbs", strings(rule.verbs)},
                                                 {"apiGroups", strings({group_of(table, resource)})},
                                                 {"resources", strings({resource})}});
    }
    if (who.role != nullptr && !who.role->everything)
        path_rule({"get"}, {"/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/metrics", "/openapi",
                            "/openapi/*", "/readyz", "/version"});
    // A rule has no field for what permits() asks besides.
    const bool is_narrowed = who.role != nullptr && who.role->name == "alb";
    json::Object status{
        {"resourceRules", std::move(resources)}, {"nonResourceRules", std::move(paths)}, {"incomplete", is_narrowed}};
    if (is_narrowed) status["evaluationError"] = "of secrets only those with the fieldSelector type=kubernetes.io/tls";
    return status;
}

json::Object token_status(const json::Value& body, const ReviewAsker& asker) {
    std::vector<std::string> asked = json::find_strings(body, {"spec", "audiences"});
    if (asked.empty()) asked.emplace_back(account_issuer);
    const auto owner = asker.whose(json::find_string(body, {"spec", "token"}), asked);
    if (!owner || owner->identity.role == nullptr)
        return {{"authenticated", false}, {"error", "invalid bearer token"}};
    if (owner->audiences.empty()) return {{"authenticated", false}, {"error", "token audiences do not match"}};
    json::Array audiences;
    for (const std::string& audience : owner->audiences) audiences.emplace_back(audience);
    return {{"authenticated", true}, {"user", user_info(owner->identity)}, {"audiences", std::move(audiences)}};
}

Outcome<json::Object> status_of(const ReviewKind& review, const json::Value& body, std::string_view ns,
                                const ReviewAsker& asker) {
    const Kind kind = kind_of(review);
    const Identity& self = asker.identity;
    if (review.plural == "selfsubjectreviews") return json::Object{{"userInfo", user_info(self)}};
    if (review.plural == "tokenreviews") {
        if (json::find_string(body, {"spec", "token"}).empty())
            return unprocessable(kind, "", {required("spec.token")});
        return token_status(body, asker);
    }
    if (review.plural == "selfsubjectrulesreviews") {
        const std::string_view asked = json::find_string(body, {"spec", "namespace"});
        if (asked.empty()) return refuse(400, "BadRequest", "no namespace on request");
        return rules_status(self, asker.table, asked);
    }
    const Question question = TRY(read_question(kind, body));
    if (review.plural == "selfsubjectaccessreviews") return access_status(self, asker.table, question);
    const std::string_view user = json::find_string(body, {"spec", "user"});
    const std::vector<std::string> groups = json::find_strings(body, {"spec", "groups"});
    if (user.empty() && groups.empty())
        return unprocessable(
            kind, "",
            {invalid_value("spec.user", std::string_view(), "at least one of user or group must be specified")});
    if (review.namespaced && question.ns != ns)
        return unprocessable(
            kind, "",
            {invalid_value("spec.resourceAttributes.namespace", question.ns, "must match metadata.namespace")});
    return access_status(identity_named(user, groups), asker.table, question);
}

}  // namespace

std::span<const ReviewKind> review_kinds() {
    static constexpr ReviewKind kinds[] = {
        {authentication, "selfsubjectreviews", "SelfSubjectReview"},
        {authentication, "tokenreviews", "TokenReview", false, true},
        {authorization, "localsubjectaccessreviews", "LocalSubjectAccessReview", true, true},
        {authorization, "selfsubjectaccessreviews", "SelfSubjectAccessReview"},
        {authorization, "selfsubjectrulesreviews", "SelfSubjectRulesReview"},
        {authorization, "subjectaccessreviews", "SubjectAccessReview", false, true},
    };
    return kinds;
}

std::vector<std::string> groups_of(const Identity& identity) {
    std::vector<std::string> groups;
    if (identity.role != nullptr && identity.role->everything) groups.emplace_back(masters_group);
    const auto add = [&](std::string group) {
        if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(std::move(group));
    };
    if (identity.user.starts_with(account_prefix) && identity.groups.empty()) {
        add("system:serviceaccounts");
        add("system:serviceaccounts:" + identity.ns);
    }
    for (const std::string& group : identity.groups) add(group);
    add(identity.role == nullptr ? "system:unauthenticated" : "system:authenticated");
    return groups;
}

Identity identity_named(std::string_view user, const std::vector<std::string>& groups) {
    static const Role nobody{"nobody", false, {}};
    Identity identity{std::string(user), &nobody, {}};
    if (user == "weft:root" || std::find(groups.begin(), groups.end(), masters_group) != groups.end()) {
        identity.role = find_role("root");
    } else if (user.starts_with(component_prefix)) {
        if (const Role* role = find_role(user.substr(component_prefix.size()))) identity.role = role;
    } else if (user.starts_with(account_prefix)) {
        const std::vector<std::string_view> parts = split(user.substr(account_prefix.size()), ':');
        if (parts.size() == 2 && !parts[0].empty() && !parts[1].empty()) {
            identity.role = &account_role();
            identity.ns = parts[0];
        }
    }
    return identity;
}

Outcome<Identity> impersonate(const Identity& identity, const Call& call) {
    const bool has_more =
        !call.impersonate_uid.empty() || !call.impersonate_groups.empty() || call.impersonates_extra;
    if (call.impersonate_user.empty() && !has_more) return identity;
    if (call.impersonate_user.empty())
        return refuse(400, "BadRequest",
                      "a uid, groups and extra fields can only be impersonated together with a user");
    if (identity.role == nullptr || !identity.role->everything)
        return refuse(403, "Forbidden",
                      fmt::format("users \"{}\" is forbidden: User \"{}\" cannot impersonate resource \"users\" in API "
                                  "group \"\" at the cluster scope",
                                  call.impersonate_user, identity.user));
    if (call.impersonates_extra)
        return refuse(400, "BadRequest", "Impersonate-Extra-...: extra fields of a user are not spoken here");
    Identity other = identity_named(call.impersonate_user, call.impersonate_groups);
    other.uid = call.impersonate_uid;
    other.groups = call.impersonate_groups;
    return other;
}

Outcome<std::optional<Reply>> answer_review(const Call& call, const ReviewAsker& asker) {
    const auto& path = call.segments;
    if (path.size() < 4 || path[0] != "apis" || path[2] != review_version) return std::optional<Reply>();
    const bool in_namespace = path.size() == 6 && path[3] == "namespaces";
    if (!in_namespace && path.size() != 4) return std::optional<Reply>();
    const std::string& plural = path.back();
    for (const ReviewKind& review : review_kinds()) {
        if (path[1] != review.group || plural != review.plural || in_namespace != review.namespaced) continue;
        const Kind kind = kind_of(review);
        if (call.method != "POST") return method_not_allowed(kind, call.method);
        if (review.about_others && !asker.identity.role->everything)
            return refuse(
                403, "Forbidden",
                fmt::format("{} is forbidden: User \"{}\" cannot create resource \"{}\" in API group \"{}\" at "
                            "the cluster scope",
                            kind.group_plural(), asker.identity.user, review.plural, review.group));
        json::Value body = TRY(decode_body(call, nullptr));
        const std::string_view sent = json::find_string(body, {"kind"}, review.kind);
        if (!body.is_object() || sent != review.kind)
            return refuse(400, "BadRequest", fmt::format("{} cannot be handled as a {}", sent, review.kind));
        json::set(body, {"kind"}, json::Value(review.kind));
        json::set(body, {"apiVersion"}, json::Value(fmt::format("{}/{}", review.group, review_version)));
        if (!json::has(body, {"metadata"})) json::set(body, {"metadata"}, json::Object{});
        json::set(body, {"status"}, TRY(status_of(review, body, in_namespace ? path[4] : "", asker)));
        return std::optional(json_reply(201, body, TRY(negotiate(call, {}))));
    }
    return std::optional<Reply>();
}

}  // namespace weft::apiserver
