#include "controller/pod_profile.h"

#include <fmt/format.h>

#include "base/log.h"
#include "cloud/annotations.h"

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

// A stateful owner gives the next pod the same name; no owner means that a person did.
bool has_fixed_name(const Object& pod) {
    for (const kube::OwnerReference& owner : pod.owners())
        if (owner.controller) return owner.kind.ends_with("StatefulSet");
    return true;
}

// Of two parts both must match; without any it matches nothing by itself.
bool selects(const json::Value& selector, std::string_view object_part, std::string_view namespace_part,
             const Object& pod, const kube::Labels& namespace_labels) {
    const json::Value* const by_pod = json::find(selector, {object_part});
    const json::Value* const by_namespace = json::find(selector, {namespace_part});
    if (by_pod != nullptr && !kube::selector_matches(by_pod, pod.labels())) return false;
    return by_namespace == nullptr || kube::selector_matches(by_namespace, namespace_labels);
}

bool is_of_vpc(const NetworkingState& state, const World& world, std::string_view ns) {
    const auto vpc = world.vpc_of(ns);
    return vpc && std::all_of(state.vswitches.begin(), state.vswitches.end(),
                              [&](const cloud::VSwitch& vswitch) { return vswitch.vpc == vpc->name; });
}

Status add_pod_networking(World& world, const Object& pod, const kube::Labels& namespace_labels, Additions& additions,
                          std::vector<std::string>& applied) {
    if (pod.boolean({"spec", "hostNetwork"}) || pod.labels().contains(std::string(cloud::ignored_label))) return {};
    const auto list = TRY(world.client().list(kube::pod_networkings));
    for (const Object& object : list.items) {
        const json::Value* const selector = object.find({"spec", "selector"});
        const bool has_parts = selector != nullptr &&
                               (json::has(*selector, {"podSelector"}) || json::has(*selector, {"namespaceSelector"}));
        if (object.deleting() || !has_parts) continue;
        if (!selects(*selector, "podSelector", "namespaceSelector", pod, namespace_labels)) continue;
        const NetworkingState state = judge_pod_networking(world, object);
        if (!state.problem.empty() || !is_of_vpc(state, world, pod.ns())) continue;
        const cloud::PodNetworking networking = MUST(cloud::parse_pod_networking(object.body()));
        if (networking.allocation.is_fixed && !has_fixed_name(pod)) continue;
        add_annotation(additions, pod, cloud::pod_networking_annotation, networking.name);
        add_annotation(additions, pod, cloud::pod_eni_annotation, "true");
        if (!networking.vswitches.empty())
            add_annotation(additions, pod, cloud::vswitch_ids_annotation, joined(networking.vswitches));
        if (!networking.security_groups.empty())
            add_annotation(additions, pod, cloud::security_group_ids_annotation, joined(networking.security_groups));
        applied.push_back("podnetworking/" + networking.name);
        break;
    }
    return {};
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

Result<Additions> additions_for(World& world, const Object& pod) {
    Additions additions;
    if (!pod.annotation(cloud::profiled_annotation).empty()) return additions;
    const Object ns = TRY(world.client().get(kube::namespaces, {"", std::string(pod.ns())}));
    const kube::Labels namespace_labels = ns.labels();
    std::vector<std::string> applied;
    TRY(add_pod_networking(world, pod, namespace_labels, additions, applied));
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
