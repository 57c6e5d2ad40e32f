// World: what the pods' side of the runtime needs from the rest: clock, caches, names, hands. One per process, outlives
// all. Threads: the brain's, but for the members that say otherwise themselves.
#pragma once
#include "kube/brain.h"
#include "runtime/account.h"
#include "runtime/hands.h"
#include "runtime/images.h"
#include "runtime/pod_files.h"
#include "runtime/references.h"
#include "runtime/sandbox.h"

namespace weft::runtime {

struct World {
    const Options& options;
    kube::Client& client;
    kube::Brain& brain;
    kube::EventRecorder& events;
    const SandboxMaker& sandboxes;
    Hands& makers;  // sandboxes
    Hands& askers;  // probes
    Hands& hooks;   // lifecycle hooks
    Hands& token_askers;
    std::stop_token stop;
    const kube::Cache& pods;
    const kube::Cache& config_maps;
    const kube::Cache& secrets;
    const kube::Cache& service_accounts;
    const kube::Cache& services;
    const kube::Cache& namespaces;
    const kube::Cache& vpcs;
    std::string host_ip;
    std::string host_ipv6;  // "" = the node has none
    RequestToken request_token{};  // empty: pods get no tokens

    // The VPC of a namespace as its pods see it.
    struct VpcView {
        std::string cluster_dns, api_host;  // "" while there is no VPC
        std::string dns_namespace;
    };
    VpcView vpc_view(std::string_view ns) const;
    References references(const std::string& ns, const std::vector<std::string>& pod_ips) const;
    // All Services of the namespace, by name.
    std::vector<kube::ObjectPtr> services_in(std::string_view ns) const;
    Result<Image> image(std::string_view name) const;
};

}  // namespace weft::runtime
