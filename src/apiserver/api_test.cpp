// What surrounds the verbs: tokens, discovery, health, limits, definitions (spec/kubernetes.md §1.11..1.13).
#include <sys/stat.h>

#include "apiserver/api_fixture.h"
#include "apiserver/certificate.h"
#include "apiserver/kubeconfig.h"
#include "base/rollback.h"

namespace weft::apiserver {
namespace {

class ApiTest : public ApiFixture {};

TEST_F(ApiTest, only_health_and_version_are_open_to_anyone_API_130) {
    for (const char* path : {"/healthz", "/livez", "/readyz", "/version"})
        EXPECT_EQ(send(fmt::format("GET {}", path), {.role = ""}).status, 200) << path;
    for (const char* path : {"/api", "/apis", "/metrics", "/openapi/v3", "/api/v1/pods", "/nope"}) {
        const Answer answer = send(fmt::format("GET {}", path), {.role = ""});
        EXPECT_EQ(answer.status, 401) << path;
        EXPECT_EQ(answer.message(), "Unauthorized");
    }
    EXPECT_EQ(send("GET /api/v1/pods", {.role = "wrong"}).status, 401);
}

TEST_F(ApiTest, each_component_may_do_its_own_work_and_no_more) {
    const auto status = [&](std::string role, std::string_view request) {
        return send(request, {.body = "{}", .content_type = "application/merge-patch+json", .role = std::move(role)})
            .status;
    };
    EXPECT_EQ(status("dns", "GET /api/v1/services"), 200);
    EXPECT_EQ(status("dns", "GET /api/v1/secrets"), 403);
    // The proxy sees certificates and no other Secret, by whatever name.
    EXPECT_EQ(status("alb", "GET /api/v1/secrets?fieldSelector=type%3Dkubernetes.io%2Ftls"), 200);
    EXPECT_EQ(status("alb", "GET /api/v1/secrets?fieldSelector=metadata.name%3Dx,type%3D%3Dkubernetes.io%2Ftls"), 200);
    for (const char* more : {"", "?fieldSelector=type!%3Dkubernetes.io%2Ftls", "?fieldSelector=type%3DOpaque",
                             "?labelSelector=type%3Dkubernetes.io%2Ftls", "?watch=1", "?fieldSelector=metadata.name%3Dx",
                             "?fieldSelector=metadata.name!%3Dx%5C,type%3Dkubernetes.io%2Ftls"})
        EXPECT_EQ(status("alb", std::string("GET /api/v1/secrets") + more), 403) << more;
    EXPECT_EQ(status("alb", "GET /api/v1/namespaces/default/secrets/token"), 403);
    EXPECT_EQ(status("alb", "PATCH /apis/networking.k8s.io/v1/namespaces/default/ingresses/a"), 403);
    EXPECT_EQ(status("agent", "PATCH /apis/weft.dev/v1/addressblocks/a/status"), 404) << "allowed, and not there";
    EXPECT_EQ(status("agent", "PATCH /apis/weft.dev/v1/addressblocks/a"), 403);
    EXPECT_EQ(status("runtime", "PATCH /api/v1/namespaces/default/pods/a/status"), 404);
    EXPECT_EQ(status("runtime", "PATCH /api/v1/namespaces/default/pods/a"), 403);
    EXPECT_EQ(send("DELETE /api/v1/namespaces/default/secrets/a", {.role = "controller"}).status, 404);
    EXPECT_EQ(status("controller", "PATCH /api/v1/namespaces/default/secrets/a"), 403);
    const auto patch_secret = [&](std::string body) {
        return send("PATCH /api/v1/namespaces/default/secrets/a",
                    {.body = std::move(body), .content_type = "application/merge-patch+json", .role = "controller"})
            .status;
    };
    EXPECT_EQ(patch_secret(R"({"metadata":{"ownerReferences":[],"uid":"u"}})"), 404) << "the garbage collector's";
    EXPECT_EQ(patch_secret(R"({"metadata":{"finalizers":[]},"data":{"a":"eA=="}})"), 403);
    EXPECT_EQ(patch_secret(R"({"metadata":{"labels":{}}})"), 403);
    EXPECT_EQ(status("controller", "GET /api/v1/namespaces/default/pods/a/exec?command=sh"), 403);
    const Answer refused = send("GET /api/v1/namespaces/team/secrets", {.role = "dns"});
    EXPECT_EQ(refused.message(),
              "secrets is forbidden: User \"system:weft:dns\" cannot list resource \"secrets\" in API group "
              "\"\" in the namespace \"team\"");
}

TEST_F(ApiTest, discovery_in_both_forms_API_110_111) {
    EXPECT_EQ(get("/api").string({"kind"}), "APIVersions");
    const Answer groups = get("/apis");
    EXPECT_EQ(groups.string({"kind"}), "APIGroupList");
    EXPECT_EQ(get("/apis/apps").string({"preferredVersion", "groupVersion"}), "apps/v1");
    EXPECT_EQ(get("/apis/nope").status, 404);
    const Answer core = get("/api/v1");
    EXPECT_EQ(core.string({"groupVersion"}), "v1");
    bool pods_found = false, status_found = false;
    for (const json::Value& resource : core.body.at("resources").as_array()) {
        pods_found |=
            json::find_string(resource, {"name"}) == "pods" && json::find_string(resource, {"shortNames"}).empty();
        status_found |= json::find_string(resource, {"name"}) == "pods/status";
    }
    EXPECT_TRUE(pods_found && status_found);
    const std::string accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    const Answer aggregated = get("/apis", accept);
    EXPECT_EQ(aggregated.string({"kind"}), "APIGroupDiscoveryList");
    EXPECT_NE(aggregated.content_type.find("as=APIGroupDiscoveryList"), std::string::npos);
    EXPECT_EQ(send("GET /apis", {.accept = accept, .if_none_match = aggregated.header("ETag")}).status, 304);
    EXPECT_EQ(get("/apis", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json")
                  .string({"kind"}),
              "APIGroupList");
}

TEST_F(ApiTest, openapi_v3_is_there_and_v2_is_not_API_113) {
    EXPECT_EQ(get("/openapi/v2").status, 406);
    const Answer index = get("/openapi/v3");
    EXPECT_EQ(index.status, 200);
    EXPECT_TRUE(json::has(index.body, {"paths", "apis/apps/v1", "serverRelativeURL"})) << index.text.substr(0, 400);
    const Answer document = get("/openapi/v3/apis/apps/v1?hash=1");
    EXPECT_EQ(document.status, 200);
    EXPECT_NE(document.header("Cache-Control").find("immutable"), std::string::npos);
    EXPECT_EQ(get("/openapi/v3/apis/nope/v1").status, 404);
}

TEST_F(ApiTest, health_version_and_metrics_API_8_9_10) {
    EXPECT_EQ(get("/readyz").text, "ok");
    EXPECT_NE(get("/readyz?verbose").text.find("[+]storage-write ok"), std::string::npos);
    EXPECT_EQ(get("/readyz/storage-write").status, 200);
    EXPECT_EQ(get("/readyz/nothing").status, 404);
    EXPECT_EQ(get("/version").string({"minor"}), "36");
    EXPECT_NE(get("/metrics").text.find("weft_apiserver_requests_total"), std::string::npos);
}

TEST_F(ApiTest, curl_gets_indented_json_API_7) {
    EXPECT_NE(send("GET /version", {.user_agent = "curl/8"}).text.find("\n  \"major\""), std::string::npos);
    EXPECT_EQ(get("/version").text.find("\n  "), std::string::npos);
    EXPECT_NE(get("/version?pretty=true").text.find("\n  "), std::string::npos);
}

TEST_F(ApiTest, garbage_in_paths_and_queries_is_refused_never_served) {
    EXPECT_EQ(raw("GET /api/v1/%zz").status, 400);
    EXPECT_EQ(raw("GET /api/v1/pods?x=%f").status, 400);
    EXPECT_EQ(get("/api/v1/namespaces/default/configmaps/a%2Fb").status, 404);
}

TEST_F(ApiTest, a_definition_serves_its_kind_before_the_reply_and_takes_its_objects_along_API_114_120_121) {
    const std::string crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    const Answer created = post(crds, R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
        "metadata":{"name":"widgets.example.test"},"spec":{"group":"example.test","scope":"Namespaced",
        "names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList","shortNames":["wd"]},
        "versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},
        "schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{
        "size":{"type":"integer","minimum":1,"default":3}}},
        "status":{"type":"object","properties":{"seen":{"type":"integer"}}}}}}}]}})");
    ASSERT_EQ(created.status, 201) << created.text;
    const std::string widgets = "/apis/example.test/v1/namespaces/default/widgets";
    const Answer widget =
        post(widgets, R"({"apiVersion":"example.test/v1","kind":"Widget","metadata":{"name":"w"},"spec":{"odd":1}})");
    ASSERT_EQ(widget.status, 201) << widget.text;
    EXPECT_EQ(json::find_int(widget.body, {"spec", "size"}), 3);
    EXPECT_FALSE(json::has(widget.body, {"spec", "odd"}));
    EXPECT_EQ(
        post(widgets, R"({"apiVersion":"example.test/v1","kind":"Widget","metadata":{"name":"x"},"spec":{"size":0}})")
            .status,
        422);
    EXPECT_EQ(send("PATCH " + widgets + "/w", {.body = "{}", .content_type = "application/strategic-merge-patch+json"})
                  .status,
              415);
    EXPECT_EQ(put(widgets + "/w", R"({"apiVersion":"example.test/v1","kind":"Widget","metadata":{"name":"w"}})").status,
              422);
    open();
    EXPECT_EQ(get(widgets + "/w").status, 200) << "served again after a restart";
    EXPECT_EQ(remove(crds + "/widgets.example.test").status, 200);
    EXPECT_EQ(get(crds + "/widgets.example.test").status, 404);
    EXPECT_EQ(get(widgets).status, 404);
    EXPECT_FALSE((*log_->get("example.test/widgets/default/w")).has_value());
}

