// weft conntrack: the connections that the nodes' data planes remember.
#include "cli/conntrack.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cli/nodes.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/views.h"

namespace weft::cli {

std::string End::text() const {
    return address.is_v4() ? fmt::format("{}:{}", address.text(), port) : fmt::format("[{}]:{}", address.text(), port);
}

std::string protocol_text(uint8_t protocol) {
    switch (protocol) {
        case 1:
            return "icmp";
        case 6:
            return "tcp";
        case 17:
            return "udp";
        case 58:
            return "icmpv6";
        default:
            return std::to_string(protocol);
    }
}

static std::string state_text(const abi::ct_key& key, const abi::ct_entry& entry, uint32_t idle_s) {
    if (idle_s > abi::ct_idle_max_s(key.protocol, entry.state)) return "old";  // the data plane no longer believes it
    switch (entry.state) {
        case abi::CT_HALF_OPEN:
            return "half-open";
        case abi::CT_ESTABLISHED:
            return "established";
        case abi::CT_CLOSING:
            return "closing";
        default:
            return fmt::format("state-{}", entry.state);
    }
}

Connection connection_of(const abi::ct_key& key, const abi::ct_entry& entry, uint32_t now_s) {
    const auto since = [now_s](uint32_t then) { return now_s > then ? now_s - then : 0; };
    Connection connection;
    connection.vpc = key.vpc;
    connection.protocol = key.protocol;
    connection.initiator = {abi::from_abi(key.low), abi::from_abi_port(key.low_port)};
    connection.responder = {abi::from_abi(key.high), abi::from_abi_port(key.high_port)};
    if ((entry.flags & abi::CT_INITIATOR_HIGH) != 0) std::swap(connection.initiator, connection.responder);
    connection.is_translation_row = (entry.flags & abi::CT_TRANSLATION_ROW) != 0;
    if (connection.is_translation_row || (entry.flags & abi::CT_TRANSLATED) != 0)
        connection.by = End{abi::from_abi(entry.translated_address), abi::from_abi_port(entry.translated_port)};
    if (entry.egress.other_port != 0) {
        connection.seen_port = connection.is_translation_row ? abi::from_abi_port(entry.egress.other_port) : connection.initiator.port;
        if (!connection.is_translation_row) connection.initiator.port = abi::from_abi_port(entry.egress.other_port);
    }
    connection.from_outside = (entry.flags & abi::CT_FROM_OUTSIDE) != 0;
    connection.hairpin = (entry.flags & abi::CT_HAIRPIN) != 0;
    connection.packets = entry.original_packets;
    connection.bytes = entry.original_bytes;
    connection.reply_packets = entry.reply_packets;
    connection.reply_bytes = entry.reply_bytes;
    connection.idle_s = since(entry.last_seen_s);
    connection.age_s = since(entry.created_s);
    connection.state = state_text(key, entry, connection.idle_s);
    return connection;
}

bool speaks_of(const Connection& connection, const net::Address& address) {
    return connection.initiator.address == address || connection.responder.address == address ||
           (connection.by && connection.by->address == address);
}

json::Value to_json(const Connection& connection, const std::string& node) {
    json::Object out;
    out["node"] = node;
    out["vni"] = connection.vpc;
    out["protocol"] = protocol_text(connection.protocol);
    out["state"] = connection.state;
    out["initiator"] = connection.initiator.text();
    out["responder"] = connection.responder.text();
    if (connection.by) out[connection.is_translation_row ? "backend" : "frontend"] = connection.by->text();
    if (connection.seen_port != 0) out["seenPort"] = connection.seen_port;
    out["fromOutside"] = connection.from_outside;
    out["hairpin"] = connection.hairpin;
    out["packets"] = connection.packets;
    out["bytes"] = connection.bytes;
    out["replyPackets"] = connection.reply_packets;
    out["replyBytes"] = connection.reply_bytes;
    out["idleSeconds"] = connection.idle_s;
    out["ageSeconds"] = connection.age_s;
    return out;
}

static Result<std::vector<Connection>> connections_on(const Instance& instance, const std::string& node) {
    const kernel::NodeMaps maps = TRY(maps_of_node(instance, node));
    const uint32_t now = abi::now_s();
    std::vector<Connection> connections;
    for (const auto* map : {maps.ct_established.get(), maps.ct_half_open.get()})
        for (const auto& [key, entry] : TRY(map->all())) connections.push_back(connection_of(key, entry, now));
    std::sort(connections.begin(), connections.end(),
              [](const Connection& a, const Connection& b) { return a.idle_s < b.idle_s; });
    return connections;
}

// Every node's, youngest first within a node.
static Result<std::vector<std::pair<std::string, Connection>>> connections_of(const Instance& instance,
                                                                              const std::string& only_node,
                                                                              const std::string& about) {
    std::optional<net::Address> address;
    if (!about.empty()) address = TRY_IN("ADDRESS", net::Address::parse(about));
    std::vector<std::pair<std::string, Connection>> list;
    for (const std::string& node : TRY(node_names(instance, only_node)))
        for (Connection& connection : TRY(connections_on(instance, node)))
            if (!address || speaks_of(connection, *address)) list.emplace_back(node, std::move(connection));
    return list;
}

static json::Array values_of(const std::vector<std::pair<std::string, Connection>>& connections) {
    json::Array list;
    for (const auto& [node, connection] : connections) list.push_back(to_json(connection, node));
    return list;
}

Result<json::Value> conntrack_view(const Instance& instance, const std::string& node, const std::string& address) {
    return json::Value(values_of(TRY(connections_of(instance, node, address))));
}

static std::vector<std::string> row_of(const std::string& node, const Connection& connection) {
    std::string by = connection.by ? connection.by->text() : "-";
    if (connection.from_outside) by += " from outside";
    if (connection.hairpin) by += " to itself";
    if (connection.is_translation_row) by = "to " + by;
    const auto number = [](uint64_t value) { return std::to_string(value); };
    return {node,
            number(connection.vpc),
            protocol_text(connection.protocol),
            connection.state,
            connection.initiator.text(),
            connection.responder.text(),
            number(connection.packets),
            number(connection.reply_packets),
            number(connection.idle_s),
            by,
            number(connection.bytes),
            number(connection.reply_bytes),
            number(connection.age_s)};
}

static Status show_connections(const Common& common, const std::string& node, const std::string& about) {
    const auto connections = TRY(connections_of(TRY(find_instance(common)), node, about));
    constexpr Align right = Align::right;
    Table table{{"NODE", {"VNI", right}, "PROTO", "STATE", "FROM", "TO", {"PACKETS", right}, {"BACK", right},
                 {"IDLE S", right}, "ASKED FOR", {"BYTES", right, true}, {"BYTES BACK", right, true}, {"AGE S", right, true}},
                {}};
    for (const auto& [name, connection] : connections)
        if (common.output == "wide" || !connection.is_translation_row)  // the other row says the same, and more
            table.rows.push_back(row_of(name, connection));
    show(common, table, values_of(connections));
    return {};
}

int conntrack(const Common& common, const std::string& node, const std::string& address) {
    const Status shown = show_connections(common, node, address);
    return shown ? 0 : report(shown.error());
}

}  // namespace weft::cli
