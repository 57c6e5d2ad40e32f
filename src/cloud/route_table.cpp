#include "cloud/route_table.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloud/annotations.h"

namespace weft::cloud {
namespace {

constexpr std::string_view system_table_prefix = "vrt-";

struct HopName {
    HopType type;
    std::string_view name;
};
constexpr HopName hop_names[] = {
    {HopType::nat_gateway, "NatGateway"},
    {HopType::vpc_peer, "VpcPeer"},
    {HopType::instance, "Instance"},
    {HopType::network_interface, "NetworkInterface"},
    {HopType::blackhole, "Blackhole"},
};

net::Prefix cloud_services_block() { return MUST(net::Prefix::parse("100.64.0.0/10")); }

net::Prefix ipv6_cloud_services_block() { return MUST(net::Prefix::parse("fd77:6566:7400::6440:0/106")); }

bool holds(const net::Prefix& outer, const net::Prefix& inner) {
    return outer.is_v4() == inner.is_v4() && outer.contains(inner);
}

std::string text_of(const SystemRoute& route) {
    switch (route.kind) {
        case SystemRoute::Kind::vswitch: return fmt::format("{} of vSwitch {}", route.destination.text(), route.of);
        case SystemRoute::Kind::cloud_services: return route.destination.text() + " of the cloud's own services";
        case SystemRoute::Kind::services: return route.destination.text() + " of the VPC's Services";
        case SystemRoute::Kind::block: return route.destination.text() + " of the VPC";
    }
    return {};
}

// Addresses that are no unicast destination of anybody beyond this link. fd77:6566:7400::/48 is not among them: like
// 100.64.0.0/10 it may be pointed elsewhere in parts.
std::optional<net::Prefix> not_routable(const net::Prefix& destination) {
    static const std::array<net::Prefix, 6> blocks = {
        MUST(net::Prefix::parse("127.0.0.0/8")), MUST(net::Prefix::parse("169.254.0.0/16")),
        MUST(net::Prefix::parse("224.0.0.0/4")), MUST(net::Prefix::parse("::/8")),
        MUST(net::Prefix::parse("fe80::/10")),   MUST(net::Prefix::parse("ff00::/8")),
    };
    for (const net::Prefix& block : blocks) {
        if (holds(block, destination)) return block;
    }
    return std::nullopt;
}

// Why the destination cannot be, beside what the VPC has by itself; "" when it can. `field` names the route.
std::string conflict_of(const net::Prefix& destination, HopType type, const std::string& field,
                        std::span<const SystemRoute> system) {
    const auto sentence = [&](std::string_view what) {
        return fmt::format("{}.destination: {}: {}", field, destination.text(), what);
    };
    if (const auto block = not_routable(destination))
        return sentence(fmt::format("lies in {}, which is never routed", block->text()));
    for (const SystemRoute& route : system) {
        const bool is_inside = holds(route.destination, destination);
        if (!is_inside) continue;
        const bool is_equal = route.destination == destination;
        switch (route.kind) {
            case SystemRoute::Kind::vswitch:
            case SystemRoute::Kind::services:
                return sentence(fmt::format("{} the system route {}", is_equal ? "equals" : "is more specific than",
                                            text_of(route)));
            case SystemRoute::Kind::cloud_services:
                if (is_equal) return sentence("equals the system route " + text_of(route));
                break;
            case SystemRoute::Kind::block:  // nobody beyond has an address of the VPC's own
                if (type == HopType::vpc_peer || type == HopType::nat_gateway)
                    return sentence(fmt::format("lies inside {}: {} leads out of the VPC", text_of(route),
                                                hop_type_name(type)));
                break;
        }
    }
    return {};
}

}  // namespace

std::string_view hop_type_name(HopType type) {
    for (const HopName& entry : hop_names) {
        if (entry.type == type) return entry.name;
    }
    return {};
}

std::optional<HopType> parse_hop_type(std::string_view text) {
    for (const HopName& entry : hop_names) {
        if (entry.name == text) return entry.type;
    }
    return std::nullopt;
}

std::string_view route_state_name(RouteState state) {
    switch (state) {
        case RouteState::active: return "Active";
        case RouteState::conflict: return "Conflict";
        case RouteState::next_hop_missing: return "NextHopMissing";
    }
    return {};
}

std::string system_table_name(std::string_view vpc) { return std::string(system_table_prefix) + std::string(vpc); }

bool RouteTable::is_system() const { return name == system_table_name(vpc); }

Result<RouteTable> parse_route_table(const json::Value& object) {
    RouteTable table;
    table.name = json::find_string(object, {"metadata", "name"});
    table.created = json::find_string(object, {"metadata", "creationTimestamp"});
    table.vpc = json::find_string(object, {"spec", "vpc"});
    if (table.vpc.empty()) return fail(Code::invalid, "spec.vpc: Required value");
    if (const json::Array* const routes = json::find_array(object, {"spec", "routes"})) {
        if (routes->size() > custom_routes_max)
            return fail(Code::invalid, fmt::format("spec.routes: {} routes, at most {} are allowed", routes->size(),
                                                   custom_routes_max));
        for (const json::Value& route : *routes)
            table.routes.push_back({std::string(json::find_string(route, {"destination"})),
                                    std::string(json::find_string(route, {"nextHop", "type"})),
                                    std::string(json::find_string(route, {"nextHop", "id"}))});
    }
    const int64_t number = json::find_int(object, {"status", "number"});
    if (number > 0 && number <= int64_t(UINT32_MAX)) table.number = uint32_t(number);
    return table;
}

std::vector<SystemRoute> system_routes(const Vpc& vpc, std::span<const VSwitch> vswitches) {
    using Kind = SystemRoute::Kind;
    std::vector<SystemRoute> routes;
    for (const VSwitch& vswitch : vswitches) {
        if (vswitch.vpc != vpc.name) continue;
        routes.push_back({vswitch.cidr, Kind::vswitch, vswitch.name});
        if (vswitch.ipv6_block) routes.push_back({*vswitch.ipv6_block, Kind::vswitch, vswitch.name});
    }
    routes.push_back({cloud_services_block(), Kind::cloud_services, {}});
    if (vpc.ipv6_block || vpc.ipv6_service_cidr)
        routes.push_back({ipv6_cloud_services_block(), Kind::cloud_services, {}});
    routes.push_back({vpc.service_cidr, Kind::services, {}});
    if (vpc.ipv6_service_cidr) routes.push_back({*vpc.ipv6_service_cidr, Kind::services, {}});
    for (const net::Prefix& block : vpc.blocks) routes.push_back({block, Kind::block, {}});
    if (vpc.ipv6_block) routes.push_back({*vpc.ipv6_block, Kind::block, {}});
    return routes;
}

std::vector<JudgedRoute> judge_routes(const RouteTable& table, const Vpc& vpc, std::span<const VSwitch> vswitches,
                                      const FindHop& find_hop) {
    const auto system = system_routes(vpc, vswitches);
    std::vector<JudgedRoute> judged;
    std::vector<net::Prefix> seen;
    for (size_t i = 0; i < table.routes.size(); ++i) {
        const std::string field = fmt::format("spec.routes[{}]", i);
        JudgedRoute route{.wish = table.routes[i]};
        const auto put = [&](RouteState state, std::string message) {
            route.state = state;
            route.message = std::move(message);
            judged.push_back(std::move(route));
        };
        const auto destination = net::Prefix::parse(route.wish.destination);
        const auto type = parse_hop_type(route.wish.type);
        if (!destination) {
            put(RouteState::conflict, field + ".destination: " + destination.error().message);
            continue;
        }
        if (!type) {
            put(RouteState::conflict, fmt::format("{}.nextHop.type: {}: unknown", field, route.wish.type));
            continue;
        }
        if (const auto twin = std::find(seen.begin(), seen.end(), *destination); twin != seen.end()) {
            put(RouteState::conflict, fmt::format("{}.destination: {}: stands in the table already", field,
                                                  destination->text()));
            continue;
        }
        seen.push_back(*destination);
        if (std::string conflict = conflict_of(*destination, *type, field, system); !conflict.empty()) {
            put(RouteState::conflict, std::move(conflict));
            continue;
        }
        if (*type != HopType::blackhole) {
            const auto hop = find_hop(*type, route.wish.id, destination->is_v4());
            if (!hop) {
                put(RouteState::next_hop_missing,
                    fmt::format("{}.nextHop.id: {}: {}", field, route.wish.id, hop.error()));
                continue;
            }
            route.hop = *hop;
        }
        put(RouteState::active, {});
    }
    return judged;
}

json::Array routes_status(std::span<const JudgedRoute> routes) {
    json::Array status;
    for (const JudgedRoute& route : routes) {
        json::Object row{{"destination", route.wish.destination}, {"type", route.wish.type}};
        if (!route.wish.id.empty()) row["id"] = route.wish.id;
        if (route.state == RouteState::active && route.hop.vni != 0) row["vni"] = int64_t(route.hop.vni);
        if (route.state == RouteState::active && route.hop.via) row["via"] = route.hop.via->text();
        row["state"] = route_state_name(route.state);
        if (!route.message.empty()) row["message"] = route.message;
        status.push_back(std::move(row));
    }
    return status;
}

std::vector<ActiveRoute> active_routes(const json::Value& table) {
    std::vector<ActiveRoute> active;
    const json::Array* const rows = json::find_array(table, {"status", "routes"});
    if (rows == nullptr) return active;
    for (const json::Value& row : *rows) {
        if (json::find_string(row, {"state"}) != route_state_name(RouteState::active)) continue;
        const auto destination = net::Prefix::parse(json::find_string(row, {"destination"}));
        const auto type = parse_hop_type(json::find_string(row, {"type"}));
        if (!destination || !type) continue;
        ActiveRoute route{*destination, *type, std::string(json::find_string(row, {"id"})), {}};
        const int64_t vni = json::find_int(row, {"vni"});
        if (vni > 0 && vni <= int64_t(vni_max)) route.hop.vni = uint32_t(vni);
        if (const auto via = net::Address::parse(json::find_string(row, {"via"}))) route.hop.via = *via;
        const bool needs_vni = *type == HopType::vpc_peer;
        const bool needs_via = *type == HopType::instance || *type == HopType::network_interface;
        if ((needs_vni && route.hop.vni == 0) || (needs_via && !route.hop.via)) continue;
        active.push_back(std::move(route));
    }
    return active;
}

std::optional<std::string> route_in_the_way(const VSwitch& vswitch, const json::Value& table) {
    if (json::find_string(table, {"spec", "vpc"}) != vswitch.vpc) return std::nullopt;
    const std::string_view name = json::find_string(table, {"metadata", "name"});
    for (const ActiveRoute& route : active_routes(table)) {
        if (holds(vswitch.cidr, route.destination))
            return fmt::format("spec.cidrBlock: {}: {} the route {} of table {}", vswitch.cidr.text(),
                               vswitch.cidr == route.destination ? "equals" : "contains", route.destination.text(),
                               name);
        if (vswitch.ipv6_block && holds(*vswitch.ipv6_block, route.destination))
            return fmt::format("spec.ipv6CidrBlock: {}: {} the route {} of table {}", vswitch.ipv6_block->text(),
                               *vswitch.ipv6_block == route.destination ? "equals" : "contains",
                               route.destination.text(), name);
    }
    return std::nullopt;
}

uint32_t table_number(const VSwitch& vswitch, const Vpc& vpc, const json::Value* named) {
    if (named == nullptr || vswitch.route_table.empty()) return vpc.vni;
    const auto table = parse_route_table(*named);
    const bool binds =
        table && table->name == vswitch.route_table && table->vpc == vpc.name && table->number != 0;
    return binds ? table->number : vpc.vni;
}

bool asks_to_forward(const json::Value& pod) {
    return json::find_string(pod, {"metadata", "annotations", allow_forwarding}) == "true";
}

std::string forwarding_refusal(const json::Value& pod, const json::Value* namespace_object) {
    if (!asks_to_forward(pod)) return fmt::format("the pod has no annotation {}: \"true\"", allow_forwarding);
    const bool is_allowed =
        namespace_object != nullptr &&
        json::find_string(*namespace_object, {"metadata", "labels", allow_forwarding}) == "true";
    if (is_allowed) return {};
    return fmt::format("its namespace has no label {}: \"true\", which an administrator sets", allow_forwarding);
}

std::vector<net::Prefix> trie_prefixes(const net::Prefix& destination) {
    static const net::Prefix embedded = MUST(net::Prefix::parse("::/8"));
    if (destination.is_v4() || !destination.contains(embedded)) return {destination};
    // ::/0 is 8000::/1, 4000::/2 … 0100::/8, and ::/8, where no unicast destination is.
    std::vector<net::Prefix> parts;
    for (unsigned bits = destination.bits128 + 1u; bits <= embedded.bits128; ++bits) {
        net::Address address;
        address.bytes[0] = uint8_t(1u << (8 - bits));
        parts.push_back(net::Prefix{address, uint8_t(bits)});
    }
    return parts;
}

}  // namespace weft::cloud
