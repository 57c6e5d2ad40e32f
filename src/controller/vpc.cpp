// VPC: gives it its number and its system route table, says whether it is accepted and ready and which blocks are in
// effect, counts its vSwitches and addresses, gets it a public address for its Ingresses, and refuses its deletion
// while anything uses it.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/log.h"
#include "base/strings.h"
#include "cloud/annotations.h"
#include "cloud/lapse.h"
#include "controller/fabric.h"
#include "controller/pools.h"
#include "controller/reconcilers.h"
#include "controller/reservations.h"
#include "controller/system_table.h"
#include "controller/vni.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

// Why the VPC cannot be: reason and message; an empty reason when it can.
struct Judgement {
    std::string reason, message;
    bool runs_on = false;  // what was accepted before stays in effect
};

std::vector<cloud::BlockField> wishes_of(const cloud::Vpc& vpc) {
    return cloud::fields_of(vpc.wanted_blocks, vpc.wanted_ipv6_block);
}

// The field by which a vSwitch would come to lie outside: the entry that took the place of its block, or the list.
std::string field_that_leaves(const cloud::Vpc& vpc, const net::Prefix& cidr) {
    const auto block = std::find_if(vpc.blocks.begin(), vpc.blocks.end(), [&](const auto& b) { return b.contains(cidr); });
    if (block == vpc.blocks.begin() || block == vpc.blocks.end()) return "spec.cidrBlock";
    for (const cloud::BlockField& wish : wishes_of(vpc)) {
        if (wish.block.is_v4() && wish.block.overlaps(*block)) return wish.field;
    }
    return "spec.secondaryCidrBlocks";
}

// Addresses that pods have, that are kept for a name, and that pods bound to it still wait for.
uint64_t in_use(const World& world, const cloud::VSwitch& vswitch) {
    const cloud::Counts counts = cloud::counts(vswitch, world.blocks_of(vswitch), reservations_of(world, vswitch));
    uint64_t used = counts.total - counts.available;
    for (const cloud::Need& need : world.needs_of(vswitch)) used += need.waiting;
    return used;
}

// Blocks change only while every address in use stays inside, and no peered VPC has an address of them.
Judgement judge_blocks(const World& world, const cloud::Vpc& vpc) {
    if (vpc.wanted_blocks == vpc.blocks && vpc.wanted_ipv6_block == vpc.ipv6_block) return {};
    cloud::Vpc wanted = vpc;
    wanted.blocks = vpc.wanted_blocks;
    for (const cloud::VSwitch& vswitch : world.valid_vswitches_of(vpc.name)) {
        if (wanted.contains(vswitch.cidr)) continue;
        const uint64_t used = in_use(world, vswitch);
        if (used == 0) continue;
        return {"AddressInUse",
                fmt::format("{}: {} addresses of {} (vSwitch {}) are in use and would lie outside",
                            field_that_leaves(vpc, vswitch.cidr), used, vswitch.cidr.text(), vswitch.name),
                true};
    }
    std::optional<Judgement> overlap;
    world.vpc_peerings.for_each([&](const ObjectPtr& object) {
        const auto peering = cloud::parse_peering(object->body());
        if (overlap || !peering || !peering->is_activated || peering->beyond(vpc.name).empty()) return;
        const auto peer = world.valid_vpc(peering->beyond(vpc.name));
        if (!peer) return;
        std::vector<net::Prefix> theirs = peer->blocks;
        if (peer->ipv6_block) theirs.push_back(*peer->ipv6_block);
        for (const cloud::BlockField& wish : wishes_of(vpc)) {
            const auto text = cloud::overlap_text({&wish.block, 1}, theirs);
            if (!text) continue;
            // An IPv6 block never changes, not even one that is not in effect.
            const char* const way_out = wish.block.is_v4() ? "" : "; delete the peering, or make the VPC anew";
            overlap = {"PeeringOverlap",
                       fmt::format("{}: {} of VPC {}, with which peering {} joins it{}", wish.field, *text, peer->name,
                                   peering->name, way_out),
                       true};
            return;
        }
    });
    return overlap.value_or(Judgement{});
}

