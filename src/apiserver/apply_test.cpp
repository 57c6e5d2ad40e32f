// Server-side apply and who owns which field (spec/kubernetes.md API-83 and the paragraph after it).
#include <random>

#include "apiserver/api_fixture.h"
#include "apiserver/kinds_testing.h"
#include "apiserver/managed_fields.h"
#include "base/strings.h"

namespace weft::apiserver {
namespace {

constexpr std::string_view deployments = "/apis/apps/v1/namespaces/default/deployments";
constexpr std::string_view services = "/api/v1/namespaces/default/services";

class ApplyTest : public ApiFixture {
protected:
    Answer apply(std::string path, std::string yaml, std::string_view query = "fieldManager=one") {
        return send(fmt::format("PATCH {}?{}", path, query),
                    {.body = std::move(yaml), .content_type = "application/apply-patch+yaml"});
    }

    Answer apply_map(std::string_view data, std::string_view query = "fieldManager=one") {
        return apply(path_of(maps, "m"),
                     fmt::format("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m}}, data: {}}}", data), query);
    }

    // "manager operation fields" lines.
    static std::string managers(const Answer& answer) {
        const json::Array* entries = json::find_array(answer.body, {"metadata", "managedFields"});
        std::string out;
        for (size_t i = 0; entries != nullptr && i < entries->size(); i++) {
            const json::Value& one = (*entries)[i];
            const std::string_view subresource = json::find_string(one, {"subresource"});
            out += fmt::format("{} {}{}{} {}\n", json::find_string(one, {"manager"}),
                               json::find_string(one, {"operation"}), subresource.empty() ? "" : "/", subresource,
                               json::serialize(*json::find(one, {"fieldsV1"})));
        }
        return out;
    }
};

TEST_F(ApplyTest, API_83_creates_what_is_not_there_and_changes_nothing_the_second_time) {
    const Answer made = apply_map("{a: '1'}");
    ASSERT_EQ(made.status, 201) << made.text;
    EXPECT_EQ(managers(made), "one Apply {\"f:data\":{\"f:a\":{}}}\n");
    const Answer again = apply_map("{a: '1'}");
    EXPECT_EQ(again.status, 200);
    EXPECT_EQ(again.revision(), made.revision());
}

TEST_F(ApplyTest, API_83_what_a_manager_no_longer_lists_goes_unless_another_has_it) {
    apply_map("{a: '1', b: '2', c: '3'}");
    ASSERT_EQ(apply_map("{b: '2'}", "fieldManager=two").status, 200);
    const Answer less = apply_map("{c: '3'}");
    ASSERT_EQ(less.status, 200) << less.text;
    EXPECT_EQ(json::serialize(*json::find(less.body, {"data"})), R"({"b":"2","c":"3"})");
}

TEST_F(ApplyTest, API_83_an_object_keeps_its_name_when_its_only_labels_go) {
    const std::string head = "{apiVersion: v1, kind: ConfigMap, metadata: {name: m";
    ASSERT_EQ(apply(path_of(maps, "m"), head + ", labels: {a: b}}}").status, 201);
    const Answer bare = apply(path_of(maps, "m"), head + "}}");
    ASSERT_EQ(bare.status, 200) << bare.text;
    EXPECT_EQ(bare.name(), "m");
    EXPECT_FALSE(json::has(bare.body, {"metadata", "labels"}));
    EXPECT_EQ(managers(bare), "");
}

TEST_F(ApplyTest, API_83_another_managers_field_is_a_conflict_until_forced) {
    apply_map("{a: '1', b: '1'}");
    const Answer one = apply_map("{a: '2'}", "fieldManager=two");
    EXPECT_EQ(one.status, 409);
    EXPECT_EQ(one.reason(), "Conflict");
    EXPECT_EQ(one.message(), "Apply failed with 1 conflict: conflict with \"one\" using v1: .data.a");
    const json::Array& causes = *json::find_array(one.body, {"details", "causes"});
    EXPECT_EQ(json::find_string(causes[0], {"reason"}), "FieldManagerConflict");
    EXPECT_EQ(json::find_string(causes[0], {"field"}), ".data.a");
    EXPECT_EQ(json::find_string(causes[0], {"message"}), "conflict with \"one\" using v1");
    EXPECT_EQ(apply_map("{a: '2', b: '2'}", "fieldManager=two").message(),
              "Apply failed with 2 conflicts: conflicts with \"one\" using v1:\n- .data.a\n- .data.b");
    const Answer forced = apply_map("{a: '2'}", "fieldManager=two&force=true");
    ASSERT_EQ(forced.status, 200);
    EXPECT_EQ(managers(forced), "one Apply {\"f:data\":{\"f:b\":{}}}\ntwo Apply {\"f:data\":{\"f:a\":{}}}\n");
    // The same value is nobody's quarrel: both own it then.
    EXPECT_EQ(apply_map("{a: '2', b: '1'}").status, 200);
}

TEST_F(ApplyTest, API_83_bad_requests_name_their_fault) {
    EXPECT_EQ(apply_map("{a: '1'}", "").message(),
              "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch");
    EXPECT_EQ(apply_map("{a: '1'}", "fieldManager=" + std::string(129, 'x')).status, 422);
    EXPECT_EQ(merge(path_of(maps, "kube-root"), "{}").status, 404);
    EXPECT_EQ(
        send(fmt::format("PATCH {}/m?force=true", maps), {.body = "{}", .content_type = "application/merge-patch+json"})
            .status,
        422);
    const std::string head = "{apiVersion: v1, kind: ConfigMap, metadata: {name: m";
    EXPECT_EQ(apply(path_of(maps, "m"), head + ", managedFields: [{manager: x}]}}").message(),
              "metadata.managedFields must be nil");
    EXPECT_EQ(apply(path_of(maps, "m"), head + ", uid: abc}}").status, 409);
    EXPECT_EQ(apply(path_of(maps, "m"), head + "}, datum: {a: b}}").status, 400);
    EXPECT_EQ(apply(path_of(maps, "other"), head + "}}").status, 400);
    EXPECT_EQ(apply(path_of(maps, "m"), "{{{").status, 400);
    EXPECT_EQ(apply(path_of(maps, "m"), "").status, 400);
    ASSERT_EQ(apply_map("{a: '1'}").status, 201);
    EXPECT_EQ(apply(path_of(maps, "m"), head + ", resourceVersion: '1'}}").status, 409);
    const Answer invalid = apply_map("{'a b': '1'}");
    EXPECT_EQ(invalid.status, 422) << invalid.text;
    EXPECT_EQ(apply("/api/v1/namespaces/nowhere/configmaps/m", head + "}}").status, 404);
}

TEST_F(ApplyTest, API_83_lists_merge_by_their_keys_with_defaults) {
    const auto service = [](std::string_view ports) {
        return fmt::format(
            "{{apiVersion: v1, kind: Service, metadata: {{name: s}}, spec: {{selector: {{a: b}}, ports: {}}}}}", ports);
    };
    post("/apis/weft.dev/v1/vpcs",
         R"({"apiVersion":"weft.dev/v1","kind":"VPC","metadata":{"name":"v"},)"
         R"("spec":{"cidrBlock":"10.0.0.0/16","serviceCIDR":"172.21.0.0/20","default":true}})");
    const Answer made =
        apply(path_of(services, "s"), service("[{name: a, port: 53}, {name: b, port: 53, protocol: UDP}]"));
    ASSERT_EQ(made.status, 201) << made.text;
    EXPECT_NE(managers(made).find(R"x("k:{\"port\":53,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{}})x"),
              std::string::npos)
        << managers(made);
    // Another one adds a port, and loses it again; the first one's stay.
    ASSERT_EQ(apply(path_of(services, "s"),
                    "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{name: c, port: 80}]}}",
                    "fieldManager=two")
                  .status,
              200);
    EXPECT_EQ(json::find_array(get(path_of(services, "s")).body, {"spec", "ports"})->size(), 3u);
    const Answer less =
        apply(path_of(services, "s"), "{apiVersion: v1, kind: Service, metadata: {name: s}}", "fieldManager=two");
    ASSERT_EQ(less.status, 200) << less.text;
    EXPECT_EQ(json::find_array(less.body, {"spec", "ports"})->size(), 2u);
    const Answer clash = apply(path_of(services, "s"), service("[{name: z, port: 53}]"), "fieldManager=three");
    EXPECT_EQ(clash.message(),
              "Apply failed with 1 conflict: conflict with \"one\" using v1: "
              ".spec.ports[port=53,protocol=\"TCP\"].name");
    EXPECT_EQ(apply(path_of(services, "s"), service("[{name: a, port: 53}, {name: b, port: 53}]")).status, 400);
    // Defaults and what admission gave are nobody's.
    EXPECT_EQ(managers(made).find("clusterIP"), std::string::npos);
}

TEST_F(ApplyTest, updates_take_what_they_change) {
    Answer made = send(fmt::format("POST {}?fieldManager=a-creator", maps), {.body = config_map("m")});
    EXPECT_EQ(managers(made), "a-creator Update {\"f:data\":{\".\":{},\"f:a\":{}}}\n");
    const Answer patched = send(fmt::format("PATCH {}/m", maps), {.body = R"({"data":{"a":"2"}})",
                                                                  .content_type = "application/merge-patch+json",
                                                                  .user_agent = "kubectl/v1.35 (linux)"});
    EXPECT_EQ(managers(patched), "a-creator Update {\"f:data\":{}}\nkubectl Update {\"f:data\":{\"f:a\":{}}}\n");
    json::Value wish = patched.body;
    json::erase(wish, {"data"});
    EXPECT_EQ(managers(put(path_of(maps, "m"), json::serialize(wish))), "");
}

TEST_F(ApplyTest, the_status_door_is_written_down_as_such) {
    const std::string_view set = "/apis/apps/v1/namespaces/default/statefulsets";
    send(
        fmt::format("POST {}?fieldManager=me", set),
        {.body =
             R"({"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"s"},"spec":{"selector":)"
             R"({"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},)"
             R"("spec":{"containers":[{"name":"c","image":"x:1"}]}}}})"});
    const Answer answer = merge(path_of(set, "s/status"), R"({"status":{"readyReplicas":1}})");
    EXPECT_NE(
        managers(answer).find(
            "test Update/status {\"f:status\":{\"f:availableReplicas\":{},\"f:readyReplicas\":{},\"f:replicas\":{}}}"),
        std::string::npos)
        << managers(answer);
    const Answer scaled = merge(path_of(set, "s/scale"), R"({"spec":{"replicas":4}})");
    EXPECT_EQ(scaled.status, 200);
    EXPECT_NE(managers(get(path_of(set, "s"))).find("test Update/scale {\"f:spec\":{\"f:replicas\":{}}}"),
              std::string::npos);
    EXPECT_EQ(
        apply(path_of(set, "s"), "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s}, spec: {replicas: 5}}")
            .message(),
        "Apply failed with 1 conflict: conflict with \"test\" with subresource \"scale\" using apps/v1: "
        ".spec.replicas");
}

