#include "apiserver/openapi.h"

#include <set>

#include "apiserver/schema.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

constexpr Text schema_prefix = "#/components/schemas/";

std::string definition_component(Text name) { return fmt::format("dev.weft.api.{}", name); }

std::string kind_component(const Kind& kind) {
    return fmt::format("dev.weft.{}.{}.{}", kind.group.empty() ? "core" : kind.group, kind.version, kind.kind_name);
}

json::Object reference(Text component) { return {{"$ref", std::string(schema_prefix) + std::string(component)}}; }

class Document {
public:
    Document(const KindTable& table, Text group, Text version) : group_(group), version_(version) {
        for (const KindPtr& kind : table.all()) {
            if (kind->group == group && kind->version == version) add(*kind);
        }
        add_definitions();
    }

    json::Value take() {
        return json::Object{{"openapi", "3.0.0"},
                            {"info", json::Object{{"title", "weft"}, {"version", "v1"}}},
                            {"paths", std::move(paths_)},
                            {"components", json::Object{{"schemas", std::move(schemas_)}}}};
    }

private:
    // CRD dialect → OpenAPI: x-weft-ref becomes allOf [$ref]; only the dialect's own marks of ours go.
    json::Value translated(const json::Value& source) {
        if (const json::Array* array = source.if_array()) {
            json::Array out;
            for (const json::Value& item : *array) out.push_back(translated(item));
            return out;
        }
        const json::Object* object = source.if_object();
        if (object == nullptr) return source;
        json::Object out;
        for (const auto& [raw_name, value] : *object) {
            const Text name(raw_name);
            if (name == "x-weft-ref" && value.is_string()) {
                const std::string target(json::view(value.get_string()));
                wanted_.insert(target);
                out["allOf"] = json::Array{reference(definition_component(target))};
            } else if (name == "default" || name == "enum" || name == "required" || name == "description") {
                out[name] = value;
            } else if (name == "properties" && value.is_object()) {
                json::Object members;
                for (const auto& [member, schema] : value.get_object()) members[Text(member)] = translated(schema);
                out[name] = std::move(members);
            } else {
                out[name] = translated(value);
            }
        }
        // kubectl explain prints a type; these have two.
        if (out.contains("x-kubernetes-int-or-string") && !out.contains("oneOf")) {
            out["oneOf"] = json::Array{json::Object{{"type", "integer"}}, json::Object{{"type", "string"}}};
            if (!out.contains("format")) out["format"] = "int-or-string";
        }
        return out;
    }

    static json::Object gvk(const Kind& kind) {
        return {{"group", kind.group}, {"version", kind.version}, {"kind", kind.kind_name}};
    }

    void add(const Kind& kind) {
        json::Value schema = translated(kind.schema->source);
        schema.get_object()["x-kubernetes-group-version-kind"] = json::Array{gvk(kind)};
        schemas_[kind_component(kind)] = std::move(schema);
        wanted_.insert("ObjectMeta");
        json::Object list{
            {"type", "object"},
            {"description", "A list of objects."},
            {"required", json::Array{"items"}},
            {"properties",
             json::Object{{"apiVersion", json::Object{{"type", "string"}}},
                          {"kind", json::Object{{"type", "string"}}},
                          {"metadata", json::Object{{"type", "object"}}},
                          {"items", json::Object{{"type", "array"}, {"items", reference(kind_component(kind))}}}}}};
        json::Object list_gvk = gvk(kind);
        list_gvk["kind"] = kind.list_kind;
        list["x-kubernetes-group-version-kind"] = json::Array{std::move(list_gvk)};
        schemas_[kind_component(kind) + "List"] = std::move(list);
        add_paths(kind);
    }

    static json::Object parameter(Text name, Text where, Text type, Text description) {
        json::Object out{
            {"name", name}, {"in", where}, {"description", description}, {"schema", json::Object{{"type", type}}}};
        if (where == "path") out["required"] = true;
        return out;
    }

    static json::Array write_parameters() {
        return {parameter("dryRun", "query", "string", "All: everything but storing."),
                parameter("fieldManager", "query", "string", "Who writes."),
                parameter("fieldValidation", "query", "string",
                          "Ignore, Warn or Strict: what unknown and duplicate fields get.")};
    }

