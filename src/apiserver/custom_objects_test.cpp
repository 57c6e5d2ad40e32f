// Custom objects after their definition has changed: what was right once and is not now, and versions that are on their
// way out.
#include "apiserver/api_fixture.h"
#include "apiserver/schema.h"

namespace weft::apiserver {
namespace {

constexpr std::string_view crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
constexpr std::string_view cats = "/apis/zoo.test/v1/namespaces/default/cats";

// `most`: of lives and of every toy's size. `more`: of the version.
std::string cat_definition(int most, std::string_view more = {}) {
    return fmt::format(
        R"({{"metadata":{{"name":"cats.zoo.test"}},"spec":{{"group":"zoo.test","scope":"Namespaced",)"
        R"("names":{{"plural":"cats","singular":"cat","kind":"Cat"}},"versions":[{{"name":"v1","served":true,"storage":true,{1})"
        R"("schema":{{"openAPIV3Schema":{{"type":"object","properties":{{"spec":{{"type":"object","properties":{{)"
        R"("lives":{{"type":"integer","maximum":{0}}},"colour":{{"type":"string"}},)"
        R"("toys":{{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["name"],"items":)"
        R"({{"type":"object","required":["name"],"properties":{{"name":{{"type":"string"}},"colour":{{"type":"string"}},)"
        R"("size":{{"type":"integer","maximum":{0}}}}}}}}},)"
        R"("meals":{{"type":"array","items":{{"type":"integer","maximum":{0}}}}}}}}}}}}}}}}}]}}}})",
        most, more);
}

class CustomObjects : public ApiFixture {
protected:
    void define(const std::string& definition) {
        Answer answer = post(crds, definition);
        if (answer.status == 409) answer = merge(path_of(crds, "cats.zoo.test"), definition);
        ASSERT_LT(answer.status, 300) << answer.text;
    }

