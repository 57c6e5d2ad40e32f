// RouteTable: the routes of a VPC as plain values, and the rules that decide which of them carry packets. Every vSwitch
// uses exactly one table: the one its spec.routeTable names, else its VPC's system table, vrt-<vpc>.
//
// A custom route loses to what the VPC has by itself: its destination may equal no system route and lie inside no
// vSwitch and not inside the Service CIDR; it may be more specific than 100.64.0.0/10. Longest prefix wins among
// those that are Active. What a next hop is, the caller knows (FindHop). Errors name the field; a route that cannot be
// keeps its place in the list with a state and a sentence. Limits: custom_routes_max, custom_tables_max. Threads:
// values only.
// Source: spec/acs.md §1.3, docs/design/objects.md "Route tables and peering".
#pragma once
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cloud/vpc.h"
#include "cloud/vswitch.h"
#include "net/address.h"

namespace weft::cloud {

inline constexpr size_t custom_routes_max = 200;             // of one table
inline constexpr size_t custom_tables_max = 9;               // of one VPC
inline constexpr uint32_t custom_table_first = vni_max + 1;  // numbers below are VNIs: those of system tables

enum class HopType : uint8_t { nat_gateway, vpc_peer, instance, network_interface, blackhole };
std::string_view hop_type_name(HopType type);  // as the API spells it
std::optional<HopType> parse_hop_type(std::string_view text);

// A custom route as the user wrote it.
struct RouteWish {
    std::string destination;
    std::string type;
    std::string id;
};

struct RouteTable {
    std::string name;
    std::string created;  // creationTimestamp: of too many tables the older ones stay
    std::string vpc;
    std::vector<RouteWish> routes;
    uint32_t number = 0;  // status.number; 0 = none yet

    bool is_system() const;
};
std::string system_table_name(std::string_view vpc);
Result<RouteTable> parse_route_table(const json::Value& object);

// What every table of a VPC holds by itself.
struct SystemRoute {
    enum class Kind : uint8_t { vswitch, cloud_services, services, block };
    net::Prefix destination;
    Kind kind = Kind::block;
    std::string of;  // the vSwitch's name
};
// The vSwitches' blocks, 100.64.0.0/10 (and its IPv6 form in a VPC with IPv6), the Service CIDRs, and the VPC's own
// blocks, which the cloud does not list: they keep an address that no vSwitch has from being looked for elsewhere.
std::vector<SystemRoute> system_routes(const Vpc& vpc, std::span<const VSwitch> vswitches);

enum class RouteState : uint8_t { active, conflict, next_hop_missing };
std::string_view route_state_name(RouteState state);

// Where a next hop leads.
struct NextHop {
    uint32_t vni = 0;                 // vpc_peer: the other VPC
    std::optional<net::Address> via;  // instance, network_interface: its address of the destination's family
};
// The next hop, or why there is none ("pod default/fw does not exist").
using FindHop = std::function<std::expected<NextHop, std::string>(HopType type, std::string_view id, bool is_v4)>;

struct JudgedRoute {
    RouteWish wish;
    RouteState state = RouteState::active;
    std::string message;  // of one that is not Active
    NextHop hop;
};
std::vector<JudgedRoute> judge_routes(const RouteTable& table, const Vpc& vpc, std::span<const VSwitch> vswitches,
                                      const FindHop& find_hop);

// status.routes, and back from it: the Active ones.
json::Array routes_status(std::span<const JudgedRoute> routes);
struct ActiveRoute {
    net::Prefix destination;
    HopType type = HopType::blackhole;
    std::string id;
    NextHop hop;
};
std::vector<ActiveRoute> active_routes(const json::Value& table);

// A vSwitch may not come to lie on a route: equal or around the destination of an Active route of its VPC. The text
// names field and table; nullopt when it may be.
std::optional<std::string> route_in_the_way(const VSwitch& vswitch, const json::Value& table);

// The number of the table that a vSwitch uses. `named` is the object that spec.routeTable names, null when it names
// none or it is not there. A table that is another VPC's or has no number does not bind: the system table stays.
uint32_t table_number(const VSwitch& vswitch, const Vpc& vpc, const json::Value* named);

// May the pod send and receive packets of others' addresses? "" when it may, else what is missing. The user asks for it
// by annotation weft.dev/allow-forwarding on the pod, the administrator allows it by the label on its namespace.
bool asks_to_forward(const json::Value& pod);
std::string forwarding_refusal(const json::Value& pod, const json::Value* namespace_object);

// A destination as the data plane's trie, which holds both families in 128 bits, can have it: a short IPv6 prefix that
// would take IPv4 in is cut into those that do not.
std::vector<net::Prefix> trie_prefixes(const net::Prefix& destination);

}  // namespace weft::cloud
