#include <filesystem>

#include "apiserver/kinds_testing.h"
#include "base/fd.h"

namespace weft::apiserver {
namespace {

constexpr std::string_view pod_text = R"(
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default, creationTimestamp: null}
spec:
  containers:
  - name: web
    image: echo:demo
    ports: [{containerPort: 80}]
    readinessProbe: {httpGet: {port: 80}}
    resources: {limits: {cpu: 1, memory: 64Mi}}
)";

TEST(Schema, EveryBuiltInKindIsKnownByItsUrlAndByItsBody) {
    const auto table = KindTable::builtin();
    for (const kube::Resource& resource : {kube::namespaces,
                                           kube::nodes,
                                           kube::pods,
                                           kube::services,
                                           kube::config_maps,
                                           kube::secrets,
                                           kube::service_accounts,
                                           kube::events,
                                           kube::endpoint_slices,
                                           kube::leases,
                                           kube::deployments,
                                           kube::replica_sets,
                                           kube::ingresses,
                                           kube::ingress_classes,
                                           kube::custom_resource_definitions,
                                           kube::vpcs,
                                           kube::vswitches,
                                           kube::address_pools,
                                           kube::address_blocks,
                                           kube::pod_networkings,
                                           kube::pod_enis,
                                           kube::security_groups,
                                           kube::route_tables,
                                           kube::vpc_peerings}) {
        const Kind* kind = table->find(resource);
        ASSERT_NE(kind, nullptr) << resource.plural;
        EXPECT_EQ(kind->resource, resource);
        EXPECT_EQ(table->find_kind(resource.api_version(), resource.kind), kind);
    }
    EXPECT_EQ(table->find("", "v1", "gadgets"), nullptr);
    EXPECT_EQ(table->find("weft.dev", "v1", "vswitches")->short_names, std::vector<std::string>{"vsw"});
    EXPECT_EQ(table->group_versions().front(), std::pair(std::string(), std::string("v1")));
}

TEST(Schema, API90_UnknownFieldsAreDroppedAndNamedWithTheirPath) {
    json::Value pod = yaml(pod_text);
    json::set(pod, {"spec", "replicas"}, 3);
    pod.get_object()["spec"].get_object()["containers"].get_array()[0].get_object()["imagePullPolicies"] = "x";
    std::vector<std::string> strict;
    ASSERT_TRUE(decode(kind_of(pod), pod, {"spec.hostname"}, strict));
    EXPECT_EQ(strict, (std::vector<std::string>{"duplicate field \"spec.hostname\"",
                                                "unknown field \"spec.containers[0].imagePullPolicies\"",
                                                "unknown field \"spec.replicas\""}));
    EXPECT_FALSE(json::has(pod, {"spec", "replicas"}));
    EXPECT_FALSE(json::has(pod, {"metadata", "creationTimestamp"})) << "null of a built-in kind means absent";
}

TEST(Schema, EveryManifestOfTheExamplesIsWholeToUs) {
    const auto table = KindTable::builtin();
    const std::filesystem::path root = std::filesystem::path(WEFT_EXAMPLES);
    size_t seen = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
        if (entry.path().extension() != ".yaml") continue;
        const auto text = read_file(entry.path().string());
        ASSERT_TRUE(text.has_value());
        const auto documents = json::parse_yaml(*text);
        ASSERT_TRUE(documents.has_value()) << entry.path() << documents.error().message;
        for (json::Value document : *documents) {
            const Kind* kind =
                table->find_kind(json::find_string(document, {"apiVersion"}), json::find_string(document, {"kind"}));
            if (kind == nullptr) continue;  // a kind of a later day
            std::vector<std::string> strict;
            EXPECT_TRUE(decode(*kind, document, {}, strict)) << entry.path();
            EXPECT_TRUE(strict.empty()) << entry.path() << " " << (strict.empty() ? "" : strict[0]);
            if (kind->resource.namespaced && !json::has(document, {"metadata", "namespace"})) {
                json::set(document, {"metadata", "namespace"}, "default");
            }
            apply_defaults(*kind, document);
            prepare_create(*kind, document);
            EXPECT_EQ(lines(validate_create(*kind, document)), "") << entry.path();
            seen++;
        }
    }
    EXPECT_GT(seen, 50u);
}

TEST(Schema, API24_ABodyOfAnotherKindOrVersionIsRefused) {
    const Kind& kind = kind_of(yaml(pod_text));
    std::vector<std::string> strict;
    json::Value other = yaml("{apiVersion: v2, kind: Pod}");
    EXPECT_EQ(decode(kind, other, {}, strict).error().message,
              "the API version in the data (v2) does not match the expected API version (v1)");
    other = yaml("{apiVersion: v1, kind: Node}");
    EXPECT_EQ(decode(kind, other, {}, strict).error().code, 400);
    other = yaml("[1]");
    EXPECT_EQ(decode(kind, other, {}, strict).error().reason, "BadRequest");
    other = yaml("{metadata: {name: a}}");
    ASSERT_TRUE(decode(kind, other, {}, strict)) << "absent kind comes from the URL";
    EXPECT_EQ(json::find_string(other, {"kind"}), "Pod");
    json::Value vpc = yaml("{metadata: {name: a}}");
    EXPECT_FALSE(decode(*KindTable::builtin()->find(kube::vpcs), vpc, {}, strict)) << "but not for a CR";
}

