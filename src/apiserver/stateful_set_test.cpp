// StatefulSet as a served kind: defaults, rules, columns, scale (spec/kubernetes.md API-59, API-65, API-74).
#include "apiserver/api_fixture.h"
#include "apiserver/kinds_testing.h"

namespace weft::apiserver {
namespace {

constexpr std::string_view sets = "/apis/apps/v1/namespaces/default/statefulsets";

std::string set_of(std::string_view spec) {
    return fmt::format(
        "{{apiVersion: apps/v1, kind: StatefulSet, metadata: {{name: db, namespace: default}}, "
        "spec: {{selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}, "
        "spec: {{containers: [{{name: c, image: 'echo:demo'}}]}}}}{}}}}}",
        spec);
}

TEST(StatefulSet, rules_name_the_field) {
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"", ""},
        {", serviceName: db, podManagementPolicy: Parallel, updateStrategy: {type: OnDelete}", ""},
        {", serviceName: D_b", "spec.serviceName: Invalid value: \"D_b\": a lowercase RFC 1123 label"},
        {", replicas: -1", "spec.replicas: Invalid value: -1"},
        {", podManagementPolicy: Sometimes", "spec.podManagementPolicy: Unsupported value: \"Sometimes\""},
        {", updateStrategy: {type: Recreate}", "spec.updateStrategy.type: Unsupported value: \"Recreate\""},
        {", updateStrategy: {type: OnDelete, rollingUpdate: {partition: 1}}",
         "only allowed for updateStrategy 'RollingUpdate'"},
        {", updateStrategy: {rollingUpdate: {partition: -1}}",
         "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1"},
        {", updateStrategy: {rollingUpdate: {maxUnavailable: 0}}", "must be a positive number or a percentage"},
    };
    for (const auto& [spec, expected] : cases) {
        const std::string errors = create_errors(set_of(spec));
        EXPECT_TRUE(expected.empty() ? errors.empty() : errors.find(expected) != errors.npos) << spec << "\n" << errors;
    }
    EXPECT_NE(create_errors("{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, namespace: default}}")
                  .find("spec.selector: Required value"),
              std::string::npos);
}

TEST(StatefulSet, what_its_pods_are_made_of_is_fixed) {
    const json::Value stored = taken(set_of(", serviceName: db"));
    json::Value wish = stored;
    json::set(wish, {"spec", "replicas"}, int64_t(5));
    json::set(wish, {"spec", "updateStrategy", "rollingUpdate", "partition"}, int64_t(2));
    EXPECT_EQ(lines(validate_update(kind_of(wish), wish, stored, Part::main)), "");
    json::set(wish, {"spec", "serviceName"}, "other");
    EXPECT_NE(lines(validate_update(kind_of(wish), wish, stored, Part::main))
                  .find("spec: Forbidden: updates to statefulset spec for fields other than 'replicas'"),
              std::string::npos);
}

class StatefulSetApi : public ApiFixture {};

TEST_F(StatefulSetApi, is_defaulted_scaled_and_shown) {
    Ask ask{.body = set_of(", serviceName: db"), .content_type = "application/yaml"};
    const Answer made = send("POST " + std::string(sets), ask);
    ASSERT_EQ(made.status, 201) << made.text;
    EXPECT_EQ(json::find_int(made.body, {"spec", "replicas"}), 1);
    EXPECT_EQ(made.string({"spec", "podManagementPolicy"}), "OrderedReady");
    EXPECT_EQ(made.string({"spec", "updateStrategy", "type"}), "RollingUpdate");
    EXPECT_EQ(json::find_int(made.body, {"spec", "updateStrategy", "rollingUpdate", "partition"}, -1), 0);
    EXPECT_EQ(made.string({"spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"}), "Retain");
    EXPECT_EQ(json::find_int(made.body, {"metadata", "generation"}), 1);
    const Answer scaled = merge(path_of(sets, "db/scale"), R"({"spec":{"replicas":3}})");
    ASSERT_EQ(scaled.status, 200) << scaled.text;
    EXPECT_EQ(json::find_int(scaled.body, {"spec", "replicas"}), 3);
    EXPECT_EQ(scaled.string({"status", "selector"}), "a=b");
    EXPECT_EQ(merge(path_of(sets, "db/scale"), R"({"spec":{"replicas":-1}})").status, 422);
    EXPECT_EQ(merge(path_of(sets, "db/status"), R"({"status":{"replicas":3,"readyReplicas":2}})").status, 200);
    const Answer table = get(path_of(sets, "db"), "application/json;as=Table;v=v1;g=meta.k8s.io");
    ASSERT_EQ(table.status, 200) << table.text;
    const json::Value& row = json::find_array(table.body, {"rows"})->front();
    const json::Array& cells = *json::find_array(row, {"cells"});
    EXPECT_EQ(cells[0], json::Value("db"));
    EXPECT_EQ(cells[1], json::Value("2/3"));
    EXPECT_EQ(cells[4], json::Value("echo:demo"));
}

}  // namespace
}  // namespace weft::apiserver
