#include "kube/resource.h"

namespace weft::kube {

std::string Resource::api_version() const {
    return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

std::string Resource::path(std::string_view ns, std::string_view name) const {
    std::string path = group.empty() ? "/api/" : "/apis/";
    path += api_version();
    if (namespaced && !ns.empty()) {
        path += "/namespaces/";
        path += ns;
    }
    path += '/';
    path += plural;
    if (!name.empty()) {
        path += '/';
        path += name;
    }
    return path;
}

const Resource* find_resource(std::string_view api_version, std::string_view kind) {
    static constexpr Resource endpoints{"", "v1", "endpoints", "Endpoints", true};  // only the controller deals with them
    static constexpr Resource all[] = {
        namespaces,     nodes,         pods,        services,      config_maps,    secrets,
        service_accounts, events,      endpoint_slices, leases,    deployments,    replica_sets,
        stateful_sets,  ingresses,     ingress_classes, custom_resource_definitions, vpcs, vswitches,
        address_pools,  address_blocks, security_groups, controller_revisions,
        route_tables, vpc_peerings, pod_networkings, pod_enis, endpoints,
    };
    for (const Resource& resource : all)
        if (resource.kind == kind && resource.api_version() == api_version) return &resource;
    return nullptr;
}

}  // namespace weft::kube
