// The verbs, rule by rule (spec/kubernetes.md §1); each test names the ids it proves.
#include "apiserver/api_fixture.h"

namespace weft::apiserver {
namespace {

class RestTest : public ApiFixture {};

TEST_F(RestTest, create_read_update_delete_of_an_object_API_2_31_45) {
    const Answer created = post(maps, config_map("a", R"(,"uid":"mine","creationTimestamp":"2001-01-01T00:00:00Z")"));
    ASSERT_EQ(created.status, 201) << created.text;
    EXPECT_EQ(created.string({"metadata", "namespace"}), "default");
    EXPECT_EQ(created.string({"metadata", "uid"}).size(), 36u);
    EXPECT_NE(created.string({"metadata", "creationTimestamp"}), "2001-01-01T00:00:00Z");
    EXPECT_FALSE(created.revision().empty());
    const Answer got = get(path_of(maps, "a"));
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.body, created.body);
    EXPECT_TRUE(got.text.ends_with("\n"));

    json::Value wish = got.body;
    json::set(wish, {"data", "b"}, "2");
    const Answer updated = put(path_of(maps, "a"), json::serialize(wish));
    ASSERT_EQ(updated.status, 200) << updated.text;
    EXPECT_EQ(updated.string({"data", "b"}), "2");
    EXPECT_EQ(updated.string({"metadata", "uid"}), created.string({"metadata", "uid"}));
    EXPECT_GT(std::stoll(std::string(updated.revision())), std::stoll(std::string(created.revision())));

    const Answer stale = put(path_of(maps, "a"), json::serialize(wish));
    EXPECT_EQ(stale.status, 409);
    EXPECT_EQ(stale.reason(), "Conflict");
    EXPECT_EQ(stale.message(),
              "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply "
              "your changes to the latest version and try again");