TEST_F(ApplyTest, entries_may_be_replaced_and_cleared) {
    ASSERT_EQ(apply_map("{a: '1'}").status, 201);
    const auto json_patch = [&](std::string_view value) {
        return send(fmt::format("PATCH {}/m", maps),
                    {.body = fmt::format(R"([{{"op":"replace","path":"/metadata/managedFields","value":{}}}])", value),
                     .content_type = "application/json-patch+json"});
    };
    const Answer renamed = json_patch(
        R"([{"manager":"kubectl","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1",)"
        R"("fieldsV1":{"f:data":{"f:a":{}}}}])");
    ASSERT_EQ(renamed.status, 200) << renamed.text;
    EXPECT_EQ(managers(renamed), "kubectl Apply {\"f:data\":{\"f:a\":{}}}\n");
    EXPECT_EQ(managers(json_patch("[{}]")), "");
    EXPECT_EQ(apply_map("{a: '2'}").message(),
              "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a");
}

TEST_F(ApplyTest, at_most_ten_updaters_are_told_apart) {
    send(fmt::format("POST {}?fieldManager=m0", maps), {.body = config_map("m")});
    Answer last;
    for (int i = 1; i <= 14; i++)
        last = send(
            fmt::format("PATCH {}/m?fieldManager=m{}", maps, i),
            {.body = fmt::format(R"({{"data":{{"k{}":"v"}}}})", i), .content_type = "application/merge-patch+json"});
    EXPECT_EQ(json::find_array(last.body, {"metadata", "managedFields"})->size(), update_entries_max + 1);
    EXPECT_NE(managers(last).find("ancient-changes Update"), std::string::npos);
}

