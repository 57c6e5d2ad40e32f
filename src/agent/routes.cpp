#include "agent/routes.h"

#include "base/delta.h"

namespace weft::agent {
namespace {

abi::route system_row(cloud::SystemRoute::Kind kind) {
    abi::route row{};
    row.kind = kind == cloud::SystemRoute::Kind::services ? abi::ROUTE_SERVICES : abi::ROUTE_LOCAL;
    return row;
}

// The place of NAT gateways is kept: no such route is Active yet.
std::optional<abi::route> custom_row(const cloud::Vpc& vpc, const cloud::ActiveRoute& route) {
    abi::route row{};
    switch (route.type) {
        case cloud::HopType::vpc_peer:
            row.kind = abi::ROUTE_PEERING;
            row.target = route.hop.vni;
            return row;
        case cloud::HopType::instance:
        case cloud::HopType::network_interface:
            row.kind = abi::ROUTE_ENDPOINT;
            row.via = abi::to_abi(*route.hop.via);
            break;
        case cloud::HopType::blackhole:
            row.kind = abi::ROUTE_BLACKHOLE;
            break;
        case cloud::HopType::nat_gateway:
            return std::nullopt;
    }
    // Still addresses of the VPC's own: the outside may not speak from them.
    const bool is_inside = route.destination.is_v4() ? vpc.contains(route.destination)
                                                     : vpc.ipv6_block && vpc.ipv6_block->contains(route.destination);
    if (is_inside) row.target = vpc.vni;
    return row;
}

RouteRows rows_of(const Tables& tables, const std::set<uint32_t>& numbers) {
    RouteRows rows;
    for (const auto& [key, row] : tables.routes.rows())
        if (numbers.contains(key.table)) rows.emplace(key, row);
    return rows;
}

std::vector<cloud::VSwitch> accepted_vswitches(const View& view, std::string_view vpc) {
    std::vector<cloud::VSwitch> accepted;
    view.vswitches.for_each([&](const kube::ObjectPtr& object) {
        if (object->string({"spec", "vpc"}) != vpc) return;
        if (auto vswitch = cloud::parse_vswitch(object->body()); vswitch && vswitch->is_accepted)
            accepted.push_back(std::move(*vswitch));
    });
    return accepted;
}

std::optional<uint32_t> table_of(const View& view, std::string_view vswitch_name) {
    const auto vswitch = view.vswitch(vswitch_name);
    if (!vswitch) return std::nullopt;
    const auto vpc = view.vpc(vswitch->vpc);
    if (!vpc) return std::nullopt;
    const kube::ObjectPtr named =
        vswitch->route_table.empty() ? nullptr : view.route_tables.get(vswitch->route_table);
    return cloud::table_number(*vswitch, *vpc, named ? &named->body() : nullptr);
}

bool may_forward(const View& view, const Allocation& allocation) {
    const kube::ObjectPtr pod = view.pods.get({allocation.pod_namespace, allocation.pod_name});
    if (!pod || pod->uid() != allocation.pod_uid || !cloud::asks_to_forward(pod->body())) return false;
    const kube::ObjectPtr ns = view.namespaces.get(allocation.pod_namespace);
    return cloud::forwarding_refusal(pod->body(), ns ? &ns->body() : nullptr).empty();
}

}  // namespace

RouteRows desired_table(uint32_t number, const cloud::Vpc& vpc, std::span<const cloud::VSwitch> vswitches,
                        std::span<const cloud::ActiveRoute> routes) {
    RouteRows rows;
    const auto system = cloud::system_routes(vpc, vswitches);
    for (const cloud::SystemRoute& route : system)
        if (route.kind == cloud::SystemRoute::Kind::block)
            rows[abi::route_key_of(number, route.destination)] = system_row(route.kind);
    // A custom route may stand in the place of a whole block, never in that of another system route.
    for (const cloud::ActiveRoute& route : routes) {
        const auto row = custom_row(vpc, route);
        if (!row) continue;
        for (const net::Prefix& prefix : cloud::trie_prefixes(route.destination))
            rows[abi::route_key_of(number, prefix)] = *row;
    }
    for (const cloud::SystemRoute& route : system)
        if (route.kind != cloud::SystemRoute::Kind::block)
            rows[abi::route_key_of(number, route.destination)] = system_row(route.kind);
    return rows;
}

std::optional<PodRouting> routing_of(const View& view, const Allocation& allocation) {
    const auto table = table_of(view, allocation.vswitch);
    if (!table) return std::nullopt;
    return PodRouting{*table, may_forward(view, allocation)};
}

kube::Outcome Routes::reconcile(const kube::ObjectKey& key) {
    const auto vpc = view_.vpc(key.name);
    if (!vpc) {
        // Gone, or not legible any more: the first is removed, the second stays as it was.
        return view_.vpcs.get(key.name) ? kube::Outcome::done() : kube::Outcome::from(apply(key.name, {}, {}));
    }
    const auto vswitches = accepted_vswitches(view_, vpc->name);
    std::set<uint32_t> numbers{vpc->vni};
    RouteRows want = desired_table(vpc->vni, *vpc, vswitches, {});
    view_.route_tables.for_each([&](const kube::ObjectPtr& object) {
        const auto table = cloud::parse_route_table(object->body());
        if (!table || table->vpc != vpc->name || table->number == 0) return;
        if (table->is_system() ? table->number != vpc->vni : table->number < cloud::custom_table_first) return;
        numbers.insert(table->number);
        for (const auto& [row_key, row] :
             desired_table(table->number, *vpc, vswitches, cloud::active_routes(object->body())))
            want.insert_or_assign(row_key, row);
    });
    return kube::Outcome::from(apply(key.name, want, numbers));
}

Status Routes::apply(const std::string& vpc, const RouteRows& want, const std::set<uint32_t>& numbers) {
    // A number that was another VPC's until now is not its any more, whether or not that one has been looked at.
    for (auto& [other, theirs] : numbers_)
        if (other != vpc) std::erase_if(theirs, [&](uint32_t number) { return numbers.contains(number); });
    std::set<uint32_t> concerned = numbers_[vpc];
    concerned.insert(numbers.begin(), numbers.end());
    TRY_IN("routes", tables_.routes.apply(diff(rows_of(tables_, concerned), want)));
    if (numbers.empty()) numbers_.erase(vpc);
    else numbers_[vpc] = numbers;
    return {};
}

Status Routes::follow() {
    std::map<std::string, std::optional<uint32_t>> tables;  // by vSwitch
    std::vector<std::pair<uint32_t, abi::endpoint>> changed;
    for (const auto& [key, allocation] : log_.allocations()) {
        const abi::endpoint* const row = tables_.endpoint.find(allocation.endpoint_id);
        if (row == nullptr || row->vpc != allocation.vni) continue;
        const auto [found, is_new] = tables.try_emplace(allocation.vswitch);
        if (is_new) found->second = table_of(view_, allocation.vswitch);
        if (!found->second) continue;  // not legible now: it stays as it was
        abi::endpoint next = *row;
        next.route_table = *found->second;
        next.flags &= ~uint32_t(abi::ENDPOINT_FORWARDS);
        if (may_forward(view_, allocation)) next.flags |= abi::ENDPOINT_FORWARDS;
        if (!(next == *row)) changed.emplace_back(allocation.endpoint_id, next);
    }
    TRY_IN("endpoint", tables_.endpoint.put_all(changed));
    return {};
}

Status Routes::adopt() {
    // A VPC that is there but not legible keeps everything: which tables are its own cannot be told.
    if (view_.all_vpcs().size() != view_.vpcs.size()) return {};
    std::set<uint32_t> known;
    for (const auto& [vpc, numbers] : numbers_) known.insert(numbers.begin(), numbers.end());
    std::vector<abi::route_key> strangers;
    for (const auto& [key, row] : tables_.routes.rows())
        if (!known.contains(key.table)) strangers.push_back(key);
    return tables_.routes.erase_all(strangers);
}

}  // namespace weft::agent
