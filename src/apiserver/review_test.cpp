#include "apiserver/review.h"

#include "apiserver/api_fixture.h"

namespace weft::apiserver {
namespace {

class ReviewTest : public ApiFixture {
protected:
    ~ReviewTest() override { EXPECT_TRUE(remove_tree(instance_.state_dir())); }  // where the tokens' key was made

    Answer ask(std::string_view group, std::string_view plural, std::string spec, const std::string& role = "root") {
        return send(fmt::format("POST /apis/{}.k8s.io/v1/{}", group, plural),
                    {.body = fmt::format(R"({{"spec":{}}})", spec), .role = role});
    }

    bool may(const std::string& role, std::string attributes) {
        const Answer answer = ask("authorization", "selfsubjectaccessreviews",
                                  fmt::format(R"({{"resourceAttributes":{{{}}}}})", attributes), role);
        EXPECT_EQ(answer.status, 201) << answer.text;
        return json::find_bool(answer.body, {"status", "allowed"});
    }

    std::string account_token() {
        const Answer made = post("/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"robot"}})");
        EXPECT_EQ(made.status, 201) << made.text;
        const Answer token = post("/api/v1/namespaces/default/serviceaccounts/robot/token", "{}");
        EXPECT_EQ(token.status, 201) << token.text;
        return std::string(token.string({"status", "token"}));
    }
};

// API-130
TEST_F(ReviewTest, who_am_i) {
    const Answer root = ask("authentication", "selfsubjectreviews", "{}");
    EXPECT_EQ(root.status, 201) << root.text;
    EXPECT_EQ(root.string({"kind"}), "SelfSubjectReview");
    EXPECT_EQ(root.string({"status", "userInfo", "username"}), "weft:root");
    EXPECT_EQ(json::find_strings(root.body, {"status", "userInfo", "groups"}),
              (std::vector<std::string>{"system:masters", "system:authenticated"}));
    const Answer agent = ask("authentication", "selfsubjectreviews", "{}", "agent");
    EXPECT_EQ(agent.string({"status", "userInfo", "username"}), "system:weft:agent");
    EXPECT_EQ(ask("authentication", "selfsubjectreviews", "{}", "").status, 401);
}

// API-130
TEST_F(ReviewTest, may_i_says_what_the_server_then_does) {
    EXPECT_TRUE(may("root", R"("verb":"*","resource":"*","group":"*")"));
    EXPECT_TRUE(may("agent", R"("verb":"list","resource":"pods")"));
    EXPECT_FALSE(may("agent", R"("verb":"delete","resource":"pods","namespace":"default")"));
    EXPECT_FALSE(may("agent", R"("verb":"get","resource":"secrets","namespace":"default")"));
    EXPECT_TRUE(may("agent", R"("verb":"patch","resource":"addressblocks","group":"weft.dev","subresource":"status")"));
    EXPECT_FALSE(may("controller", R"("verb":"patch","resource":"secrets","namespace":"default")"));
    EXPECT_FALSE(may("agent", R"("verb":"list","resource":"unicorns")"));
    EXPECT_FALSE(may("runtime", R"("verb":"create","resource":"pods","subresource":"exec","namespace":"default")"));
    // The proxy's Secrets are those with certificates, and only who asks for these gets them.
    const std::string_view secrets = R"("verb":"list","resource":"secrets","fieldSelector":)";
    EXPECT_FALSE(may("alb", R"("verb":"list","resource":"secrets")"));
    EXPECT_FALSE(may("alb", fmt::format(R"({}{{"rawSelector":"type=Opaque"}})", secrets)));
    EXPECT_FALSE(
        may("alb", fmt::format(R"({}{{"rawSelector":"metadata.name!=x\\,type=kubernetes.io/tls"}})", secrets)));
    EXPECT_TRUE(may("alb", fmt::format(R"({}{{"rawSelector":"type=kubernetes.io/tls"}})", secrets)));
    EXPECT_TRUE(may("alb", fmt::format(R"({}{{"requirements":[{{"key":"type","operator":"In","values":)"
                                       R"(["kubernetes.io/tls"]}}]}})",
                                       secrets)));
    EXPECT_TRUE(may("runtime", R"("verb":"list","resource":"secrets")"));
    // The same questions put to the doors themselves.
    EXPECT_EQ(send("GET /api/v1/secrets", {.role = "alb"}).status, 403);
    EXPECT_EQ(send("GET /api/v1/pods", {.role = "agent"}).status, 200);
    EXPECT_EQ(send("DELETE /api/v1/namespaces/default/pods/p", {.role = "agent"}).status, 403);
    EXPECT_EQ(send("GET /api/v1/namespaces/default/secrets/s", {.role = "agent"}).status, 403);
    const Answer nulls = ask("authorization", "selfsubjectaccessreviews",
                             R"({"nonResourceAttributes":null,"resourceAttributes":{"verb":"get","resource":"pods"}})");
    EXPECT_TRUE(json::find_bool(nulls.body, {"status", "allowed"})) << nulls.text;
    const Answer unknown = ask("authorization", "selfsubjectaccessreviews",
                               R"({"resourceAttributes":{"verb":"get","resource":"unicorns"}})");
    EXPECT_NE(unknown.string({"status", "evaluationError"}).find("unicorns"), std::string::npos);
    EXPECT_EQ(ask("authorization", "selfsubjectaccessreviews", "{}").status, 422);
}

// API-130
TEST_F(ReviewTest, what_may_i) {
    const auto rules = [&](const std::string& role) {
        return ask("authorization", "selfsubjectrulesreviews", R"({"namespace":"default"})", role);
    };
    EXPECT_EQ(json::serialize(rules("root").body.at("status").at("resourceRules")),
              R"([{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}])");
    EXPECT_NE(rules("dns").text.find(R"({"verbs":["get","list","watch"],"apiGroups":["discovery.k8s.io"],)"
                                     R"("resources":["endpointslices"]})"),
              std::string::npos);
    EXPECT_EQ(ask("authorization", "selfsubjectrulesreviews", "{}").status, 400);
    EXPECT_FALSE(json::find_bool(rules("dns").body, {"status", "incomplete"}));
    const Answer alb = rules("alb");
    EXPECT_TRUE(json::find_bool(alb.body, {"status", "incomplete"})) << "a rule cannot say which Secrets";
    EXPECT_NE(alb.string({"status", "evaluationError"}).find("type=kubernetes.io/tls"), std::string::npos);
}

// API-130
TEST_F(ReviewTest, of_others_only_root_may_ask) {
    const std::string others =
        R"({"user":"system:serviceaccount:default:robot","resourceAttributes":{"verb":"get","resource":"pods","namespace":)";
    EXPECT_TRUE(json::find_bool(ask("authorization", "subjectaccessreviews", others + R"("default"}})").body,
                                {"status", "allowed"}));
    EXPECT_FALSE(json::find_bool(ask("authorization", "subjectaccessreviews", others + R"("kube-system"}})").body,
                                 {"status", "allowed"}));
    EXPECT_EQ(ask("authorization", "subjectaccessreviews", others + R"("default"}})", "controller").status, 403);
    EXPECT_EQ(
        ask("authorization", "namespaces/default/localsubjectaccessreviews", others + R"("kube-system"}})").status,
        422);
    const std::string token = account_token();
    const Answer known = ask("authentication", "tokenreviews", fmt::format(R"({{"token":"{}"}})", token));
    EXPECT_TRUE(json::find_bool(known.body, {"status", "authenticated"})) << known.text;
    EXPECT_EQ(known.string({"status", "user", "username"}), "system:serviceaccount:default:robot");
    const Answer unknown = ask("authentication", "tokenreviews", R"({"token":"guessed"})");
    EXPECT_EQ(unknown.status, 201);
    EXPECT_FALSE(json::find_bool(unknown.body, {"status", "authenticated"}));
    EXPECT_EQ(ask("authentication", "tokenreviews", "{}").status, 422);
    EXPECT_EQ(ask("authentication", "tokenreviews", R"({"token":"guessed"})", "agent").status, 403);
}

// API-130: as a receiver asks about a token that was made for it.
TEST_F(ReviewTest, a_token_is_confirmed_for_the_audiences_it_was_made_for) {
    (void)account_token();
    const auto made_for = [&](std::string_view audiences) {
        const Answer token = post("/api/v1/namespaces/default/serviceaccounts/robot/token",
                                  fmt::format(R"({{"spec":{{"audiences":{}}}}})", audiences));
        return std::string(token.string({"status", "token"}));
    };
    const auto review = [&](std::string_view token, std::string_view audiences) {
        const std::string spec = fmt::format(R"({{"token":"{}","audiences":{}}})", token, audiences);
        return ask("authentication", "tokenreviews", spec).body;
    };
    using List = std::vector<std::string>;
    const std::string vault = made_for(R"(["vault","bank"])");
    json::Value answer = review(vault, R"(["shop","vault"])");
    EXPECT_TRUE(json::find_bool(answer, {"status", "authenticated"})) << json::serialize(answer);
    EXPECT_EQ(json::find_strings(answer, {"status", "audiences"}), List{"vault"});
    const Answer account = get("/api/v1/namespaces/default/serviceaccounts/robot");
    EXPECT_EQ(json::find_string(answer, {"status", "user", "uid"}), account.string({"metadata", "uid"}));
    for (const char* other : {"[]", R"(["shop"])"}) {
        answer = review(vault, other);
        EXPECT_FALSE(json::find_bool(answer, {"status", "authenticated"})) << json::serialize(answer);
        EXPECT_EQ(json::find_string(answer, {"status", "error"}), "token audiences do not match");
    }
    const std::string issuer = "https://kubernetes.default.svc.cluster.local";
    EXPECT_EQ(json::find_strings(review(made_for("[]"), "[]"), {"status", "audiences"}), List{issuer});
    EXPECT_EQ(json::find_strings(review("agent-token", "[]"), {"status", "audiences"}), List{issuer});
    EXPECT_FALSE(json::find_bool(review("agent-token", R"(["vault"])"), {"status", "authenticated"}));
}

// API-130: `kubectl auth whoami --as=alice --as-uid=7 --as-group=devs`
TEST_F(ReviewTest, who_speaks_for_another_is_shown_with_the_others_groups) {
    const auto whoami = [&](std::string_view user, std::string_view uid, std::vector<std::string> groups, bool extra) {
        auto call = Call::parse("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "");
        call->authorization = "Bearer root-token";
        call->content_type = "application/json";
        call->body = "{}";
        call->impersonate_user = user;
        call->impersonate_uid = uid;
        call->impersonate_groups = std::move(groups);
        call->impersonates_extra = extra;
        return api_->answer(*call);
    };
    const Reply alice = whoami("alice", "7", {"devs", "system:authenticated"}, false);
    EXPECT_NE(alice.body.find(R"("userInfo":{"username":"alice","groups":["devs","system:authenticated"],"uid":"7"})"),
              std::string::npos)
        << alice.body;
    EXPECT_NE(whoami("system:serviceaccount:default:robot", "", {}, false).body.find(
                  R"("groups":["system:serviceaccounts","system:serviceaccounts:default","system:authenticated"])"),
              std::string::npos);
    EXPECT_EQ(whoami("", "7", {}, false).status, 400);
    EXPECT_EQ(whoami("", "", {"devs"}, false).status, 400);
    EXPECT_EQ(whoami("", "", {}, true).status, 400);
    EXPECT_EQ(whoami("alice", "", {}, true).status, 400) << "better than doing it without";
}

// API-130: a request in another's name is never done with one's own rights.
TEST_F(ReviewTest, who_speaks_for_another_has_the_others_rights) {
    const auto as = [&](const std::string& role, std::string_view user, std::vector<std::string> groups = {}) {
        auto call = Call::parse("GET", "/api/v1/namespaces/default/secrets/s", "");
        call->authorization = "Bearer " + role + "-token";
        call->impersonate_user = user;
        call->impersonate_groups = std::move(groups);
        return api_->answer(*call).status;
    };
    EXPECT_EQ(as("root", ""), 404);
    EXPECT_EQ(as("root", "system:weft:controller"), 404);
    EXPECT_EQ(as("root", "system:weft:agent"), 403);
    EXPECT_EQ(as("root", "anyone"), 403);
    EXPECT_EQ(as("root", "anyone", {"system:masters"}), 404);
    EXPECT_EQ(as("root", "", {"system:masters"}), 400);
    EXPECT_EQ(as("controller", "weft:root"), 403);
}

// API-110, API-111, API-3
TEST_F(ReviewTest, are_shown_by_discovery_and_can_only_be_created) {
    EXPECT_NE(get("/apis/authorization.k8s.io/v1").text.find(R"("name":"selfsubjectaccessreviews")"),
              std::string::npos);
    EXPECT_NE(get("/apis").text.find("authentication.k8s.io/v1"), std::string::npos);
    EXPECT_NE(get("/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
                  .text.find(R"("resource":"selfsubjectreviews")"),
              std::string::npos);
    EXPECT_EQ(get("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").status, 405);
    EXPECT_EQ(get("/apis/authorization.k8s.io/v1/others").status, 404);
}

}  // namespace
}  // namespace weft::apiserver
