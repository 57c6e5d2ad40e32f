// Namespace: what each one has from the start (ServiceAccount default, the root CA), and its end: everything inside is
// deleted first, then `kubernetes` is taken out of spec.finalizers. Also says when its VPC annotation leads nowhere.
#include <fmt/format.h>

#include "base/log.h"
#include "cloud/annotations.h"
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
constexpr const kube::Resource* contents[] = {&kube::deployments,      &kube::replica_sets, &kube::stateful_sets,
                                              &kube::ingresses,        &kube::services,     &kube::pods,
                                              &kube::endpoint_slices,  &kube::config_maps,  &kube::secrets,
                                              &kube::service_accounts, &kube::leases,       &kube::events,
                                              &kube::controller_revisions, &kube::pod_enis};

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

// Deletes what one kind has in the namespace; the number that is still there.
Result<size_t> clear(World& world, const kube::Resource& resource, const std::string& ns) {
    const auto list = world.client().list(resource, {.ns = ns, .label_selector = {}, .field_selector = {}});
    if (!list) return list.error().code == Code::not_found ? Result<size_t>(0) : fail(list.error());  // kind not served
    for (const Object& object : list->items) {
        if (object.deleting()) continue;
        const Status removed = world.client().remove(
            resource, object.key(), {.uid = std::string(object.uid()), .propagation_policy = {}, .grace_period_s = -1});
        if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
            return fail(removed.error());
    }
    if (list->items.empty()) return 0;
    return TRY(world.client().list(resource, {.ns = ns, .label_selector = {}, .field_selector = {}})).items.size();
}

Outcome end(World& world, const Object& ns) {
    const auto custom = custom_kinds(world.client());
    if (!custom) return settle(fail(custom.error()));
    std::vector<kube::Resource> kinds;
    for (const kube::Resource* const kind : contents) kinds.push_back(*kind);
    for (const kube::Resource& kind : (*custom)->resources()) {
        if (kind.namespaced) kinds.push_back(kind);
    }
    std::vector<std::string> remaining;
    for (const kube::Resource& kind : kinds) {
        const auto left = clear(world, kind, std::string(ns.name()));
        if (!left) return settle(fail(left.error()));
        if (*left > 0) remaining.push_back(fmt::format("{} has {} resource instances", kind.plural, *left));
    }
    const ObjectPtr current = world.namespaces.get(ns.name());
    if (!current || current->uid() != ns.uid()) return Outcome::done();
    if (remaining.empty()) return settle(world.finalize_namespace(*current));
    Object next = *current;
    next.set({"status", "phase"}, "Terminating");
    kube::set_condition(next, "NamespaceContentRemaining", true, "SomeResourcesRemain",
                        "Some resources are remaining: " + name_list(remaining), world.clock);
    const Status told = world.namespaces.put_status(*current, next);
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

// Events tell of now; the store is no archive.
void forget_old_events(World& world) {
    const auto list = world.client().list(kube::events);
    if (!list) return;
    for (const Object& event : list->items) {
        WallTime last;
        const std::string_view time = event.string(
            {"lastTimestamp"}, event.string({"eventTime"}, event.string({"metadata", "creationTimestamp"})));
        if (!parse_rfc3339(std::string(time), last) || world.clock.wall() - last < event_lifetime) continue;
        (void)world.client().remove(kube::events, event.key(),
                                    {.uid = std::string(event.uid()), .propagation_policy = {}, .grace_period_s = -1});
    }
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
    world.brain.every(std::chrono::minutes(5), [&world] { forget_old_events(world); });
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
