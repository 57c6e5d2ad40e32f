#include "cli/ipam_check.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/strings.h"
#include "cloud/annotations.h"
#include "cloud/ipam.h"
#include "cloud/pod_network.h"

namespace weft::cli {
namespace {

using agent::Allocation;
using kube::Object;
using Repair = AddressFinding::Repair;

const Object* named(const std::vector<Object>& objects, std::string_view name) {
    for (const Object& object : objects)
        if (object.name() == name) return &object;
    return nullptr;
}

std::optional<net::Prefix> cidr_of(const Object& block) {
    const auto cidr = net::Prefix::parse(block.string({"spec", "cidr"}));
    return cidr ? std::optional(*cidr) : std::nullopt;
}

bool withholds(const Object& block, const net::Address& address) {
    const auto withheld = json::find_strings(block.body(), {"spec", "withheld"});
    return std::find(withheld.begin(), withheld.end(), address.text()) != withheld.end();
}

bool has_ended(const Object& pod) {
    const std::string_view phase = pod.string({"status", "phase"});
    return phase == "Succeeded" || phase == "Failed";
}

std::string pod_text(const Allocation& allocation) {
    return allocation.pod_namespace + "/" + allocation.pod_name;
}

class Check {
public:
    explicit Check(const IpamFacts& facts) : facts_(facts) {
        for (const Object& pod : facts.pods) pods_by_uid_[std::string(pod.uid())] = &pod;
        for (const Object& vpc : facts.vpcs)
            vni_of_[std::string(vpc.name())] = uint32_t(vpc.integer({"status", "vni"}));
        std::vector<cloud::Vpc> vpcs;
        for (const Object& object : facts.vpcs)
            if (auto vpc = cloud::parse_vpc(object.body())) vpcs.push_back(std::move(*vpc));
        for (const Object& ns : facts.namespaces)
            if (const auto vpc = cloud::vpc_of_namespace(ns.body(), vpcs))
                vpc_of_namespace_[std::string(ns.name())] = vpc->name;
    }

    std::vector<AddressFinding> run() {
        check_blocks();
        check_overlaps();
        for (const auto& [node, known] : facts_.by_node) {
            if (!known.problem.empty()) {
                add("stale", node, node, "the node's agent cannot be asked: " + known.problem, "weft status");
                continue;
            }
            check_log(node, known);
            check_doors(node, known);
            check_pods(node, known);
        }
        check_twice();
        check_records();
        check_counts();
        return std::move(findings_);
    }

private:
    AddressFinding& add(std::string kind, std::string subject, std::string node, std::string what, std::string fix) {
        AddressFinding finding;
        finding.kind = std::move(kind);
        finding.subject = std::move(subject);
        finding.node = std::move(node);
        finding.what = std::move(what);
        finding.fix = std::move(fix);
        return findings_.emplace_back(std::move(finding));
    }

    void check_blocks() {
        for (const Object& block : facts_.blocks) {
            const std::string name(block.name()), node(block.string({"spec", "node"}));
            const Object* const vswitch = named(facts_.vswitches, block.string({"spec", "vSwitch"}));
            const auto cidr = cidr_of(block);
            const auto parsed =
                vswitch == nullptr ? fail(Code::not_found, "no vSwitch") : cloud::parse_vswitch(vswitch->body());
            if (vswitch == nullptr || !cidr || (parsed && !parsed->cidr.contains(*cidr))) {
                AddressFinding& finding =
                    add("leak", name, node,
                        fmt::format("the block lies in no vSwitch called {}", block.string({"spec", "vSwitch"})),
                        "the block is deleted; its node hands it back once no pod uses it");
                finding.repair = block.deleting() ? Repair::none : Repair::delete_block;
                finding.object = block.key();
            } else if (named(facts_.nodes, node) == nullptr) {
                add("leak", name, node, "the block is lent to a node that does not exist",
                    "the controller ends it; is it running? weft status");
            }
        }
    }

