// Scheduler: gives a pod its vSwitch and its node in one patch. The vSwitches are tried in the pod's order
// (cloud/pod_network.h); of each, the Ready nodes of its zone that still have room in it; of those the one with the
// fewest pods, then by name. The zone of the vSwitch decides; node affinity is not read (spec/acs.md §3.1: the
// vSwitches win), nodeSelector and taints are.
#include <fmt/format.h>

#include "base/log.h"
#include "base/strings.h"
#include "cloud/annotations.h"
#include "controller/reconcilers.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

// Pods that wait are also looked at by time: room may come from a cool-down that no event tells of.
constexpr Duration look_again = std::chrono::seconds(5);
constexpr std::string_view reason_failed_scheduling = "FailedScheduling";

struct Choice {
    std::string node, vswitch;
};

bool tolerates(const Object& pod, const json::Value& taint) {
    for (const json::Value& toleration : pod.array({"spec", "tolerations"})) {
        const std::string_view key = json::find_string(toleration, {"key"});
        const std::string_view effect = json::find_string(toleration, {"effect"});
        if (!effect.empty() && effect != json::find_string(taint, {"effect"})) continue;
        if (!key.empty() && key != json::find_string(taint, {"key"})) continue;
        if (json::find_string(toleration, {"operator"}, "Equal") == "Exists" ||
            (!key.empty() && json::find_string(toleration, {"value"}) == json::find_string(taint, {"value"})))
            return true;
    }
    return false;
}

bool is_tainted_for(const Object& node, const Object& pod) {
    for (const json::Value& taint : node.array({"spec", "taints"})) {
        if (json::find_string(taint, {"effect"}) != "PreferNoSchedule" && !tolerates(pod, taint)) return true;
    }
    return false;
}

// Why nodes are out, as a person reads it: "0/3 nodes are available: 2 not Ready, 1 in another zone".
class Tally {
public:
    void count(const std::string& why) { ++by_reason_[why]; }

    std::string text(size_t nodes) const {
        std::string text = fmt::format("0/{} nodes are available", nodes);
        for (const auto& [why, n] : by_reason_) text += fmt::format("{} {} {}", text.back() == 'e' ? ":" : ",", n, why);
        return text;
    }

private:
    std::map<std::string, unsigned> by_reason_;
};

std::string unfit_reason(const Object& node, const Object& pod) {
    if (!is_ready(node)) return "not Ready";
    if (node.boolean({"spec", "unschedulable"})) return "unschedulable";
    if (const json::Value* const selector = pod.find({"spec", "nodeSelector"});
        selector != nullptr && selector->is_object()) {
        if (!selector->get_object().empty() && !kube::map_selector_matches(selector, node.labels()))
            return "not matching spec.nodeSelector";
    }
    if (is_tainted_for(node, pod)) return "tainted";
    return "";
}

std::map<std::string, unsigned> pods_per_node(const World& world) {
    std::map<std::string, unsigned> counts;
    world.nodes.for_each([&](const ObjectPtr& node) {
        counts[std::string(node->name())] = unsigned(world.pods_by_node.keys(node->name()).size());
    });
    return counts;
}

// A node that fits the pod in one vSwitch; its name is empty when none does.
struct Search {
    std::string node;
    bool exhausted = false;  // nodes fit, but the vSwitch has no address left
};

Search search(const World& world, const Object& pod, const cloud::VSwitch& vswitch,
              const std::map<std::string, unsigned>& load, Tally& tally) {
    const auto blocks = world.blocks_of(vswitch);
    const auto needs = world.needs_of(vswitch);
    Search found;
    unsigned fewest = 0;
    world.nodes.for_each([&](const ObjectPtr& node) {
        std::string why = unfit_reason(*node, pod);
        if (why.empty() && !cloud::node_serves_zone(node->body(), vswitch.zone))
            why = fmt::format("outside zone {} of vSwitch {}", vswitch.zone, vswitch.name);
        if (!why.empty()) return tally.count(why);
        if (cloud::capacity_on_node(vswitch, blocks, needs, node->name()) == 0) {
            found.exhausted = true;
            return tally.count("without a free address of vSwitch " + vswitch.name);
        }
        const auto here = load.find(std::string(node->name()));
        const unsigned pods = here == load.end() ? 0 : here->second;
        if (!found.node.empty() && pods >= fewest) return;
        found.node = node->name();
        fewest = pods;
    });
    if (!found.node.empty()) found.exhausted = false;
    return found;
}

