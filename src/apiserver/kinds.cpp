#include <algorithm>
#include <set>

#include "apiserver/kind.h"
#include "apiserver/schema.h"
#include "apiserver/schema_texts.h"
#include "base/strings.h"

namespace weft::apiserver {

namespace {

// The compiled-in files, read once: definitions compiled in the order of their references, then the kinds.
struct BuiltIn {
    std::map<std::string, json::Value, std::less<>> sources;
    std::set<std::string, std::less<>> open;  // being compiled: a reference back to one of them is a loop
    Definitions definitions;
    std::vector<json::Value> kind_documents;
    std::vector<json::Value> crd_documents;

    BuiltIn() {
        for (const SchemaText& file : schema_texts()) {
            for (json::Value& document : MUST(json::parse_yaml(file.text))) {
                if (file.folder == "crds") {
                    crd_documents.push_back(std::move(document));
                } else if (const std::string_view name = json::find_string(document, {"definition"}); !name.empty()) {
                    sources[std::string(name)] = std::move(document);
                } else {
                    kind_documents.push_back(std::move(document));
                }
            }
        }
        for (const auto& [name, source] : sources) define(name);
    }

    void define(const std::string& name) {
        if (definitions.contains(name)) return;
        const auto found = sources.find(name);
        if (found == sources.end() || !open.insert(name).second) {
            ensure_failed("schema reference", __FILE__, __LINE__, name);
        }
        json::Value& document = found->second;
        if (const std::string base(json::find_string(document, {"extends"})); !base.empty()) {
            define(base);
            json::Value merged = *json::find(sources.find(base)->second, {"schema"});
            for (const auto& [member, schema] : *json::find_object(document, {"schema", "properties"})) {
                json::set(merged, {"properties", std::string_view(member)}, schema);
            }
            json::set(merged, {"description"}, *json::find(document, {"schema", "description"}));
            json::set(document, {"schema"}, std::move(merged));
        }
        define_references(*json::find(document, {"schema"}));
        definitions[name] = compiled(*json::find(document, {"schema"}), name);
    }

    void define_references(const json::Value& value) {
        if (const json::Object* object = value.if_object()) {
            for (const auto& [name, member] : *object) {
                if (name == "x-weft-ref" && member.is_string()) define(std::string(json::view(member.get_string())));
                define_references(member);
            }
        } else if (const json::Array* array = value.if_array()) {
            for (const json::Value& item : *array) define_references(item);
        }
    }

