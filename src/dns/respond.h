// Respond: from the bytes of a query to the bytes of its response, or to the question that must go upstream first. UDP
// and TCP differ in nothing but the room there is.
//
// Threads: pure; one Rng per caller. Source: spec/kubernetes.md §8.2 (DNS-20 … DNS-25).
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "dns/stages.h"

namespace weft::dns {

enum class Transport : uint8_t { udp, tcp };

struct Response {
    enum class Kind : uint8_t { drop, reply, forward };
    Kind kind = Kind::drop;
    dns_wire::Message message;  // reply: whole. forward: what there is so far
    size_t bytes_max = 0;
    std::string_view stage = "wire";
    dns_wire::Question upstream;  // forward
    uint32_t vni = 0;             // who asks; of forward
};

Response respond(std::span<const uint8_t> query, Transport transport, const Snapshot& snapshot, uint32_t vni,
                 const Settings& settings, Rng& rng);
// Puts the upstream's reply (or SERVFAIL for an Error, with the reason in the OPT) into a response of Kind::forward. The
// name that was asked for comes back in the case it was asked in.
void complete(Response& response, const Result<dns_wire::Message>& upstream);
// Counts it (weft_dns_responses_total{transport,stage,rcode}) and encodes it.
std::vector<uint8_t> finish(const Response& response, Transport transport);

}  // namespace weft::dns