    // One lease inside another is right only where the wide one withholds the address or is on its way out.
    void check_overlaps() {
        for (const Object& narrow : facts_.blocks) {
            for (const Object& wide : facts_.blocks) {
                const auto a = cidr_of(narrow), b = cidr_of(wide);
                if (&narrow == &wide || !a || !b || !a->overlaps(*b) || b->size() < a->size()) continue;
                if (narrow.string({"spec", "vpc"}) != wide.string({"spec", "vpc"})) continue;
                if (a->size() == b->size() && narrow.name() > wide.name()) continue;  // each pair once
                const bool is_split =
                    a->size() == 1 && b->size() > 1 && (withholds(wide, a->address) || wide.deleting());
                if (is_split) continue;
                const Object& younger =
                    narrow.string({"metadata", "creationTimestamp"}) < wide.string({"metadata", "creationTimestamp"})
                        ? wide
                        : narrow;
                AddressFinding& finding =
                    add("double", a->text(), std::string(younger.string({"spec", "node"})),
                        fmt::format("blocks {} and {} hold the same addresses", narrow.name(), wide.name()),
                        fmt::format("block {} is deleted; its node hands it back once no pod uses it", younger.name()));
                finding.repair = younger.deleting() ? Repair::none : Repair::delete_block;
                finding.object = younger.key();
            }
        }
    }

    bool is_lent_to(const std::string& node, const Allocation& allocation) const {
        return std::any_of(facts_.blocks.begin(), facts_.blocks.end(), [&](const Object& block) {
            const auto cidr = cidr_of(block);
            return cidr && cidr->contains(allocation.address) && block.string({"spec", "node"}) == node &&
                   block.string({"spec", "vpc"}) == allocation.vpc;
        });
    }

    bool is_listed(const std::string& node, const Allocation& allocation) const {
        return std::any_of(facts_.blocks.begin(), facts_.blocks.end(), [&](const Object& block) {
            if (block.string({"spec", "node"}) != node) return false;
            for (const json::Value& entry : block.array({"status", "allocations"})) {
                if (json::find_string(entry, {"address"}) == allocation.address.text() &&
                    json::find_string(entry, {"uid"}) == allocation.pod_uid)
                    return true;
            }
            return false;
        });
    }

    void check_log(const std::string& node, const AddressesOfNode& known) {
        for (const Allocation& allocation : known.log) {
            const std::string address = allocation.address.text();
            if (!pods_by_uid_.contains(allocation.pod_uid)) {
                AddressFinding& finding = add(
                    "leak", address, node,
                    fmt::format("pod {}, uid {}, does not exist any more", pod_text(allocation), allocation.pod_uid),
                    "the address is released and its interface deleted");
                finding.repair = Repair::release;
                finding.allocation = allocation;
                continue;
            }
            if (!is_lent_to(node, allocation)) {
                const bool can = missing_lease(allocation, node, facts_).has_value();
                AddressFinding& finding = add(
                    "orphan", address, node,
                    fmt::format("pod {} uses it, and no AddressBlock lends it to the node; another "
                                "pod may be given it",
                                pod_text(allocation)),
                    can ? "the AddressBlock is made again" : "another node has it in use: delete one of the two pods");
                finding.repair = can ? Repair::lease_again : Repair::none;
                finding.allocation = allocation;
            } else if (!is_listed(node, allocation)) {
                add("stale", address, node,
                    fmt::format("pod {} uses it, and the block's status does not say so", pod_text(allocation)),
                    "the node's agent writes it; is it running? weft status");
            }
        }
        for (const Object& block : facts_.blocks) {
            if (block.string({"spec", "node"}) != node) continue;
            for (const json::Value& entry : block.array({"status", "allocations"})) {
                const std::string_view address = json::find_string(entry, {"address"});
                const bool has = std::any_of(known.log.begin(), known.log.end(), [&](const Allocation& allocation) {
                    return allocation.address.text() == address && allocation.vpc == block.string({"spec", "vpc"});
                });
                if (!has)
                    add("stale", std::string(address), node,
                        fmt::format("the status of block {} lists it, and the node's agent does not", block.name()),
                        "the node's agent writes it; is it running? weft status");
            }
        }
    }

    void check_doors(const std::string& node, const AddressesOfNode& known) {
        std::set<std::pair<uint32_t, net::Address>> expected;
        for (const Allocation& allocation : known.log) expected.insert({allocation.vni, allocation.address});
        for (const auto& [vni, address] : expected)
            if (!known.doors.contains({vni, address}))
                add("stale", address.text(), node, "the data plane has no endpoint for it: its pod is cut off",
                    fmt::format("end the node's agent (its pid: weft status): the next one mends it"));
        for (const auto& [vni, address] : known.doors)
            if (!expected.contains({vni, address}))
                add("leak", address.text(), node,
                    fmt::format("the data plane has an endpoint for it in VNI {}, and the agent does not know it", vni),
                    "end the node's agent (its pid: weft status): the next one mends it");
    }