    SchemaPtr compiled(const json::Value& source, std::string_view name) const {
        FieldErrors errors;
        SchemaPtr schema = compile_schema(source, name, definitions, errors);
        for (const FieldError& error : errors) {
            ensure_failed("compiled-in schema", __FILE__, __LINE__, error.field + ": " + error.message);
        }
        auto with_source = std::make_shared<Schema>(*schema);
        with_source->source = source;
        return with_source;
    }
};

const BuiltIn& built_in() {
    static const BuiltIn instance;
    return instance;
}

std::string version_hash(const Kind& kind) {
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (const char c : kind.group + "/" + kind.version + "/" + kind.kind_name) {
        hash = (hash ^ uint8_t(c)) * 0x100000001b3ULL;
    }
    return base64_encode({reinterpret_cast<const char*>(&hash), sizeof hash});
}

// The row owns its texts; the views of `resource` are set last, when the row does not move any more.
KindPtr finished(std::shared_ptr<Kind> kind) {
    kind->resource =
        kube::Resource{kind->group, kind->version, kind->plural, kind->kind_name, kind->resource.namespaced};
    kind->storage_version_hash = version_hash(*kind);
    if (kind->list_kind.empty()) kind->list_kind = kind->kind_name + "List";
    if (kind->singular.empty()) kind->singular = to_lower(kind->kind_name);
    return kind;
}

void split_api_version(std::string_view api_version, Kind& kind) {
    const size_t slash = api_version.find('/');
    kind.group = slash == api_version.npos ? "" : std::string(api_version.substr(0, slash));
    kind.version = slash == api_version.npos ? std::string(api_version) : std::string(api_version.substr(slash + 1));
}

bool contains(const std::vector<std::string>& list, std::string_view text) {
    return std::find(list.begin(), list.end(), text) != list.end();
}

KindPtr built_in_kind(const json::Value& document) {
    auto kind = std::make_shared<Kind>();
    split_api_version(json::find_string(document, {"apiVersion"}), *kind);
    kind->kind_name = json::find_string(document, {"kind"});
    kind->plural = json::find_string(document, {"names", "plural"});
    kind->singular = json::find_string(document, {"names", "singular"});
    kind->short_names = json::find_strings(document, {"names", "shortNames"});
    kind->categories = json::find_strings(document, {"names", "categories"});
    kind->resource.namespaced = json::find_string(document, {"scope"}) == "Namespaced";
    const auto subresources = json::find_strings(document, {"subresources"});
    kind->has_status = contains(subresources, "status");
    if ((kind->has_scale = contains(subresources, "scale"))) {
        kind->scale_spec_path = ".spec.replicas";
        kind->scale_status_path = ".status.replicas";
    }
    const auto traits = json::find_strings(document, {"traits"});
    kind->has_generation = contains(traits, "generation");
    kind->creates_on_update = contains(traits, "createsOnUpdate");
    kind->is_graceful = contains(traits, "graceful");
    const std::string_view rule = json::find_string(document, {"nameRule"});
    kind->name_rule = rule == "label"     ? NameRule::label
                      : rule == "service" ? NameRule::service_label
                                          : NameRule::subdomain;
    kind->selectable_fields = json::find_strings(document, {"selectableFields"});
    kind->schema = built_in().compiled(*json::find(document, {"schema"}), kind->kind_name);
    return finished(std::move(kind));
}

// A CR's root: what every object has, whatever the CRD says of it.
json::Value custom_root(const json::Value& schema) {
    json::Value root = schema;
    json::set(root, {"type"}, "object");
    const json::Value text = json::Object{{"type", "string"}};
    json::set(root, {"properties", "apiVersion"}, text);
    json::set(root, {"properties", "kind"}, text);
    json::set(root, {"properties", "metadata"}, json::Object{{"x-weft-ref", "ObjectMeta"}});
    return root;
}

std::vector<Column> columns_of(const json::Value& version) {
    std::vector<Column> columns;
    if (const json::Array* given = json::find_array(version, {"additionalPrinterColumns"})) {
        for (const json::Value& column : *given) {
            columns.push_back(
                {std::string(json::find_string(column, {"name"})), std::string(json::find_string(column, {"type"})),
                 std::string(json::find_string(column, {"format"})),
                 std::string(json::find_string(column, {"description"})),
                 std::string(json::find_string(column, {"jsonPath"})), int(json::find_int(column, {"priority"}))});
        }
    } else {
        columns.push_back({"Age", "date", "", "Time since creation.", ".metadata.creationTimestamp", 0});
    }
    return columns;
}

}  // namespace

const Definitions& builtin_definitions() { return built_in().definitions; }

Result<std::vector<KindPtr>> kinds_of_crd(const json::Value& crd) {
    std::vector<KindPtr> kinds;
    const json::Array* versions = json::find_array(crd, {"spec", "versions"});
    if (versions == nullptr) return fail(Code::invalid, "spec.versions: Required value");
    for (const json::Value& version : *versions) {
        if (!json::find_bool(version, {"served"})) continue;
        auto kind = std::make_shared<Kind>();
        kind->custom = true;
        kind->has_generation = true;
        kind->group = json::find_string(crd, {"spec", "group"});
        kind->version = json::find_string(version, {"name"});
        kind->kind_name = json::find_string(crd, {"spec", "names", "kind"});
        kind->plural = json::find_string(crd, {"spec", "names", "plural"});
        kind->singular = json::find_string(crd, {"spec", "names", "singular"});
        kind->list_kind = json::find_string(crd, {"spec", "names", "listKind"});
        kind->short_names = json::find_strings(crd, {"spec", "names", "shortNames"});
        kind->categories = json::find_strings(crd, {"spec", "names", "categories"});
        kind->resource.namespaced = json::find_string(crd, {"spec", "scope"}) == "Namespaced";
        kind->crd_name = json::find_string(crd, {"metadata", "name"});
        if (json::find_bool(version, {"deprecated"}))
            kind->deprecation =
                json::find_string(version, {"deprecationWarning"},
                                  fmt::format("{}/{} {} is deprecated", kind->group, kind->version, kind->kind_name));
        kind->has_status = json::has(version, {"subresources", "status"});
        if (json::find_object(version, {"subresources", "scale"}) != nullptr) {
            kind->has_scale = true;
            kind->scale_spec_path = json::find_string(version, {"subresources", "scale", "specReplicasPath"});
            kind->scale_status_path = json::find_string(version, {"subresources", "scale", "statusReplicasPath"});
            kind->scale_selector_path = json::find_string(version, {"subresources", "scale", "labelSelectorPath"});
        }
        if (const json::Array* fields = json::find_array(version, {"selectableFields"})) {
            for (const json::Value& field : *fields) {
                const std::string_view path = json::find_string(field, {"jsonPath"});
                kind->selectable_fields.emplace_back(
                    path.substr(std::min<size_t>(path.find_first_not_of('.'), path.size())));
            }
        }
        kind->columns = columns_of(version);
        const json::Value* given = json::find(version, {"schema", "openAPIV3Schema"});
        const json::Value root = custom_root(given == nullptr ? json::Value(json::Object{}) : *given);
        FieldErrors errors;
        const SchemaPtr compiled = compile_schema(root, "", builtin_definitions(), errors);
        if (!errors.empty()) {
            return fail(Code::invalid, fmt::format("{}: schema of {}: {}: {}", kind->crd_name, kind->version,
                                                   errors[0].field, errors[0].message));
        }
        auto with_source = std::make_shared<Schema>(*compiled);
        with_source->source = root;
        kind->schema = std::move(with_source);
        kinds.push_back(finished(std::move(kind)));
    }
    return kinds;
}

std::shared_ptr<const KindTable> KindTable::builtin() {
    static const std::shared_ptr<const KindTable> table = [] {
        auto made = std::make_shared<KindTable>();
        for (const json::Value& document : built_in().kind_documents) made->kinds_.push_back(built_in_kind(document));
        for (const json::Value& crd : built_in().crd_documents) {
            for (const KindPtr& kind : MUST(kinds_of_crd(crd))) {
                auto ours = std::make_shared<Kind>(*kind);
                ours->embedded = true;
                made->kinds_.push_back(finished(std::move(ours)));
            }
        }
        made->sort();
        return made;
    }();
    return table;
}

const Kind* KindTable::find(std::string_view group, std::string_view version, std::string_view plural) const {
    for (const KindPtr& kind : kinds_) {
        if (kind->plural == plural && kind->group == group && kind->version == version) return kind.get();
    }
    return nullptr;
}

const Kind* KindTable::find_kind(std::string_view api_version, std::string_view name) const {
    for (const KindPtr& kind : kinds_) {
        if (kind->kind_name == name && kind->api_version() == api_version) return kind.get();
    }
    return nullptr;
}

std::vector<std::pair<std::string, std::string>> KindTable::group_versions() const {
    std::vector<std::pair<std::string, std::string>> out;
    for (const KindPtr& kind : kinds_) {
        if (out.empty() || out.back() != std::pair(kind->group, kind->version)) {
            out.emplace_back(kind->group, kind->version);
        }
    }
    return out;
}

Result<std::shared_ptr<const KindTable>> KindTable::with_crd(const json::Value& crd) const {
    const std::string name(json::find_string(crd, {"metadata", "name"}));
    auto made = std::make_shared<KindTable>(*this);
    std::erase_if(made->kinds_,
                  [&](const KindPtr& kind) { return !kind->embedded && !name.empty() && kind->crd_name == name; });
    for (KindPtr& kind : TRY(kinds_of_crd(crd))) {
        // What is compiled in stays: a CRD of the same kind (deploy/crds applied by hand) adds nothing.
        if (made->find(kind->resource) == nullptr) made->kinds_.push_back(std::move(kind));
    }
    made->sort();
    return std::shared_ptr<const KindTable>(std::move(made));
}

std::shared_ptr<const KindTable> KindTable::without_crd(std::string_view crd_name) const {
    auto made = std::make_shared<KindTable>(*this);
    std::erase_if(made->kinds_, [&](const KindPtr& kind) { return !kind->embedded && kind->crd_name == crd_name; });
    return made;
}

void KindTable::sort() {
    std::sort(kinds_.begin(), kinds_.end(), [](const KindPtr& a, const KindPtr& b) {
        return std::tie(a->group, a->version, a->plural) < std::tie(b->group, b->version, b->plural);
    });
}

Refusal invalid(const Kind& kind, std::string_view name, FieldErrors errors) {
    std::string text;
    for (const FieldError& error : errors) {
        if (!text.empty()) text += ", ";
        text += error.field + ": " + error.message;
    }
    if (errors.size() > 1) text = "[" + text + "]";
    return {422,
            "Invalid",
            fmt::format("{} \"{}\" is invalid: {}", kind.group_kind(), name, text),
            std::move(errors),
            kind.kind_name,
            kind.group,
            std::string(name)};
}

Refusal bad_request(std::string message) { return {400, "BadRequest", std::move(message), {}}; }

Refusal forbidden(const Kind& kind, std::string_view name, std::string_view why) {
    return {403,
            "Forbidden",
            fmt::format("{} \"{}\" is forbidden: {}", kind.group_plural(), name, why),
            {},
            kind.plural,
            kind.group,
            std::string(name)};
}

}  // namespace weft::apiserver
