// Admission of everything but Services: namespaces that must exist, protected ones, the default IngressClass.
#include "apiserver/admit.h"

#include "apiserver/admit_service.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

constexpr Text vpc_annotation = "weft.dev/vpc";

Verdict admit_namespace_of(StoreView& view, const Kind& kind, const json::Value& object) {
    const std::string ns(json::find_string(object, {"metadata", "namespace"}));
    const auto found = view.get(kube::namespaces, {"", ns});
    if (!found)
        return std::unexpected(
            Refusal{404, "NotFound", fmt::format("namespaces \"{}\" not found", ns), {}, "namespaces", "", ns});
    if (!json::has(*found, {"metadata", "deletionTimestamp"})) return {};
    const Text name = json::find_string(object, {"metadata", "name"});
    const std::string why =
        fmt::format("unable to create new content in namespace {} because it is being terminated", ns);
    Refusal refusal = forbidden(kind, name, why);
    refusal.causes.push_back(
        {"NamespaceTerminating", "metadata.namespace", fmt::format("namespace {} is being terminated", ns)});
    return std::unexpected(std::move(refusal));
}

bool any_pod(StoreView& view, Text ns) {
    bool found = false;
    view.each(kube::pods, ns, [&](const json::Value&) {
        found = true;
        return false;
    });
    return found;
}

// A namespace changes its VPC only while it holds nothing that has an address (design.md §4).
Verdict admit_namespace(StoreView& view, const Kind& kind, const json::Value& object, const json::Value& stored,
                        const ServiceIndex& services) {
    const json::Path path{"metadata", "annotations", vpc_annotation};
    if (json::find_string(object, path) == json::find_string(stored, path)) return {};
    const Text name = json::find_string(object, {"metadata", "name"});
    const bool holds_service = services.holds_addresses_of(name);
    if (!holds_service && !any_pod(view, name)) return {};
    return std::unexpected(invalid(kind, name,
                                   {{"FieldValueForbidden", fmt::format("metadata.annotations[{}]", vpc_annotation),
                                     fmt::format("Forbidden: the VPC of a namespace is fixed while it holds a {}",
                                                 holds_service ? "Service" : "Pod")}}));
}

// ING-20: an Ingress without a class belongs to the default class, if there is exactly one.
Verdict admit_ingress(StoreView& view, const Kind& kind, json::Value& object) {
    static constexpr Text default_annotation = "ingressclass.kubernetes.io/is-default-class";
    if (json::has(object, {"spec", "ingressClassName"}) ||
        json::has(object, {"metadata", "annotations", "kubernetes.io/ingress.class"})) {
        return {};
    }
    std::vector<std::string> defaults;
    view.each(kube::ingress_classes, "", [&](const json::Value& found) {
        if (json::find_string(found, {"metadata", "annotations", default_annotation}) == "true") {
            defaults.emplace_back(json::find_string(found, {"metadata", "name"}));
        }
        return true;
    });
    if (defaults.size() > 1) {
        return std::unexpected(
            forbidden(kind, json::find_string(object, {"metadata", "name"}),
                      fmt::format("{} default IngressClasses were found, only 1 allowed", defaults.size())));
    }
    if (defaults.size() == 1) json::set(object, {"spec", "ingressClassName"}, json::Value(defaults[0]));
    return {};
}

bool is_kind(const Kind& kind, Text group, Text name) { return kind.group == group && kind.kind_name == name; }

}  // namespace

struct Admission::Index {
    ServiceIndex services;
};

Admission::Admission() : index_(std::make_unique<Index>()) {}

Admission::~Admission() = default;

void Admission::load(StoreView& view) { index_->services.load(view); }

Verdict Admission::admit(StoreView& view, const Kind& kind, Operation operation, json::Value& object,
                         const json::Value* stored) {
    if (operation == Operation::remove) {
        const Text name = json::find_string(object, {"metadata", "name"});
        if (is_kind(kind, "", "Namespace") && (name == "default" || name == "kube-system" || name == "kube-public")) {
            return std::unexpected(forbidden(kind, name, "this namespace may not be deleted"));
        }
        return {};
    }
    if (operation == Operation::create && kind.resource.namespaced) {
        if (auto verdict = admit_namespace_of(view, kind, object); !verdict) return verdict;
    }
    if (is_kind(kind, "", "Service")) return index_->services.admit(view, kind, object, stored);
    if (is_kind(kind, "", "Namespace") && stored != nullptr) {
        return admit_namespace(view, kind, object, *stored, index_->services);
    }
    if (is_kind(kind, "networking.k8s.io", "Ingress") && stored == nullptr) return admit_ingress(view, kind, object);
    return {};
}

void Admission::stored(const Kind& kind, const json::Value* before, const json::Value* after) {
    if (is_kind(kind, "", "Service")) index_->services.stored(before, after);
    if (is_kind(kind, "", "Namespace")) index_->services.stored_namespace(before, after);
    if (is_kind(kind, "weft.dev", "VPC")) index_->services.stored_vpc(before, after);
}

}  // namespace weft::apiserver
