#include "alb/reconciler.h"

#include "alb/limits.h"

namespace weft::alb {

namespace {

const kube::ObjectKey whole_config{"", "config"};
constexpr const char* tls_secrets = "type=kubernetes.io/tls";

std::vector<kube::ObjectPtr> all_of(const kube::Cache& cache) {
    std::vector<kube::ObjectPtr> objects;
    objects.reserve(cache.size());
    cache.for_each([&](const kube::ObjectPtr& object) { objects.push_back(object); });
    return objects;
}

}  // namespace

Reconciler::Reconciler(kube::Brain& brain, Proxy& proxy, Certificates certificates)
    : proxy_(proxy),
      ingresses_(brain.watch(kube::ingresses)),
      ingress_classes_(brain.watch(kube::ingress_classes)),
      services_(brain.watch(kube::services)),
      endpoint_slices_(brain.watch(kube::endpoint_slices)),
      namespaces_(brain.watch(kube::namespaces)),
      vpcs_(brain.watch(kube::vpcs)),
      secrets_(brain.watch(kube::secrets, {.ns = {}, .label_selector = {}, .field_selector = tls_secrets})),
      queue_(brain.add_reconciler("alb", [this](const kube::ObjectKey&) { return reconcile(); })),
      certificates_(std::move(certificates)),
      brain_(brain) {
    for (const auto* cache : {&ingresses_, &ingress_classes_, &namespaces_, &vpcs_}) watch_all(*cache);
    watch_named(services_, named_services_, [](const kube::Object& service) { return service.key(); });
    watch_named(secrets_, named_secrets_, [](const kube::Object& secret) { return secret.key(); });
    watch_named(endpoint_slices_, named_services_, [](const kube::Object& slice) {
        return kube::ObjectKey{std::string(slice.ns()), std::string(slice.label(ingress::service_name_label))};
    });
    brain.on_synced([this] { queue_.add(whole_config); });
}

void Reconciler::watch_all(const kube::Cache& cache) {
    brain_.on_change(cache, [this](const kube::ObjectPtr&, const kube::ObjectPtr&) { queue_.add(whole_config); });
}

void Reconciler::watch_named(const kube::Cache& cache, const std::set<kube::ObjectKey>& named,
                             std::function<kube::ObjectKey(const kube::Object&)> key_of) {
    brain_.on_change(cache, [this, &named, key_of](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        const auto matters = [&](const kube::ObjectPtr& object) { return object && named.contains(key_of(*object)); };
        if (matters(before) || matters(after)) queue_.add(whole_config);
    });
}

kube::Outcome Reconciler::reconcile() {
    AlbConfig config = ingress::compile({.ingresses = all_of(ingresses_),
                                         .ingress_classes = all_of(ingress_classes_),
                                         .services = all_of(services_),
                                         .endpoint_slices = all_of(endpoint_slices_),
                                         .namespaces = all_of(namespaces_),
                                         .vpcs = all_of(vpcs_),
                                         .secrets = all_of(secrets_)},
                                        certificates_);
    certificates_.forget_unused();
    named_services_ = std::move(config.services);
    named_secrets_ = std::move(config.secrets);
    const Status applied = proxy_.apply(config);
    if (applied) return kube::Outcome::done();
    // A VPC's service endpoint comes a moment after the VPC; that is no reason for a growing back-off.
    if (applied.error().code == Code::not_found || applied.error().code == Code::timeout)
        return kube::Outcome::again(listen_retry);
    return kube::Outcome::failed(applied.error());
}

}  // namespace weft::alb
