#include "controller/world.h"

#include <set>

#include <fmt/format.h>

#include "cloud/annotations.h"
#include "controller/reservations.h"
#include "controller/slices.h"

namespace weft::controller {
namespace {

constexpr size_t listed_names_max = 5;
constexpr Duration loose_wish_lifetime = std::chrono::seconds(20);
constexpr std::string_view default_class_annotation = "ingressclass.kubernetes.io/is-default-class";

kube::ListOptions in_namespace(std::string ns, std::string field_selector = {}) {
    return {std::move(ns), {}, std::move(field_selector)};
}

std::string_view key_view(const json::Object::value_type& pair) { return {pair.key().data(), pair.key().size()}; }

std::string label_text(std::string_view ns, std::string_view label, std::string_view value) {
    return fmt::format("{}/{}={}", ns, label, value);
}

void add_labels(const kube::Object& pod, std::set<std::string>& texts) {
    for (const auto& [label, value] : pod.labels()) texts.insert(label_text(pod.ns(), label, value));
}

void add_node(const kube::Object& pod, std::set<std::string>& texts) {
    if (!is_terminal(pod)) texts.emplace(pod.string({"spec", "nodeName"}));
}

void add_if_unbound(const kube::Object& pod, std::set<std::string>& texts) {
    if (!is_placed(pod) && !is_terminal(pod)) texts.emplace();
}

// Bound, but not seen with an address yet: what blocks may still be needed for.
void add_waiting_vswitch(const kube::Object& pod, std::set<std::string>& texts) {
    const bool waits = !pod.string({"spec", "nodeName"}).empty() && pod.string({"status", "podIP"}).empty() &&
                       !is_terminal(pod) && !pod.deleting() &&
                       pod.annotation(cloud::reserved_address_annotation).empty();
    if (waits) texts.emplace(pod.annotation(cloud::chosen_vswitch_annotation));
}

// Binding writes the address and the node at once: without a node it is a wish of the pod's author.
void add_if_reserved(const kube::Object& pod, std::set<std::string>& texts) {
    if (!pod.annotation(cloud::reserved_address_annotation).empty() && is_placed(pod) && !is_terminal(pod))
        texts.emplace(pod.annotation(cloud::chosen_vswitch_annotation));
}

void add_eni_vswitch(const kube::Object& eni, std::set<std::string>& texts) {
    for (const json::Value& allocation : eni.array({"spec", "allocations"}))
        texts.emplace(json::find_string(allocation, {"eni", "vSwitchID"}));
}

// One pair is enough to find it: a pod that matches has that label too.
void add_first_pair(const kube::Object& service, std::set<std::string>& texts) {
    if (!has_selector(service)) return;
    const auto& pair = *json::find_object(service.body(), {"spec", "selector"})->begin();
    if (pair.value().is_string())
        texts.insert(label_text(service.ns(), key_view(pair), json::view(pair.value().get_string())));
}

// Those that have, had or wait for an address from a pool.
void add_if_balanced(const kube::Object& service, std::set<std::string>& texts) {
    if (service.string({"spec", "type"}) == "LoadBalancer" || service.has_finalizer(cloud::load_balancer_finalizer))
        texts.emplace();
}

void add_service(const kube::Object& slice, std::set<std::string>& texts) {
    texts.insert(index_text(slice.ns(), slice.label(service_name_label)));
}

void add_vswitch(const kube::Object& block, std::set<std::string>& texts) {
    texts.emplace(block.string({"spec", "vSwitch"}));
}

void add_vpc(const kube::Object& vswitch, std::set<std::string>& texts) {
    texts.emplace(vswitch.string({"spec", "vpc"}));
}

// Only its own: anybody may write another's on a pod.
void add_interface(const kube::Object& pod, std::set<std::string>& texts) {
    const std::string_view id = pod.annotation(cloud::allocated_eni_annotation);
    if (!id.empty() && id == eni_id(pod.uid())) texts.emplace(id);
}

// The pods that routes of the table lead to, as the user wrote them.
void add_pod_hops(const kube::Object& table, std::set<std::string>& texts) {
    for (const json::Value& route : table.array({"spec", "routes"})) {
        const std::string_view type = json::find_string(route, {"nextHop", "type"});
        if (type == cloud::hop_type_name(cloud::HopType::instance) ||
            type == cloud::hop_type_name(cloud::HopType::network_interface))
            texts.emplace(json::find_string(route, {"nextHop", "id"}));
    }
}

void add_allocations(const kube::Object& block, std::set<std::string>& texts) {
    for (const json::Value& allocation : block.array({"status", "allocations"}))
        texts.emplace(json::find_string(allocation, {"uid"}));
}

}  // namespace

World::World(kube::Brain& brain, std::string region, std::string boot)
    : brain(brain),
      clock(brain.clock()),
      region(std::move(region)),
      boot(std::move(boot)),
      events(brain.client(), "weft-controller", brain.clock()),
      namespaces(brain, kube::namespaces),
      nodes(brain, kube::nodes),
      node_leases(brain, kube::leases, in_namespace("kube-node-lease")),
      pods(brain, kube::pods),
      services(brain, kube::services),
      endpoint_slices(brain, kube::endpoint_slices),
      deployments(brain, kube::deployments),
      replica_sets(brain, kube::replica_sets),
      stateful_sets(brain, kube::stateful_sets),
      controller_revisions(brain, kube::controller_revisions),
      ingresses(brain, kube::ingresses),
      ingress_classes(brain, kube::ingress_classes),
      service_accounts(brain, kube::service_accounts),
      acs_profiles(brain, kube::config_maps, in_namespace("kube-system", "metadata.name=acs-profile")),
      config_maps(brain, kube::config_maps),
      secrets(brain, kube::secrets, {.ns = {}, .label_selector = {}, .field_selector = {}, .metadata_only = true}),
      tls_secrets(brain, kube::secrets,
                  {.ns = {}, .label_selector = {}, .field_selector = "type=kubernetes.io/tls", .metadata_only = false}),
      vpcs(brain, kube::vpcs),
      vswitches(brain, kube::vswitches),
      address_pools(brain, kube::address_pools),
      address_blocks(brain, kube::address_blocks),
      security_groups(brain, kube::security_groups),
      route_tables(brain, kube::route_tables),
      vpc_peerings(brain, kube::vpc_peerings),
      pod_networkings(brain, kube::pod_networkings),
      pod_enis(brain, kube::pod_enis),
      pods_by_label(pods.add_index(add_labels)),
      pods_by_node(pods.add_index(add_node)),
      pods_without_node(pods.add_index(add_if_unbound)),
      pods_without_address(pods.add_index(add_waiting_vswitch)),
      services_by_selector(services.add_index(add_first_pair)),
      balanced_services(services.add_index(add_if_balanced)),
      slices_by_service(endpoint_slices.add_index(add_service)),
      blocks_by_vswitch(address_blocks.add_index(add_vswitch)),
      blocks_by_pod(address_blocks.add_index(add_allocations)),
      pods_by_interface(pods.add_index(add_interface)),
      tables_by_hop(route_tables.add_index(add_pod_hops)),
      vswitches_by_vpc(vswitches.add_index(add_vpc)),
      pods_with_reservation(pods.add_index(add_if_reserved)),
      enis_by_vswitch(pod_enis.add_index(add_eni_vswitch)) {}

std::vector<kube::ObjectPtr> World::pods_with(std::string_view ns, const json::Value* labels) const {
    std::string rarest;
    if (labels != nullptr && labels->is_object()) {
        for (const auto& pair : labels->get_object()) {
            if (!pair.value().is_string()) continue;
            std::string text = label_text(ns, key_view(pair), json::view(pair.value().get_string()));
            if (rarest.empty() || pods_by_label.keys(text).size() < pods_by_label.keys(rarest).size())
                rarest = std::move(text);
        }
    }
    if (!rarest.empty()) return pods.under(pods_by_label, rarest);
    std::vector<kube::ObjectPtr> all;
    pods.for_each_in(ns, [&](const kube::ObjectPtr& pod) { all.push_back(pod); });
    return all;
}

std::vector<kube::ObjectPtr> World::services_selecting(std::string_view ns, const kube::Labels& labels) const {
    std::vector<kube::ObjectPtr> matching;
    for (const auto& [label, value] : labels) {
        for (kube::ObjectPtr& service : services.under(services_by_selector, label_text(ns, label, value))) {
            if (kube::map_selector_matches(service->find({"spec", "selector"}), labels))
                matching.push_back(std::move(service));
        }
    }
    return matching;
}

kube::ObjectPtr World::block_of(const kube::Object& pod) const {
    const auto blocks = address_blocks.under(blocks_by_pod, pod.uid());
    return blocks.empty() ? nullptr : blocks.front();
}

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

std::optional<cloud::Vpc> World::valid_vpc(std::string_view name) const {
    const kube::ObjectPtr object = vpcs.get(name);
    if (!object) return std::nullopt;
    auto vpc = cloud::parse_vpc(object->body());
    return vpc ? std::optional(std::move(*vpc)) : std::nullopt;
}

std::vector<cloud::VSwitch> World::valid_vswitches_of(std::string_view vpc) const {
    std::vector<cloud::VSwitch> valid;
    for (const kube::ObjectPtr& object : vswitches.under(vswitches_by_vpc, vpc)) {
        if (auto vswitch = cloud::parse_vswitch(object->body())) valid.push_back(std::move(*vswitch));
    }
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
    for (const kube::ObjectPtr& object : address_blocks.under(blocks_by_vswitch, vswitch.name)) {
        auto block = cloud::parse_block(object->body(), vswitch);
        if (!block) continue;
        const kube::ObjectPtr node = nodes.get(block->node);
        block->reachable = node && is_ready(*node);
        blocks.push_back(std::move(*block));
    }
    return blocks;
}

std::vector<cloud::Need> World::needs_of(const cloud::VSwitch& vswitch) const {
    std::map<std::string, uint32_t> waiting;
    Membership members(*this, vswitch.vpc);
    for (const kube::ObjectPtr& pod : pods.under(pods_without_address, vswitch.name)) {
        if (members.has(pod->ns()) && !block_of(*pod)) ++waiting[std::string(pod->string({"spec", "nodeName"}))];
    }
    std::vector<cloud::Need> needs;
    for (const auto& [node, count] : waiting) needs.push_back({node, count});
    return needs;
}

void World::want_loose(std::string_view vswitch, const kube::ObjectKey& pod) {
    const bool is_new = loose_wishes_[std::string(vswitch)].insert_or_assign(pod, clock.now()).second;
    if (is_new && on_loose_wish) on_loose_wish(vswitch);
}

uint32_t World::loose_wanted(std::string_view vswitch) {
    const auto found = loose_wishes_.find(vswitch);
    if (found == loose_wishes_.end()) return 0;
    std::erase_if(found->second, [&](const auto& wish) {
        const kube::ObjectPtr pod = pods.get(wish.first);
        return !pod || !pod->string({"spec", "nodeName"}).empty() || clock.now() - wish.second > loose_wish_lifetime;
    });
    return uint32_t(found->second.size());
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

bool has_selector(const kube::Object& service) {
    const json::Object* const selector = json::find_object(service.body(), {"spec", "selector"});
    return selector != nullptr && !selector->empty() && service.string({"spec", "type"}) != "ExternalName";
}

std::string index_text(std::string_view ns, std::string_view name) { return fmt::format("{}/{}", ns, name); }

bool is_placed(const kube::Object& pod) {
    return !pod.string({"spec", "nodeName"}).empty() && !pod.annotation(cloud::chosen_vswitch_annotation).empty();
}

bool is_ready(const kube::Object& node_or_pod) { return kube::condition_is(node_or_pod, "Ready", "True"); }

std::string name_list(const std::vector<std::string>& names) {
    std::string text;
    for (size_t i = 0; i < names.size() && i < listed_names_max; ++i) text += (i == 0 ? "" : ", ") + names[i];
    if (names.size() > listed_names_max) text += fmt::format(" and {} more", names.size() - listed_names_max);
    return text;
}

}  // namespace weft::controller
