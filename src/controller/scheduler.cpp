// Scheduler: gives a pod its vSwitch and its node in one patch. The vSwitches are tried in the pod's order
// (cloud/pod_network.h); of each, the Ready nodes of its zone that still have room in it; of those the one with the
// fewest pods, then by name. The zone of the vSwitch decides; node affinity is not read (spec/acs.md §3.1: the
// vSwitches win), nodeSelector and taints are (node_fit.h). A pod that names its node itself only gets its vSwitch here.
#include <fmt/format.h>

#include "base/log.h"
#include "base/strings.h"
#include "cloud/annotations.h"
#include "controller/node_fit.h"
#include "controller/pod_profile.h"
#include "controller/reconcilers.h"
#include "controller/reservations.h"

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
    std::string node;
    cloud::VSwitch vswitch;
    std::optional<net::Address> reserved;
    AddressWish wish;
};

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

// A pod with a reserved address needs no other; it comes best to where that is lent already.
Search search(const World& world, const NodeFit& fit, const cloud::VSwitch& vswitch,
              const std::map<std::string, unsigned>& load, Tally& tally, std::optional<net::Address> reserved_address) {
    const auto blocks = world.blocks_of(vswitch);
    std::optional<cloud::Capacity> capacity;
    if (!reserved_address) capacity.emplace(vswitch, blocks, world.needs_of(vswitch), reservations_of(world, vswitch));
    std::string home;
    for (const cloud::Block& block : blocks)
        if (reserved_address && block.cidr == net::Prefix::host(*reserved_address)) home = block.node;
    Search found;
    unsigned fewest = 0;
    world.nodes.for_each([&](const ObjectPtr& node) {
        std::string why = fit.why_not(*node);
        if (why.empty() && !cloud::node_serves_zone(node->body(), vswitch.zone))
            why = fmt::format("outside zone {} of vSwitch {}", vswitch.zone, vswitch.name);
        if (!why.empty()) return tally.count(why);
        if (node->name() == home) fewest = 0, found.node = home;
        if (!home.empty() && found.node == home) return;
        if (capacity && capacity->on(node->name()) == 0) {
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

// The pod's vSwitches as its wish narrows and orders them.
std::expected<std::vector<cloud::VSwitch>, cloud::Refusal> vswitches_to_try(World& world, const Object& pod,
                                                                            const cloud::Vpc& vpc,
                                                                            const AddressWish& wish) {
    const ObjectPtr profile = world.acs_profile();
    auto vswitches = TRY(
        cloud::vswitches_of_pod(pod.body(), vpc, world.valid_vswitches(), profile ? &profile->body() : nullptr));
    if (wish.kept) {
        // It is where its address is, whatever the list has become.
        const auto all = world.valid_vswitches();
        const auto found =
            std::find_if(all.begin(), all.end(), [&](const cloud::VSwitch& v) { return v.name == wish.kept->vswitch; });
        if (found == all.end() || found->vpc != vpc.name)
            return std::unexpected(cloud::Refusal{
                cloud::reason_vswitch_not_found,
                fmt::format("address {} is kept for the pod in vSwitch {}, which is not in VPC {}; delete PodENI {} to "
                            "give it up",
                            wish.kept->address.text(), wish.kept->vswitch, vpc.name, pod.key().text())});
        return std::vector<cloud::VSwitch>{*found};
    }
    if (wish.chosen) {
        std::erase_if(vswitches, [&](const cloud::VSwitch& v) { return !v.cidr.contains(*wish.chosen); });
        if (vswitches.empty())
            return std::unexpected(
                cloud::Refusal{"AddressNotAvailable",
                               fmt::format("metadata.annotations[{}]: {} lies in none of the pod's vSwitches",
                                           cloud::eci_address_annotation, wish.chosen->text())});
    }
    std::vector<uint64_t> available;
    for (const cloud::VSwitch& v : vswitches)
        available.push_back(cloud::counts(v, world.blocks_of(v), reservations_of(world, v)).available);
    return cloud::in_order_of_trial(std::move(vswitches), wish.policy, available, pod.uid());
}

std::expected<Choice, cloud::Refusal> choose(World& world, const Object& pod) {
    const auto refuse = [](std::string_view reason, std::string message) {
        return std::unexpected(cloud::Refusal{reason, std::move(message)});
    };
    const auto vpc = world.vpc_of(pod.ns());
    if (!vpc) return refuse(reason_failed_scheduling, vpc.error().message);
    const auto wish = address_wish(world, pod);
    if (!wish) return std::unexpected(wish.error());
    const auto vswitches = vswitches_to_try(world, pod, *vpc, *wish);
    if (!vswitches) return std::unexpected(vswitches.error());

    const auto load = pods_per_node(world);
    const NodeFit fit(world, pod);
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
        Pick pick;
        if (wish->is_reserved()) {
            pick = pick_address(world, vswitch, pod, *wish);
            if (pick.exhausted) exhausted.push_back(vswitch.name);
            if (!pick.problem.empty()) return refuse("AddressNotAvailable", pick.problem);
            if (!pick.address) continue;
        }
        const Search found = search(world, fit, vswitch, load, tally, pick.address);
        if (!found.node.empty()) return Choice{found.node, vswitch, pick.address, *wish};
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

// Pods that wait are looked at all the time. What the condition says was told by Events when it was written.
bool shows_already(const Object& pod, std::string_view message) {
    const json::Value* const condition = kube::find_condition(pod, "PodScheduled");
    return condition != nullptr && json::find_string(*condition, {"status"}) == "False" &&
           json::find_string(*condition, {"message"}) == message;
}

json::Value patch_of(const Object& pod, json::Object annotations, const json::Object& labels) {
    json::Object metadata{{"resourceVersion", pod.resource_version()}, {"annotations", std::move(annotations)}};
    if (!labels.empty()) metadata["labels"] = labels;
    return json::Object{{"metadata", std::move(metadata)}};
}

Outcome bind(World& world, const Object& pod, const Choice& choice, const Additions& additions) {
    json::Object annotations = additions.annotations;
    annotations[cloud::chosen_vswitch_annotation] = choice.vswitch.name;
    // Whatever its author wrote there: only what is reserved now counts.
    if (choice.reserved)
        annotations[cloud::reserved_address_annotation] = choice.reserved->text();
    else if (!pod.annotation(cloud::reserved_address_annotation).empty())
        annotations[cloud::reserved_address_annotation] = nullptr;
    if (choice.wish.fixed && !choice.wish.kept) {
        // First of all: from now on nobody else is lent it.
        const auto kept = world.pod_enis.create(
            new_pod_eni(world, pod, choice.vswitch, *choice.reserved, *choice.wish.fixed));
        if (!kept) return settle(fail(kept.error()));
    }
    json::Value patch = patch_of(pod, std::move(annotations), additions.labels);
    json::set(patch, {"spec", "nodeName"}, json::Value(choice.node));
    const auto bound = world.pods.merge(pod.key(), patch);
    if (!bound && bound.error().code == Code::not_found) return Outcome::done();  // deleted meanwhile
    if (!bound) return settle(fail(bound.error()));
    log::info("pod bound", {{"pod", pod.key().text()}, {"node", choice.node}, {"vswitch", choice.vswitch.name}});
    world.events.normal(
        *bound, "Scheduled",
        fmt::format("Successfully assigned {} to {} in vSwitch {}", pod.key().text(), choice.node,
                    choice.vswitch.name));
    if (pod.annotation(cloud::eci_fixed_annotation) == "true" && !choice.wish.fixed)
        world.events.warning(
            *bound, "AddressNotKept",
            fmt::format("metadata.annotations[{}]: its owner gives the next pod another name, for which no address can "
                        "be kept; use a StatefulSet",
                        cloud::eci_fixed_annotation));
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
    ObjectPtr pod = world.pods.get(key);
    if (!pod || pod->deleting() || is_terminal(*pod) || is_placed(*pod)) return Outcome::done();
    if (pod->string({"spec", "schedulerName"}, "default-scheduler") != "default-scheduler") return Outcome::done();
    if (!pod->array({"spec", "schedulingGates"}).empty()) return Outcome::done();
    const auto additions = additions_for(world, *pod);
    if (!additions) return settle(fail(additions.error()));
    Object complete = *pod;
    add_to(complete, *additions);
    const auto choice = choose(world, complete);
    if (choice) return bind(world, complete, *choice, *additions);
    if (!additions->annotations.empty()) {  // decided once, though it waits
        const auto noted = world.pods.merge(key, patch_of(*pod, additions->annotations, additions->labels));
        if (!noted) return noted.error().code == Code::not_found ? Outcome::done() : settle(fail(noted.error()));
        pod = world.pods.get(key);
        if (!pod) return Outcome::done();
    }
    const std::string message = std::string(choice.error().message);
    if (!shows_already(*pod, message)) {
        world.events.warning(*pod, reason_failed_scheduling, message);
        if (choice.error().reason != reason_failed_scheduling)
            world.events.warning(*pod, choice.error().reason, message);
    }
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
        if (asks_anew && !is_placed(*after)) queue.add(after->key());
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
    world.pod_enis.on_change([all](const ObjectPtr& before, const ObjectPtr& after) {
        if (!before || !after) all(before, after);
    });
    world.address_blocks.on_change(all);
}

}  // namespace weft::controller
