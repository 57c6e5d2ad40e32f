// Reconciler: from caches to the proxy. One key stands for the whole configuration: whatever changes, it is compiled
// anew and applied. Changes of Services, EndpointSlices and Secrets that no Ingress names are passed over.
// Threads: the brain's.
#pragma once
#include <functional>
#include <set>

#include "alb/proxy.h"
#include "kube/brain.h"

namespace weft::alb {

class Reconciler {
public:
    // All must outlive the brain's run.
    Reconciler(kube::Brain& brain, Proxy& proxy, Certificates certificates);

private:
    kube::Outcome reconcile();
    void watch_all(const kube::Cache& cache);
    // Only changes of objects whose key is in `named` matter.
    void watch_named(const kube::Cache& cache, const std::set<kube::ObjectKey>& named,
                     std::function<kube::ObjectKey(const kube::Object&)> key_of);

    Proxy& proxy_;
    const kube::Cache &ingresses_, &ingress_classes_, &services_, &endpoint_slices_, &namespaces_, &vpcs_, &secrets_;
    kube::Brain::Queue& queue_;
    std::set<kube::ObjectKey> named_services_, named_secrets_;
    Certificates certificates_;
    kube::Brain& brain_;
};

}  // namespace weft::alb