std::expected<Choice, cloud::Refusal> choose(const World& world, const Object& pod) {
    const auto refuse = [](std::string_view reason, std::string message) {
        return std::unexpected(cloud::Refusal{reason, std::move(message)});
    };
    const auto vpc = world.vpc_of(pod.ns());
    if (!vpc) return refuse(reason_failed_scheduling, vpc.error().message);
    const ObjectPtr profile = world.acs_profile();
    const auto vswitches =
        cloud::vswitches_of_pod(pod.body(), *vpc, world.valid_vswitches(), profile ? &profile->body() : nullptr);
    if (!vswitches) return std::unexpected(vswitches.error());

    const auto load = pods_per_node(world);
    Tally tally;
    std::vector<std::string> exhausted;
    size_t usable = 0;
    for (const cloud::VSwitch& vswitch : *vswitches) {
        const ObjectPtr object = world.vswitches.get(vswitch.name);
        if (!object || object->deleting() || !kube::condition_is(*object, "Accepted", "True")) {
            tally.count("for vSwitch " + vswitch.name + ", which is not accepted");
            continue;
        }
        ++usable;
        const Search found = search(world, pod, vswitch, load, tally);
        if (!found.node.empty()) return Choice{found.node, vswitch.name};
        if (found.exhausted) exhausted.push_back(vswitch.name);
    }
    if (usable > 0 && exhausted.size() == usable)
        return refuse(cloud::reason_vswitch_exhausted,
                      fmt::format("no free address in vSwitch {}", name_list(exhausted)));
    size_t nodes = 0;
    world.nodes.for_each([&](const ObjectPtr&) { ++nodes; });
    return refuse(reason_failed_scheduling, tally.text(nodes));
}

Status set_scheduled(World& world, const Object& pod, bool scheduled, std::string_view message) {
    Object next = pod;
    kube::set_condition(next, "PodScheduled", scheduled, scheduled ? "" : "Unschedulable", message, world.clock);
    if (scheduled) {  // Kubernetes shows no reason beside True
        for (json::Value& condition : next.body().at("status").at("conditions").as_array()) {
            if (json::find_string(condition, {"type"}) == "PodScheduled") json::erase(condition, {"reason"});
            if (json::find_string(condition, {"type"}) == "PodScheduled") json::erase(condition, {"message"});
        }
    }
    if (pod.string({"status", "phase"}).empty()) next.set({"status", "phase"}, "Pending");
    return world.pods.put_status(pod, next);
}

Outcome bind(World& world, const Object& pod, const Choice& choice) {
    const json::Value patch = json::Object{
        {"metadata", json::Object{{"resourceVersion", pod.resource_version()},
                                  {"annotations", json::Object{{cloud::chosen_vswitch_annotation, choice.vswitch}}}}},
        {"spec", json::Object{{"nodeName", choice.node}}}};
    const auto bound = world.pods.merge(pod.key(), patch);
    if (!bound && bound.error().code == Code::not_found) return Outcome::done();  // deleted meanwhile
    if (!bound) return settle(fail(bound.error()));
    log::info("pod bound", {{"pod", pod.key().text()}, {"node", choice.node}, {"vswitch", choice.vswitch}});
    world.events.normal(
        *bound, "Scheduled",
        fmt::format("Successfully assigned {} to {} in vSwitch {}", pod.key().text(), choice.node, choice.vswitch));
    // The runtime may have begun to write status; then it keeps the condition itself, and a conflict here is not ours
    // to mend.
    const Status scheduled = set_scheduled(world, *bound, true, "");
    if (!scheduled && scheduled.error().code != Code::conflict) return Outcome::failed(scheduled.error());
    return Outcome::done();
}

json::Value annotations_of(const Object& pod) {
    const json::Value* const annotations = pod.find({"metadata", "annotations"});
    return annotations == nullptr ? json::Value() : *annotations;
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr pod = world.pods.get(key);
    if (!pod || pod->deleting() || is_terminal(*pod) || !pod->string({"spec", "nodeName"}).empty())
        return Outcome::done();
    if (pod->string({"spec", "schedulerName"}, "default-scheduler") != "default-scheduler") return Outcome::done();
    if (!pod->array({"spec", "schedulingGates"}).empty()) return Outcome::done();
    const auto choice = choose(world, *pod);
    if (choice) return bind(world, *pod, *choice);
    const std::string message = std::string(choice.error().message);
    world.events.warning(*pod, reason_failed_scheduling, message);
    if (choice.error().reason != reason_failed_scheduling) world.events.warning(*pod, choice.error().reason, message);
    const Status told = set_scheduled(world, *pod, false, message);
    return told ? Outcome::again(look_again) : settle(told);
}

}  // namespace

void add_scheduler(World& world) {
    auto& queue =
        world.brain.add_reconciler("scheduler", [&world](const ObjectKey& key) { return reconcile(world, key); });
    const auto all = [&world, &queue](const ObjectPtr&, const ObjectPtr&) {
        for (const ObjectKey& pod : world.pods_without_node.keys("")) queue.add(pod);
    };
    world.pods.on_change([&queue, all](const ObjectPtr& before, const ObjectPtr& after) {
        if (!after || is_terminal(*after)) return all(before, after);  // its address may serve another
        // Our own writing of the condition is not a reason to look again at once.
        const bool asks_anew = !before || annotations_of(*before) != annotations_of(*after);
        if (asks_anew && after->string({"spec", "nodeName"}).empty()) queue.add(after->key());
    });
    world.nodes.on_change([all](const ObjectPtr& before, const ObjectPtr& after) {
        // Heartbeats change nothing that matters here.
        const bool same = before && after && is_ready(*before) == is_ready(*after) &&
                          before->labels() == after->labels() && before->find({"spec"}) != nullptr &&
                          after->find({"spec"}) != nullptr && *before->find({"spec"}) == *after->find({"spec"});
        if (!same) all(before, after);
    });
    world.vpcs.on_change(all);
    world.vswitches.on_change(all);
    world.namespaces.on_change(all);
    world.acs_profiles.on_change(all);
    world.address_blocks.on_change(all);
}

}  // namespace weft::controller