    void check_pods(const std::string& node, const AddressesOfNode& known) {
        for (const Object& pod : facts_.pods) {
            const std::string_view ip = pod.string({"status", "podIP"});
            if (pod.string({"spec", "nodeName"}) != node || ip.empty() || pod.deleting() || has_ended(pod) ||
                pod.boolean({"spec", "hostNetwork"}))
                continue;
            const bool has = std::any_of(known.log.begin(), known.log.end(), [&](const Allocation& allocation) {
                return allocation.pod_uid == pod.uid() && allocation.address.text() == ip;
            });
            if (has) continue;
            const auto owners = pod.owners();
            const bool is_made_again =
                std::any_of(owners.begin(), owners.end(), [](const auto& owner) { return owner.controller; });
            AddressFinding& finding =
                add("orphan", std::string(ip), node,
                    fmt::format("pod {} shows it, and the node's agent did not give it", pod.key().text()),
                    is_made_again ? "the pod is deleted; its owner makes another" : "delete the pod and make it again");
            finding.repair = is_made_again ? Repair::delete_pod : Repair::none;
            finding.object = pod.key();
        }
    }

    void check_twice() {
        std::map<std::pair<std::string, net::Address>, std::pair<std::string, const Allocation*>> holders;
        for (const auto& [node, known] : facts_.by_node) {
            for (const Allocation& allocation : known.log) {
                const auto [at, fresh] =
                    holders.try_emplace({allocation.vpc, allocation.address}, std::pair(node, &allocation));
                if (fresh) continue;
                const auto& [other_node, other] = at->second;
                const bool other_is_younger = other->reserved_ms > allocation.reserved_ms;
                const Allocation& younger = other_is_younger ? *other : allocation;
                const auto pod = pods_by_uid_.find(younger.pod_uid);
                const bool is_made_again = pod != pods_by_uid_.end() && !pod->second->owners().empty();
                AddressFinding& finding =
                    add("double", allocation.address.text(), other_is_younger ? other_node : node,
                        fmt::format("pods {} on {} and {} on {} both use it", pod_text(*other), other_node,
                                    pod_text(allocation), node),
                        is_made_again
                            ? fmt::format("the younger pod, {}, is deleted; its owner makes another", pod_text(younger))
                            : fmt::format("delete pod {}", pod_text(younger)));
                finding.repair = is_made_again ? Repair::delete_pod : Repair::none;
                finding.object = {younger.pod_namespace, younger.pod_name};
            }
        }
    }

    // A record that says Bind is of the pod that has its address, and of none that only has its name.
    void check_bound(const Object& eni, const std::string& address) {
        if (eni.string({"status", "phase"}) != "Bind") return;
        for (const Object& pod : facts_.pods) {
            const std::string_view ip = pod.string({"status", "podIP"});
            if (pod.key() != eni.key() || ip.empty() || ip == address || has_ended(pod)) continue;
            add("stale", address, "",
                fmt::format("PodENI {} says that its pod has it, and the pod has {}", eni.key().text(), ip),
                "the controller writes it; is it running? weft status");
        }
    }

    void check_records() {
        std::map<std::pair<std::string, std::string>, const Object*> keepers;
        for (const Object& eni : facts_.pod_enis) {
            for (const json::Value& allocation : eni.array({"spec", "allocations"})) {
                if (json::find_string(allocation, {"allocationType", "type"}) != "Fixed") continue;
                const std::string address(json::find_string(allocation, {"ipv4"}));
                const std::string vswitch(json::find_string(allocation, {"eni", "vSwitchID"}));
                check_bound(eni, address);
                if (named(facts_.vswitches, vswitch) == nullptr) {
                    AddressFinding& finding = add("leak", address, "",
                                                  fmt::format("PodENI {} keeps it in vSwitch {}, which does not exist",
                                                              eni.key().text(), vswitch),
                                                  "the PodENI is deleted");
                    finding.repair = Repair::delete_eni;
                    finding.object = eni.key();
                }
                const auto [at, fresh] = keepers.try_emplace({vswitch, address}, &eni);
                if (fresh) continue;
                const Object& idle = at->second->string({"status", "phase"}) == "Unbind" ? *at->second : eni;
                AddressFinding& finding =
                    add("double", address, "",
                        fmt::format("PodENIs {} and {} both keep it", at->second->key().text(), eni.key().text()),
                        fmt::format("PodENI {} is deleted", idle.key().text()));
                if (idle.string({"status", "phase"}) == "Unbind")
                    finding.repair = Repair::delete_eni;
                else
                    finding.fix = "delete one of the two and its pod";
                finding.object = idle.key();
            }
        }
    }