TEST(Schema, DefaultsFillWhatTheParentObjectLacks) {
    const json::Value pod = taken(pod_text);
    const json::Value& container = json::find_array(pod, {"spec", "containers"})->at(0);
    EXPECT_EQ(json::find_string(pod, {"spec", "restartPolicy"}), "Always");
    EXPECT_EQ(json::find_int(pod, {"spec", "terminationGracePeriodSeconds"}), 30);
    EXPECT_EQ(json::find_string(pod, {"spec", "serviceAccountName"}), "default");
    EXPECT_EQ(json::find_string(container, {"imagePullPolicy"}), "IfNotPresent");
    EXPECT_EQ(json::find_string(container.at("ports").at(0), {"protocol"}), "TCP");
    EXPECT_EQ(json::find_int(container, {"readinessProbe", "periodSeconds"}), 10);
    EXPECT_EQ(json::find_string(container, {"readinessProbe", "httpGet", "scheme"}), "HTTP");
    EXPECT_EQ(*json::find(container, {"resources", "requests", "cpu"}), 1);
    EXPECT_FALSE(json::has(container, {"livenessProbe"}));
    EXPECT_EQ(json::find_string(pod, {"status", "phase"}), "Pending");
    EXPECT_EQ(json::find_string(pod, {"status", "qosClass"}), "Guaranteed");
    EXPECT_EQ(lines(validate_create(kind_of(pod), pod)), "");
}

TEST(Schema, API122_EachKeywordHasItsText) {
    FieldErrors errors;
    const SchemaPtr schema = compile_schema(yaml(R"(
type: object
required: [name]
properties:
  name: {type: string, pattern: '^[a-z]+$', maxLength: 4}
  size: {type: integer, minimum: 1, maximum: 9}
  mode: {type: string, enum: [on, off]}
  tags: {type: array, maxItems: 2, x-kubernetes-list-type: set, items: {type: string}}
  ports:
    type: array
    x-kubernetes-list-type: map
    x-kubernetes-list-map-keys: [port]
    items: {type: object, properties: {port: {type: integer}}}
  when: {type: string, format: date-time}
  block: {type: string, format: cidr}
  any: {x-kubernetes-int-or-string: true}
  either: {x-kubernetes-preserve-unknown-fields: true, oneOf: [{type: string}, {type: boolean}]}
)"),
                                            "", {}, errors);
    ASSERT_EQ(lines(errors), "");
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"{name: abc, size: 5, mode: 'on', tags: [a, b], any: 80%, either: x}", ""},
        {"{}", "name: Required value\n"},
        {"{name: 5}", "name: Invalid value: 5: must be of type string\n"},
        {"{name: ABC}", "name: Invalid value: \"ABC\": should match '^[a-z]+$'\n"},
        {"{name: abcde}", "name: Too long: may not be more than 4 bytes\n"},
        {"{name: a, size: 0}", "size: Invalid value: 0: must be greater than or equal to 1\n"},
        {"{name: a, size: 10}", "size: Invalid value: 10: must be less than or equal to 9\n"},
        {"{name: a, mode: up}", "mode: Unsupported value: \"up\": supported values: \"on\", \"off\"\n"},
        {"{name: a, tags: [a, b, c]}", "tags: Too many: 3: must have at most 2 items\n"},
        {"{name: a, tags: [a, a]}", "tags[1]: Duplicate value: \"a\"\n"},
        {"{name: a, ports: [{port: 1}, {port: 1}]}", "ports[1].port: Duplicate value: 1\n"},
        {"{name: a, when: yesterday}",
         "when: Invalid value: \"yesterday\": must be an RFC 3339 time, as 2026-11-24T00:00:00Z\n"},
        {"{name: a, any: true}", "any: Invalid value: true: must be of type integer or string\n"},
        {"{name: a, either: 5}", "either: Invalid value: 5: must validate one and only one schema (oneOf)\n"},
        {"[]", ": Invalid value: []: must be of type object\n"},
    };
    for (const auto& [text, expected] : cases) {
        errors.clear();
        validate_schema(*schema, yaml(text), "", errors);
        EXPECT_EQ(lines(errors), expected) << text;
    }
    errors.clear();
    validate_schema(*schema, yaml("{name: a, block: 10.0.0.1/8}"), "", errors);
    ASSERT_EQ(errors.size(), 1u) << "host bits are set";
    EXPECT_EQ(errors[0].field, "block");
}

TEST(Schema, QuantitiesAreReadAsKubernetesWritesThem) {
    for (const std::string_view good : {"1", "100m", "1.5", "64Mi", "1e3", "2Gi", "-1", ".5", "1k"})
        EXPECT_TRUE(is_quantity(good)) << good;
    for (const std::string_view bad : {"", "m", "1mb", "1 Gi", "1.2.3", "Gi1", "1KiB"})
        EXPECT_FALSE(is_quantity(bad)) << bad;
}