TEST_F(ApplyTest, a_dry_run_tells_and_leaves_all_as_it_was) {
    EXPECT_EQ(apply_map("{a: '1'}", "fieldManager=one&dryRun=All").status, 201);
    EXPECT_EQ(get(path_of(maps, "m")).status, 404);
}

TEST_F(ApplyTest, a_deployment_keeps_what_others_scaled_and_gives_up_a_container) {
    const auto deployment = [](std::string_view containers) {
        return fmt::format(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{selector: {{matchLabels: "
            "{{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: {}}}}}}}}}",
            containers);
    };
    ASSERT_EQ(apply(path_of(deployments, "d"), deployment("[{name: x, image: 'e:1'}, {name: y, image: 'e:1'}]")).status,
              201);
    merge(path_of(deployments, "d/scale"), R"({"spec":{"replicas":3}})");
    const Answer after = apply(path_of(deployments, "d"), deployment("[{name: x, image: 'e:2'}]"));
    ASSERT_EQ(after.status, 200) << after.text;
    EXPECT_EQ(json::find_int(after.body, {"spec", "replicas"}), 3);
    const json::Array& containers = *json::find_array(after.body, {"spec", "template", "spec", "containers"});
    ASSERT_EQ(containers.size(), 1u);
    EXPECT_EQ(json::find_string(containers[0], {"image"}), "e:2");
    EXPECT_EQ(json::find_string(containers[0], {"imagePullPolicy"}), "IfNotPresent");
}

TEST(FieldSet, reads_what_it_writes_and_refuses_the_rest) {
    const std::string text = R"({"f:a":{".":{},"f:b":{}},"k:{\"x\":1}":{".":{}},"v:\"s\"":{},"i:3":{}})";
    const auto fields = parse_fields(*json::parse(text));
    ASSERT_TRUE(fields);
    EXPECT_EQ(fields->paths(), (std::vector<std::string>{".a", ".a.b", "[3]", "[x=1]", "[=\"s\"]"}));
    EXPECT_EQ(parse_fields(to_json(*fields)), fields);
    for (const char* bad : {R"({"a":{}})", R"({"f:a":1})", R"({"k:x":{}})", R"({"i:x":{}})", R"({"v:{":{}})", "[]"})
        EXPECT_FALSE(parse_fields(*json::parse(bad))) << bad;
}

// Random bodies of three appliers and an updater, replayed by their seed.
TEST(FieldSet, what_was_applied_is_there_once_is_enough_and_giving_all_up_leaves_the_others) {
    const auto table = KindTable::builtin();
    const Kind& kind = *table->find(kube::services);
    std::mt19937 random(7);
    const auto one_of = [&](int count) { return int(random() % unsigned(count)); };
    const auto some_body = [&] {
        json::Value body = *json::parse(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s"}})");
        for (int i = one_of(4); i > 0; i--)
            json::set(body, {"metadata", "labels", std::string(1, char('a' + one_of(4)))},
                      json::Value(std::to_string(one_of(2))));
        json::Array finalizers, ports;
        for (const char* name : {"x/a", "x/b"})
            if (one_of(2) == 0) finalizers.emplace_back(name);
        if (!finalizers.empty()) json::set(body, {"metadata", "finalizers"}, std::move(finalizers));
        for (int port = 1; port < 4; port++) {
            if (one_of(2) == 0) continue;
            json::Object item{{"port", port}, {"name", std::string(1, char('p' + one_of(3)))}};
            if (one_of(2) == 0) item["protocol"] = one_of(2) == 0 ? "UDP" : "TCP";
            ports.push_back(std::move(item));
        }
        if (!ports.empty()) json::set(body, {"spec", "ports"}, std::move(ports));
        if (one_of(3) == 0) json::set(body, {"spec", "selector"}, json::Object{{"app", std::to_string(one_of(2))}});
        return body;
    };
    json::Value stored = some_body();
    for (int step = 0; step < 3000; step++) {
        const Writer writer{std::string("m") + std::to_string(one_of(3)), "", "2026-01-01T00:00:00Z"};
        const json::Value body = some_body();
        if (one_of(5) == 0) {
            json::Value wish = body;
            json::set(wish, {"metadata", "managedFields"},
                      managers_after_update(kind, writer, &stored, body, nullptr, Part::main));
            stored = std::move(wish);
            continue;
        }
        const auto applied = apply_object(kind, writer, &stored, body, true, Part::main);
        ASSERT_TRUE(applied) << step << applied.error().message;
        stored = applied->object;
        json::set(stored, {"metadata", "managedFields"}, applied->managed_fields);
        const auto again = apply_object(kind, writer, &stored, body, false, Part::main);
        ASSERT_TRUE(again) << step << again.error().message;
        ASSERT_EQ(again->managed_fields, applied->managed_fields) << step;
        // What was asked for is there: laying it over once more makes no difference.
        ASSERT_EQ(*merge_applied(kind.schema.get(), stored, body), stored) << step;
        const Managers owners = *parse_managers(applied->managed_fields);
        FieldSet others;
        for (const Manager& one : owners)
            if (one.name != writer.manager || one.operation != "Apply") others.add(one.fields);
        const json::Value nothing = *json::parse(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s"}})");
        const auto given_up = apply_object(kind, writer, &stored, nothing, false, Part::main);
        ASSERT_TRUE(given_up) << step;
        FieldSet left;
        const Managers remaining = *parse_managers(given_up->managed_fields);
        for (const Manager& one : remaining) left.add(one.fields);
        FieldSet gained = left;
        gained.subtract(others);
        ASSERT_TRUE(gained.empty()) << step << json::serialize(stored);
        FieldSet lost = left;
        lost.subtract(fields_of(kind.schema.get(), given_up->object));
        for (const std::string& path : lost.paths())
            ASSERT_TRUE(path == ".metadata.labels" || path == ".spec.ports" || path == ".metadata.finalizers")
                << step << path;
    }
}

}  // namespace
}  // namespace weft::apiserver
