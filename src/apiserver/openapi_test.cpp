#include "apiserver/openapi.h"

#include <set>

#include "apiserver/kinds_testing.h"

namespace weft::apiserver {
namespace {

// Every $ref of the document names a schema of the document.
void check_references(const json::Value& value, const json::Object& schemas) {
    if (const json::Object* object = value.if_object()) {
        for (const auto& [name, member] : *object) {
            if (std::string_view(name) == "$ref" && member.is_string()) {
                const std::string_view target = json::view(member.get_string());
                ASSERT_TRUE(target.starts_with("#/components/schemas/")) << target;
                EXPECT_TRUE(schemas.contains(target.substr(21))) << target;
            }
            EXPECT_NE(std::string_view(name), "x-weft-ref");
            check_references(member, schemas);
        }
    } else if (const json::Array* array = value.if_array()) {
        for (const json::Value& item : *array) check_references(item, schemas);
    }
}

TEST(OpenApi, EveryDocumentIsClosedAndNamesItsKinds) {
    const auto table = KindTable::builtin();
    for (const auto& [group, version] : table->group_versions()) {
        const json::Value document = openapi_v3(*table, group, version);
        const json::Object& schemas = document.at("components").at("schemas").as_object();
        check_references(document, schemas);
        std::set<std::string> kinds;
        for (const auto& [name, schema] : schemas) {
            if (const json::Array* gvks = json::find_array(schema, {"x-kubernetes-group-version-kind"})) {
                kinds.emplace(json::find_string(gvks->at(0), {"kind"}));
            }
        }
        for (const KindPtr& kind : table->all()) {
            if (kind->group != group || kind->version != version) continue;
            EXPECT_TRUE(kinds.contains(kind->kind_name)) << kind->kind_name;
        }
    }
}

TEST(OpenApi, EachPatchShowsFieldValidationWithItsKind) {
    const auto table = KindTable::builtin();
    const json::Value document = openapi_v3(*table, "apps", "v1");
    const json::Value* patch =
        json::find(document, {"paths", "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "patch"});
    ASSERT_NE(patch, nullptr);
    EXPECT_EQ(json::find_string(*patch, {"x-kubernetes-group-version-kind", "kind"}), "Deployment");
    bool found = false;
    for (const json::Value& parameter : *json::find_array(*patch, {"parameters"})) {
        found |= json::find_string(parameter, {"name"}) == "fieldValidation" &&
                 json::find_string(parameter, {"in"}) == "query";
    }
    EXPECT_TRUE(found);
    EXPECT_TRUE(json::has(*patch, {"requestBody", "content", "application/strategic-merge-patch+json"}));
    const json::Value ours = openapi_v3(*table, "weft.dev", "v1");
    EXPECT_FALSE(json::has(ours, {"paths", "/apis/weft.dev/v1/vpcs/{name}", "patch", "requestBody", "content",
                                  "application/strategic-merge-patch+json"}));
}

TEST(OpenApi, TheIndexNamesEveryGroupVersionWithAHash) {
    const json::Value index = openapi_v3_index(*KindTable::builtin());
    for (const std::string_view path : {"api/v1", "apis/apps/v1", "apis/weft.dev/v1", "apis/networking.k8s.io/v1"}) {
        const std::string_view url = json::find_string(index, {"paths", path, "serverRelativeURL"});
        EXPECT_TRUE(url.starts_with(fmt::format("/openapi/v3/{}?hash=", path))) << url;
    }
}

}  // namespace
}  // namespace weft::apiserver
