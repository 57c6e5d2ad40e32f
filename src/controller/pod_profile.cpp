#include "controller/pod_profile.h"

#include <fmt/format.h>

#include "base/log.h"
#include "cloud/annotations.h"
#include "cloud/pod_networks.h"

namespace weft::controller {
namespace {

using kube::Object;

constexpr std::string_view nothing_added = "none";

void add_missing(json::Object& to, const Object& pod, json::Path place, std::string_view key, std::string_view value) {
    const json::Value* const own = pod.find(place);
    const bool has_own = own != nullptr && own->is_object() && own->get_object().contains(key);
    if (!has_own && !to.contains(key)) to[key] = value;
}

void add_annotation(Additions& additions, const Object& pod, std::string_view key, std::string_view value) {
    add_missing(additions.annotations, pod, {"metadata", "annotations"}, key, value);
}

std::string joined(const std::vector<std::string>& list) {
    std::string text;
    for (const std::string& item : list) text += (text.empty() ? "" : ",") + item;
    return text;
}

// Of two parts both must match; without any it matches nothing by itself.
bool selects(const json::Value& selector, std::string_view object_part, std::string_view namespace_part,
             const Object& pod, const kube::Labels& namespace_labels) {
    const json::Value* const by_pod = json::find(selector, {object_part});
    const json::Value* const by_namespace = json::find(selector, {namespace_part});
    if (by_pod != nullptr && !kube::selector_matches(by_pod, pod.labels())) return false;
    return by_namespace == nullptr || kube::selector_matches(by_namespace, namespace_labels);
}

void add_network(const cloud::PodNetworking& network, const Object& pod, Additions& additions) {
    add_annotation(additions, pod, cloud::pod_eni_annotation, "true");
    if (!network.vswitches.empty())
        add_annotation(additions, pod, cloud::vswitch_ids_annotation, joined(network.vswitches));
    if (!network.security_groups.empty())
        add_annotation(additions, pod, cloud::security_group_ids_annotation, joined(network.security_groups));
}

// The one that the pod asks for itself; false: it cannot be used now, and its scheduler says why.
Result<bool> add_own_network(World& world, const Object& pod, const cloud::OwnNetwork& own, Additions& additions,
                             std::vector<std::string>& applied) {
    if (own.spelled_out) {
        add_network(*own.spelled_out, pod, additions);
        applied.emplace_back("pod-networks");
        return true;
    }
    const auto object = world.client().get(kube::pod_networkings, {"", own.named});
    if (!object && object.error().code != Code::not_found) return fail(object.error());
    if (!object || !why_not(world, pod, *object).empty()) return false;
    add_network(MUST(cloud::parse_pod_networking(object->body())), pod, additions);
    applied.push_back("podnetworking/" + own.named);
    return true;
}

// The first that selects the pod, unless it asks for one itself; false as above.
Result<bool> add_pod_networking(World& world, const Object& pod, const kube::Labels& namespace_labels,
                                Additions& additions, std::vector<std::string>& applied) {
    if (cloud::is_left_alone(pod.body())) return true;
    const auto own = cloud::own_network(pod.body());
    if (!own) return false;
    if (own->is_there()) return add_own_network(world, pod, *own, additions, applied);
    const auto list = TRY(world.client().list(kube::pod_networkings));
    for (const Object& object : list.items) {
        const json::Value* const selector = object.find({"spec", "selector"});
        const bool has_parts = selector != nullptr &&
                               (json::has(*selector, {"podSelector"}) || json::has(*selector, {"namespaceSelector"}));
        if (object.deleting() || !has_parts) continue;
        if (!selects(*selector, "podSelector", "namespaceSelector", pod, namespace_labels)) continue;
        if (!why_not(world, pod, object).empty()) continue;
        const cloud::PodNetworking networking = MUST(cloud::parse_pod_networking(object.body()));
        add_annotation(additions, pod, cloud::pod_networking_annotation, networking.name);
        add_network(networking, pod, additions);
        applied.push_back("podnetworking/" + networking.name);
        break;
    }
    return true;
}

void add_effect(const json::Value& selector, const Object& pod, Additions& additions) {
    const auto add_all = [&](std::string_view part, json::Object& to) {
        const json::Object* const wanted = json::find_object(selector, {"effect", part});
        if (wanted == nullptr) return;
        for (const auto& pair : *wanted) {
            if (!pair.value().is_string()) continue;
            add_missing(to, pod, {"metadata", part}, {pair.key().data(), pair.key().size()},
                        json::view(pair.value().get_string()));
        }
    };
    add_all("annotations", additions.annotations);
    add_all("labels", additions.labels);
}

Status add_profile(World& world, const Object& pod, const kube::Labels& namespace_labels, Additions& additions,
                   std::vector<std::string>& applied) {
    const auto profile = world.client().get(kube::config_maps, {"kube-system", "acs-profile"});
    if (!profile && profile.error().code != Code::not_found) return fail(profile.error());
    if (!profile || profile->string({"data", "selectors"}).empty()) return {};
    const auto refuse = [&](const std::string& message) -> Status {
        world.events.warning(*profile, "InvalidSelectors", "data.selectors: " + message);
        return {};
    };
    const auto selectors = json::parse(profile->string({"data", "selectors"}));
    if (!selectors) return refuse(selectors.error().message);
    if (!selectors->is_array()) return refuse("must be a JSON array");
    for (const json::Value& selector : selectors->get_array()) {
        const std::string_view name = json::find_string(selector, {"name"});
        if (name.empty()) {
            (void)refuse("a selector without a name is not used");
            continue;
        }
        if (!selects(selector, "objectSelector", "namespaceSelector", pod, namespace_labels)) continue;
        add_effect(selector, pod, additions);
        applied.emplace_back(name);
    }
    return {};
}

}  // namespace

NetworkingState judge_pod_networking(World& world, const Object& object) {
    NetworkingState state;
    const auto networking = cloud::parse_pod_networking(object.body());
    if (!networking) return {{}, networking.error().message};
    std::vector<std::string> missing;
    for (const std::string& id : networking->vswitches) {
        const kube::ObjectPtr cached = world.vswitches.get(id);
        const auto live = cached ? Result<Object>(*cached) : world.client().get(kube::vswitches, {"", id});
        const auto vswitch = live ? cloud::parse_vswitch(live->body()) : fail(live.error());
        if (vswitch)
            state.vswitches.push_back(*vswitch);
        else
            missing.push_back(id);
    }
    if (!missing.empty()) state.problem = fmt::format("spec.vSwitchOptions: vSwitch {} not found", name_list(missing));
    return state;
}

// A stateful owner gives the next pod the same name; no owner means that a person did.
bool has_lasting_name(const Object& pod) {
    for (const kube::OwnerReference& owner : pod.owners())
        if (owner.controller) return owner.kind.ends_with("StatefulSet");
    return true;
}

std::string why_not(World& world, const Object& pod, const Object& pod_networking) {
    if (pod_networking.deleting()) return "it is being deleted";
    const NetworkingState state = judge_pod_networking(world, pod_networking);
    if (!state.problem.empty()) return state.problem;
    const auto vpc = world.vpc_of(pod.ns());
    if (!vpc) return std::string(vpc.error().message);
    for (const cloud::VSwitch& vswitch : state.vswitches) {
        if (vswitch.vpc != vpc->name)
            return fmt::format("vSwitch {} belongs to VPC {}, the pod to VPC {}", vswitch.name, vswitch.vpc, vpc->name);
    }
    const auto networking = cloud::parse_pod_networking(pod_networking.body());
    if (networking && networking->allocation.is_fixed && !has_lasting_name(pod))
        return "it keeps addresses for names, and this pod's name does not last";
    return "";
}

Result<Additions> additions_for(World& world, const Object& pod) {
    Additions additions;
    if (!pod.annotation(cloud::profiled_annotation).empty()) return additions;
    const Object ns = TRY(world.client().get(kube::namespaces, {"", std::string(pod.ns())}));
    const kube::Labels namespace_labels = ns.labels();
    std::vector<std::string> applied;
    if (!TRY(add_pod_networking(world, pod, namespace_labels, additions, applied))) return Additions{};
    TRY(add_profile(world, pod, namespace_labels, additions, applied));
    additions.annotations[cloud::profiled_annotation] = applied.empty() ? std::string(nothing_added) : joined(applied);
    return additions;
}

void add_to(Object& pod, const Additions& additions) {
    for (const auto& pair : additions.annotations)
        pod.set_annotation({pair.key().data(), pair.key().size()}, json::view(pair.value().get_string()));
    for (const auto& pair : additions.labels)
        pod.set_label({pair.key().data(), pair.key().size()}, json::view(pair.value().get_string()));
}

}  // namespace weft::controller