TEST(Schema, API120_ACrdBecomesAKindThatPrunesDefaultsAndValidates) {
    const json::Value crd = yaml(R"(
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1}
              color: {type: string, default: blue}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
)");
    EXPECT_EQ(create_errors(json::serialize(crd)), "");
    const auto table = KindTable::builtin()->with_crd(crd);
    ASSERT_TRUE(table.has_value()) << table.error().message;
    const Kind* kind = (*table)->find("example.com", "v1", "widgets");
    ASSERT_NE(kind, nullptr);
    EXPECT_EQ(kind->singular, "widget");
    EXPECT_EQ(kind->list_kind, "WidgetList");
    EXPECT_TRUE(kind->has_status && kind->custom && kind->resource.namespaced);
    json::Value widget = yaml(
        "{apiVersion: example.com/v1, kind: Widget, metadata: {name: a, namespace: b, x: 1}, "
        "spec: {size: 0, weight: 2, free: {any: [thing]}, color: null}, extra: 1}");
    std::vector<std::string> strict;
    ASSERT_TRUE(decode(*kind, widget, {}, strict));
    EXPECT_EQ(strict.size(), 3u) << "metadata.x, spec.weight, extra";
    apply_defaults(*kind, widget);
    EXPECT_EQ(json::find_string(widget, {"spec", "color"}), "blue");
    EXPECT_TRUE(json::has(widget, {"spec", "free", "any"}));
    EXPECT_EQ(lines(validate_create(*kind, widget)),
              "spec.size: Invalid value: 0: must be greater than or equal to 1\n");
    EXPECT_EQ((*table)->without_crd("widgets.example.com")->find("example.com", "v1", "widgets"), nullptr);
}

TEST(Schema, API120_ACrdWithoutAStructuralSchemaIsRefusedWithThePath) {
    const std::string errors = create_errors(R"(
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: wrong.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: false
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: objct}, list: {type: array}, bare: {}}}}
)");
    EXPECT_NE(
        errors.find("metadata.name: Invalid value: \"wrong.example.com\": must be spec.names.plural+\".\"+spec.group"),
        errors.npos)
        << errors;
    EXPECT_NE(
        errors.find("spec.versions[0].schema.openAPIV3Schema.properties[spec].type: Unsupported value: \"objct\""),
        errors.npos)
        << errors;
    EXPECT_NE(errors.find("properties[list].items: Required value: must be specified"), errors.npos) << errors;
    EXPECT_NE(errors.find("properties[bare].type: Required value: must not be empty for specified object fields"),
              errors.npos)
        << errors;
    EXPECT_NE(errors.find("must have exactly one version marked as storage version"), errors.npos) << errors;
}

TEST(Schema, RulesThatAreNotEvaluatedAreSaidAndTheImmutableOneIsKept) {
    const auto crd = [](std::string_view rule) {
        return yaml(fmt::format(
            "{{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{name: a.b.c}}, spec: "
            "{{group: b.c, scope: Cluster, names: {{plural: a, kind: A}}, versions: [{{name: v1, served: true, "
            "storage: "
            "true, schema: {{openAPIV3Schema: {{type: object, properties: {{x: {{type: string, "
            "x-kubernetes-validations: [{{rule: {}}}]}}}}}}}}}}]}}}}",
            rule));
    };
    EXPECT_TRUE(write_warnings(kind_of(crd("x")), crd("self == oldSelf")).empty());
    EXPECT_EQ(
        write_warnings(kind_of(crd("x")), crd("self.size() > 3")),
        std::vector<std::string>{"spec.versions[0].schema.openAPIV3Schema: x-kubernetes-validations are stored but not "
                                 "evaluated by this server"});
    const KindPtr kind = kinds_of_crd(crd("self == oldSelf")).value().at(0);
    const json::Value before = yaml("{apiVersion: b.c/v1, kind: A, metadata: {name: n}, x: one}");
    const json::Value after = yaml("{apiVersion: b.c/v1, kind: A, metadata: {name: n}, x: two}");
    EXPECT_EQ(lines(validate_update(*kind, after, before, Part::main)),
              "x: Invalid value: \"two\": field is immutable\n");
}

TEST(Schema, ACrdOfACompiledInKindChangesNothing) {
    const auto table = KindTable::builtin();
    const Kind* vpc = table->find(kube::vpcs);
    const json::Value crd = yaml(
        "{metadata: {name: vpcs.weft.dev}, spec: {group: weft.dev, scope: Cluster, names: {plural: vpcs, "
        "kind: VPC}, versions: [{name: v1, served: true, storage: true}]}}");
    const auto with = table->with_crd(crd);
    ASSERT_TRUE(with.has_value());
    EXPECT_EQ((*with)->find(kube::vpcs), vpc);
    EXPECT_NE((*with)->without_crd("vpcs.weft.dev")->find(kube::vpcs), nullptr);
}

}  // namespace
}  // namespace weft::apiserver