Judgement judge(World& world, const Object& object) {
    const auto vpc = cloud::parse_vpc(object.body());
    if (!vpc) return {"Invalid", vpc.error().message};
    if (vpc->is_default) {
        const auto all = world.valid_vpcs();
        const cloud::Vpc* const winner = cloud::default_vpc(all);
        if (winner != nullptr && winner->name != vpc->name)
            return {"DefaultConflict", fmt::format("spec.default: VPC {} is the default already", winner->name)};
    }
    if (std::string conflict = vni_conflict(world, object); !conflict.empty())
        return {"VNIConflict", std::move(conflict)};
    if (std::string conflict = fabric_conflict(world, *vpc); !conflict.empty())
        return {"FabricConflict", std::move(conflict), vpc->vni != 0};
    return judge_blocks(world, *vpc);
}

bool wants_ingress_address(const World& world, const Object& vpc) {
    bool wants = false;
    world.ingresses.for_each([&](const ObjectPtr& ingress) {
        if (wants || ingress->deleting() || !world.is_our_ingress(*ingress)) return;
        const auto owner = world.vpc_of(ingress->ns());
        wants = owner && owner->name == vpc.name();
    });
    return wants;
}

std::vector<std::string> users_of(const World& world, const Object& vpc) {
    std::vector<std::string> users;
    world.vswitches.for_each([&](const ObjectPtr& v) {
        if (v->string({"spec", "vpc"}) == vpc.name()) users.push_back("vSwitch " + std::string(v->name()));
    });
    world.route_tables.for_each([&](const ObjectPtr& t) {
        if (t->string({"spec", "vpc"}) == vpc.name() && t->name() != cloud::system_table_name(vpc.name()))
            users.push_back("route table " + std::string(t->name()));
    });
    world.vpc_peerings.for_each([&](const ObjectPtr& p) {
        if (p->string({"spec", "vpc"}) == vpc.name() || p->string({"spec", "peerVpc"}) == vpc.name())
            users.push_back("peering " + std::string(p->name()));
    });
    world.security_groups.for_each([&](const ObjectPtr& g) {
        if (g->string({"spec", "vpc"}) == vpc.name()) users.push_back("security group " + std::string(g->name()));
    });
    world.address_pools.for_each([&](const ObjectPtr& p) {
        if (p->string({"spec", "vpc"}) == vpc.name()) users.push_back("address pool " + std::string(p->name()));
    });
    world.namespaces.for_each([&](const ObjectPtr& ns) {
        if (ns->annotation(cloud::vpc_annotation) == vpc.name())
            users.push_back("namespace " + std::string(ns->name()));
    });
    world.pods.for_each([&](const ObjectPtr& pod) {
        const auto owner = world.vpc_of(pod->ns());
        if (owner && owner->name == vpc.name()) users.push_back("pod " + pod->key().text());
    });
    world.services.for_each([&](const ObjectPtr& service) {
        const std::string_view address = service->string({"spec", "clusterIP"});
        if (address.empty() || address == "None" || is_reserved_service(service->key())) return;
        const auto owner = world.vpc_of(service->ns());
        if (owner && owner->name == vpc.name()) users.push_back("Service " + service->key().text());
    });
    return users;
}

Status retire(World& world, const Object& vpc) {
    if (!vpc.has_finalizer(cloud::cloud_finalizer)) return {};
    const auto users = users_of(world, vpc);
    if (!users.empty()) {
        Object next = vpc;
        kube::set_condition(next, "Ready", false, "InUse", "deletion waits: used by " + name_list(users), world.clock);
        return world.vpcs.put_status(vpc, next);
    }
    TRY(release_public_address(world, "VPC", vpc.uid()));
    if (const int64_t vni = vpc.integer({"status", "vni"}); vni != 0) TRY(record_release(world, vni, vpc.name()));
    TRY(remove_system_table(world, vpc));
    Object next = vpc;
    next.remove_finalizer(cloud::cloud_finalizer);
    return world.vpcs.put(vpc, next);
}