TEST_F(ApiTest, certificates_and_tokens_are_made_once_and_kept) {
    const Instance instance = *Instance::parse("t" + std::to_string(getpid() % 1000000));
    Rollback cleanup;
    cleanup.on_failure([&] {
        EXPECT_TRUE(remove_tree(instance.state_dir()));
        EXPECT_TRUE(remove_tree(instance.run_dir()));
    });
    const auto first = open_certificate(instance);
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(open_certificate(instance)->certificate_pem, first->certificate_pem);
    const auto named = open_certificate(instance, {"172.21.0.1", "fd00:172:21::1"});
    EXPECT_NE(named->certificate_pem, first->certificate_pem) << "the kubernetes.default of a new VPC";
    EXPECT_EQ(named->ca_pem, first->ca_pem);
    EXPECT_EQ(open_certificate(instance, {"172.21.0.1"})->certificate_pem, named->certificate_pem);
    const auto tokens = Tokens::open(instance);
    ASSERT_TRUE(tokens) << tokens.error().message;
    EXPECT_EQ(Tokens::open(instance)->root(), tokens->root());
    const std::string agent = *read_file(instance.token_file("agent"));
    EXPECT_EQ(tokens->identify("Bearer " + agent)->user, "system:weft:agent");
    EXPECT_FALSE(tokens->identify("Bearer nonsense"));
    EXPECT_FALSE(tokens->identify("Basic cm9vdA=="));
    ASSERT_TRUE(write_kubeconfig(instance, 6443, first->ca_pem, tokens->root()));
    EXPECT_NE(read_file(instance.kubeconfig())->find("https://127.0.0.1:6443"), std::string::npos);
    struct stat info{};
    ASSERT_EQ(stat(instance.kubeconfig().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
    ASSERT_EQ(stat(instance.token_file("agent").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
}

}  // namespace
}  // namespace weft::apiserver
