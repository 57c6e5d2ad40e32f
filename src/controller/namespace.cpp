// Namespace: what each one has from the start (ServiceAccount default, the root CA), and its end: everything inside is
// deleted first, then `kubernetes` is taken out of spec.finalizers. Also says when its VPC annotation leads nowhere.
#include <fmt/format.h>

#include "base/log.h"
#include "cloud/annotations.h"
#include "controller/endpoints.h"
#include "controller/custom_kinds.h"
#include "controller/reconcilers.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

constexpr std::string_view system_namespaces[] = {"default", "kube-system", "kube-public", "kube-node-lease"};
constexpr std::string_view namespace_finalizer = "kubernetes";
constexpr std::string_view root_ca_name = "kube-root-ca.crt";
constexpr Duration event_lifetime = std::chrono::hours(1);
constexpr Duration content_look_again = std::chrono::milliseconds(500);

// Those that make others come first, so nothing is made again behind our back.
constexpr const kube::Resource* contents[] = {&kube::deployments,      &kube::replica_sets,
                                              &kube::stateful_sets,    &kube::ingresses,
                                              &kube::services,         &kube::pods,
                                              &kube::endpoint_slices,  &endpoints_resource,
                                              &kube::config_maps,      &kube::secrets,
                                              &kube::service_accounts, &kube::leases,
                                              &kube::events,           &kube::controller_revisions,
                                              &kube::pod_enis};

Status ensure_service_account(World& world, std::string_view ns) {
    const ObjectKey key{std::string(ns), "default"};
    if (world.service_accounts.get(key)) return {};
    const auto created = world.service_accounts.create(Object::of(kube::service_accounts, key));
    if (!created && created.error().code != Code::already_exists) return fail(created.error());
    return {};
}

Status ensure_root_ca(World& world, std::string_view ns) {
    if (world.root_ca_pem.empty()) return {};
    const ObjectKey key{std::string(ns), std::string(root_ca_name)};
    const auto existing = world.client().get(kube::config_maps, key);
    if (!existing && existing.error().code != Code::not_found) return fail(existing.error());
    if (existing && existing->string({"data", "ca.crt"}) == world.root_ca_pem) return {};
    Object wanted = existing ? *existing : Object::of(kube::config_maps, key);
    wanted.set({"data", "ca.crt"}, json::Value(world.root_ca_pem));
    if (existing) {
        TRY(world.client().update(kube::config_maps, wanted));
    } else if (const auto created = world.client().create(kube::config_maps, wanted);
               !created && created.error().code != Code::already_exists) {
        return fail(created.error());
    }
    return {};
}

// Annotations that a schema cannot judge are judged here, on the user's object.
void judge_annotations(World& world, const Object& ns) {
    const auto vpcs = world.valid_vpcs();
    const auto vpc = cloud::vpc_of_namespace(ns.body(), vpcs);
    if (!vpc) {
        if (!ns.annotation(cloud::vpc_annotation).empty()) world.events.warning(ns, "VPCNotFound", vpc.error().message);
        return;
    }
    const std::string_view name = cloud::dns_name_of_namespace(ns.body());
    world.namespaces.for_each([&](const ObjectPtr& other) {
        if (other->uid() == ns.uid() || cloud::dns_name_of_namespace(other->body()) != name) return;
        const auto theirs = cloud::vpc_of_namespace(other->body(), vpcs);
        if (!theirs || theirs->name != vpc->name || ns.annotation(cloud::dns_namespace_annotation).empty()) return;
        world.events.warning(ns, "DNSNamespaceConflict",
                             fmt::format("metadata.annotations[{}]: namespace {} has the name {} in VPC {} already",
                                         cloud::dns_namespace_annotation, other->name(), name, vpc->name));
    });
}

// What stands in the way of a namespace's end.
struct Remains {
    std::vector<std::string> contents;         // "pods. has 2 resource instances"
    std::map<std::string, size_t> finalizers;  // how many wait for each
};

// Deletes what one kind has in the namespace, and notes what is still there.
Status clear(World& world, const kube::Resource& resource, const std::string& ns, Remains& remains) {
    const auto list = world.client().list(resource, {.ns = ns, .label_selector = {}, .field_selector = {}});
    if (!list) return list.error().code == Code::not_found ? Status() : fail(list.error());  // kind not served
    for (const Object& object : list->items) {
        if (object.deleting()) continue;
        const Status removed = world.client().remove(
            resource, object.key(), {.uid = std::string(object.uid()), .propagation_policy = {}, .grace_period_s = -1});
        if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
            return fail(removed.error());
    }
    if (list->items.empty()) return {};
    const auto left = TRY(world.client().list(resource, {.ns = ns, .label_selector = {}, .field_selector = {}})).items;
    if (left.empty()) return {};
    remains.contents.push_back(
        fmt::format("{}.{} has {} resource instances", resource.plural, resource.group, left.size()));
    for (const Object& object : left)
        for (const std::string& finalizer : json::find_strings(object.body(), {"metadata", "finalizers"}))
            remains.finalizers[finalizer]++;
    return {};
}

