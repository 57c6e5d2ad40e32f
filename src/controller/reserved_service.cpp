// Reserved Services: default/kubernetes (.1) and kube-system/kube-dns (.10) of the default VPC's Service CIDR, and
// where `kubernetes` leads: on each node to that node's own host address, where the API server is reached (design.md
// §5.1). In other VPCs the same two addresses work without objects (docs/design/objects.md).
#include <fmt/format.h>

#include "cloud/annotations.h"
#include "controller/reconcilers.h"
#include "controller/slices.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

constexpr int64_t api_port = 6443;  // on every node's host address
const ObjectKey kubernetes_key{"default", "kubernetes"};
const ObjectKey dns_key{"kube-system", "kube-dns"};

json::Object port(std::string_view name, std::string_view protocol, int64_t number, int64_t target) {
    return {{"name", name}, {"protocol", protocol}, {"port", number}, {"targetPort", target}};
}

Object kubernetes_service(const cloud::Vpc& vpc) {
    Object service = Object::of(kube::services, kubernetes_key);
    service.set_label("component", "apiserver");
    service.set_label("provider", "kubernetes");
    service.set({"spec"}, json::Object{{"type", "ClusterIP"},
                                       {"clusterIP", cloud::kubernetes_address(vpc).text()},
                                       {"ports", json::Array{port("https", "TCP", 443, api_port)}}});
    return service;
}

Object dns_service(const cloud::Vpc& vpc) {
    Object service = Object::of(kube::services, dns_key);
    service.set_label("k8s-app", "kube-dns");
    service.set_label("kubernetes.io/name", "CoreDNS");
    service.set({"spec"},
                json::Object{{"type", "ClusterIP"},
                             {"clusterIP", cloud::dns_address(vpc).text()},
                             {"ipFamilyPolicy", "PreferDualStack"},
                             {"ports", json::Array{port("dns", "UDP", 53, 53), port("dns-tcp", "TCP", 53, 53)}}});
    return service;
}

Status ensure_service(World& world, const Object& wanted) {
    const ObjectPtr existing = world.services.get(wanted.key());
    if (!existing) {
        const auto created = world.services.create(wanted);
        if (!created && created.error().code != Code::already_exists) return fail(created.error());
        return {};
    }
    if (existing->string({"spec", "clusterIP"}) != wanted.string({"spec", "clusterIP"}))
        world.events.warning(
            *existing, "ReservedAddressMismatch",
            fmt::format("spec.clusterIP: {}: the default VPC reserves {} for this Service; delete it to have it "
                        "made anew",
                        existing->string({"spec", "clusterIP"}), wanted.string({"spec", "clusterIP"})));
    return {};
}

Object wanted_slice(const World& world) {
    Object slice = Object::of(kube::endpoint_slices, kubernetes_key);
    slice.set_label(service_name_label, kubernetes_key.name);
    slice.set({"addressType"}, "IPv4");
    slice.set({"ports"}, json::Array{json::Object{{"name", "https"}, {"protocol", "TCP"}, {"port", api_port}}});
    json::Array endpoints;
    world.nodes.for_each([&](const ObjectPtr& node) {
        const std::string_view host = node->annotation(cloud::host_address_annotation);
        if (host.empty()) return;
        const bool ready = is_ready(*node);
        endpoints.push_back(
            json::Object{{"addresses", json::Array{host}},
                         {"conditions", json::Object{{"ready", ready}, {"serving", ready}, {"terminating", false}}},
                         {"nodeName", node->name()}});
    });
    slice.set({"endpoints"}, std::move(endpoints));
    return slice;
}

Status ensure_slice(World& world) {
    const Object wanted = wanted_slice(world);
    const ObjectPtr existing = world.endpoint_slices.get(kubernetes_key);
    if (!existing) {
        const auto created = world.endpoint_slices.create(wanted);
        if (!created && created.error().code != Code::already_exists) return fail(created.error());
        return {};
    }
    Object next = *existing;
    for (const std::string_view part : {"endpoints", "ports"}) next.set({part}, *wanted.find({part}));
    next.set_label(service_name_label, kubernetes_key.name);
    return world.endpoint_slices.put(*existing, next);
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const auto vpcs = world.valid_vpcs();
    const cloud::Vpc* const vpc = cloud::default_vpc(vpcs);
    const ObjectPtr ns = world.namespaces.get(key.ns);
    if (vpc == nullptr || !ns || ns->deleting()) return Outcome::done();
    if (key == dns_key) return settle(ensure_service(world, dns_service(*vpc)));
    const Status service = ensure_service(world, kubernetes_service(*vpc));
    return settle(service ? ensure_slice(world) : service);
}

}  // namespace

bool is_reserved_service(const ObjectKey& key) { return key == kubernetes_key || key == dns_key; }

void add_reserved_service_reconciler(World& world) {
    auto& queue = world.brain.add_reconciler("reserved_service",
                                             [&world](const ObjectKey& key) { return reconcile(world, key); });
    const auto both = [&queue](const ObjectPtr&, const ObjectPtr&) {
        queue.add(kubernetes_key);
        queue.add(dns_key);
    };
    world.vpcs.on_change(both);
    world.namespaces.on_change(both);
    world.nodes.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        const bool same =
            before && after && is_ready(*before) == is_ready(*after) &&
            before->annotation(cloud::host_address_annotation) == after->annotation(cloud::host_address_annotation);
        if (!same) queue.add(kubernetes_key);
    });
    const auto of_ours = [&queue](const ObjectPtr& before, const ObjectPtr& after) {
        const ObjectKey key = (after ? after : before)->key();
        if (is_reserved_service(key)) queue.add(key);
    };
    world.services.on_change(of_ours);
    world.endpoint_slices.on_change(of_ours);
}

}  // namespace weft::controller
