// PodENI: the record of a pod's address, for pods of a PodNetworking and for fixed addresses.
//
//   Elastic   made when the address is known, deleted with its pod
//   Fixed     made by the scheduler before its pod is bound (Binding) → Bind while a block lists the pod → Unbind, since
//             podLastSeen, when that pod is gone, be the next there or not → deleted after releaseAfter, or never
//
// A Fixed record is what keeps the address (reservations.h). For how long it is kept status.kept counts (cloud/lapse.h), not
// the wall clock. Source: spec/acs.md §3.4, §3.5.
#include "base/log.h"
#include "cloud/annotations.h"
#include "cloud/lapse.h"
#include "controller/reconcilers.h"
#include "controller/reservations.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

std::optional<net::Address> address_in(const Object& block, std::string_view pod_uid) {
    for (const json::Value& allocation : block.array({"status", "allocations"})) {
        if (json::find_string(allocation, {"uid"}) != pod_uid) continue;
        if (const auto address = net::Address::parse(json::find_string(allocation, {"address"}))) return *address;
    }
    return std::nullopt;
}

Status set_phase(World& world, const Object& eni, std::string_view phase, const Object* pod) {
    Object next = eni;
    next.set({"status", "phase"}, phase);
    if (pod != nullptr) {
        next.set({"status", "instanceID"}, pod->string({"spec", "nodeName"}));
        next.set({"status", "podUID"}, pod->uid());
        json::erase(next.body(), {"status", "kept"});
    } else if (eni.string({"status", "phase"}) != phase) {
        next.set({"status", "podLastSeen"}, rfc3339(world.clock.wall()));
        next.set({"status", "kept"}, json::Value(cloud::Lapse::begin(world.clock.now(), world.boot).text()));
    }
    return world.pod_enis.put_status(eni, next);
}

bool is_of_another(const Object& eni, const Object& pod) {
    const std::string_view uid = eni.string({"status", "podUID"});
    return !uid.empty() && uid != pod.uid();
}

// Of a pod that is placed: is the record of it, or only of its name?
bool is_its_record(const World& world, const Object& eni, const Object& pod) {
    const auto kept = kept_address(eni);
    if (!kept) return true;
    const ObjectPtr block = world.block_of(pod);
    return has_kept_address(pod, *kept, block ? address_in(*block, pod.uid()) : std::nullopt);
}

// Between two pods of a name the address is nobody's for a moment, and everybody may see that.
Outcome between_pods(World& world, const Object& eni) {
    if (!kept_address(eni)) return settle(world.pod_enis.remove(eni));  // the next pod has an address of its own
    return settle(set_phase(world, eni, "Unbind", nullptr));
}

Outcome with_pod(World& world, const Object& pod, const ObjectPtr& eni) {
    const ObjectPtr block = world.block_of(pod);
    const auto address = block ? address_in(*block, pod.uid()) : std::nullopt;
    if (!eni) {
        if (!address || pod.annotation(cloud::pod_eni_annotation) != "true") return Outcome::done();
        const ObjectPtr object = world.vswitches.get(block->string({"spec", "vSwitch"}));
        const auto vswitch = object ? cloud::parse_vswitch(object->body()) : fail(Code::not_found, "vSwitch");
        if (!vswitch) return Outcome::done();
        // The record of a fixed address that somebody deleted comes back as long as its pod lives.
        const auto wish = address_wish(world, pod);
        const bool was_reserved = pod.annotation(cloud::reserved_address_annotation) == address->text();
        const auto type = wish && wish->fixed && was_reserved ? *wish->fixed : cloud::AllocationType{};
        const auto created = world.pod_enis.create(new_pod_eni(world, pod, *vswitch, *address, type));
        if (!created && created.error().code != Code::already_exists) return settle(fail(created.error()));
        return created ? settle(set_phase(world, *created, "Bind", &pod)) : Outcome::done();
    }
    return settle(set_phase(world, *eni, address ? "Bind" : "Binding", &pod));
}

// It may ask for the address again, so the time does not run: it begins anew when nobody waits any more.
Outcome with_waiting_pod(World& world, const Object& eni) {
    Object next = eni;
    json::erase(next.body(), {"status", "kept"});
    return settle(world.pod_enis.put_status(eni, next));
}

// Or with one that has another address.
Outcome without_pod(World& world, const Object& eni) {
    const auto kept = kept_address(eni);
    if (!kept) return settle(world.pod_enis.remove(eni));
    if (eni.string({"status", "phase"}) != "Unbind") {
        if (const Status told = set_phase(world, eni, "Unbind", nullptr); !told) return settle(told);
        return kept->type.is_forever ? Outcome::done() : Outcome::again(kept->type.release_after);
    }
    if (kept->type.is_forever) return Outcome::done();
    const MonotonicTime now = world.clock.now();
    const auto noted = cloud::Lapse::parse(eni.string({"status", "kept"}));
    const cloud::Lapse lapse = noted ? *noted : cloud::Lapse::begin(now, world.boot);
    const Duration left = kept->type.release_after - lapse.at(now, world.boot);
    if (left <= Duration::zero()) {
        log::info("fixed address freed", {{"pod", eni.key().text()}, {"address", kept->address.text()}});
        return settle(world.pod_enis.remove(eni));
    }
    if (!noted || noted->wants_renewal(now, world.boot)) {
        Object next = eni;
        next.set({"status", "kept"}, json::Value(lapse.renewed(now, world.boot).text()));
        if (const Status written = world.pod_enis.put_status(eni, next); !written) return settle(written);
    }
    return Outcome::again(std::min(left, cloud::Lapse::renewal_period));
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr eni = world.pod_enis.get(key);
    if (eni && eni->deleting()) return Outcome::done();
    const ObjectPtr pod = world.pods.get(key);
    const bool lives = pod && !is_terminal(*pod);
    if (lives && eni && is_of_another(*eni, *pod) && eni->string({"status", "phase"}) != "Unbind")
        return between_pods(world, *eni);
    if (lives && is_placed(*pod) && (!eni || is_its_record(world, *eni, *pod))) return with_pod(world, *pod, eni);
    if (!eni) return Outcome::done();
    if (lives && !is_placed(*pod)) return with_waiting_pod(world, *eni);
    return without_pod(world, *eni);
}

}  // namespace

void add_pod_eni_reconciler(World& world) {
    auto& queue =
        world.brain.add_reconciler("pod_eni", [&world](const ObjectKey& key) { return reconcile(world, key); });
    world.pods.on_change([&world, &queue](const ObjectPtr& before, const ObjectPtr& after) {
        const ObjectPtr& pod = after ? after : before;
        if (!pod->annotation(cloud::pod_eni_annotation).empty() || world.pod_enis.get(pod->key()))
            queue.add(pod->key());
    });
    world.pod_enis.on_change(
        [&queue](const ObjectPtr& before, const ObjectPtr& after) { queue.add((after ? after : before)->key()); });
    world.address_blocks.on_change([&world, &queue](const ObjectPtr&, const ObjectPtr& after) {
        if (!after) return;
        for (const json::Value& allocation : after->array({"status", "allocations"})) {
            const ObjectKey key{std::string(json::find_string(allocation, {"namespace"})),
                                std::string(json::find_string(allocation, {"name"}))};
            const ObjectPtr pod = world.pods.get(key);
            if (pod && !pod->annotation(cloud::pod_eni_annotation).empty()) queue.add(key);
        }
    });
}

}  // namespace weft::controller
