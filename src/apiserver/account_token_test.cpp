#include "apiserver/account_token.h"

#include <gtest/gtest.h>

#include "apiserver/api_fixture.h"

namespace weft::apiserver {
namespace {

// API-130
TEST(AccountToken, OnlyWhatWeSignedAndOnlyInItsTime) {
    const AccountClaims claims{.ns = "blue",
                               .account = "web",
                               .account_uid = "u1",
                               .pod = "web-0",
                               .pod_uid = "u2",
                               .audiences = {"a", "b"},
                               .issued_s = 1000,
                               .expires_s = 2000};
    const std::string token = sign_claims(claims, "key");
    const auto at = [](int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); };
    const auto read = verify_token(token, "key", at(1999));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->user(), "system:serviceaccount:blue:web");
    EXPECT_EQ(read->pod_uid, "u2");
    EXPECT_EQ(read->audiences, claims.audiences);
    EXPECT_FALSE(verify_token(token, "key", at(2000))) << "its time is over";
    EXPECT_FALSE(verify_token(token, "other key", at(1500)));
    for (size_t i = 0; i < token.size(); i++) {
        std::string other = token;
        other[i] = other[i] == 'A' ? 'B' : 'A';
        EXPECT_FALSE(verify_token(other, "key", at(1500)) && other != token) << "byte " << i;
    }
    for (const std::string_view bad : {"", ".", "..", "a.b", "a.b.c", "eyJhbGciOiJub25lIn0.e30."})
        EXPECT_FALSE(verify_token(bad, "key", at(1500))) << bad;
}

class AccountApi : public ApiFixture {
protected:
    static std::string json_of(std::string_view yaml) { return json::serialize(MUST(json::parse_yaml(yaml))[0]); }
    Answer make(std::string_view path, std::string_view yaml) { return post(path, json_of(yaml)); }

    ~AccountApi() override { EXPECT_TRUE(remove_tree(instance_.state_dir())); }

    Answer as(const std::string& token, const std::string& path) {
        Call call = *Call::parse("GET", path, "");
        call.authorization = "Bearer " + token;
        Answer answer;
        const Reply reply = api_->answer(call);
        answer.status = reply.status;
        answer.text = reply.body;
        return answer;
    }
};

// API-130
TEST_F(AccountApi, ATokenCountsInItsNamespaceWhileAccountAndPodExist) {
    ASSERT_EQ(make("/api/v1/namespaces/default/serviceaccounts", "{metadata: {name: web}}").status, 201);
    ASSERT_EQ(make(pods, "{metadata: {name: p}, spec: {serviceAccountName: web, containers: [{name: c, image: i}]}}").status,
              201);
    const std::string path = "/api/v1/namespaces/default/serviceaccounts/web/token";
    const Answer given = make(path, "{apiVersion: authentication.k8s.io/v1, kind: TokenRequest, spec: "
                                    "{boundObjectRef: {kind: Pod, apiVersion: v1, name: p}}}");
    ASSERT_EQ(given.status, 201) << given.text;
    EXPECT_EQ(json::find_int(given.body, {"spec", "expirationSeconds"}), 3600);
    // As kubectl up to 1.31 asks.
    EXPECT_EQ(make(path, "{spec: {audiences: null, expirationSeconds: null, boundObjectRef: null}}").status, 201);
    const std::string token(given.string({"status", "token"}));
    EXPECT_EQ(as(token, "/api/v1/namespaces/default/pods/p").status, 200);
    EXPECT_EQ(as(token, "/apis").status, 200);
    EXPECT_EQ(as(token, "/api/v1/namespaces/default/secrets").status, 403);
    EXPECT_EQ(as(token, "/api/v1/namespaces/kube-system/pods").status, 403) << "not its namespace";
    EXPECT_EQ(as(token, "/api/v1/pods").status, 403);
    EXPECT_EQ(as(token + "x", "/api/v1/namespaces/default/pods").status, 401);

    EXPECT_EQ(make(path, "{kind: TokenRequest, spec: {expirationSeconds: 599}}").status, 422);
    EXPECT_EQ(make(path, "{kind: TokenRequest, spec: {boundObjectRef: {kind: Pod, name: p, uid: other}}}").status, 409);
    EXPECT_EQ(make("/api/v1/namespaces/default/serviceaccounts/none/token", "{kind: TokenRequest}").status, 404);
    const Answer elsewhere = make(path, "{kind: TokenRequest, spec: {audiences: [vault]}}");
    EXPECT_EQ(as(std::string(elsewhere.string({"status", "token"})), "/apis").status, 401) << "for someone else";

    EXPECT_EQ(remove("/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0").status, 200);
    EXPECT_EQ(as(token, "/apis").status, 401) << "its pod is gone";
}

}  // namespace
}  // namespace weft::apiserver