    static json::Object body(Text component, std::initializer_list<Text> types) {
        json::Object content;
        for (const Text type : types) content[type] = json::Object{{"schema", reference(component)}};
        return {{"content", std::move(content)}, {"required", true}};
    }

    static json::Object operation(const Kind& kind, Text action, Text component) {
        json::Object content{{"application/json", json::Object{{"schema", reference(component)}}}};
        return {
            {"x-kubernetes-action", action},
            {"x-kubernetes-group-version-kind", gvk(kind)},
            {"responses", json::Object{{"200", json::Object{{"description", "OK"}, {"content", std::move(content)}}}}}};
    }

    static json::Object write_operation(const Kind& kind, Text action, const std::string& component,
                                        std::initializer_list<Text> types) {
        json::Object out = operation(kind, action, component);
        out["parameters"] = write_parameters();
        out["requestBody"] = body(component, types);
        return out;
    }

    void add_paths(const Kind& kind) {
        const std::string component = kind_component(kind);
        std::string base = group_.empty() ? "/api/" + version_ : "/apis/" + group_ + "/" + version_;
        if (kind.resource.namespaced) base += "/namespaces/{namespace}";
        base += "/" + kind.plural;
        json::Object collection{
            {"get", operation(kind, "list", component + "List")},
            {"post", write_operation(kind, "post", component, {"application/json", "application/yaml"})},
            {"delete", operation(kind, "deletecollection", component)}};
        paths_[base] = with_path_parameters(kind, std::move(collection), false);
        const auto named = [&] {
            json::Object patch = kind.custom
                                     ? write_operation(kind, "patch", component,
                                                       {"application/json-patch+json", "application/merge-patch+json",
                                                        "application/apply-patch+yaml"})
                                     : write_operation(kind, "patch", component,
                                                       {"application/json-patch+json", "application/merge-patch+json",
                                                        "application/strategic-merge-patch+json",
                                                        "application/apply-patch+yaml"});
            return json::Object{
                {"get", operation(kind, "get", component)},
                {"put", write_operation(kind, "put", component, {"application/json", "application/yaml"})},
                {"patch", std::move(patch)}};
        };
        json::Object one = named();
        one["delete"] = operation(kind, "delete", component);
        paths_[base + "/{name}"] = with_path_parameters(kind, std::move(one), true);
        if (kind.has_status) paths_[base + "/{name}/status"] = with_path_parameters(kind, named(), true);
    }

    static json::Object with_path_parameters(const Kind& kind, json::Object item, bool is_named) {
        json::Array parameters;
        if (kind.resource.namespaced) parameters.push_back(parameter("namespace", "path", "string", "Namespace."));
        if (is_named) parameters.push_back(parameter("name", "path", "string", "Name."));
        if (!parameters.empty()) item["parameters"] = std::move(parameters);
        return item;
    }

    void add_definitions() {
        std::set<std::string> done;
        while (!wanted_.empty()) {
            const std::string name = *wanted_.begin();
            wanted_.erase(wanted_.begin());
            if (!done.insert(name).second) continue;
            const auto found = builtin_definitions().find(name);
            if (found != builtin_definitions().end()) {
                schemas_[definition_component(name)] = translated(found->second->source);
            }
            std::erase_if(wanted_, [&](const std::string& other) { return done.contains(other); });
        }
    }

    std::string group_, version_;
    json::Object paths_, schemas_;
    std::set<std::string> wanted_;
};

std::string document_hash(const json::Value& document) {
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (const char c : json::serialize(document)) hash = (hash ^ uint8_t(c)) * 0x100000001b3ULL;
    return fmt::format("{:016X}", hash);
}

}  // namespace

json::Value openapi_v3(const KindTable& table, Text group, Text version) {
    return Document(table, group, version).take();
}

json::Value openapi_v3_index(const KindTable& table) {
    json::Object paths;
    for (const auto& [group, version] : table.group_versions()) {
        const std::string path = group.empty() ? "api/" + version : "apis/" + group + "/" + version;
        const std::string hash = document_hash(openapi_v3(table, group, version));
        paths[path] = json::Object{{"serverRelativeURL", fmt::format("/openapi/v3/{}?hash={}", path, hash)}};
    }
    return json::Object{{"paths", std::move(paths)}};
}

}  // namespace weft::apiserver