// The five conditions of a namespace that ends (API-97), with Kubernetes' words.
void set_conditions(Object& ns, const Status& discovered, const Status& deleted, const Remains& remains,
                    const Clock& clock) {
    const auto say = [&](std::string_view type, bool status, std::string_view reason, const std::string& message) {
        kube::set_condition(ns, type, status, reason, message, clock);
    };
    say("NamespaceDeletionDiscoveryFailure", !discovered, discovered ? "ResourcesDiscovered" : "DiscoveryFailed",
        discovered ? "All resources successfully discovered" : discovered.error().message);
    say("NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions",
        "All legacy kube types successfully parsed");
    say("NamespaceDeletionContentFailure", !deleted, deleted ? "ContentDeleted" : "ContentDeletionFailed",
        deleted ? "All content successfully deleted, may be waiting on finalization" : deleted.error().message);
    const bool content = !remains.contents.empty(), finalizers = !remains.finalizers.empty();
    say("NamespaceContentRemaining", content, content ? "SomeResourcesRemain" : "ContentRemoved",
        content ? "Some resources are remaining: " + name_list(remains.contents) : "All content successfully removed");
    std::vector<std::string> waiting;
    for (const auto& [name, count] : remains.finalizers)
        waiting.push_back(fmt::format("{} in {} resource instances", name, count));
    say("NamespaceFinalizersRemaining", finalizers, finalizers ? "SomeFinalizersRemain" : "ContentHasNoFinalizers",
        finalizers ? "Some content in the namespace has finalizers remaining: " + name_list(waiting)
                   : "All content-preserving finalizers finished");
}

Outcome end(World& world, const Object& ns) {
    const auto custom = custom_kinds(world.client());
    std::vector<kube::Resource> kinds;
    for (const kube::Resource* const kind : contents) kinds.push_back(*kind);
    if (custom)
        for (const kube::Resource& kind : (*custom)->resources())
            if (kind.namespaced) kinds.push_back(kind);
    Remains remains;
    Status deleted;
    for (const kube::Resource& kind : kinds)
        if (const Status cleared = clear(world, kind, std::string(ns.name()), remains); !cleared && deleted)
            deleted = cleared;
    const Status discovered = custom ? Status() : fail(custom.error());
    const ObjectPtr current = world.namespaces.get(ns.name());
    if (!current || current->uid() != ns.uid()) return Outcome::done();
    if (discovered && deleted && remains.contents.empty()) return settle(world.finalize_namespace(*current));
    Object next = *current;
    next.set({"status", "phase"}, "Terminating");
    set_conditions(next, discovered, deleted, remains, world.clock);
    const Status told = world.namespaces.put_status(*current, next);
    if (!discovered) return settle(discovered);
    if (!deleted) return settle(deleted);
    return told ? Outcome::again(content_look_again) : settle(told);
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr ns = world.namespaces.get(key);
    if (!ns) return Outcome::done();
    if (ns->deleting()) {
        const auto waits = json::find_strings(ns->body(), {"spec", "finalizers"});
        const bool ours = std::find(waits.begin(), waits.end(), namespace_finalizer) != waits.end();
        return ours ? end(world, *ns) : Outcome::done();
    }
    judge_annotations(world, *ns);
    const Status account = ensure_service_account(world, key.name);
    return settle(account ? ensure_root_ca(world, key.name) : account);
}

struct Sight {
    std::string version;
    MonotonicTime since{};
};
using Sights = std::map<std::string, Sight>;  // by uid

// Events tell of now; the store is no archive. Their age is since we first saw them so: the times they carry are of wall
// clocks, and one that is set forward is no reason to delete anything.
void forget_old_events(World& world, Sights& sights) {
    const auto list = world.client().list(kube::events);
    if (!list) return;
    Sights seen;
    for (const Object& event : list->items) {
        const std::string uid(event.uid());
        const auto known = sights.find(uid);
        const bool is_same = known != sights.end() && known->second.version == event.resource_version();
        const Sight sight = is_same ? known->second : Sight{std::string(event.resource_version()), world.clock.now()};
        seen.emplace(uid, sight);
        if (world.clock.now() - sight.since < event_lifetime) continue;
        (void)world.client().remove(kube::events, event.key(),
                                    {.uid = uid, .propagation_policy = {}, .grace_period_s = -1});
    }
    sights = std::move(seen);
}

void ensure_system_namespaces(World& world) {
    for (const std::string_view name : system_namespaces) {
        if (world.namespaces.get(name)) continue;
        const auto created = world.namespaces.create(Object::of(kube::namespaces, {"", std::string(name)}));
        if (!created && created.error().code != Code::already_exists)
            log::warning("namespace not made", {{"namespace", name}, {"error", created.error().message}});
    }
}

}  // namespace

void add_namespace_reconciler(World& world) {
    auto& queue =
        world.brain.add_reconciler("namespace", [&world](const ObjectKey& key) { return reconcile(world, key); });
    world.brain.every(std::chrono::minutes(1), [&world] { ensure_system_namespaces(world); });
    world.brain.every(std::chrono::minutes(5),
                      [&world, sights = Sights()]() mutable { forget_old_events(world, sights); });
    world.namespaces.on_change([&queue](const ObjectPtr&, const ObjectPtr& after) {
        if (after) queue.add(after->key());
    });
    world.service_accounts.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        if (!after && before->name() == "default") queue.add({"", std::string(before->ns())});
    });
    world.vpcs.on_change([&world, &queue](const ObjectPtr& before, const ObjectPtr& after) {
        if (before && after) return;
        world.namespaces.for_each([&](const ObjectPtr& ns) { queue.add(ns->key()); });
    });
}

}  // namespace weft::controller