    void check_counts() {
        for (const Object& object : facts_.vswitches) {
            const auto vswitch = cloud::parse_vswitch(object.body());
            if (!vswitch || !object.find({"status", "availableIPCount"})) continue;
            std::set<std::string> used;
            for (const Object& block : facts_.blocks) {
                if (block.string({"spec", "vSwitch"}) != vswitch->name) continue;
                for (const json::Value& entry : block.array({"status", "allocations"}))
                    used.emplace(json::find_string(entry, {"address"}));
            }
            for (const Object& eni : facts_.pod_enis) {
                for (const json::Value& allocation : eni.array({"spec", "allocations"})) {
                    if (json::find_string(allocation, {"eni", "vSwitchID"}) == vswitch->name &&
                        json::find_string(allocation, {"allocationType", "type"}) == "Fixed")
                        used.emplace(json::find_string(allocation, {"ipv4"}));
                }
            }
            for (const Object& pod : facts_.pods) {
                // As the controller counts: a pod that is bound, in its own VPC.
                const auto address = net::Address::parse(pod.annotation(cloud::reserved_address_annotation));
                const auto vpc = vpc_of_namespace_.find(pod.ns());
                if (address && pod.annotation(cloud::chosen_vswitch_annotation) == vswitch->name &&
                    !pod.string({"spec", "nodeName"}).empty() && !has_ended(pod) && vpc != vpc_of_namespace_.end() &&
                    vpc->second == vswitch->vpc && cloud::usable_addresses(*vswitch).contains(*address))
                    used.insert(address->text());
            }
            const auto total = int64_t(cloud::usable_addresses(*vswitch).count);
            const int64_t shown = object.integer({"status", "availableIPCount"});
            if (shown != total - int64_t(used.size()))
                add("stale", vswitch->name, "",
                    fmt::format("it says {} of {} addresses are available; {} are in use or kept", shown, total,
                                used.size()),
                    "the controller writes it; is it running? weft status");
        }
    }

    const IpamFacts& facts_;
    std::map<std::string, const Object*> pods_by_uid_;
    std::map<std::string, uint32_t> vni_of_;
    std::map<std::string, std::string, std::less<>> vpc_of_namespace_;
    std::vector<AddressFinding> findings_;
};

}  // namespace

std::optional<MissingLease> missing_lease(const Allocation& allocation, const std::string& node,
                                          const IpamFacts& facts) {
    for (const auto& [other, known] : facts.by_node) {
        for (const Allocation& theirs : known.log)
            if (other != node && theirs.vpc == allocation.vpc && theirs.address == allocation.address)
                return std::nullopt;
    }
    MissingLease lease{
        .name = {}, .vpc = allocation.vpc, .vswitch = allocation.vswitch, .node = node, .cidr = {}, .withhold_in = {}};
    const Object* const object = named(facts.vswitches, allocation.vswitch);
    const auto vswitch = object == nullptr ? fail(Code::not_found, "no vSwitch") : cloud::parse_vswitch(object->body());
    const net::Prefix wide = net::Prefix::of(allocation.address, cloud::block_mask);
    bool may_be_wide = vswitch && vswitch->cidr.contains(wide) && !allocation.block.ends_with("-32");
    for (const Object& block : facts.blocks) {
        const auto cidr = cidr_of(block);
        if (!cidr || block.string({"spec", "vpc"}) != allocation.vpc) continue;
        may_be_wide = may_be_wide && !cidr->overlaps(wide);
        if (!cidr->contains(allocation.address)) continue;
        if (cidr->size() == 1) return std::nullopt;  // another node's alone: it may give it any moment
        if (!withholds(block, allocation.address)) lease.withhold_in = block.name();
    }
    lease.cidr = may_be_wide ? wide : net::Prefix::host(allocation.address);
    lease.name = cloud::block_name(allocation.vswitch, lease.cidr);
    return lease;
}

std::vector<AddressFinding> check_addresses(const IpamFacts& facts) {
    return Check(facts).run();
}

}  // namespace weft::cli
