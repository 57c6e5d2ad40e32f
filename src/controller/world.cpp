#include "controller/world.h"

#include <set>

#include <fmt/format.h>

#include "cloud/annotations.h"

namespace weft::controller {
namespace {

constexpr size_t listed_names_max = 5;
constexpr std::string_view default_class_annotation = "ingressclass.kubernetes.io/is-default-class";

kube::ListOptions in_namespace(std::string ns, std::string field_selector = {}) {
    return {std::move(ns), {}, std::move(field_selector)};
}

}  // namespace

World::World(kube::Brain& brain, std::string region)
    : brain(brain),
      clock(brain.clock()),
      region(std::move(region)),
      events(brain.client(), "weft-controller", brain.clock()),
      namespaces(brain, kube::namespaces),
      nodes(brain, kube::nodes),
      node_leases(brain, kube::leases, in_namespace("kube-node-lease")),
      pods(brain, kube::pods),
      services(brain, kube::services),
      endpoint_slices(brain, kube::endpoint_slices),
      deployments(brain, kube::deployments),
      replica_sets(brain, kube::replica_sets),
      ingresses(brain, kube::ingresses),
      ingress_classes(brain, kube::ingress_classes),
      service_accounts(brain, kube::service_accounts),
      acs_profiles(brain, kube::config_maps, in_namespace("kube-system", "metadata.name=acs-profile")),
      vpcs(brain, kube::vpcs),
      vswitches(brain, kube::vswitches),
      address_pools(brain, kube::address_pools),
      address_blocks(brain, kube::address_blocks),
      security_groups(brain, kube::security_groups) {}

std::vector<cloud::Vpc> World::valid_vpcs() const {
    std::vector<cloud::Vpc> valid;
    vpcs.for_each([&](const kube::ObjectPtr& object) {
        if (auto vpc = cloud::parse_vpc(object->body())) valid.push_back(std::move(*vpc));
    });
    return valid;
}

std::vector<cloud::VSwitch> World::valid_vswitches() const {
    std::vector<cloud::VSwitch> valid;
    vswitches.for_each([&](const kube::ObjectPtr& object) {
        if (auto vswitch = cloud::parse_vswitch(object->body())) valid.push_back(std::move(*vswitch));
    });
    return valid;
}

Result<cloud::Vpc> World::vpc_of(std::string_view ns) const {
    const kube::ObjectPtr object = namespaces.get(ns);
    if (!object) return fail(Code::not_found, fmt::format("namespace {} does not exist", ns));
    return cloud::vpc_of_namespace(object->body(), valid_vpcs());
}

kube::ObjectPtr World::acs_profile() const { return acs_profiles.get(kube::ObjectKey{"kube-system", "acs-profile"}); }

std::vector<cloud::Block> World::blocks_of(const cloud::VSwitch& vswitch) const {
    std::vector<cloud::Block> blocks;
    address_blocks.for_each([&](const kube::ObjectPtr& object) {
        if (object->string({"spec", "vSwitch"}) != vswitch.name) return;
        if (auto block = cloud::parse_block(object->body(), vswitch)) blocks.push_back(std::move(*block));
    });
    return blocks;
}

std::vector<cloud::Need> World::needs_of(const cloud::VSwitch& vswitch) const {
    std::set<std::string_view> allocated;
    std::vector<kube::ObjectPtr> held;
    address_blocks.for_each([&](const kube::ObjectPtr& block) {
        if (block->string({"spec", "vSwitch"}) != vswitch.name) return;
        held.push_back(block);
        for (const json::Value& allocation : block->array({"status", "allocations"}))
            allocated.insert(json::find_string(allocation, {"uid"}));
    });
    std::map<std::string, uint32_t> waiting;
    pods.for_each([&](const kube::ObjectPtr& pod) {
        if (pod->annotation(cloud::chosen_vswitch_annotation) != vswitch.name) return;
        const std::string_view node = pod->string({"spec", "nodeName"});
        if (node.empty() || is_terminal(*pod) || pod->deleting() || allocated.contains(pod->uid())) return;
        ++waiting[std::string(node)];
    });
    std::vector<cloud::Need> needs;
    for (const auto& [node, count] : waiting) needs.push_back({node, count});
    return needs;
}

bool World::is_our_ingress(const kube::Object& ingress) const {
    const std::string_view named = ingress.string({"spec", "ingressClassName"});
    if (!named.empty()) {
        const kube::ObjectPtr wanted = ingress_classes.get(named);
        return wanted && wanted->string({"spec", "controller"}) == cloud::ingress_class_controller;
    }
    bool ours = false;
    ingress_classes.for_each([&](const kube::ObjectPtr& entry) {
        ours = ours || (entry->annotation(default_class_annotation) == "true" &&
                        entry->string({"spec", "controller"}) == cloud::ingress_class_controller);
    });
    return ours;
}

bool is_terminal(const kube::Object& pod) {
    const std::string_view phase = pod.string({"status", "phase"});
    return phase == "Succeeded" || phase == "Failed";
}

bool is_ready(const kube::Object& node_or_pod) { return kube::condition_is(node_or_pod, "Ready", "True"); }

std::string name_list(const std::vector<std::string>& names) {
    std::string text;
    for (size_t i = 0; i < names.size() && i < listed_names_max; ++i) text += (i == 0 ? "" : ", ") + names[i];
    if (names.size() > listed_names_max) text += fmt::format(" and {} more", names.size() - listed_names_max);
    return text;
}

}  // namespace weft::controller