Status give_ingress_address(World& world, const Object& vpc, Object& next) {
    const std::string shown(vpc.string({"status", "ingressAddresses", cloud::ingress_class_controller}));
    if (shown.empty() && !wants_ingress_address(world, vpc)) return {};
    const auto address = allocate_public_address(
        world, {"VPC", "", std::string(vpc.name()), std::string(vpc.uid()), std::string(vpc.name()), shown});
    if (!address) {
        if (address.error().code == Code::exhausted)
            world.events.warning(vpc, "IngressAddressUnavailable", address.error().message);
        return address.error().code == Code::conflict ? Status(fail(address.error())) : Status{};
    }
    next.set({"status", "ingressAddresses", cloud::ingress_class_controller}, json::Value(address->text()));
    return {};
}

void put_counts(const World& world, const Object& vpc, Object& next) {
    const auto vswitches = world.vswitches.under(world.vswitches_by_vpc, vpc.name());
    int64_t total = 0, used = 0;
    for (const ObjectPtr& vswitch : vswitches) {
        total += vswitch->integer({"status", "totalIPCount"});
        used += vswitch->integer({"status", "usedIPCount"});
    }
    next.set({"status", "vSwitchCount"}, int64_t(vswitches.size()));
    next.set({"status", "totalIPCount"}, total);
    next.set({"status", "usedIPCount"}, used);
}

// Accepted for the first time or anew: from now on these are its blocks.
void put_blocks(World& world, const cloud::Vpc& vpc, Object& next) {
    next.set({"status", "ipv6CidrBlock"},
             json::Value(vpc.wanted_ipv6_block ? vpc.wanted_ipv6_block->text() : std::string()));
    json::Array blocks;
    for (const net::Prefix& block : vpc.wanted_blocks) blocks.push_back(json::Value(block.text()));
    const json::Value* const before = next.find({"status", "cidrBlocks"});
    if (before != nullptr && *before == json::Value(blocks)) return;
    next.set({"status", "cidrBlocks"}, std::move(blocks));
    for (const net::Prefix& block : vpc.wanted_blocks) {
        if (block.length() < cloud::vpc_mask_advised_min)
            world.events.normal(next, "LargeBlock",
                                fmt::format("{}: masks from /{} to /{} are advised", block.text(),
                                            cloud::vpc_mask_advised_min, cloud::vpc_mask_max));
    }
}

Status refresh(World& world, const ObjectPtr& vpc) {
    if (!vpc->has_finalizer(cloud::cloud_finalizer)) {
        Object next = *vpc;
        next.add_finalizer(cloud::cloud_finalizer);
        return world.vpcs.put(*vpc, next);  // the change brings us back here
    }
    Object next = *vpc;
    put_counts(world, *vpc, next);
    const Judgement judgement = judge(world, *vpc);
    const bool accepted = judgement.reason.empty();
    kube::set_condition(next, "Accepted", accepted, accepted ? "Accepted" : judgement.reason, judgement.message,
                        world.clock);
    if (accepted) {
        if (vpc->integer({"status", "vni"}) == 0) next.set({"status", "vni"}, TRY(choose_vni(world, *vpc)));
        const cloud::Vpc parsed = MUST(cloud::parse_vpc(vpc->body()));
        put_blocks(world, parsed, next);
        if (parsed.is_routed) {
            const std::string gap = fabric_gap(world, parsed);
            kube::set_condition(next, "Programmed", gap.empty(), gap.empty() ? "Routed" : "IPv6ByTunnel", gap, world.clock);
        }
        TRY(give_ingress_address(world, *vpc, next));
        kube::set_condition(next, "Ready", true, "Ready", "", world.clock);
    } else {
        world.events.warning(*vpc, judgement.reason, judgement.message);
        kube::set_condition(next, "Ready", judgement.runs_on, judgement.runs_on ? "Ready" : "NotAccepted",
                            judgement.message, world.clock);
    }
    TRY(world.vpcs.put_status(*vpc, next));
    return next.integer({"status", "vni"}) == 0 ? Status{} : ensure_system_table(world, next);
}