    Answer patch(std::string_view spec) { return merge(path_of(cats, "tom"), fmt::format(R"({{"spec":{}}})", spec)); }
};

TEST_F(CustomObjects, what_is_invalid_and_unchanged_does_not_block_an_update_API_124) {
    define(cat_definition(9));
    ASSERT_EQ(
        post(cats, R"({"apiVersion":"zoo.test/v1","kind":"Cat","metadata":{"name":"tom"},"spec":{"lives":9,"toys":[)"
                   R"({"name":"ball","size":8},{"name":"mouse","size":1}],"meals":[7,1]}})")
            .status,
        201);
    define(cat_definition(5));
    EXPECT_EQ(
        post(cats, R"({"apiVersion":"zoo.test/v1","kind":"Cat","metadata":{"name":"new"},"spec":{"lives":9}})").status,
        422);
    EXPECT_EQ(merge(path_of(cats, "tom"), R"({"metadata":{"labels":{"a":"b"}}})").status, 200);
    EXPECT_EQ(patch(R"({"colour":"red"})").status, 200) << "beside it";
    // Items of a list-map are known by their names, wherever they stand now.
    EXPECT_EQ(patch(R"({"toys":[{"name":"mouse","size":2},{"name":"ball","size":8}]})").status, 200);
    const Answer grown = patch(R"({"toys":[{"name":"mouse","size":6},{"name":"ball","size":8}]})");
    EXPECT_EQ(grown.status, 422);
    EXPECT_EQ(json::serialize(grown.body.at("details").at("causes")),
              R"([{"reason":"FieldValueInvalid","message":"Invalid value: 6: must be less than or equal to 5",)"
              R"("field":"spec.toys[0].size"}])");
    EXPECT_EQ(patch(R"({"toys":[{"name":"mouse","size":8}]})").status, 422) << "another's size is not its own";
    // Of other lists nobody knows which item was which.
    EXPECT_EQ(patch(R"({"meals":[7,2]})").status, 422);
    EXPECT_EQ(patch(R"({"lives":8})").status, 422) << "a change has to be right";
    EXPECT_EQ(patch(R"({"lives":4,"meals":[1]})").status, 200);
    EXPECT_EQ(patch(R"({"lives":9})").status, 422) << "and there is no way back";
}

TEST_F(CustomObjects, nor_does_what_is_of_another_type_now_API_124) {
    define(cat_definition(9));
    ASSERT_EQ(
        post(cats, R"({"apiVersion":"zoo.test/v1","kind":"Cat","metadata":{"name":"tom","finalizers":["zoo.test/a"]},)"
                   R"("spec":{"lives":9,"colour":"red","toys":[{"name":"ball","colour":"red"}]}})")
            .status,
        201);
    std::string tightened = cat_definition(9);
    const std::string_view text = R"("colour":{"type":"string"})", number = R"("colour":{"type":"integer"})";
    for (size_t at = 0; (at = tightened.find(text, at)) != std::string::npos; at += number.size())
        tightened.replace(at, text.size(), number);
    define(tightened);
    EXPECT_EQ(patch(R"({"lives":8})").status, 200) << "beside it";
    EXPECT_EQ(patch(R"({"toys":[{"name":"ball","colour":"red"},{"name":"mouse","colour":1}]})").status, 200);
    const Answer blue = patch(R"({"colour":"blue"})");
    EXPECT_EQ(blue.status, 422);
    EXPECT_NE(blue.text.find(R"("field":"spec.colour")"), std::string::npos) << blue.text;
    EXPECT_EQ(merge(path_of(cats, "tom"), R"({"metadata":{"labels":{"a":1}}})").status, 422) << "labels are ours";
    EXPECT_EQ(merge(path_of(cats, "tom"), R"({"metadata":{"labels":{"a":"1"}}})").status, 200);
    EXPECT_EQ(remove(path_of(cats, "tom")).status, 200);
    EXPECT_EQ(merge(path_of(cats, "tom"), R"({"metadata":{"finalizers":[]}})").status, 200);
    EXPECT_EQ(get(path_of(cats, "tom")).status, 404);
}

TEST_F(CustomObjects, a_definition_that_cannot_be_is_refused_by_field_API_120) {
    const auto fields_of = [&](std::string_view from, std::string_view to) {
        std::string text = cat_definition(9);
        text.replace(text.find(from), from.size(), to);
        const Answer answer = post(crds, text);
        EXPECT_EQ(answer.status, 422) << answer.text;
        std::string fields;
        if (answer.status == 422)
            for (const json::Value& cause : answer.body.at("details").at("causes").as_array())
                fields += std::string(json::find_string(cause, {"field"})) + " ";
        return fields;
    };
    EXPECT_EQ(fields_of("cats.zoo.test", "dogs.zoo.test"), "metadata.name ");
    EXPECT_EQ(fields_of(R"("storage":true)", R"("storage":false)"), "spec.versions ");
    EXPECT_EQ(fields_of(R"("scope")", R"("conversion":{"strategy":"Webhook"},"scope")"), "spec.conversion.strategy ");
    EXPECT_EQ(fields_of(R"({"openAPIV3Schema":{"type":"object",)", R"({"openAPIV3Schema":{"type":"string",)"),
              "spec.versions[0].schema.openAPIV3Schema.type ");
    std::string guarded = cat_definition(9);
    for (size_t at; (at = guarded.find("zoo.test")) != std::string::npos;) guarded.replace(at, 8, "a.k8s.io");
    EXPECT_EQ(post(crds, guarded).status, 422) << "a protected group needs its approval";
}

TEST_F(CustomObjects, a_name_that_is_taken_is_not_served_API_120) {
    define(cat_definition(9));
    std::string other = cat_definition(9);  // another plural, the same kind
    other.replace(other.find("cats.zoo"), 8, "toms.zoo");
    other.replace(other.find(R"("plural":"cats","singular":"cat")"), 32, R"("plural":"toms","singular":"tom")");
    const Answer answer = post(crds, other);
    ASSERT_EQ(answer.status, 201) << answer.text;
    const kube::Object definition(answer.body);
    EXPECT_TRUE(kube::condition_is(definition, "NamesAccepted", "False"));
    EXPECT_TRUE(kube::condition_is(definition, "Established", "False"));
    EXPECT_EQ(get("/apis/zoo.test/v1/namespaces/default/toms").status, 404);
    EXPECT_EQ(get(cats).status, 200);
}

TEST_F(CustomObjects, a_deprecated_version_says_so_and_changes_no_code_API_92) {
    define(cat_definition(9, R"("deprecated":true,)"));
    const auto told = [](const Answer& answer) { return answer.header("Warning"); };
    const Answer made = post(cats, R"({"apiVersion":"zoo.test/v1","kind":"Cat","metadata":{"name":"tom"},"spec":{}})");
    EXPECT_EQ(made.status, 201);
    EXPECT_EQ(told(made), R"(299 - "zoo.test/v1 Cat is deprecated")");
    EXPECT_EQ(told(get(cats)), R"(299 - "zoo.test/v1 Cat is deprecated")");
    EXPECT_EQ(told(get(path_of(cats, "tom"))), R"(299 - "zoo.test/v1 Cat is deprecated")");
    define(cat_definition(9, R"("deprecated":true,"deprecationWarning":"cats are \"out\"",)"));
    EXPECT_EQ(told(patch(R"({"lives":1})")), R"(299 - "cats are \"out\"")");
    EXPECT_EQ(told(remove(path_of(cats, "tom"))), R"(299 - "cats are \"out\"")");
}

TEST_F(CustomObjects, deprecated_fields_of_our_own_kinds_say_what_to_use_API_92) {
    const Answer made = post(
        "/apis/networking.k8s.io/v1/namespaces/default/ingresses",
        R"({"metadata":{"name":"i","annotations":{"kubernetes.io/ingress.class":"weft"}},"spec":{"defaultBackend":)"
        R"({"service":{"name":"s","port":{"number":80}}}}})");
    EXPECT_EQ(made.status, 201) << made.text;
    EXPECT_EQ(made.header("Warning"), R"(299 - "annotation \"kubernetes.io/ingress.class\" is deprecated, please use )"
                                      R"('spec.ingressClassName' instead")");
}

// API-41: one condition of a type, in every kind that has them.
TEST_F(CustomObjects, conditions_are_one_of_a_type_in_every_kind_API_41) {
    const std::string condition =
        R"({"type":"A","status":"True","reason":"R","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"})";
    size_t seen = 0;
    for (const KindPtr& kind : KindTable::builtin()->all()) {
        const Schema* at = kind->schema.get();
        for (const char* step : {"status", "conditions"}) at = at == nullptr ? nullptr : at->property(step);
        if (at == nullptr) continue;
        seen++;
        const auto errors_of = [&](const std::string& text) {
            FieldErrors errors;
            validate_schema(*at, *json::parse(text), "status.conditions", errors);
            return errors;
        };
        EXPECT_TRUE(errors_of("[" + condition + "]").empty()) << kind->kind_name;
        const FieldErrors twice = errors_of("[" + condition + "," + condition + "]");
        ASSERT_EQ(twice.size(), 1u) << kind->kind_name;
        EXPECT_EQ(twice[0].reason, "FieldValueDuplicate") << kind->kind_name;
        if (kind->group != "weft.dev") continue;
        std::string odd = condition;
        odd.replace(odd.find("True"), 4, "Yes");
        EXPECT_EQ(errors_of("[" + odd + "]").size(), 1u) << kind->kind_name;
        odd = condition;
        odd.replace(odd.find("\"R\""), 3, "\"a b\"");
        EXPECT_EQ(errors_of("[" + odd + "]").size(), 1u) << kind->kind_name << " reason";
    }
    EXPECT_GT(seen, 8u);
}

}  // namespace
}  // namespace weft::apiserver