    const Answer deleted = remove(path_of(maps, "a"));
    EXPECT_EQ(deleted.status, 200);
    EXPECT_EQ(deleted.string({"status"}), "Success");
    EXPECT_EQ(deleted.string({"details", "uid"}), created.string({"metadata", "uid"}));
    const Answer gone = get(path_of(maps, "a"));
    EXPECT_EQ(gone.status, 404);
    EXPECT_EQ(gone.message(), "configmaps \"a\" not found");
    EXPECT_EQ(gone.string({"details", "kind"}), "configmaps");
    EXPECT_EQ(gone.string({"status"}), "Failure");
    EXPECT_EQ(json::find_int(gone.body, {"code"}), 404);
}

TEST_F(RestTest, a_write_that_changes_nothing_keeps_the_resource_version_API_42) {
    const Answer created = post(maps, config_map("a"));
    EXPECT_EQ(put(path_of(maps, "a"), config_map("a")).revision(), created.revision());
    EXPECT_EQ(merge(path_of(maps, "a"), R"({"data":{"a":"1"}})").revision(), created.revision());
    EXPECT_NE(merge(path_of(maps, "a"), R"({"data":{"a":"2"}})").revision(), created.revision());
}

TEST_F(RestTest, names_are_generated_required_and_unique_API_32) {
    const std::string generate = R"({"metadata":{"generateName":"web-"}})";
    const Answer one = post(maps, generate);
    ASSERT_EQ(one.status, 201) << one.text;
    EXPECT_TRUE(one.name().starts_with("web-") && one.name().size() == 9) << one.name();
    EXPECT_NE(post(maps, generate).name(), one.name());
    const Answer none = post(maps, R"({"metadata":{}})");
    EXPECT_EQ(none.status, 422);
    EXPECT_NE(none.message().find("name or generateName is required"), std::string::npos) << none.message();
    EXPECT_EQ(post(maps, config_map("a")).status, 201);
    const Answer twice = post(maps, config_map("a"));
    EXPECT_EQ(twice.status, 409);
    EXPECT_EQ(twice.reason(), "AlreadyExists");
    EXPECT_EQ(twice.message(), "configmaps \"a\" already exists");
}

TEST_F(RestTest, unknown_paths_are_plain_404_and_missing_verbs_405_API_1_3_4) {
    for (const char* path : {"/api/v1/nothings", "/apis/no.such/v1/things", "/api/v1/namespaces/default/pods/", "/nope",
                             "/api/v1//pods", "/api/v1/namespaces/default/nodes", "/api/v1/pods/a",
                             "/api/v1/namespaces/default/configmaps/a/status", "/api/v2/pods"}) {
        const Answer answer = get(path);
        EXPECT_EQ(answer.status, 404) << path;
        EXPECT_EQ(answer.text, "404 page not found\n") << path;
    }
    EXPECT_EQ(post(path_of(maps, "a"), "{}").status, 405);
    EXPECT_EQ(put(maps, "{}").status, 405);
    EXPECT_EQ(post("/api/v1/pods", pod("a")).status, 405);
    EXPECT_EQ(remove("/api/v1/namespaces").reason(), "MethodNotAllowed");
}

TEST_F(RestTest, namespaces_must_exist_and_not_be_ending_API_66_72) {
    const Answer absent = post("/api/v1/namespaces/nowhere/configmaps", config_map("a"));
    EXPECT_EQ(absent.status, 404);
    EXPECT_EQ(absent.message(), "namespaces \"nowhere\" not found");
    for (const char* name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
        const Answer found = get(path_of("/api/v1/namespaces", name));
        EXPECT_EQ(found.status, 200) << name;
        EXPECT_EQ(found.string({"metadata", "labels", "kubernetes.io/metadata.name"}), name);
        EXPECT_EQ(found.string({"status", "phase"}), "Active");
    }
    EXPECT_EQ(remove("/api/v1/namespaces/default").status, 403);
    ASSERT_EQ(post("/api/v1/namespaces", R"({"metadata":{"name":"team"}})").status, 201);
    const Answer ending = remove("/api/v1/namespaces/team");
    EXPECT_EQ(ending.status, 200);
    EXPECT_EQ(ending.string({"status", "phase"}), "Terminating");
    const Answer refused = post("/api/v1/namespaces/team/configmaps", config_map("a"));
    EXPECT_EQ(refused.status, 403) << refused.text;
    EXPECT_EQ(json::find_array(refused.body, {"details", "causes"})->at(0).at("reason").as_string(),
              "NamespaceTerminating");
    json::Value final = get("/api/v1/namespaces/team").body;
    json::set(final, {"spec", "finalizers"}, json::Array{});
    EXPECT_EQ(put("/api/v1/namespaces/team/finalize", json::serialize(final)).status, 200);
    EXPECT_EQ(get("/api/v1/namespaces/team").status, 404);
}

TEST_F(RestTest, names_and_namespaces_of_body_and_url_must_agree_API_34_35) {
    const Answer other = post(maps, config_map("a", R"(,"namespace":"kube-system")"));
    EXPECT_EQ(other.status, 400);
    EXPECT_NE(other.message().find("does not match the namespace sent on the request"), std::string::npos);
    ASSERT_EQ(post(maps, config_map("a")).status, 201);
    const Answer renamed = put(path_of(maps, "a"), config_map("b"));
    EXPECT_EQ(renamed.status, 400);
    EXPECT_EQ(renamed.message(), "the name of the object (b) does not match the name on the URL (a)");
}

TEST_F(RestTest, bodies_of_other_types_and_shapes_are_refused_API_5_20_23_24) {
    EXPECT_EQ(send(fmt::format("POST {}", maps), {.body = "k8s", .content_type = "application/vnd.kubernetes.protobuf"})
                  .status,
              400);
    EXPECT_EQ(send(fmt::format("POST {}", maps), {.body = "{}", .content_type = "text/plain"}).reason(),
              "UnsupportedMediaType");
    EXPECT_EQ(post(maps, "").status, 400);
    EXPECT_EQ(post(maps, R"({"metadata":)").status, 400);
    EXPECT_EQ(post(maps, "[1]").status, 400);
    EXPECT_EQ(post(maps, "\"\xff\"").status, 400);
    EXPECT_EQ(post(maps, std::string(200, '[')).status, 400);
    EXPECT_EQ(post(maps, R"({"kind":"Pod","apiVersion":"v1"})").status, 400);
    EXPECT_EQ(post(maps, R"({"kind":"ConfigMap","apiVersion":"v9"})").status, 400);
    const Answer large = post(maps, std::string(json::json_bytes_max + 1, ' '));
    EXPECT_EQ(large.status, 413);
    EXPECT_EQ(large.message(), "Request entity too large: limit is 3145728");
    const Answer yaml = send(fmt::format("POST {}", maps),
                             {.body = "metadata: {name: y}\ndata: {a: '1'}\n", .content_type = "application/yaml"});
    EXPECT_EQ(yaml.status, 201) << yaml.text;
}

TEST_F(RestTest, unknown_and_duplicate_fields_are_refused_warned_about_or_ignored_API_90) {
    const std::string body = R"({"metadata":{"name":"s"},"spec":{"foo":1},"data":{"x":"1","x":"2"}})";
    const Answer strict = post(fmt::format("{}?fieldValidation=Strict", maps), body);
    EXPECT_EQ(strict.status, 400);
    EXPECT_TRUE(strict.message().starts_with("strict decoding error: ")) << strict.message();
    EXPECT_NE(strict.message().find("unknown field \"spec\""), std::string::npos) << strict.message();
    EXPECT_NE(strict.message().find("duplicate field \"data.x\""), std::string::npos) << strict.message();
    const Answer warned = post(maps, body);
    EXPECT_EQ(warned.status, 201);
    EXPECT_TRUE(warned.header("Warning").starts_with("299 - \"")) << warned.header("Warning");
    EXPECT_EQ(warned.string({"data", "x"}), "2");
    EXPECT_EQ(post(fmt::format("{}?fieldValidation=Perhaps", maps), config_map("z")).status, 422);
}

TEST_F(RestTest, a_dry_run_stores_nothing_and_uses_no_revision_API_91) {
    const store::Revision before = log_->revision();
    EXPECT_EQ(post(fmt::format("{}?dryRun=All", maps), config_map("d")).status, 201);
    EXPECT_EQ(get(path_of(maps, "d")).status, 404);
    EXPECT_EQ(log_->revision(), before);
    EXPECT_EQ(post(fmt::format("{}?dryRun=Some", maps), config_map("d")).status, 422);
    ASSERT_EQ(post(maps, config_map("d")).status, 201);
    EXPECT_EQ(remove(path_of(maps, "d") + "?dryRun=All").status, 200);
    EXPECT_EQ(get(path_of(maps, "d")).status, 200);
}

TEST_F(RestTest, patches_of_each_kind_and_the_ones_not_spoken_API_80_81_84) {
    ASSERT_EQ(post(maps, config_map("p")).status, 201);
    const auto patch = [&](std::string type, std::string body) {
        return send("PATCH " + path_of(maps, "p"), {.body = std::move(body), .content_type = std::move(type)});
    };
    EXPECT_EQ(
        patch("application/json-patch+json", R"([{"op":"add","path":"/data/b","value":"2"}])").string({"data", "b"}),
        "2");
    EXPECT_EQ(patch("application/merge-patch+json", R"({"data":{"a":null}})").body.at("data").as_object().size(), 1u);
    EXPECT_EQ(patch("application/strategic-merge-patch+json", R"({"metadata":{"labels":{"x":"y"}}})").status, 200);
    EXPECT_EQ(patch("application/json-patch+json", R"([{"op":"test","path":"/data/b","value":"9"}])").status, 422);
    EXPECT_EQ(patch("application/cbor", "{}").status, 415);
    EXPECT_EQ(patch("application/apply-patch+yaml", "{}").status, 422);  // no fieldManager
    EXPECT_EQ(patch("text/plain", "{}").status, 415);
    EXPECT_EQ(patch("application/merge-patch+json", "{").status, 400);
    EXPECT_EQ(merge(path_of(maps, "p"), R"({"metadata":{"resourceVersion":"1"}})").status, 409);
    EXPECT_EQ(merge(path_of(maps, "absent"), "{}").status, 404);
}

TEST_F(RestTest, finalizers_and_grace_hold_an_object_until_they_are_gone_API_39_70) {
    ASSERT_EQ(post(maps, config_map("f", R"(,"finalizers":["example.test/hold"])")).status, 201);
    const Answer marked = remove(path_of(maps, "f"));
    EXPECT_EQ(marked.status, 200);
    EXPECT_FALSE(marked.string({"metadata", "deletionTimestamp"}).empty());
    EXPECT_EQ(
        merge(path_of(maps, "f"), R"({"metadata":{"finalizers":["example.test/hold","example.test/more"]}})").status,
        422);
    EXPECT_EQ(merge(path_of(maps, "f"), R"({"metadata":{"finalizers":null}})").status, 200);
    EXPECT_EQ(get(path_of(maps, "f")).status, 404);

    ASSERT_EQ(post(pods, pod("loose")).status, 201);
    EXPECT_EQ(remove(path_of(pods, "loose")).string({"status"}), "Success") << "a pod that runs nowhere goes at once";
    ASSERT_EQ(post(pods, pod("bound", "n1")).status, 201);
    const Answer graceful = remove(path_of(pods, "bound"), R"({"gracePeriodSeconds":20})");
    EXPECT_EQ(json::find_int(graceful.body, {"metadata", "deletionGracePeriodSeconds"}), 20) << graceful.text;
    EXPECT_EQ(json::find_int(remove(path_of(pods, "bound"), R"({"gracePeriodSeconds":99})").body,
                             {"metadata", "deletionGracePeriodSeconds"}),
              20)
        << "it is never lengthened";
    EXPECT_EQ(remove(path_of(pods, "bound"), R"({"gracePeriodSeconds":0})").string({"status"}), "Success");
    EXPECT_EQ(get(path_of(pods, "bound")).status, 404);
}

TEST_F(RestTest, delete_options_are_checked_API_69) {
    const Answer created = post(maps, config_map("o"));
    EXPECT_EQ(remove(path_of(maps, "o"), R"({"preconditions":{"uid":"other"}})").status, 409);
    EXPECT_EQ(remove(path_of(maps, "o"), R"({"preconditions":{"resourceVersion":"1"}})").status, 409);
    EXPECT_EQ(remove(path_of(maps, "o"), R"({"propagationPolicy":"Sideways"})").status, 422);
    EXPECT_EQ(remove(path_of(maps, "o"), R"({"propagationPolicy":"Orphan","orphanDependents":true})").status, 422);
    EXPECT_EQ(remove(path_of(maps, "o"), R"({"kind":"Pod"})").status, 400);
    const Answer orphan = remove(path_of(maps, "o"), R"({"propagationPolicy":"Foreground"})");
    EXPECT_EQ(json::find_strings(orphan.body, {"metadata", "finalizers"}),
              std::vector<std::string>{"foregroundDeletion"});
    EXPECT_EQ(
        remove(path_of(maps, "o"), fmt::format(R"({{"propagationPolicy":"Background","preconditions":{{"uid":"{}"}}}})",
                                               created.string({"metadata", "uid"})))
            .status,
        200);
    EXPECT_EQ(get(path_of(maps, "o")).status, 404);
}

TEST_F(RestTest, deletecollection_takes_what_the_selector_names_API_71) {
    for (const char* name : {"a", "b"}) ASSERT_EQ(post(maps, config_map(name, R"(,"labels":{"k":"v"})")).status, 201);
    ASSERT_EQ(post(maps, config_map("c")).status, 201);
    const Answer answer = remove(fmt::format("{}?labelSelector=k%3Dv", maps));
    EXPECT_EQ(json::find_array(answer.body, {"items"})->size(), 2u);
    EXPECT_EQ(json::find_array(get(maps).body, {"items"})->size(), 1u);
}

TEST_F(RestTest, status_has_its_own_door_API_73) {
    ASSERT_EQ(post(pods, pod("s", "n1")).status, 201);
    EXPECT_EQ(get(path_of(pods, "s")).string({"status", "phase"}), "Pending");
    merge(path_of(pods, "s"), R"({"status":{"phase":"Running"}})");
    EXPECT_EQ(get(path_of(pods, "s")).string({"status", "phase"}), "Pending") << "the main door ignores status";
    const Answer patched =
        merge(path_of(pods, "s") + "/status", R"({"status":{"phase":"Running"},"spec":{"nodeName":"n2"}})");
    EXPECT_EQ(patched.string({"status", "phase"}), "Running") << patched.text;
    EXPECT_EQ(patched.string({"spec", "nodeName"}), "n1");
}

TEST_F(RestTest, a_pod_is_bound_once) {
    ASSERT_EQ(post(pods, pod("b")).status, 201);
    const std::string binding = R"({"kind":"Binding","apiVersion":"v1","target":{"kind":"Node","name":"n1"}})";
    EXPECT_EQ(post(path_of(pods, "b") + "/binding", binding).status, 201);
    EXPECT_EQ(get(path_of(pods, "b")).string({"spec", "nodeName"}), "n1");
    EXPECT_EQ(post(path_of(pods, "b") + "/binding", binding).status, 409);
    EXPECT_EQ(post(path_of(pods, "b") + "/binding", R"({"target":{}})").status, 422);
}

TEST_F(RestTest, a_put_may_create_only_kinds_that_allow_it_API_2_67) {
    EXPECT_EQ(put(path_of(maps, "absent"), config_map("absent")).status, 404);
    const std::string lease = R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"me"}})";
    const std::string leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    const Answer created = put(leases, lease);
    EXPECT_EQ(created.status, 201) << created.text;
    EXPECT_EQ(put(leases, lease).status, 422) << "a Lease without resourceVersion is not overwritten";
}