Outcome reconcile(World& world, const ObjectKey& key) {
    const ObjectPtr vpc = world.vpcs.get(key);
    if (!vpc) return Outcome::done();
    return settle(vpc->deleting() ? retire(world, *vpc) : refresh(world, vpc));
}

}  // namespace

void add_vpc_reconciler(World& world) {
    auto& queue = world.brain.add_reconciler("vpc", [&world](const ObjectKey& key) { return reconcile(world, key); });
    world.brain.every(cloud::Lapse::renewal_period, [&world] {
        if (const Status noted = note_rests(world); !noted)
            log::warning("rest of VPC numbers not noted", {{"error", noted.error().message}});
    });
    const auto all = [&world, &queue](const ObjectPtr&, const ObjectPtr&) {
        world.vpcs.for_each([&](const ObjectPtr& vpc) { queue.add(vpc->key()); });
    };
    const auto deleting = [&world, &queue](const ObjectPtr&, const ObjectPtr& after) {
        if (after) return;  // only an end can free a VPC
        world.vpcs.for_each([&](const ObjectPtr& vpc) {
            if (vpc->deleting()) queue.add(vpc->key());
        });
    };
    world.vpcs.on_change([&queue, all](const ObjectPtr& before, const ObjectPtr& after) {
        const bool same = before && after && *before->find({"spec"}) == *after->find({"spec"}) &&
                          before->integer({"status", "vni"}) == after->integer({"status", "vni"});
        if (same) queue.add(after->key());
        else all(before, after);  // who has the number, and who is the default
    });
    world.vswitches.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        queue.add({"", std::string((after ? after : before)->string({"spec", "vpc"}))});
    });
    world.route_tables.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        if (!before || !after) queue.add({"", std::string((after ? after : before)->string({"spec", "vpc"}))});
    });
    world.vpc_peerings.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        const Object& peering = after ? *after : *before;
        queue.add({"", std::string(peering.string({"spec", "vpc"}))});
        queue.add({"", std::string(peering.string({"spec", "peerVpc"}))});
    });
    world.address_blocks.on_change([&world, &queue](const ObjectPtr& before, const ObjectPtr& after) {
        if (before && after && before->integer({"status", "vni"}) == after->integer({"status", "vni"})) return;
        const std::string name((after ? after : before)->string({"spec", "vpc"}));
        const ObjectPtr vpc = world.vpcs.get(name);
        if (vpc && vpc->integer({"status", "vni"}) == 0) queue.add(vpc->key());
    });
    world.nodes.on_change([&world, &queue](const ObjectPtr& before, const ObjectPtr& after) {
        if (before && after && before->array({"status", "addresses"}) == after->array({"status", "addresses"})) return;
        world.vpcs.for_each([&](const ObjectPtr& vpc) {
            if (vpc->string({"spec", "encapsulation"}) == "None") queue.add(vpc->key());
        });
    });
    world.ingresses.on_change(all);
    world.ingress_classes.on_change(all);
    world.address_pools.on_change(all);
    world.namespaces.on_change(all);
    world.security_groups.on_change(deleting);
    world.pods.on_change([&world, &queue, deleting](const ObjectPtr& before, const ObjectPtr& after) {
        deleting(before, after);
        if (after && !is_terminal(*after)) return;
        // It may have waited for an address, which no block ever listed.
        world.vpcs.for_each([&](const ObjectPtr& vpc) {
            const json::Value* const accepted = kube::find_condition(*vpc, "Accepted");
            if (accepted != nullptr && json::find_string(*accepted, {"reason"}) == "AddressInUse") queue.add(vpc->key());
        });
    });
    world.services.on_change(deleting);
}

}  // namespace weft::controller
