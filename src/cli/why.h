// Why: what becomes of a packet from a pod to an address, and at which door of the corridor it would stop.
//
// The real pod_egress decides (kernel/rehearsal.h); nothing is sent and nothing of the node changes. Here are the parts
// that are pure: what is asked, and the words for the answer. Source: issue 4 part 3, ARCHITECTURE.md "A packet".
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "kernel/abi.h"
#include "net/address.h"
#include "net/packet_builder.h"

namespace weft::cli {

// "default/client", "client" (of the given namespace); "10.0.1.6:80", "[fd00::6]:53/udp", "10.0.1.6/icmp".
struct Question {
    std::string ns, pod;
    net::Address address;
    uint16_t port = 0;
    net::Protocol protocol = net::Protocol::tcp;
    bool operator==(const Question&) const = default;
};

Result<Question> parse_question(std::string_view who, std::string_view target, std::string_view default_namespace);

// The first packet of that conversation.
net::Bytes first_packet(const Question& question, const net::Mac& source_mac, const net::Address& source,
                        uint16_t source_port);

// The doors of pod_egress in their order: identify, parse, neighbour, address, track, translate, route, remember, send.
const std::vector<std::string_view>& doors();
// Which of them says so; "" for a reason that pod_egress does not give.
std::string_view door_of(abi::drop_reason reason);

// The doors that a packet passes on the node where it arrives, by the tunnel or by the wire, and which gives a reason.
const std::vector<std::string_view>& arrival_doors();
std::string_view arrival_door_of(abi::drop_reason reason);

}  // namespace weft::cli
