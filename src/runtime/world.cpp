#include "runtime/world.h"

#include "base/log.h"
#include "cloud/annotations.h"
#include "cloud/vpc.h"

namespace weft::runtime {

World::VpcView World::vpc_view(std::string_view ns) const {
    const kube::ObjectPtr space = namespaces.get(ns);
    VpcView view;
    view.dns_namespace = ns;
    std::string_view wanted;
    if (space) {
        wanted = space->annotation(cloud::vpc_annotation);
        if (const std::string_view name = space->annotation(cloud::dns_namespace_annotation); !name.empty())
            view.dns_namespace = name;
    }
    std::vector<cloud::Vpc> parsed;
    vpcs.for_each([&](const kube::ObjectPtr& object) {
        if (Result<cloud::Vpc> vpc = cloud::parse_vpc(object->body())) parsed.push_back(std::move(*vpc));
    });
    const cloud::Vpc* mine = nullptr;
    if (wanted.empty()) mine = cloud::default_vpc(parsed);
    for (const cloud::Vpc& vpc : parsed)
        if (vpc.name == wanted) mine = &vpc;
    if (mine != nullptr) {
        view.cluster_dns = cloud::dns_address(*mine).text();
        view.api_host = cloud::kubernetes_address(*mine).text();
    }
    return view;
}

References World::references(const std::string& ns, const std::vector<std::string>& pod_ips) const {
    const auto from = [ns](const kube::Cache& cache) {
        return [ns, &cache](std::string_view name) { return cache.get(kube::ObjectKey{ns, std::string(name)}); };
    };
    return {from(config_maps), from(secrets), host_ip, pod_ips, host_ipv6};
}

std::vector<kube::ObjectPtr> World::services_in(std::string_view ns) const {
    std::vector<kube::ObjectPtr> found;
    services.for_each_in(ns, [&](const kube::ObjectPtr& service) { found.push_back(service); });
    return found;
}

Result<Image> World::image(std::string_view name) const {
    // Read each time: it is one small file, and an edit then counts at the next start.
    const ImageTable table = TRY(ImageTable::read(options.instance.state_dir() + "/images.yaml", options.self_binary));
    return table.find(name);
}

}  // namespace weft::runtime
