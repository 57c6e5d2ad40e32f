// EndpointSlice: keeps a Service's slices true to its pods (slices.h) and nodes: on a node that is not Ready nothing
// serves. A burst of changes is taken together.
#include <map>
#include <memory>

#include <fmt/format.h>

#include "cloud/annotations.h"
#include "controller/hints.h"
#include "controller/reconcilers.h"
#include "controller/slices.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

constexpr Duration batch_delay = std::chrono::milliseconds(100);  // EPS-13

// When the oldest change was heard that a Service's slices do not show yet (EPS-9).
using Heard = std::map<ObjectKey, WallTime>;

std::string rfc3339_nano(WallTime time) {
    std::string text = rfc3339_micro(time);
    text.insert(text.size() - 1, fmt::format("{:03}", time.time_since_epoch().count() % 1000));
    return text;
}

Status apply(World& world, const SlicePlan& plan) {
    // New places first: an endpoint may briefly stand in two slices, never in none.
    for (const Object& slice : plan.creates) TRY(world.endpoint_slices.create(slice));
    for (const auto& [from, to] : plan.updates) TRY(world.endpoint_slices.put(*from, to));
    for (const ObjectPtr& slice : plan.deletes) TRY(world.endpoint_slices.remove(*slice));
    return {};
}

void stop_serving_on_lost_nodes(const World& world, const Object& service, std::vector<EndpointGroup>& groups) {
    for (EndpointGroup& group : groups) {
        for (json::Value& endpoint : group.endpoints) {
            const ObjectPtr node = world.nodes.get(json::find_string(endpoint, {"nodeName"}));
            if (!node || is_ready(*node)) continue;
            json::set(endpoint, {"conditions", "ready"}, service.boolean({"spec", "publishNotReadyAddresses"}));
            json::set(endpoint, {"conditions", "serving"}, false);
        }
    }
}

Outcome reconcile(World& world, Heard& heard, const ObjectKey& key) {
    const ObjectPtr service = world.services.get(key);
    if (!service || service->deleting() || !has_selector(*service)) {
        heard.erase(key);
        return Outcome::done();
    }
    const json::Value* const selector = service->find({"spec", "selector"});
    auto pods = world.pods_with(key.ns, selector);
    std::erase_if(pods, [&](const ObjectPtr& pod) { return !kube::map_selector_matches(selector, pod->labels()); });
    auto existing = world.endpoint_slices.under(world.slices_by_service, index_text(key.ns, key.name));
    std::erase_if(existing, [](const ObjectPtr& slice) {
        return slice->label(managed_by_label) != slice_manager || slice->deleting();
    });
    const auto zone_of_node = [&](std::string_view name) {
        const ObjectPtr node = world.nodes.get(name);
        return node ? std::string(node->label(cloud::zone_label)) : std::string();
    };
    auto groups = endpoint_groups(*service, pods, zone_of_node);
    stop_serving_on_lost_nodes(world, *service, groups);
    std::vector<ObjectPtr> nodes;
    world.nodes.for_each([&](const ObjectPtr& node) { nodes.push_back(node); });
    add_hints(groups, hint_rule(*service), zone_cpu(nodes));
    const auto since = heard.find(key);
    const WallTime trigger = since == heard.end() ? world.clock.wall() : since->second;
    const Status applied = apply(world, plan_slices(*service, existing, std::move(groups), rfc3339_nano(trigger)));
    if (applied) heard.erase(key);
    return settle(applied);
}

// Does the change of a pod matter to a slice at all?
bool looks_the_same(const Object& a, const Object& b) {
    return a.uid() == b.uid() && a.deleting() == b.deleting() && is_ready(a) == is_ready(b) &&
           is_terminal(a) == is_terminal(b) && a.string({"status", "podIP"}) == b.string({"status", "podIP"}) &&
           a.array({"status", "podIPs"}) == b.array({"status", "podIPs"}) &&
           a.labels() == b.labels() && a.string({"spec", "nodeName"}) == b.string({"spec", "nodeName"});
}

bool is_same_place(const Object& a, const Object& b) {
    return is_ready(a) == is_ready(b) && a.label(cloud::zone_label) == b.label(cloud::zone_label) &&
           a.string({"status", "allocatable", "cpu"}) == b.string({"status", "allocatable", "cpu"});
}

}  // namespace

void add_endpoint_slice_reconciler(World& world) {
    const auto heard = std::make_shared<Heard>();
    auto& queue = world.brain.add_reconciler(
        "endpoint_slice", [&world, heard](const ObjectKey& key) { return reconcile(world, *heard, key); });
    const auto look = [&world, &queue, heard](const ObjectKey& key, Duration delay) {
        heard->try_emplace(key, world.clock.wall());
        if (delay == Duration{}) queue.add(key);
        else queue.add_after(key, delay);
    };
    world.services.on_change([look](const ObjectPtr&, const ObjectPtr& after) {
        if (after && has_selector(*after)) look(after->key(), Duration{});
    });
    world.pods.on_change([&world, look](const ObjectPtr& before, const ObjectPtr& after) {
        if (before && after && looks_the_same(*before, *after)) return;
        for (const ObjectPtr& side : {before, after}) {
            if (!side) continue;
            for (const ObjectPtr& service : world.services_selecting(side->ns(), side->labels()))
                look(service->key(), batch_delay);
        }
    });
    world.nodes.on_change([&world, look](const ObjectPtr& before, const ObjectPtr& after) {
        if (before && after && is_same_place(*before, *after)) return;
        world.services.for_each([&look](const ObjectPtr& service) {
            if (has_selector(*service)) look(service->key(), batch_delay);
        });
    });
    world.endpoint_slices.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        const Object& slice = after ? *after : *before;  // someone's edit, or our own write: then nothing is left to do
        const std::string_view service = slice.label(service_name_label);
        if (!service.empty() && slice.label(managed_by_label) == slice_manager)
            queue.add_after({std::string(slice.ns()), std::string(service)}, batch_delay);
    });
}

}  // namespace weft::controller
