// Why, the second half: what the node that receives the packet makes of it, where that node is one of this machine's.
//
// By the tunnel its tunnel_ingress is rehearsed, where the fabric routes pods its uplink_ingress (kernel/rehearsal.h);
// the frame is the very one that the first node's program left. Source: docs/design/overlay.md.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/instance.h"
#include "kernel/bpf_object.h"
#include "net/packet_builder.h"

namespace weft::cli {

// What the twelve bytes of addresses of a tunnel's inner frame say (bpf/abi/tunnel.h); nullopt: it is no such frame.
struct TunnelFrame {
    abi::frame_kind kind = abi::FRAME_PLAIN;
    uint32_t vni = 0;
    bool operator==(const TunnelFrame&) const = default;
};

std::optional<TunnelFrame> read_tunnel_frame(const net::Bytes& frame);

struct There {
    std::string node;                                        // "": none of this machine's
    net::Address underlay;                                   // of that node
    std::vector<std::pair<std::string, std::string>> doors;  // and what each says
    bool goes_on = false;
    std::string door, reason, reason_text, next, verdict;
};

// What is known of the sending side.
struct Here {
    const Instance& instance;
    std::string node;
    const kernel::NodeMaps& maps;
    abi::endpoint sender{};
    uint32_t vni = 0;  // of the destination, after translation
};

using NameOf = std::function<std::string(uint32_t vni, const net::Address&)>;

// nullopt: the frame goes to no other node.
Result<std::optional<There>> rehearse_there(const Here& here, const net::Bytes& frame, const NameOf& name_of);

}  // namespace weft::cli
