#include "cli/network.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloud/annotations.h"
#include "cloud/pod_network.h"
#include "cloud/route_table.h"

namespace weft::cli {
namespace {

const kube::Object* named(const std::vector<kube::Object>& objects, std::string_view name) {
    for (const kube::Object& object : objects) {
        if (object.name() == name) return &object;
    }
    return nullptr;
}

// "Ready", or the reason why not.
std::string state_of(const kube::Object& object) {
    const json::Value* const ready = kube::find_condition(object, "Ready");
    if (ready == nullptr) return "Unknown";
    const bool is_ready = json::find_string(*ready, {"status"}) == "True";
    return is_ready ? "Ready" : std::string(json::find_string(*ready, {"reason"}));
}

json::Value or_empty(const kube::Object& object, json::Path path) {
    const json::Value* const value = object.find(path);
    return value == nullptr ? json::Value("") : *value;
}

std::vector<cloud::VSwitch> vswitches_of(const NetworkFacts& facts, std::string_view vpc) {
    std::vector<cloud::VSwitch> vswitches;
    for (const kube::Object& object : facts.vswitches) {
        auto vswitch = cloud::parse_vswitch(object.body());
        if (vswitch && vswitch->vpc == vpc && vswitch->is_accepted) vswitches.push_back(std::move(*vswitch));
    }
    return vswitches;
}

std::string_view origin_of(cloud::SystemRoute::Kind kind) {
    switch (kind) {
        case cloud::SystemRoute::Kind::vswitch: return "vSwitch";
        case cloud::SystemRoute::Kind::cloud_services: return "cloud services";
        case cloud::SystemRoute::Kind::services: return "Services";
        case cloud::SystemRoute::Kind::block: return "VPC";
    }
    return "";
}

struct Shown {
    std::optional<net::Prefix> destination;  // nullopt: not legible, shown last
    json::Object row;
};

json::Object row_of(std::string_view destination, std::string next_hop, std::string origin, std::string_view state,
                    std::string_view message) {
    return json::Object{{"destination", destination},
                        {"nextHop", next_hop},
                        {"origin", origin},
                        {"state", state},
                        {"message", message}};
}

std::string next_hop_text(const json::Value& route) {
    std::string text(json::find_string(route, {"type"}));
    if (const auto id = json::find_string(route, {"id"}); !id.empty()) text += fmt::format(" {}", id);
    if (const auto via = json::find_string(route, {"via"}); !via.empty()) text += fmt::format(" ({})", via);
    if (const auto vni = json::find_int(route, {"vni"}); vni != 0) text += fmt::format(" (VPC number {})", vni);
    return text;
}

}  // namespace

Result<json::Value> vpc_view(const NetworkFacts& facts, std::string_view name) {
    const kube::Object* const vpc = named(facts.vpcs, name);
    if (vpc == nullptr) return fail(Code::not_found, fmt::format("no VPC {}; see: weft get vpc", name));
    json::Array vswitches, tables, peerings, namespaces;
    for (const kube::Object& v : facts.vswitches) {
        if (v.string({"spec", "vpc"}) != name) continue;
        vswitches.push_back(json::Object{{"name", v.name()},
                                         {"zone", v.string({"spec", "zone"})},
                                         {"cidrBlock", v.string({"spec", "cidrBlock"})},
                                         {"ipv6CidrBlock", v.string({"status", "ipv6CidrBlock"})},
                                         {"used", v.integer({"status", "usedIPCount"})},
                                         {"free", v.integer({"status", "availableIPCount"})},
                                         {"routeTable", v.string({"status", "routeTable"})},
                                         {"state", state_of(v)}});
    }
    for (const kube::Object& t : facts.route_tables) {
        if (t.string({"spec", "vpc"}) != name) continue;
        tables.push_back(json::Object{{"name", t.name()},
                                      {"type", t.string({"status", "type"})},
                                      {"number", t.integer({"status", "number"})},
                                      {"routes", t.integer({"status", "routeCount"})},
                                      {"active", t.integer({"status", "activeCount"})},
                                      {"vSwitches", t.integer({"status", "vSwitchCount"})},
                                      {"state", state_of(t)}});
    }
    for (const kube::Object& p : facts.peerings) {
        const bool is_first = p.string({"spec", "vpc"}) == name;
        if (!is_first && p.string({"spec", "peerVpc"}) != name) continue;
        const json::Path ours{"status", is_first ? std::string_view("routeCount") : "peerRouteCount"};
        const json::Path theirs{"status", is_first ? std::string_view("peerRouteCount") : "routeCount"};
        peerings.push_back(json::Object{{"name", p.name()},
                                        {"peer", p.string({"spec", is_first ? "peerVpc" : "vpc"})},
                                        {"state", p.string({"status", "state"})},
                                        {"routes", p.integer(ours)},
                                        {"peerRoutes", p.integer(theirs)}});
    }
    std::vector<cloud::Vpc> vpcs;
    for (const kube::Object& object : facts.vpcs) {
        if (auto parsed = cloud::parse_vpc(object.body())) vpcs.push_back(std::move(*parsed));
    }
    for (const kube::Object& ns : facts.namespaces) {
        const auto owner = cloud::vpc_of_namespace(ns.body(), vpcs);
        if (owner && owner->name == name) namespaces.push_back(json::Value(ns.name()));
    }
    return json::Value(json::Object{{"name", name},
                                    {"number", vpc->integer({"status", "vni"})},
                                    {"state", state_of(*vpc)},
                                    {"default", vpc->boolean({"spec", "default"})},
                                    {"encapsulation", json::find_string(vpc->body(), {"spec", "encapsulation"}, "VXLAN")},
                                    {"cidrBlocks", vpc->array({"status", "cidrBlocks"})},
                                    {"ipv6CidrBlock", or_empty(*vpc, {"spec", "ipv6CidrBlock"})},
                                    {"serviceCIDR", or_empty(*vpc, {"spec", "serviceCIDR"})},
                                    {"used", vpc->integer({"status", "usedIPCount"})},
                                    {"total", vpc->integer({"status", "totalIPCount"})},
                                    {"vSwitches", std::move(vswitches)},
                                    {"routeTables", std::move(tables)},
                                    {"peerings", std::move(peerings)},
                                    {"namespaces", std::move(namespaces)}});
}

Result<json::Value> route_view(const NetworkFacts& facts, std::string_view name) {
    const kube::Object* const table = named(facts.route_tables, name);
    if (table == nullptr) return fail(Code::not_found, fmt::format("no RouteTable {}; see: weft get vrt", name));
    const std::string_view vpc_name = table->string({"spec", "vpc"});
    const kube::Object* const vpc = named(facts.vpcs, vpc_name);
    if (vpc == nullptr) return fail(Code::not_found, fmt::format("no VPC {}; see: weft get vpc", vpc_name));
    std::vector<Shown> shown;
    for (const json::Value& route : table->array({"status", "routes"})) {
        const std::string_view destination = json::find_string(route, {"destination"});
        const auto prefix = net::Prefix::parse(destination);
        shown.push_back({prefix ? std::optional(*prefix) : std::nullopt,
                         row_of(destination, next_hop_text(route), "custom", json::find_string(route, {"state"}),
                                json::find_string(route, {"message"}))});
    }
    const cloud::Vpc parsed = TRY(cloud::parse_vpc(vpc->body()));
    for (const cloud::SystemRoute& route : cloud::system_routes(parsed, vswitches_of(facts, vpc_name))) {
        const std::string origin = fmt::format("{}{}{}", origin_of(route.kind), route.of.empty() ? "" : " ", route.of);
        shown.push_back({route.destination, row_of(route.destination.text(), "Local", origin, "Active", "")});
    }
    const auto rank = [](const Shown& s) {
        return s.destination ? std::tuple(0, !s.destination->is_v4(), 128 - s.destination->bits128, *s.destination)
                             : std::tuple(1, false, 0, net::Prefix{});
    };
    std::sort(shown.begin(), shown.end(), [&](const auto& a, const auto& b) {
        return rank(a) != rank(b) ? rank(a) < rank(b) : json::serialize(a.row) < json::serialize(b.row);
    });
    json::Array routes;
    for (Shown& entry : shown) routes.push_back(std::move(entry.row));
    return json::Value(json::Object{{"table", name},
                                    {"vpc", vpc_name},
                                    {"number", table->integer({"status", "number"})},
                                    {"type", table->string({"status", "type"})},
                                    {"vSwitches", table->integer({"status", "vSwitchCount"})},
                                    {"routes", std::move(routes)}});
}

}  // namespace weft::cli
