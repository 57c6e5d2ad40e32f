#include "alb/reconciler.h"

#include "alb/limits.h"
#include "base/log.h"

namespace weft::alb {

namespace {

const kube::ObjectKey whole_config{"", "config"};

std::vector<kube::ObjectPtr> all_of(const kube::Cache& cache) {
    std::vector<kube::ObjectPtr> objects;
    objects.reserve(cache.size());
    cache.for_each([&](const kube::ObjectPtr& object) { objects.push_back(object); });
    return objects;
}

}  // namespace

Reconciler::Reconciler(kube::Brain& brain, Proxy& proxy, kube::EventRecorder& events)
    : proxy_(proxy),
      events_(events),
      ingresses_(brain.watch(kube::ingresses)),
      ingress_classes_(brain.watch(kube::ingress_classes)),
      services_(brain.watch(kube::services)),
      endpoint_slices_(brain.watch(kube::endpoint_slices)),
      namespaces_(brain.watch(kube::namespaces)),
      vpcs_(brain.watch(kube::vpcs)),
      queue_(brain.add_reconciler("alb", [this](const kube::ObjectKey&) { return reconcile(); })),
      brain_(brain) {
    for (const auto* cache : {&ingresses_, &ingress_classes_, &namespaces_, &vpcs_}) watch_all(*cache);
    watch_named(services_, [](const kube::Object& service) { return service.key(); });
    watch_named(endpoint_slices_, [](const kube::Object& slice) {
        return kube::ObjectKey{std::string(slice.ns()), std::string(slice.label(service_name_label))};
    });
    brain.on_synced([this] { queue_.add(whole_config); });
}

void Reconciler::watch_all(const kube::Cache& cache) {
    brain_.on_change(cache, [this](const kube::ObjectPtr&, const kube::ObjectPtr&) { queue_.add(whole_config); });
}

void Reconciler::watch_named(const kube::Cache& cache,
                             std::function<kube::ObjectKey(const kube::Object&)> service_of) {
    brain_.on_change(cache, [this, service_of](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        const auto matters = [&](const kube::ObjectPtr& object) {
            return object && named_services_.contains(service_of(*object));
        };
        if (matters(before) || matters(after)) queue_.add(whole_config);
    });
}

kube::Outcome Reconciler::reconcile() {
    AlbConfig config = compile({.ingresses = all_of(ingresses_),
                                .ingress_classes = all_of(ingress_classes_),
                                .services = all_of(services_),
                                .endpoint_slices = all_of(endpoint_slices_),
                                .namespaces = all_of(namespaces_),
                                .vpcs = all_of(vpcs_)});
    named_services_ = std::move(config.services);
    const Status applied = proxy_.apply(config);
    report(config.problems);
    if (applied) return kube::Outcome::done();
    // A VPC's service endpoint comes a moment after the VPC; that is no reason for a growing back-off.
    if (applied.error().code == Code::not_found || applied.error().code == Code::timeout)
        return kube::Outcome::again(listen_retry);
    return kube::Outcome::failed(applied.error());
}

// Each problem once, and again when it comes back.
void Reconciler::report(const std::vector<Problem>& problems) {
    std::set<std::pair<std::string, std::string>> now;
    for (const auto& problem : problems) {
        const auto& [entry, is_new] = now.emplace(problem.ingress->uid(), problem.message);
        if (!is_new || reported_.contains(*entry)) continue;
        log::warning(
            "ingress problem",
            {{"ingress", problem.ingress->key().text()}, {"reason", problem.reason}, {"problem", problem.message}});
        events_.warning(*problem.ingress, problem.reason, problem.message);
    }
    reported_ = std::move(now);
}

}  // namespace weft::alb
