#include "agent/announcer.h"

#include <algorithm>
#include <set>

#include "agent/service_plan.h"
#include "base/log.h"
#include "base/metrics.h"

namespace weft::agent {
namespace {

constexpr unsigned patience = 2;       // unanswered rounds before the first candidate speaks up
constexpr unsigned patience_more = 2;  // for each later one: it must hear the one before it, whatever their phases
constexpr unsigned greetings = 5;      // rounds: some do not hear a second change of a neighbour within a second

abi::frontend_key row_of(const net::Address& address) {
    return {VPC_OUTSIDE, abi::to_abi(address), 0, FRONTEND_ANNOUNCED, 0};
}

std::vector<std::string> first(std::set<std::string> names) {
    std::vector<std::string> some(names.begin(), names.end());
    if (some.size() > candidates_max) some.resize(candidates_max);
    return some;
}

// The nodes of the ready endpoints, else of those that still serve while they terminate.
std::set<std::string> nodes_that_serve(const std::vector<kube::ObjectPtr>& slices) {
    std::set<std::string> ready, leaving;
    for (const kube::ObjectPtr& slice : slices) {
        for (const json::Value& endpoint : slice->array({"endpoints"})) {
            const std::string node(json::find_string(endpoint, {"nodeName"}));
            const bool is_ready = json::find_bool(endpoint, {"conditions", "ready"}, true);
            if (node.empty()) continue;
            if (is_ready) ready.insert(node);
            else if (json::find_bool(endpoint, {"conditions", "serving"}) &&
                     json::find_bool(endpoint, {"conditions", "terminating"}))
                leaving.insert(node);
        }
    }
    return ready.empty() ? leaving : ready;
}

}  // namespace

bool is_usable(const kube::Object& node) {
    return kube::condition_is(node, "Ready", "True") && !node.labels().contains(std::string(exclusion_label));
}

bool is_announced_where_it_serves(const kube::Object& service) {
    return service.string({"spec", "type"}) == "LoadBalancer" &&
           service.string({"spec", "externalTrafficPolicy"}) == "Local";
}

Candidates find_candidates(
    const std::vector<kube::ObjectPtr>& nodes, const std::vector<kube::ObjectPtr>& local_services,
    const std::function<std::vector<kube::ObjectPtr>(const kube::ObjectKey&)>& slices_of) {
    std::set<std::string> all, ready;
    for (const kube::ObjectPtr& node : nodes) {
        all.emplace(node->name());
        if (is_usable(*node)) ready.emplace(node->name());
    }
    const std::set<std::string>& usable = ready.empty() ? all : ready;
    Candidates candidates{.everyone = first(usable), .is_alone = all.size() == 1, .of_address = {}};
    for (const kube::ObjectPtr& service : local_services) {
        std::set<std::string> serving;
        for (const std::string& node : nodes_that_serve(slices_of(service->key())))
            if (usable.contains(node)) serving.insert(node);
        if (serving.empty()) continue;
        for (const json::Value& entry : service->array({"status", "loadBalancer", "ingress"}))
            if (const auto address = net::Address::parse(json::find_string(entry, {"ip"})))
                candidates.of_address[*address] = first(serving);
    }
    return candidates;
}

// Who moves up waits for those before it all the same: of what it heard nothing of so far it keeps what lets the first
// candidate speak in its next round. Else all who moved up would speak at once.
void Announcer::set_candidates(Candidates candidates) {
    if (candidates == candidates_) return;
    candidates_ = std::move(candidates);
    for (auto& [address, state] : states_) state.unanswered = std::min(state.unanswered, patience - 1);
}

std::vector<net::Address> Announcer::public_addresses() const {
    std::vector<net::Address> addresses;
    const auto& rows = tables_.frontends.rows();  // by VPC, 0 first
    for (auto at = rows.begin(); at != rows.end() && at->first.vpc == VPC_OUTSIDE; ++at)
        if (at->first.port == 0 && at->first.protocol == 0 && (at->second.flags & frontend_is_external) == 0)
            addresses.push_back(abi::from_abi(at->first.address));
    return addresses;
}

std::optional<size_t> Announcer::rank_of(const net::Address& address) const {
    const auto own = candidates_.of_address.find(address);
    const std::vector<std::string>& list = own == candidates_.of_address.end() ? candidates_.everyone : own->second;
    const auto found = std::find(list.begin(), list.end(), node_);
    return found == list.end() ? std::nullopt : std::optional(size_t(found - list.begin()));
}

bool Announcer::is_announced(const net::Address& address) const {
    return tables_.frontends.find(row_of(address)) != nullptr;
}

void Announcer::announce(const net::Address& address, State& state) {
    if (const Status put = tables_.frontends.put(row_of(address), {0, 0, abi::FRONTEND_ADDRESS, 0, 0}); !put) {
        log::warning("announce", {{"address", address.text()}, {"error", put.error().message}});
        return;
    }
    state.greetings = greetings;
    log::info("announces a public address", {{"address", address.text()}});
}

void Announcer::withdraw(const net::Address& address, std::string_view why) {
    if (const Status erased = tables_.frontends.erase(row_of(address)); !erased)
        log::warning("withdraw", {{"address", address.text()}, {"error", erased.error().message}});
    else log::info("announces a public address no more", {{"address", address.text()}, {"why", why}});
}

void Announcer::judge(const net::Address& address, State& state) {
    if (state.asked) state.unanswered = state.is_answered ? 0 : state.unanswered + 1;
    const auto other = std::exchange(state.other, std::nullopt);
    state.asked = state.is_answered = false;
    const auto rank = rank_of(address);
    if (is_announced(address)) {
        if (!rank && !candidates_.everyone.empty()) withdraw(address, "others may");
        else if (other && *other < mac_) withdraw(address, "another does");
        return;
    }
    if (!rank || !(candidates_.is_alone || state.unanswered >= patience + patience_more * *rank)) return;
    announce(address, state);
}

std::optional<bool> Announcer::is_ipv4_ours(const std::vector<net::Address>& all) const {
    std::optional<bool> ours;
    for (const net::Address& address : all) {
        if (!address.is_v4() || candidates_.of_address.contains(address)) continue;
        ours = is_announced(address);
        if (*ours) break;
    }
    return ours;
}

// Nobody is asked for an IPv6 address.
void Announcer::follow(const net::Address& address, State& state, std::optional<bool> ipv4) {
    const bool wanted = ipv4 && !candidates_.of_address.contains(address) ? *ipv4 : rank_of(address) == 0;
    if (wanted && !is_announced(address)) announce(address, state);
    else if (!wanted && is_announced(address)) withdraw(address, "another does");
}

void Announcer::ask_some(const std::vector<net::Address>& addresses) {
    for (size_t i = 0; i < std::min(addresses.size(), asks_max); ++i) {
        const net::Address& address = addresses[next_++ % addresses.size()];
        State& state = states_[address];
        if (candidates_.is_alone || !address.is_v4() || !(rank_of(address) || is_announced(address))) continue;
        state.asked = wire_.ask(address).has_value();
    }
}

void Announcer::round() {
    for (const auto& [address, mac] : wire_.answers()) {
        const auto found = states_.find(address);
        if (found == states_.end() || mac == mac_) continue;
        found->second.is_answered = true;
        found->second.other = mac;
    }
    const std::vector<net::Address> addresses = public_addresses();
    const std::set<net::Address> present(addresses.begin(), addresses.end());
    std::erase_if(states_, [&](const auto& state) { return !present.contains(state.first); });
    std::vector<net::Address> gone;
    const auto& rows = tables_.frontends.rows();
    for (auto at = rows.begin(); at != rows.end() && at->first.vpc == VPC_OUTSIDE; ++at)
        if (at->first.protocol == FRONTEND_ANNOUNCED && !present.contains(abi::from_abi(at->first.address)))
            gone.push_back(abi::from_abi(at->first.address));
    for (const net::Address& address : gone) withdraw(address, "it is gone");

    static metrics::Gauge& announced =
        metrics::gauge("weft_announced_addresses", {}, "Public addresses that this node answers for on the wire.");
    int64_t count = 0;
    if (!candidates_.is_alone && !wire_.has_carrier()) {
        for (const net::Address& address : addresses)
            if (is_announced(address)) withdraw(address, "the wire is unplugged");
        states_.clear();  // what was asked cannot be answered
        announced.set(0);
        return;
    }
    std::optional<std::optional<bool>> ipv4;  // known once the IPv4 ones are judged: they come first
    for (const net::Address& address : addresses) {
        State& state = states_[address];
        if (address.is_v4() || candidates_.is_alone) {
            judge(address, state);
        } else if (!candidates_.everyone.empty()) {
            if (!ipv4) ipv4 = is_ipv4_ours(addresses);
            follow(address, state, *ipv4);
        }
        if (!is_announced(address)) continue;
        ++count;
        if (state.greetings == 0) continue;
        --state.greetings;
        (void)wire_.tell(address);
    }
    announced.set(count);
    ask_some(addresses);
}

}  // namespace weft::agent
