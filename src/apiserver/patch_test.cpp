#include "apiserver/patch.h"

#include "apiserver/kinds_testing.h"

namespace weft::apiserver {
namespace {

const Schema* schema_of(std::string_view api_version, std::string_view kind) {
    return KindTable::builtin()->find_kind(api_version, kind)->schema.get();
}

struct Case {
    std::string_view name, current, patch, expected;  // expected "!400 text" = refused
};

std::string outcome(const std::expected<json::Value, Refusal>& result, std::string_view expected) {
    if (!result) {
        const std::string said = fmt::format("!{} {}", result.error().code, result.error().message);
        return said.starts_with(expected) ? std::string(expected) : said;
    }
    return *result == yaml(expected) ? std::string(expected) : json::serialize(*result);
}

TEST(Patch, API80_JsonPatch) {
    const Case cases[] = {
        {"add a member", "{a: 1}", "[{op: add, path: /b, value: 2}]", "{a: 1, b: 2}"},
        {"add into a list", "{l: [1, 3]}", "[{op: add, path: /l/1, value: 2}]", "{l: [1, 2, 3]}"},
        {"append", "{l: [1]}", "[{op: add, path: /l/-, value: 2}]", "{l: [1, 2]}"},
        {"escaped names", "{a/b: {c~d: 1}}", "[{op: replace, path: /a~1b/c~0d, value: 2}]", "{a/b: {c~d: 2}}"},
        {"remove", "{a: 1, l: [1, 2]}", "[{op: remove, path: /l/0}]", "{a: 1, l: [2]}"},
        {"move", "{a: {b: 1}}", "[{op: move, from: /a/b, path: /c}]", "{a: {}, c: 1}"},
        {"copy", "{a: 1}", "[{op: copy, from: /a, path: /b}]", "{a: 1, b: 1}"},
        {"test holds", "{a: 1}", "[{op: test, path: /a, value: 1}]", "{a: 1}"},
        {"test of the absent for null", "{}", "[{op: test, path: /a, value: null}]", "{}"},
        {"test fails", "{a: 1}", "[{op: test, path: /a, value: 2}]", "!422 testing path /a failed"},
        {"remove the absent", "{}", "[{op: remove, path: /a}]", "!422 remove operation does not apply"},
        {"replace the absent", "{}", "[{op: replace, path: /a, value: 1}]", "!422 replace operation does not apply"},
        {"bad index", "{l: []}", "[{op: add, path: /l/01, value: 1}]", "!422 add operation does not apply"},
        {"unknown operation", "{}", "[{op: dance, path: /a}]", "!400 json patch: unknown operation"},
        {"no value", "{}", "[{op: add, path: /a}]", "!400 json patch: add /a lacks value"},
        {"bad pointer", "{}", "[{op: add, path: a, value: 1}]", "!400 json patch: malformed path"},
        {"into itself", "{a: {b: 1}}", "[{op: move, from: /a, path: /a/b}]", "!422 move operation"},
        {"not a list", "{}", "{a: 1}", "!400 error decoding patch"},
    };
    for (const Case& one : cases) {
        EXPECT_EQ(outcome(json_patch(yaml(one.current), yaml(one.patch)), one.expected), one.expected) << one.name;
    }
    json::Array many(patch_operations_max + 1, json::Object{{"op", "test"}, {"path", ""}, {"value", json::Object{}}});
    EXPECT_EQ(json_patch(json::Object{}, many).error().code, 413);
}

TEST(Patch, API81_MergePatch) {
    const Case cases[] = {
        {"sets and removes", "{a: 1, b: {c: 2, d: 3}}", "{a: null, b: {c: 5}}", "{b: {c: 5, d: 3}}"},
        {"replaces lists", "{l: [1, 2]}", "{l: [3]}", "{l: [3]}"},
        {"makes objects without their nulls", "{}", "{a: {b: null, c: 1}}", "{a: {c: 1}}"},
    };
    for (const Case& one : cases)
        EXPECT_EQ(merge_patch(yaml(one.current), yaml(one.patch)), yaml(one.expected)) << one.name;
}

TEST(Patch, API82_StrategicMergeOfAPod) {
    const Schema* pod = schema_of("v1", "Pod");
    const Case cases[] = {
        {"containers by name", "{spec: {containers: [{name: a, image: x}, {name: b, image: y}]}}",
         "{spec: {containers: [{name: b, image: z}]}}",
         "{spec: {containers: [{name: a, image: x}, {name: b, image: z}]}}"},
        {"$patch delete of an element", "{spec: {containers: [{name: a}, {name: b}]}}",
         "{spec: {containers: [{name: a, $patch: delete}]}}", "{spec: {containers: [{name: b}]}}"},
        {"$patch replace of a list", "{spec: {containers: [{name: a}, {name: b}]}}",
         "{spec: {containers: [{$patch: replace}, {name: c}]}}", "{spec: {containers: [{name: c}]}}"},
        {"$patch replace of an object", "{spec: {securityContext: {runAsUser: 1, fsGroup: 2}}}",
         "{spec: {securityContext: {$patch: replace, fsGroup: 3}}}", "{spec: {securityContext: {fsGroup: 3}}}"},
        {"$patch delete of an object", "{spec: {securityContext: {runAsUser: 1}}}",
         "{spec: {securityContext: {$patch: delete}}}", "{spec: {securityContext: {}}}"},
        {"$setElementOrder", "{spec: {containers: [{name: a}, {name: s}, {name: b}]}}",
         "{spec: {$setElementOrder/containers: [{name: b}, {name: a}], containers: [{name: b, image: z}]}}",
         "{spec: {containers: [{name: s}, {name: b, image: z}, {name: a}]}}"},
        {"$setElementOrder keeps a stranger's place", "{spec: {containers: [{name: s}, {name: a}]}}",
         "{spec: {$setElementOrder/containers: [{name: a}, {name: n}], containers: [{name: n}]}}",
         "{spec: {containers: [{name: s}, {name: a}, {name: n}]}}"},
        {"finalizers are a set", "{metadata: {finalizers: [a]}}", "{metadata: {finalizers: [a, b]}}",
         "{metadata: {finalizers: [a, b]}}"},
        {"$deleteFromPrimitiveList", "{metadata: {finalizers: [a, b]}}",
         "{metadata: {$deleteFromPrimitiveList/finalizers: [a]}}", "{metadata: {finalizers: [b]}}"},
        {"null deletes a key", "{metadata: {labels: {a: x, b: y}}}", "{metadata: {labels: {a: null}}}",
         "{metadata: {labels: {b: y}}}"},
        {"tolerations are atomic", "{spec: {tolerations: [{key: a}]}}", "{spec: {tolerations: [{key: b}]}}",
         "{spec: {tolerations: [{key: b}]}}"},
        {"env by name, nested",
         "{spec: {containers: [{name: a, env: [{name: X, value: '1'}, {name: Y, value: '2'}]}]}}",
         "{spec: {containers: [{name: a, env: [{name: X, value: '3'}]}]}}",
         "{spec: {containers: [{name: a, env: [{name: X, value: '3'}, {name: Y, value: '2'}]}]}}"},
        {"conditions by type", "{status: {conditions: [{type: Ready, status: 'True'}, {type: Other, status: 'True'}]}}",
         "{status: {conditions: [{type: Ready, status: 'False'}]}}",
         "{status: {conditions: [{type: Ready, status: 'False'}, {type: Other, status: 'True'}]}}"},
        {"element without its key", "{spec: {containers: [{name: a}]}}", "{spec: {containers: [{image: z}]}}",
         "!400 map: {\"image\":\"z\"} does not contain declared merge key: name"},
        {"bad directive", "{spec: {}}", "{spec: {$patch: explode}}", "!400 unknown patch type"},
        {"new object without nulls and directives", "{}", "{spec: {securityContext: {fsGroup: null, runAsUser: 1}}}",
         "{spec: {securityContext: {runAsUser: 1}}}"},
    };
    for (const Case& one : cases) {
        EXPECT_EQ(outcome(strategic_merge(pod, yaml(one.current), yaml(one.patch)), one.expected), one.expected)
            << one.name;
    }
}

TEST(Patch, API82_ServicePortsMergeByPortAloneAndStrategyRetainsKeys) {
    EXPECT_EQ(*strategic_merge(schema_of("v1", "Service"), yaml("{spec: {ports: [{port: 53, protocol: UDP}]}}"),
                               yaml("{spec: {ports: [{port: 53, protocol: TCP, name: t}]}}")),
              yaml("{spec: {ports: [{port: 53, protocol: TCP, name: t}]}}"));
    EXPECT_EQ(*strategic_merge(schema_of("apps/v1", "Deployment"),
                               yaml("{spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}"),
                               yaml("{spec: {strategy: {$retainKeys: [type], type: Recreate}}}")),
              yaml("{spec: {strategy: {type: Recreate}}}"));
    EXPECT_EQ(*strategic_merge(schema_of("networking.k8s.io/v1", "Ingress"), yaml("{spec: {rules: [{host: a}]}}"),
                               yaml("{spec: {rules: [{host: b}]}}")),
              yaml("{spec: {rules: [{host: b}]}}"));
}

TEST(Patch, API84_TheMediaTypeChoosesTheFormat) {
    const Kind& pod = *KindTable::builtin()->find(kube::pods);
    const Kind& vpc = *KindTable::builtin()->find(kube::vpcs);
    EXPECT_EQ(patch_type(pod, "application/strategic-merge-patch+json; charset=utf-8"), PatchType::strategic);
    EXPECT_EQ(patch_type(vpc, "application/merge-patch+json"), PatchType::merge);
    const auto refused = patch_type(vpc, "application/strategic-merge-patch+json");
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, 415);
    EXPECT_EQ(refused.error().message.find("strategic"), std::string::npos);
    EXPECT_EQ(apply_patch(pod, PatchType::merge, json::Object{}, json::Array{}).error().code, 400);
}

}  // namespace
}  // namespace weft::apiserver
