#include "apiserver/defaults.h"

#include "apiserver/defaults_service.h"
#include "apiserver/schema.h"
#include "base/strings.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

json::Object* object_at(json::Value& value, Text name) {
    json::Object* object = value.if_object();
    json::Value* member = object == nullptr ? nullptr : object->if_contains(name);
    return member == nullptr ? nullptr : member->if_object();
}

void default_member(json::Value& value, Text name, json::Value otherwise) {
    json::Object* object = value.if_object();
    if (object != nullptr && !object->contains(name)) (*object)[name] = std::move(otherwise);
}

// "nginx", "nginx:latest" change under one's feet; "nginx:1.27" and digests do not.
bool image_moves(Text image) {
    if (image.find('@') != image.npos) return false;
    const size_t slash = image.rfind('/');
    const size_t colon = image.find(':', slash == image.npos ? 0 : slash);
    return colon == image.npos || image.substr(colon + 1) == "latest";
}

void default_container(json::Value& container) {
    if (!container.is_object()) return;
    default_member(container, "imagePullPolicy",
                   image_moves(json::find_string(container, {"image"})) ? "Always" : "IfNotPresent");
    const json::Object* found = json::find_object(container, {"resources", "limits"});
    if (found == nullptr) return;
    const json::Object limits = *found;  // a copy: resources may move when requests appear beside
    for (const auto& [resource, amount] : limits) {
        if (!json::has(container, {"resources", "requests", Text(resource)})) {
            json::set(container, {"resources", "requests", Text(resource)}, json::Value(amount));
        }
    }
}

void default_pod_spec(json::Value& spec) {
    for (const Text list : {Text("containers"), Text("initContainers"), Text("ephemeralContainers")}) {
        json::Object* object = spec.if_object();
        json::Value* containers = object == nullptr ? nullptr : object->if_contains(list);
        if (containers == nullptr || !containers->is_array()) continue;
        for (json::Value& container : containers->get_array()) default_container(container);
    }
    const std::string account(json::find_string(spec, {"serviceAccountName"}));
    const std::string old_account(json::find_string(spec, {"serviceAccount"}));
    if (account.empty() && !old_account.empty()) json::set(spec, {"serviceAccountName"}, json::Value(old_account));
    if (!account.empty() && old_account != account) json::set(spec, {"serviceAccount"}, json::Value(account));
}

void default_template(json::Value& object) {
    json::Object* spec = object_at(object, "spec");
    json::Value* pod = spec == nullptr ? nullptr : spec->if_contains("template");
    json::Object* holder = pod == nullptr ? nullptr : pod->if_object();
    if (holder != nullptr && holder->contains("spec")) default_pod_spec((*holder)["spec"]);
}

void default_deployment(json::Value& object) {
    default_template(object);
    json::Object* spec = object_at(object, "spec");
    if (spec == nullptr || !spec->contains("strategy")) return;
    json::Value& strategy = (*spec)["strategy"];
    if (json::find_string(strategy, {"type"}) != "RollingUpdate") return;
    default_member(strategy, "rollingUpdate", json::Object{});
    json::Object* rolling = object_at(strategy, "rollingUpdate");
    if (rolling == nullptr) return;
    for (const Text field : {Text("maxUnavailable"), Text("maxSurge")}) {
        if (!rolling->contains(field)) (*rolling)[field] = "25%";
    }
}

void default_stateful_set(json::Value& object) {
    default_template(object);
    json::Object* spec = object_at(object, "spec");
    json::Value* strategy = spec == nullptr ? nullptr : spec->if_contains("updateStrategy");
    if (strategy == nullptr || json::find_string(*strategy, {"type"}) != "RollingUpdate") return;
    default_member(*strategy, "rollingUpdate", json::Object{});
    if (json::Object* rolling = object_at(*strategy, "rollingUpdate"))
        if (!rolling->contains("partition")) (*rolling)["partition"] = 0;
}

void default_pod(json::Value& object) {
    if (object_at(object, "spec") == nullptr) return;
    json::Value& spec = object.get_object()["spec"];
    if (json::find_string(spec, {"serviceAccountName"}).empty() &&
        json::find_string(spec, {"serviceAccount"}).empty()) {
        json::set(spec, {"serviceAccountName"}, "default");
    }
    default_pod_spec(spec);
}

void default_crd(json::Value& object) {
    const std::string kind(json::find_string(object, {"spec", "names", "kind"}));
    if (kind.empty()) return;
    if (!json::has(object, {"spec", "names", "singular"}))
        json::set(object, {"spec", "names", "singular"}, json::Value(to_lower(kind)));
    if (!json::has(object, {"spec", "names", "listKind"}))
        json::set(object, {"spec", "names", "listKind"}, json::Value(kind + "List"));
}

// What the user may write as text goes where it is kept.
void default_secret(json::Value& object) {
    const json::Object* given = json::find_object(object, {"stringData"});
    if (given == nullptr) return;
    const json::Object texts = *given;
    for (const auto& [name, text] : texts) {
        if (text.is_string())
            json::set(object, {"data", Text(name)}, json::Value(base64_encode(json::view(text.get_string()))));
    }
    json::erase(object, {"stringData"});
}

