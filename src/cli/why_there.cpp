#include "cli/why_there.h"

#include <fmt/format.h>
#include <linux/pkt_cls.h>

#include "cli/nodes.h"
#include "cli/why.h"
#include "kernel/rehearsal.h"

namespace weft::cli {
namespace {

// Where a frame goes on to.
struct Way {
    std::optional<TunnelFrame> wrapped;  // nullopt: the fabric routes it as it is
    net::Address towards;                // the address that is looked for: the receiver's, or its next hop's
    net::Address underlay;
    uint32_t vni = 0;
};

bool is_neighbour(const net::Address& address) {
    static const net::Prefix v4 = net::Prefix::of(net::Address::v4(IDENTITY_V4), 10);
    const abi::ip_addr words = abi::to_abi(address);
    return v4.contains(address) ||
           (words.word[0] == __builtin_bswap32(IDENTITY_V6_0) && words.word[1] == __builtin_bswap32(IDENTITY_V6_1));
}

// What is inside the tunnel's packet, where the first node's hook has written that itself (bpf/lib/wrap.h).
net::Bytes open_frame(const net::Bytes& frame) {
    const auto packet = net::read_packet(frame);
    const bool is_wrapped = frame.size() > TUNNEL_OVERHEAD && packet && packet->udp && packet->udp->destination_port == TUNNEL_PORT &&
                            read_tunnel_frame({frame.begin() + TUNNEL_OVERHEAD, frame.end()});
    return is_wrapped ? net::Bytes(frame.begin() + TUNNEL_OVERHEAD, frame.end()) : frame;
}

Result<std::optional<Way>> way_of(const Here& here, const net::Bytes& frame) {
    const auto packet = net::read_packet(frame);
    if (!packet) return std::optional<Way>();
    Way way{read_tunnel_frame(frame), packet->destination, {}, here.vni};
    if (way.wrapped) way.vni = way.wrapped->vni;
    if (way.wrapped && way.wrapped->kind == abi::FRAME_VIA) {
        const auto row = TRY(here.maps.routes->lookup(
            abi::route_key_of(here.sender.route_table, net::Prefix::host(packet->destination))));
        if (row) way.towards = abi::from_abi(row->via);
    }
    const uint32_t vpc = is_neighbour(way.towards) ? LOCATION_EVERY_VPC : way.vni;
    const auto id = TRY(here.maps.locations->lookup(abi::location_key_of(vpc, net::Prefix::host(way.towards))));
    if (!id) return std::optional<Way>();
    // The row of the number alone is the node's own address, whichever way the packet takes.
    const auto node = TRY(here.maps.nodes->lookup(*id & NODE_NUMBER_MASK));
    if (!node) return std::optional<Way>();
    way.underlay = abi::from_abi(node->underlay);
    return std::optional(way);
}

// The name of the node of this machine that has this address; "": none.
std::string node_at(const Instance& instance, const net::Address& underlay) {
    const auto names = node_names(instance);
    if (!names) return "";
    for (const std::string& name : *names) {
        const auto maps = maps_of_node(instance, name);
        const auto row = maps ? maps->node->lookup(0) : Result<std::optional<abi::node>>(std::nullopt);
        if (row && *row && abi::from_abi((*row)->v4) == underlay) return name;
    }
    return "";
}

std::string frame_text(const Way& way) {
    if (!way.wrapped) return "the pod's own packet, as the fabric routes it";
    if (way.wrapped->kind == abi::FRAME_VIA) return "for the next hop " + way.towards.text();
    return "plain: for whoever has the address";
}

void tell_doors(There& there, const Way& way, const Here& here, const kernel::NodeMaps& maps,
                std::string_view receiver) {
    const auto row = here.maps.node->lookup(0);
    const std::string from = row && *row ? " (" + abi::from_abi((*row)->v4).text() + ")" : "";
    const auto id = maps.endpoints->lookup(abi::endpoint_key_of(way.vni, way.towards));
    const auto endpoint = id && *id ? maps.endpoint->lookup(**id) : Result<std::optional<abi::endpoint>>(std::nullopt);
    for (const std::string_view door : arrival_doors()) {
        std::string text = "passes";
        if (door == there.door)
            text = fmt::format("DROPS it: {}: {}", there.reason, there.reason_text);
        else if (door == "identify")
            text = fmt::format("node {}{}, VPC {}", here.node, from, way.vni);
        else if (door == "frame")
            text = frame_text(way);
        else if (door == "route" && id && *id)
            text = fmt::format("endpoint {}: {}", **id, receiver);
        else if (door == "send" && endpoint && *endpoint)
            text = fmt::format("into the namespace behind interface {}: its own kernel decides the rest",
                               (*endpoint)->ifindex);
        there.doors.emplace_back(door, text);
        if (door == there.door) return;
    }
}

}  // namespace

std::optional<TunnelFrame> read_tunnel_frame(const net::Bytes& frame) {
    abi::tunnel_macs macs{};
    if (frame.size() < sizeof(macs)) return std::nullopt;
    std::memcpy(&macs, frame.data(), sizeof(macs));
    const unsigned kind = macs.kind_and_hops & 0xf;
    if (macs.mark != TUNNEL_MARK || kind < abi::FRAME_PLAIN || kind > abi::FRAME_HAND_OVER) return std::nullopt;
    return TunnelFrame{abi::frame_kind(kind), uint32_t(macs.vpc[0] << 16 | macs.vpc[1] << 8 | macs.vpc[2])};
}

Result<std::optional<There>> rehearse_there(const Here& here, const net::Bytes& left, const NameOf& name_of) {
    const net::Bytes frame = open_frame(left);
    const auto way = TRY(way_of(here, frame));
    if (!way) return std::optional<There>();
    There there;
    there.underlay = way->underlay;
    there.node = node_at(here.instance, way->underlay);
    if (there.node.empty()) {
        there.goes_on = true;
        there.verdict = fmt::format("sent to the node at {}, which is none of this machine's", way->underlay.text());
        return std::optional(there);
    }
    const auto program = way->wrapped ? kernel::ProgramName::tunnel_ingress : kernel::ProgramName::uplink_ingress;
    kernel::Rehearsal rehearsal =
        TRY_IN("rehearse on " + there.node, kernel::Rehearsal::open(here.instance.bpf_dir(there.node), program));
    const auto mine = TRY(here.maps.node->lookup(0));
    const auto theirs = TRY(rehearsal.maps().node->lookup(0));
    if (!mine || !theirs) return fail(Code::unavailable, "a node's own row is missing: weft status");
    const kernel::Netns netns = TRY(kernel::Netns::open(here.instance.node_netns(there.node)));
    const uint32_t link = way->wrapped ? theirs->tunnel_ifindex : theirs->uplink_ifindex;
    const kernel::TestSkb header{.cb = {abi::from_abi(mine->v4).v4_host_order(), way->vni}};
    const kernel::Rehearsed seen = TRY(rehearsal.run(netns, int(link), frame, header));
    const std::string receiver = name_of(way->vni, way->towards);
    if (seen.reason) {
        there.reason = abi::drop_reason_name(*seen.reason);
        there.reason_text = abi::drop_reason_text(*seen.reason);
        there.next = abi::drop_reason_next(*seen.reason);
        there.door = arrival_door_of(*seen.reason);
        there.verdict = fmt::format("dropped by {}: {}", there.node, there.reason);
    } else {
        there.goes_on = seen.action == TC_ACT_REDIRECT;
        there.verdict = there.goes_on ? fmt::format("delivered to {} on {}", receiver, there.node)
                                      : fmt::format("action {} on {}", seen.action, there.node);
    }
    tell_doors(there, *way, here, rehearsal.maps(), receiver);
    return std::optional(there);
}

}  // namespace weft::cli
