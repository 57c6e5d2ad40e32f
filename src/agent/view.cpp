#include "agent/view.h"

#include "cloud/annotations.h"

namespace weft::agent {
namespace {

constexpr std::string_view service_name_label = "kubernetes.io/service-name";

Result<net::Address> annotated_address(const View& view, std::string_view annotation) {
    const kube::ObjectPtr node = view.nodes.get(view.node_name);
    if (!node) return fail(Code::unavailable, "Node " + view.node_name + " is not known yet");
    const std::string_view text = node->annotation(annotation);
    if (text.empty())
        return fail(Code::unavailable, "Node " + view.node_name + " has no " + std::string(annotation) + " yet");
    return net::Address::parse(text);
}

std::string node_of_block(const kube::Object& block) { return std::string(block.string({"spec", "node"})); }

std::string service_of_slice(const kube::Object& slice) {
    const std::string_view service = slice.label(service_name_label);
    return service.empty() ? "" : kube::ObjectKey{std::string(slice.ns()), std::string(service)}.text();
}

}  // namespace

View::View(kube::Brain& brain, std::string node)
    : node_name(std::move(node)),
      namespaces(brain.watch(kube::namespaces)),
      vpcs(brain.watch(kube::vpcs)),
      vswitches(brain.watch(kube::vswitches)),
      blocks(brain.watch(kube::address_blocks)),
      nodes(brain.watch(kube::nodes, {.field_selector = "metadata.name=" + node_name})),
      pods(brain.watch(kube::pods, {.field_selector = "spec.nodeName=" + node_name})),
      services(brain.watch(kube::services)),
      slices(brain.watch(kube::endpoint_slices)),
      route_tables(brain.watch(kube::route_tables)),
      blocks_by_node(ObjectIndex::of(brain, blocks, node_of_block)),
      slices_by_service(ObjectIndex::of(brain, slices, service_of_slice)) {}

std::vector<cloud::Vpc> View::all_vpcs() const {
    std::vector<cloud::Vpc> all;
    vpcs.for_each([&](const kube::ObjectPtr& object) {
        if (auto parsed = cloud::parse_vpc(object->body()); parsed && parsed->vni != 0)
            all.push_back(std::move(*parsed));
    });
    return all;
}

Result<cloud::Vpc> View::vpc(std::string_view name) const {
    const kube::ObjectPtr object = vpcs.get(name);
    if (!object) return fail(Code::not_found, "VPC " + std::string(name));
    cloud::Vpc parsed = TRY_IN("VPC " + std::string(name), cloud::parse_vpc(object->body()));
    if (parsed.vni == 0) return fail(Code::unavailable, "VPC " + parsed.name + " has no number yet");
    return parsed;
}

Result<cloud::Vpc> View::vpc_of_namespace(std::string_view ns) const {
    const kube::ObjectPtr object = namespaces.get(ns);
    if (!object) return fail(Code::not_found, "Namespace " + std::string(ns));
    // Of a hundred VPCs only those that may be the one are read.
    const std::string_view named = object->annotation(cloud::vpc_annotation);
    std::vector<cloud::Vpc> possible;
    const auto add = [&](const kube::ObjectPtr& vpc) {
        if (auto parsed = cloud::parse_vpc(vpc->body()); parsed && parsed->vni != 0)
            possible.push_back(std::move(*parsed));
    };
    if (!named.empty()) {
        if (const kube::ObjectPtr vpc = vpcs.get(named)) add(vpc);
    } else {
        vpcs.for_each([&](const kube::ObjectPtr& vpc) {
            if (vpc->boolean({"spec", "default"})) add(vpc);
        });
    }
    return cloud::vpc_of_namespace(object->body(), possible);
}

Result<cloud::VSwitch> View::vswitch(std::string_view name) const {
    const kube::ObjectPtr object = vswitches.get(name);
    if (!object) return fail(Code::not_found, "VSwitch " + std::string(name));
    return cloud::parse_vswitch(object->body());
}

std::vector<Block> View::my_blocks() const {
    std::vector<Block> mine;
    for (const auto& [key, object] : blocks_by_node->under(node_name))
        if (auto parsed = parse_block(object->body())) mine.push_back(std::move(*parsed));
    return mine;
}

std::vector<kube::ObjectPtr> View::slices_of(const kube::ObjectKey& service) const {
    std::vector<kube::ObjectPtr> found;
    for (const auto& [key, slice] : slices_by_service->under(service.text())) found.push_back(slice);
    return found;
}

Result<net::Address> View::service_address() const {
    return annotated_address(*this, cloud::service_address_annotation);
}

Result<net::Address> View::host_address() const { return annotated_address(*this, cloud::host_address_annotation); }

}  // namespace weft::agent