std::string_view quality_of_service(const json::Value& pod) {
    bool has_any = false;
    bool is_guaranteed = true;
    const json::Array* containers = json::find_array(pod, {"spec", "containers"});
    for (size_t index = 0; containers != nullptr && index < containers->size(); index++) {
        const json::Value& container = (*containers)[index];
        for (const Text resource : {Text("cpu"), Text("memory")}) {
            const json::Value* limit = json::find(container, {"resources", "limits", resource});
            const json::Value* request = json::find(container, {"resources", "requests", resource});
            has_any |= limit != nullptr || request != nullptr;
            is_guaranteed &= limit != nullptr && request != nullptr && *limit == *request;
        }
    }
    return !has_any ? "BestEffort" : is_guaranteed ? "Guaranteed" : "Burstable";
}

void prepare_namespace(json::Value& object) {
    const std::string name(json::find_string(object, {"metadata", "name"}));
    if (!name.empty()) json::set(object, {"metadata", "labels", "kubernetes.io/metadata.name"}, json::Value(name));
}

// What belongs to the server in every object's metadata; kept from the stored object on update.
constexpr Text server_fields[] = {"uid",        "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
                                  "generation", "selfLink"};

void copy_member(json::Value& to, const json::Value& from, json::Path path) {
    if (const json::Value* value = json::find(from, path)) {
        json::set(to, path, *value);
    } else {
        json::erase(to, path);
    }
}

bool wish_differs(const Kind& kind, const json::Value& a, const json::Value& b) {
    const auto counts = [&](Text name) {
        return name != "metadata" && name != "apiVersion" && name != "kind" && !(kind.has_status && name == "status");
    };
    const auto lacks = [&](const json::Value& from, const json::Value& in) {
        for (const auto& [name, value] : from.get_object()) {
            const json::Value* other = in.get_object().if_contains(name);
            if (counts(Text(name)) && (other == nullptr || *other != value)) return true;
        }
        return false;
    };
    return lacks(a, b) || lacks(b, a);
}

}  // namespace

void apply_defaults(const Kind& kind, json::Value& object) {
    using Rule = void (*)(json::Value&);
    static const std::map<Text, Rule> rules = {
        {"Service", default_service},
        {"Pod", default_pod},
        {"Deployment.apps", default_deployment},
        {"ReplicaSet.apps", default_template},
        {"StatefulSet.apps", default_stateful_set},
        {"Secret", default_secret},
        {"CustomResourceDefinition.apiextensions.k8s.io", default_crd},
    };
    apply_schema_defaults(*kind.schema, object);
    const auto rule = rules.find(kind.group_kind());
    if (rule != rules.end() && !kind.custom) rule->second(object);
}

void prepare_create(const Kind& kind, json::Value& object) {
    for (const Text field : {Text("deletionTimestamp"), Text("deletionGracePeriodSeconds"), Text("generation"),
                             Text("selfLink"), Text("managedFields")}) {
        json::erase(object, {"metadata", field});
    }
    if (kind.has_generation) json::set(object, {"metadata", "generation"}, int64_t(1));
    if (kind.has_status) json::erase(object, {"status"});
    if (kind.custom) return;
    if (kind.kind_name == "Pod") {
        json::set(object, {"status"}, json::Object{{"phase", "Pending"}, {"qosClass", quality_of_service(object)}});
    } else if (kind.kind_name == "Namespace") {
        prepare_namespace(object);
        json::set(object, {"spec", "finalizers"}, json::Array{"kubernetes"});
        json::set(object, {"status", "phase"}, "Active");
    } else if (kind.kind_name == "Service") {
        json::set(object, {"status", "loadBalancer"}, json::Object{});
    } else if (kind.kind_name == "Ingress") {
        json::set(object, {"status", "loadBalancer"}, json::Object{});
    }
}

void prepare_update(const Kind& kind, json::Value& object, const json::Value& stored, Part part) {
    if (part == Part::status) {
        json::Value result = stored;
        copy_member(result, object, {"status"});
        copy_member(result, object, {"metadata", "resourceVersion"});
        if (!kind.custom) {
            copy_member(result, object, {"metadata", "labels"});
            copy_member(result, object, {"metadata", "annotations"});
        }
        object = std::move(result);
        return;
    }
    for (const Text field : server_fields) copy_member(object, stored, {"metadata", field});
    json::erase(object, {"metadata", "managedFields"});
    if (kind.has_status) copy_member(object, stored, {"status"});
    if (!kind.custom) {
        if (kind.kind_name == "Namespace") {
            prepare_namespace(object);
            copy_member(object, stored, {"spec"});
        } else if (kind.kind_name == "Service") {
            keep_service_fields(object, stored);
        }
    }
    if (kind.has_generation && wish_differs(kind, object, stored)) {
        json::set(object, {"metadata", "generation"}, json::find_int(stored, {"metadata", "generation"}) + 1);
    }
}

}  // namespace weft::apiserver
