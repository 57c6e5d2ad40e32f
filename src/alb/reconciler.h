// Reconciler: from caches to the proxy. One key stands for the whole configuration: whatever changes, it is compiled
// anew and applied. Changes of Services and EndpointSlices that no Ingress names are passed over. Threads: the brain's.
#pragma once
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "alb/config.h"
#include "alb/proxy.h"
#include "kube/brain.h"

namespace weft::alb {

class Reconciler {
public:
    // All must outlive the brain's run.
    Reconciler(kube::Brain& brain, Proxy& proxy, kube::EventRecorder& events);

private:
    kube::Outcome reconcile();
    void report(const std::vector<Problem>& problems);
    void watch_all(const kube::Cache& cache);
    void watch_named(const kube::Cache& cache, std::function<kube::ObjectKey(const kube::Object&)> service_of);

    Proxy& proxy_;
    kube::EventRecorder& events_;
    const kube::Cache &ingresses_, &ingress_classes_, &services_, &endpoint_slices_, &namespaces_, &vpcs_;
    kube::Brain::Queue& queue_;
    std::set<kube::ObjectKey> named_services_;
    std::set<std::pair<std::string, std::string>> reported_;  // (Ingress uid, message)
    kube::Brain& brain_;
};

}  // namespace weft::alb