TEST_F(RestTest, a_deployment_scales_through_its_subresource_API_37_74) {
    const std::string deployments = "/apis/apps/v1/namespaces/default/deployments";
    const Answer created =
        post(deployments, R"({"metadata":{"name":"web"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},
        "template":{"metadata":{"labels":{"app":"web"}},
        "spec":{"containers":[{"name":"main","image":"echo:demo"}]}}}})");
    ASSERT_EQ(created.status, 201) << created.text;
    EXPECT_EQ(json::find_int(created.body, {"metadata", "generation"}), 1);
    const std::string scale = deployments + "/web/scale";
    const Answer shown = get(scale);
    EXPECT_EQ(shown.string({"kind"}), "Scale");
    EXPECT_EQ(json::find_int(shown.body, {"spec", "replicas"}), 2);
    EXPECT_EQ(shown.string({"status", "selector"}), "app=web");
    EXPECT_EQ(json::find_int(merge(scale, R"({"spec":{"replicas":5}})").body, {"spec", "replicas"}), 5);
    const Answer scaled = get(deployments + "/web");
    EXPECT_EQ(json::find_int(scaled.body, {"spec", "replicas"}), 5);
    EXPECT_EQ(json::find_int(scaled.body, {"metadata", "generation"}), 2);
    EXPECT_EQ(merge(scale, R"({"spec":{"replicas":-1}})").status, 422);
}

TEST_F(RestTest, log_and_exec_find_the_pod_and_the_container_first_API_140_142) {
    ASSERT_EQ(post(pods, pod("l")).status, 201);
    EXPECT_EQ(get(path_of(pods, "absent") + "/log").status, 404);
    EXPECT_EQ(get(path_of(pods, "l") + "/log").message(), "pod l does not have a host assigned");
    EXPECT_EQ(get(path_of(pods, "l") + "/log?container=x").message(), "container x is not valid for pod l");
    EXPECT_EQ(get(path_of(pods, "l") + "/log?sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z").status, 422);
    EXPECT_EQ(get(path_of(pods, "l") + "/exec").status, 400);
}

TEST_F(RestTest, what_is_stored_is_there_after_a_restart_API_132) {
    const Answer created = post(maps, config_map("kept"));
    open();
    EXPECT_EQ(get(path_of(maps, "kept")).body, created.body);
    EXPECT_EQ(get("/api/v1/namespaces").body.at("items").as_array().size(), 4u);
}

}  // namespace
}  // namespace weft::apiserver
