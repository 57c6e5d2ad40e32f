// A store in a map, and the server's own order of steps around admission, for the tests of this room.
#pragma once
#include "apiserver/admit.h"
#include "apiserver/kinds_testing.h"

namespace weft::apiserver {

class AdmissionWorld : public StoreView {
public:
    AdmissionWorld() {
        put("{apiVersion: v1, kind: Namespace, metadata: {name: default}}");
        put("{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}");
        put("{apiVersion: v1, kind: Namespace, metadata: {name: blue, annotations: {weft.dev/vpc: vpc-blue}}}");
        put("{apiVersion: v1, kind: Namespace, metadata: {name: lost, annotations: {weft.dev/vpc: nowhere}}}");
        vpc("vpc-demo", "172.21.0.0/27", true);
        vpc("vpc-blue", "172.21.0.0/27", false);
    }

    std::optional<json::Value> get(const kube::Resource& resource, const kube::ObjectKey& key) override {
        const auto found = objects_.find(std::string(resource.plural) + "/" + key.text());
        return found == objects_.end() ? std::nullopt : std::optional(found->second);
    }

    void each(const kube::Resource& resource, std::string_view ns,
              const std::function<bool(const json::Value&)>& visit) override {
        const std::string prefix = std::string(resource.plural) + "/" + (ns.empty() ? "" : std::string(ns) + "/");
        for (const auto& [key, object] : objects_) {
            if (key.starts_with(prefix) && !visit(object)) return;
        }
    }

    void vpc(std::string_view name, std::string_view cidr, bool is_default, std::string_view more = "") {
        put(
            fmt::format("{{apiVersion: weft.dev/v1, kind: VPC, metadata: {{name: {}}}, spec: {{cidrBlock: 10.0.0.0/16, "
                        "serviceCIDR: "
                        "{}, default: {}{}}}}}",
                        name, cidr, is_default, more));
    }

    // The error's message, or "" and the object is stored (unless it is a dry run).
    std::string put(std::string_view text, bool dry_run = false, json::Value* result = nullptr) {
        json::Value object = yaml(text);
        const Kind& kind = kind_of(object);
        const std::string ns(json::find_string(object, {"metadata", "namespace"}));
        const std::string key = std::string(kind.plural) + "/" + (ns.empty() ? "" : ns + "/") +
                                std::string(json::find_string(object, {"metadata", "name"}));
        const auto stored = objects_.find(key);
        const json::Value* before = stored == objects_.end() ? nullptr : &stored->second;
        std::vector<std::string> strict;
        EXPECT_TRUE(decode(kind, object, {}, strict));
        apply_defaults(kind, object);
        if (before == nullptr) {
            prepare_create(kind, object);
        } else {
            prepare_update(kind, object, *before, Part::main);
        }
        const FieldErrors errors =
            before == nullptr ? validate_create(kind, object) : validate_update(kind, object, *before, Part::main);
        EXPECT_EQ(lines(errors), "");
        // Bootstrap: the world's first namespaces come before anything that asks for them.
        const Verdict verdict =
            admission.admit(*this, kind, before == nullptr ? Operation::create : Operation::update, object, before);
        if (!verdict) return fmt::format("{} {}", verdict.error().code, verdict.error().message);
        if (result != nullptr) *result = object;
        if (dry_run) return "";
        admission.stored(kind, before, &object);
        objects_[key] = std::move(object);
        return "";
    }

    void remove(const kube::Resource& resource, const std::string& key) {
        const auto found = objects_.find(std::string(resource.plural) + "/" + key);
        ASSERT_NE(found, objects_.end());
        admission.stored(*KindTable::builtin()->find(resource), &found->second, nullptr);
        objects_.erase(found);
    }

    std::string ip_of(std::string_view name, std::string_view ns = "default", std::string_view more = "") {
        const std::string error = put(service(name, ns, more));
        return error.empty() ? std::string(json::find_string(*get(kube::services, {std::string(ns), std::string(name)}),
                                                             {"spec", "clusterIP"}))
                             : error;
    }

    static std::string service(std::string_view name, std::string_view ns = "default", std::string_view more = "") {
        return fmt::format(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {}, namespace: {}}}, spec: {{selector: {{a: b}}, "
            "ports: [{{port: 80}}]{}{}}}}}",
            name, ns, more.empty() ? "" : ", ", more);
    }

    json::Value stored(std::string_view name) { return *get(kube::services, {"default", std::string(name)}); }

    Admission admission;

private:
    std::map<std::string, json::Value> objects_;
};

}  // namespace weft::apiserver
