// Node: gives each its two neighbour addresses, watches its Lease, and clears away the pods of nodes that are gone.
//
// A Lease that was not renewed for lease_timeout (by our own clock since we last saw it change, so no two machines'
// clocks are compared) makes the node's Ready Unknown and its pods' Ready False. Whoever renews it again is Ready
// again.
#include <set>

#include <fmt/format.h>

#include "base/log.h"
#include "cloud/annotations.h"
#include "controller/reconcilers.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

constexpr Duration lease_timeout = std::chrono::seconds(40);
constexpr Duration lease_check_period = std::chrono::seconds(5);
constexpr std::string_view reason_unknown = "NodeStatusUnknown";

struct Renewal {
    std::string time;    // renewTime as it was written
    MonotonicTime seen;  // when we saw it change
};
using Renewals = std::map<std::string, Renewal>;

std::optional<uint32_t> number_of(const Object& node) {
    const auto service = net::Address::parse(node.annotation(cloud::service_address_annotation));
    if (!service) return std::nullopt;
    const auto number = cloud::node_number(*service);
    if (!number || cloud::neighbours_of_node(*number).host.text() != node.annotation(cloud::host_address_annotation))
        return std::nullopt;
    return number;
}

bool is_older(const Object& a, const Object& b) {
    return std::pair(a.string({"metadata", "creationTimestamp"}), a.name()) <
           std::pair(b.string({"metadata", "creationTimestamp"}), b.name());
}

Status give_neighbours(World& world, const Object& node) {
    const auto mine = number_of(node);
    std::set<uint32_t> taken;
    bool keeps = mine.has_value();
    world.nodes.for_each([&](const ObjectPtr& other) {
        const auto theirs = number_of(*other);
        if (other->uid() == node.uid() || !theirs) return;
        taken.insert(*theirs);
        if (mine == theirs && is_older(*other, node)) keeps = false;
    });
    if (keeps) return {};
    const auto number = cloud::lowest_free_node_number(taken);
    if (!number) return fail(Code::exhausted, "no neighbour addresses left");
    const cloud::Neighbours neighbours = cloud::neighbours_of_node(*number);
    TRY(world.nodes.merge(
        node.key(),
        json::Object{
            {"metadata",
             json::Object{{"annotations", json::Object{{cloud::service_address_annotation, neighbours.service.text()},
                                                       {cloud::host_address_annotation, neighbours.host.text()}}}}}}));
    return {};
}

void set_ready_condition(Object& object, std::string_view status, std::string_view reason, std::string_view message,
                         const Clock& clock) {
    kube::set_condition(object, "Ready", false, reason, message, clock);
    for (json::Value& condition : object.body().at("status").at("conditions").as_array()) {
        if (json::find_string(condition, {"type"}) == "Ready") json::set(condition, {"status"}, json::Value(status));
    }
}

Status mark_pods_not_ready(World& world, std::string_view node) {
    std::vector<ObjectPtr> ready;
    world.pods.for_each([&](const ObjectPtr& pod) {
        if (pod->string({"spec", "nodeName"}) == node && is_ready(*pod)) ready.push_back(pod);
    });
    for (const ObjectPtr& pod : ready) {
        Object next = *pod;
        kube::set_condition(next, "Ready", false, "NodeNotReady", fmt::format("node {} does not renew its Lease", node),
                            world.clock);
        TRY(world.pods.put_status(*pod, next));
    }
    return {};
}

// What the age of its Lease means for a node's Ready.
Status judge_lease(World& world, const Object& node, const Renewals& renewals) {
    const auto renewal = renewals.find(std::string(node.name()));
    const bool is_silent = renewal == renewals.end() || world.clock.now() - renewal->second.seen > lease_timeout;
    const json::Value* const ready = kube::find_condition(node, "Ready");
    const bool is_ours = ready != nullptr && json::find_string(*ready, {"reason"}) == reason_unknown;
    Object next = node;
    if (!is_silent) {
        if (!is_ours) return {};
        kube::set_condition(next, "Ready", true, "LeaseRenewed", "the node renews its Lease again", world.clock);
        return world.nodes.put_status(node, next);
    }
    if (!is_ours) {
        const std::string message =
            fmt::format("the node did not renew its Lease for {} s", lease_timeout / std::chrono::seconds(1));
        set_ready_condition(next, "Unknown", reason_unknown, message, world.clock);
        TRY(world.nodes.put_status(node, next));
        world.events.warning(node, "NodeNotReady", message);
        log::warning("node is silent", {{"node", node.name()}});
    }
    return mark_pods_not_ready(world, node.name());
}

// Nobody will ever end a pod whose node does not exist.
Status clear_gone_node(World& world, std::string_view node) {
    const auto alive = world.client().get(kube::nodes, {"", std::string(node)});  // our cache may only be late
    if (alive) return {};
    if (alive.error().code != Code::not_found) return fail(alive.error());
    std::vector<ObjectPtr> stranded;
    world.pods.for_each([&](const ObjectPtr& pod) {
        if (pod->string({"spec", "nodeName"}) == node) stranded.push_back(pod);
    });
    for (const ObjectPtr& pod : stranded)
        TRY(world.pods.remove(*pod, {.uid = {}, .propagation_policy = {}, .grace_period_s = 0}));
    return {};
}

}  // namespace

void add_node_reconciler(World& world) {
    const auto renewals = std::make_shared<Renewals>();
    auto& queue = world.brain.add_reconciler("node", [&world, renewals](const ObjectKey& key) {
        const ObjectPtr node = world.nodes.get(key);
        if (!node) {
            renewals->erase(key.name);
            return settle(clear_gone_node(world, key.name));
        }
        const Status given = give_neighbours(world, *node);
        if (!given) return settle(given);
        return settle(judge_lease(world, *world.nodes.get(key), *renewals));
    });
    world.nodes.on_change([&world, &queue, renewals](const ObjectPtr& before, const ObjectPtr& after) {
        const ObjectPtr& node = after ? after : before;
        // A node new to us has its full time from now, whatever its Lease says.
        renewals->try_emplace(std::string(node->name()), Renewal{"", world.clock.now()});
        queue.add(node->key());
    });
    world.node_leases.on_change([&world, &queue, renewals](const ObjectPtr&, const ObjectPtr& after) {
        if (!after) return;
        Renewal& renewal = (*renewals)[std::string(after->name())];
        const std::string_view time = after->string({"spec", "renewTime"});
        if (renewal.time == time) return;
        const bool was_silent = world.clock.now() - renewal.seen > lease_timeout;
        renewal = {std::string(time), world.clock.now()};
        if (was_silent) queue.add({"", std::string(after->name())});
    });
    world.brain.every(lease_check_period, [&world, &queue, renewals] {
        for (const auto& [name, renewal] : *renewals) {
            if (world.clock.now() - renewal.seen > lease_timeout) queue.add({"", name});
        }
    });
    world.pods.on_change([&world, &queue](const ObjectPtr&, const ObjectPtr& after) {
        const std::string_view node = after ? after->string({"spec", "nodeName"}) : std::string_view();
        if (!node.empty() && world.nodes.get(node) == nullptr) queue.add({"", std::string(node)});
    });
}

}  // namespace weft::controller
