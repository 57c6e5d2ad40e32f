// Admission of everything but Services: namespaces that must exist, protected ones, the default IngressClass, the one
// default VPC.
#include "apiserver/admit.h"

#include "apiserver/admit_service.h"
#include "cloud/vpc.h"

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

// The name of one; "" when the namespace holds none.
std::string any_pod(StoreView& view, Text ns) {
    std::string found;
    view.each(kube::pods, ns, [&](const json::Value& pod) {
        found = json::find_string(pod, {"metadata", "name"});
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
    if (!holds_service && any_pod(view, name).empty()) return {};
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

Verdict refuse_default(const Kind& kind, const json::Value& vpc, std::string why) {
    return std::unexpected(invalid(kind, json::find_string(vpc, {"metadata", "name"}),
                                   {{"FieldValueForbidden", "spec.default", "Forbidden: " + std::move(why)}}));
}

// The VPC of namespaces that name none, among those stored; "" when no VPC says so. Not only the legible ones: the others
// may become so.
std::string stored_default(StoreView& view, Text but = "") {
    std::vector<cloud::Vpc> vpcs;
    view.each(kube::vpcs, "", [&](const json::Value& stored) {
        cloud::Vpc vpc;
        vpc.name = json::find_string(stored, {"metadata", "name"});
        vpc.created = json::find_string(stored, {"metadata", "creationTimestamp"});
        vpc.is_default = json::find_bool(stored, {"spec", "default"}) && vpc.name != but;
        vpcs.push_back(std::move(vpc));
        return true;
    });
    const cloud::Vpc* const holder = cloud::default_vpc(vpcs);
    return holder == nullptr ? "" : holder->name;
}

// A Service of a user's that has an address: the two built-in ones follow the default VPC; "" when there is none.
std::string service_with_address(StoreView& view, Text ns) {
    std::string found;
    view.each(kube::services, ns, [&](const json::Value& service) {
        const Text name = json::find_string(service, {"metadata", "name"});
        const Text address = json::find_string(service, {"spec", "clusterIP"});
        const bool is_built_in = (ns == "default" && name == "kubernetes") || (ns == "kube-system" && name == "kube-dns");
        if (!address.empty() && address != "None" && !is_built_in) found = name;
        return found.empty();
    });
    return found;
}

// What would change its VPC under way if the default went: "namespace a holds Service web"; "" when nothing.
std::string held_by_default(StoreView& view) {
    std::string holder;
    view.each(kube::namespaces, "", [&](const json::Value& ns) {
        if (!json::find_string(ns, {"metadata", "annotations", vpc_annotation}).empty()) return true;
        const Text name = json::find_string(ns, {"metadata", "name"});
        if (const std::string service = service_with_address(view, name); !service.empty()) {
            holder = fmt::format("namespace \"{}\", which names no VPC, holds Service \"{}\"", name, service);
        } else if (const std::string pod = any_pod(view, name); !pod.empty()) {
            holder = fmt::format("namespace \"{}\", which names no VPC, holds Pod \"{}\"", name, pod);
        }
        return holder.empty();
    });
    return holder;
}

// One VPC is the default, and it stays so while anything lives in it for that reason alone.
Verdict admit_vpc(StoreView& view, const Kind& kind, const json::Value& object, const json::Value* stored) {
    const json::Path path{"spec", "default"};
    const bool is_default = json::find_bool(object, path);
    if (is_default == (stored != nullptr && json::find_bool(*stored, path))) return {};
    const Text name = json::find_string(object, {"metadata", "name"});
    if (is_default) {
        const std::string holder = stored_default(view, name);
        if (holder.empty()) return {};
        return refuse_default(kind, object, fmt::format("VPC \"{}\" is the default already", holder));
    }
    if (stored_default(view) != name) return {};  // another one won: namespaces are not in this one
    const std::string held = held_by_default(view);
    if (held.empty()) return {};
    return refuse_default(kind, object, "the VPC stays the default while " + held);
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
    if (is_kind(kind, "weft.dev", "VPC")) return admit_vpc(view, kind, object, stored);
    if (is_kind(kind, "networking.k8s.io", "Ingress") && stored == nullptr) return admit_ingress(view, kind, object);
    return {};
}

void Admission::stored(const Kind& kind, const json::Value* before, const json::Value* after) {
    if (is_kind(kind, "", "Service")) index_->services.stored(before, after);
    if (is_kind(kind, "", "Namespace")) index_->services.stored_namespace(before, after);
    if (is_kind(kind, "weft.dev", "VPC")) index_->services.stored_vpc(before, after);
}

}  // namespace weft::apiserver
