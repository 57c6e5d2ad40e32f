#include "agent/services.h"

#include <algorithm>

#include "agent/host_ports.h"
#include "base/log.h"
#include "cloud/annotations.h"

namespace weft::agent {
namespace {

const kube::ObjectKey kubernetes_key{"default", "kubernetes"};

}  // namespace

struct Services::Writes {
    std::vector<std::pair<uint32_t, abi::backend>> backends;
    std::vector<std::pair<abi::slot_key, uint32_t>> slots;
    std::vector<std::pair<abi::source_range_key, uint32_t>> ranges;
    std::vector<std::pair<abi::frontend_key, abi::frontend>> frontends;
    std::vector<abi::frontend_key> gone_frontends;
    std::vector<abi::source_range_key> gone_ranges;
    std::vector<abi::slot_key> gone_slots;
    std::vector<uint32_t> gone_backends;
};

std::vector<abi::backend> arrange(const std::vector<std::optional<abi::backend>>& have,
                                  const std::vector<abi::backend>& want) {
    std::vector<abi::backend> fresh = want;
    std::vector<std::optional<abi::backend>> slots = have;
    for (auto& slot : slots) {
        const auto stays = slot ? std::find(fresh.begin(), fresh.end(), *slot) : fresh.end();
        if (stays == fresh.end()) slot.reset();
        else fresh.erase(stays);
    }
    for (size_t i = 0; i < slots.size() && !fresh.empty(); ++i) {
        if (slots[i]) continue;
        slots[i] = fresh.front();
        fresh.erase(fresh.begin());
    }
    for (const abi::backend& backend : fresh) slots.emplace_back(backend);
    // Holes that are left are filled from the end, so that few slots change.
    std::vector<abi::backend> arranged;
    for (size_t i = 0; i < slots.size(); ++i) {
        while (!slots.empty() && !slots.back()) slots.pop_back();
        if (i >= slots.size()) break;
        if (!slots[i]) {
            slots[i] = slots.back();
            slots.pop_back();
        }
        arranged.push_back(*slots[i]);
    }
    return arranged;
}

kube::Outcome Services::reconcile(const kube::ObjectKey& key) {
    Result<ServicePlan> planned = plan(key);
    // Its VPC is not known (yet): the change that brings it brings us back. What was programmed stays.
    if (!planned && planned.error().code == Code::unavailable) return kube::Outcome::done();
    if (!planned) return kube::Outcome::failed(planned.error());
    return kube::Outcome::from(apply(key, std::move(*planned)));
}

Result<ServicePlan> Services::plan_pod(const kube::ObjectKey& key) const {
    const kube::ObjectPtr pod = view_.pods.get(pod_of(key));
    if (!pod || !has_host_ports(*pod)) return ServicePlan{};
    const auto vpc = view_.vpc_of_namespace(key.ns);
    if (!vpc) return fail(Code::unavailable, vpc.error().message);
    return plan_host_ports(*pod, *vpc, node_);
}

static std::string owner_text(const kube::ObjectKey& key) {
    return is_host_port_key(key) ? "pod " + pod_of(key).text() : "Service " + key.text();
}

std::string Services::host_port_owner(const kube::Object& pod) const {
    const kube::ObjectKey key = host_port_key(pod.key());
    const auto planned =
        has_host_ports(pod) ? view_.vpc_of_namespace(pod.ns()) : Result<cloud::Vpc>(fail(Code::not_found, ""));
    if (!planned) return "";
    for (const auto& [at, frontend] : plan_host_ports(pod, *planned, node_).frontends) {
        const auto owner = owners_.find(at);
        if (owner != owners_.end() && owner->second != key)
            return fmt::format("{} port {} is taken by {}", abi::from_abi(at.address).text(),
                               abi::from_abi_port(at.port), owner_text(owner->second));
    }
    return "";
}

Result<ServicePlan> Services::plan(const kube::ObjectKey& key) const {
    if (is_host_port_key(key)) return plan_pod(key);
    const kube::ObjectPtr service = view_.services.get(key);
    if (!service || service->deleting()) return ServicePlan{};
    if (key == kubernetes_key) {
        const std::vector<cloud::Vpc> vpcs = view_.all_vpcs();
        const cloud::Vpc* home = cloud::default_vpc(vpcs);
        const auto address = view_.host_address();
        if (home == nullptr || !address) return fail(Code::unavailable, "no default VPC or host address yet");
        return plan_kubernetes(*service, view_.slices_of(key), vpcs, {home->vni, *address});
    }
    const auto vpc = view_.vpc_of_namespace(key.ns);
    if (!vpc) return fail(Code::unavailable, vpc.error().message);
    NodeSide node = node_;
    if (const kube::ObjectPtr object = view_.nodes.get(view_.node_name)) node.zone = object->label(cloud::zone_label);
    return plan_service(*service, view_.slices_of(key), *vpc, node);
}

// What another Service has is left to it; this one waits for it.
void Services::give_way(const kube::ObjectKey& key, ServicePlan& plan) {
    for (auto at = waiting_.begin(); at != waiting_.end();) {
        at->second.erase(key);
        at = at->second.empty() ? waiting_.erase(at) : std::next(at);
    }
    const auto taken_by = [&](const abi::frontend_key& at) -> const kube::ObjectKey* {
        const auto owner = owners_.find(at);
        return owner != owners_.end() && owner->second != key ? &owner->second : nullptr;
    };
    // An address belongs to one VPC; Services of that may share an external one by port.
    const auto is_shared = [&](const abi::frontend_key& at, const PlannedFrontend& frontend) {
        const abi::frontend* row = tables_.frontends.find(at);
        return (frontend.flags & frontend_is_external) != 0 && row != nullptr && row->vpc == frontend.vpc;
    };
    std::erase_if(plan.frontends, [&](const auto& planned) {
        const auto& [at, frontend] = planned;
        const abi::frontend_key whole = abi::frontend_address_key(at.vpc, abi::from_abi(at.address));
        const abi::frontend* row = tables_.frontends.find(whole);
        const bool is_anothers =
            at.vpc == VPC_OUTSIDE && row != nullptr && row->vpc != frontend.vpc && taken_by(whole) != nullptr;
        const abi::frontend_key& claimed = is_anothers ? whole : at;
        const kube::ObjectKey* const owner = taken_by(claimed);
        if (owner == nullptr) return false;
        if (is_host_port_key(*owner) && !is_host_port_key(key)) {
            evict(*owner, claimed);
            return false;
        }
        waiting_[claimed].insert(key);
        if (is_shared(at, frontend)) return true;
        const std::string complaint =
            fmt::format("{} port {} is taken by {}", abi::from_abi(at.address).text(), abi::from_abi_port(at.port),
                        owner_text(*owner));
        if (std::find(plan.complaints.begin(), plan.complaints.end(), complaint) == plan.complaints.end())
            plan.complaints.push_back(complaint);
        return true;
    });
}

// A nodePort comes before a pod's hostPort, whichever was first: the pod is told, and waits.
void Services::evict(const kube::ObjectKey& pod, const abi::frontend_key& from) {
    programmed_[pod].frontends.erase(from);
    waiting_[from].insert(pod);
    owners_.erase(from);
    look_again_(pod);
}

void Services::let_others_look(const abi::frontend_key& gone) {
    const auto found = waiting_.find(gone);
    if (found == waiting_.end()) return;
    const std::set<kube::ObjectKey> keys = std::move(found->second);
    waiting_.erase(found);
    for (const kube::ObjectKey& key : keys) look_again_(key);
}

Status Services::apply(const kube::ObjectKey& key, ServicePlan plan) {
    const Programmed before = programmed_.contains(key) ? programmed_[key] : Programmed{};
    give_way(key, plan);

    Programmed now;
    now.complaints = plan.complaints;
    Writes writes;
    for (const auto& [list, backends] : plan.lists) {
        const uint32_t number = number_of(plan, list, before);
        now.numbers.emplace(list, number);
        numbers_.insert(number);
        const std::vector<abi::backend>& unchosen = plan.unchosen[list];
        auto lingering = plan_list(number, backends, unchosen, lingering_before(before, list, unchosen), writes);
        if (!lingering.empty()) now.lingering.emplace(list, std::move(lingering));
        plan_ranges(number, plan.source_ranges, writes);
    }
    for (const auto& [frontend_key, frontend] : plan.frontends) {
        abi::frontend row{.service = 0, .slots = 0, .flags = frontend.flags, .vpc = frontend.vpc,
                          .affinity_s = frontend.affinity_s};
        if (frontend.list) {
            row.service = now.numbers.at(*frontend.list);
            row.slots = uint32_t(plan.lists.at(*frontend.list).size());
        }
        writes.frontends.emplace_back(frontend_key, row);
        now.frontends.insert(frontend_key);
    }
    for (const abi::frontend_key& gone : before.frontends)
        if (!now.frontends.contains(gone)) writes.gone_frontends.push_back(gone);
    for (const auto& [list, number] : before.numbers)
        if (!now.numbers.contains(list))
            plan_removal(number, before.lingering.contains(list) ? before.lingering.at(list) : std::set<uint32_t>{},
                         writes);

    // Remembered before the write: what fails half-way is then known as ours when it is tried again.
    for (const abi::frontend_key& mine : now.frontends) owners_[mine] = key;
    now.frontends.insert(before.frontends.begin(), before.frontends.end());
    now.numbers.insert(before.numbers.begin(), before.numbers.end());
    programmed_[key] = now;
    for (const auto& [list, ids] : before.lingering) programmed_[key].lingering[list].insert(ids.begin(), ids.end());
    TRY_IN("service " + key.text(), write(writes));

    programmed_[key].lingering = std::move(now.lingering);
    for (const abi::frontend_key& gone : writes.gone_frontends) {
        owners_.erase(gone);
        programmed_[key].frontends.erase(gone);
        let_others_look(gone);
    }
    for (const auto& [list, number] : before.numbers) {
        if (plan.lists.contains(list)) continue;
        numbers_.erase(number);
        programmed_[key].numbers.erase(list);
    }
    if (programmed_[key].frontends.empty() && programmed_[key].numbers.empty() && plan.complaints.empty())
        programmed_.erase(key);
    return {};
}

// As before; else as the maps have it from an earlier life; else a new one.
uint32_t Services::number_of(const ServicePlan& plan, const ListKey& list, const Programmed& before) {
    if (const auto found = before.numbers.find(list); found != before.numbers.end()) return found->second;
    for (const auto& [key, frontend] : plan.frontends) {
        if (frontend.list != list) continue;
        const abi::frontend* row = tables_.frontends.find(key);
        if (row != nullptr && row->service != 0 && !numbers_.contains(row->service)) return row->service;
    }
    if (last_number_ == 0)
        for (const auto& [key, row] : tables_.frontends.rows()) last_number_ = std::max(last_number_, row.service);
    do {
        ++last_number_;
    } while (last_number_ == 0 || numbers_.contains(last_number_) || !slots_of(last_number_).empty());
    return last_number_;
}

std::vector<uint32_t> Services::slots_of(uint32_t number) const {
    std::map<uint32_t, uint32_t> by_slot;
    const auto& rows = tables_.slots.rows();
    for (auto at = rows.lower_bound({number, 0}); at != rows.end() && at->first.service == number; ++at)
        by_slot.emplace(at->first.slot, at->second);
    std::vector<uint32_t> slots(by_slot.empty() ? 0 : by_slot.rbegin()->first + 1, 0);
    for (const auto& [slot, id] : by_slot) slots[slot] = id;
    return slots;
}

uint32_t Services::new_backend_id() {
    if (last_backend_ == 0)
        for (const auto& [id, row] : tables_.backends.rows()) last_backend_ = std::max(last_backend_, id);
    do {
        ++last_backend_;
    } while (last_backend_ == 0 || tables_.backends.find(last_backend_) != nullptr);
    return last_backend_;
}

static bool contains(const std::vector<abi::backend>& sorted, const abi::backend& backend) {
    return std::binary_search(sorted.begin(), sorted.end(), backend);
}

// As it would stand in a list of this protocol.
static abi::backend with_protocol(abi::backend backend, uint8_t protocol) {
    backend.protocol = protocol;
    return backend;
}

// As remembered; after a restart, the rows that look like it.
std::set<uint32_t> Services::lingering_before(const Programmed& before, const ListKey& list,
                                              const std::vector<abi::backend>& unchosen) {
    if (const auto known = before.lingering.find(list); known != before.lingering.end()) return known->second;
    std::set<uint32_t> taken;
    if (!found_lingering_ || unchosen.empty()) return taken;
    for (const uint32_t id : *found_lingering_)
        if (contains(unchosen, with_protocol(*tables_.backends.find(id), list.protocol))) taken.insert(id);
    for (const uint32_t id : taken) found_lingering_->erase(id);
    return taken;
}

std::set<uint32_t> Services::plan_list(uint32_t number, const std::vector<abi::backend>& want,
                                       const std::vector<abi::backend>& unchosen, const std::set<uint32_t>& lingered,
                                       Writes& writes) {
    const std::vector<uint32_t> have_ids = slots_of(number);
    std::vector<std::optional<abi::backend>> have;
    std::map<abi::backend, uint32_t> id_of;
    std::map<uint32_t, abi::backend> known;
    const auto& sample = want.empty() ? unchosen : want;
    for (const uint32_t id : have_ids) {
        const abi::backend* backend = tables_.backends.find(id);
        have.push_back(backend == nullptr ? std::nullopt : std::optional(*backend));
        if (backend == nullptr) continue;
        id_of.emplace(*backend, id);
        known.emplace(id, *backend);
    }
    for (const uint32_t id : lingered) {
        const abi::backend* backend = tables_.backends.find(id);
        if (backend == nullptr) continue;
        const abi::backend full = with_protocol(*backend, sample.empty() ? uint8_t(0) : sample.front().protocol);
        id_of.emplace(full, id);
        known.emplace(id, full);
    }
    const std::vector<abi::backend> arranged = arrange(have, want);
    std::set<uint32_t> kept;
    for (size_t slot = 0; slot < arranged.size(); ++slot) {
        auto [at, is_new] = id_of.try_emplace(arranged[slot], 0);
        if (is_new) at->second = new_backend_id();
        if (is_new || lingered.contains(at->second)) writes.backends.emplace_back(at->second, arranged[slot]);
        kept.insert(at->second);
        writes.slots.emplace_back(abi::slot_key{number, uint32_t(slot)}, at->second);
    }
    for (size_t slot = arranged.size(); slot < have_ids.size(); ++slot)
        writes.gone_slots.push_back({number, uint32_t(slot)});
    std::set<uint32_t> lingering;
    for (const auto& [id, backend] : known) {
        if (kept.contains(id)) continue;
        if (contains(unchosen, backend)) {
            writes.backends.emplace_back(id, with_protocol(backend, 0));
            lingering.insert(id);
        } else {
            writes.gone_backends.push_back(id);
        }
    }
    return lingering;
}

void Services::plan_ranges(uint32_t number, const std::vector<net::Prefix>& want, Writes& writes) const {
    std::set<abi::source_range_key> wanted;
    for (const net::Prefix& range : want) {
        const abi::source_range_key key{uint32_t(SOURCE_RANGE_BITS + range.bits128), number,
                                        abi::to_abi(range.address)};
        wanted.insert(key);
        writes.ranges.emplace_back(key, uint32_t(range.bits128));
    }
    for (const auto& [key, bits] : tables_.source_ranges.rows())
        if (key.service == number && !wanted.contains(key)) writes.gone_ranges.push_back(key);
}

void Services::plan_removal(uint32_t number, const std::set<uint32_t>& lingered, Writes& writes) const {
    plan_ranges(number, {}, writes);
    writes.gone_backends.insert(writes.gone_backends.end(), lingered.begin(), lingered.end());
    const std::vector<uint32_t> ids = slots_of(number);
    for (size_t slot = 0; slot < ids.size(); ++slot) {
        writes.gone_slots.push_back({number, uint32_t(slot)});
        if (ids[slot] != 0) writes.gone_backends.push_back(ids[slot]);
    }
}

Status Services::write(const Writes& writes) {
    TRY(tables_.backends.put_all(writes.backends));
    TRY(tables_.slots.put_all(writes.slots));
    TRY(tables_.source_ranges.put_all(writes.ranges));
    TRY(tables_.frontends.put_all(writes.frontends));
    TRY(tables_.frontends.erase_all(writes.gone_frontends));
    TRY(tables_.source_ranges.erase_all(writes.gone_ranges));
    TRY(tables_.slots.erase_all(writes.gone_slots));
    TRY(tables_.backends.erase_all(writes.gone_backends));
    return {};
}

// For a Service that cannot be planned yet.
std::set<net::Address> Services::addresses_of(const kube::ObjectKey& key) const {
    std::set<net::Address> addresses;
    if (key == kubernetes_key)
        for (const cloud::Vpc& vpc : view_.all_vpcs()) addresses.insert(cloud::kubernetes_address(vpc));
    else if (const kube::ObjectPtr service = view_.services.get(key))
        for (const net::Address& address : service_addresses(*service)) addresses.insert(address);
    return addresses;
}

Status Services::adopt() {
    std::vector<std::pair<std::string, kube::ObjectKey>> keys;  // the oldest first: it keeps what two claim
    std::set<net::Address> undecided;
    view_.services.for_each([&](const kube::ObjectPtr& service) {
        keys.emplace_back(service->string({"metadata", "creationTimestamp"}), service->key());
    });
    std::sort(keys.begin(), keys.end());
    view_.pods.for_each([&](const kube::ObjectPtr& pod) {
        if (has_host_ports(*pod)) keys.emplace_back("", host_port_key(pod->key()));
    });
    found_lingering_.emplace();
    for (const auto& [id, row] : tables_.backends.rows())
        if (row.protocol == 0) found_lingering_->insert(id);
    for (const auto& [created, key] : keys) {
        if (Result<ServicePlan> planned = plan(key)) TRY(apply(key, std::move(*planned)));
        else undecided.merge(addresses_of(key));
    }
    found_lingering_.reset();
    Writes orphans;
    std::set<uint32_t> numbers = numbers_;
    for (const auto& [key, row] : tables_.frontends.rows()) {
        if (owners_.contains(key) || (row.flags & abi::FRONTEND_LOCAL) != 0) continue;
        if (key.protocol == FRONTEND_ANNOUNCED) continue;  // the announcer's
        if (undecided.contains(abi::from_abi(key.address))) numbers.insert(row.service);
        else orphans.gone_frontends.push_back(key);
    }
    std::set<uint32_t> used_backends;
    for (const auto& [key, programmed] : programmed_)
        for (const auto& [list, ids] : programmed.lingering) used_backends.insert(ids.begin(), ids.end());
    for (const auto& [key, id] : tables_.slots.rows()) {
        if (numbers.contains(key.service)) used_backends.insert(id);
        else orphans.gone_slots.push_back(key);
    }
    for (const auto& [key, bits] : tables_.source_ranges.rows())
        if (!numbers.contains(key.service)) orphans.gone_ranges.push_back(key);
    for (const auto& [id, row] : tables_.backends.rows())
        if (!used_backends.contains(id)) orphans.gone_backends.push_back(id);
    return write(orphans);
}

const std::vector<std::string>& Services::complaints(const kube::ObjectKey& key) const {
    static const std::vector<std::string> none;
    const auto found = programmed_.find(key);
    return found == programmed_.end() ? none : found->second.complaints;
}

}  // namespace weft::agent
