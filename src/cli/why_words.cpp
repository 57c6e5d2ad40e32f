#include <fmt/format.h>

#include <span>

#include "base/strings.h"
#include "cli/why.h"

namespace weft::cli {

static constexpr uint16_t echo_id = 0x7765;

static Result<net::Protocol> protocol_of(std::string_view text) {
    if (text == "tcp") return net::Protocol::tcp;
    if (text == "udp") return net::Protocol::udp;
    if (text == "icmp") return net::Protocol::icmp;
    return fail(Code::invalid, fmt::format("ADDRESS:PORT/PROTOCOL: \"{}\" is none of tcp, udp, icmp", text));
}

Result<Question> parse_question(std::string_view who, std::string_view target, std::string_view default_namespace) {
    Question question;
    const size_t slash = who.find('/');
    question.ns = slash == std::string_view::npos ? default_namespace : who.substr(0, slash);
    question.pod = slash == std::string_view::npos ? who : who.substr(slash + 1);
    if (!is_dns1123_label(question.ns) || !is_dns1123_subdomain(question.pod))
        return fail(Code::invalid, fmt::format("NAMESPACE/POD: \"{}\" names no pod", who));
    const size_t mark = target.rfind('/');
    if (mark != std::string_view::npos) question.protocol = TRY(protocol_of(to_lower(target.substr(mark + 1))));
    std::string_view rest = target.substr(0, mark);
    const bool has_port = question.protocol != net::Protocol::icmp;
    if (has_port) {
        const size_t colon = rest.rfind(':');
        const auto port = colon == std::string_view::npos ? std::nullopt : parse_unsigned(rest.substr(colon + 1));
        if (!port || *port == 0 || *port > UINT16_MAX)
            return fail(Code::invalid, fmt::format("ADDRESS:PORT: \"{}\" has no port from 1 to 65535", target));
        question.port = uint16_t(*port);
        rest = rest.substr(0, colon);
    }
    const bool bracketed = rest.size() > 2 && rest.front() == '[' && rest.back() == ']';
    question.address = TRY_IN("ADDRESS:PORT", net::Address::parse(bracketed ? rest.substr(1, rest.size() - 2) : rest));
    if (has_port && question.address.is_v4() == bracketed)
        return fail(
            Code::invalid,
            fmt::format("ADDRESS:PORT: an IPv6 address stands in brackets, an IPv4 address does not: \"{}\"", target));
    return question;
}

net::Bytes first_packet(const Question& question, const net::Mac& source_mac, const net::Address& source,
                        uint16_t source_port) {
    net::PacketBuilder packet = net::packet(source_mac, net::Mac{GATEWAY_MAC}).ip(source, question.address);
    switch (question.protocol) {
        case net::Protocol::tcp:
            return packet.tcp(source_port, question.port, net::tcp_syn).bytes();
        case net::Protocol::udp:
            return packet.udp(source_port, question.port).payload("weft why").bytes();
        default:
            return packet.echo(true, echo_id).payload("weft why").bytes();
    }
}

const std::vector<std::string_view>& doors() {
    static const std::vector<std::string_view> names = {"identify",  "parse", "neighbour", "address", "track",
                                                        "translate", "route", "remember",  "send"};
    return names;
}

// By name, so that a reason which the data plane learns tomorrow is printed with its own text at least.
struct AtDoor {
    std::string_view reason, door;
};

static std::string_view door_among(std::span<const AtDoor> places, abi::drop_reason reason) {
    for (const AtDoor& place : places)
        if (place.reason == abi::drop_reason_name(reason)) return place.door;
    return {};
}

static constexpr AtDoor departure[] = {
    {"unknown_endpoint", "identify"},
    {"spoofed_mac", "identify"},
    {"malformed", "parse"},
    {"not_ip", "parse"},
    {"fragment", "parse"},
    {"protocol", "parse"},
    {"arp", "neighbour"},
    {"neighbour", "neighbour"},
    {"router_discovery", "neighbour"},
    {"spoofed_address", "address"},
    {"dhcp", "address"},
    {"multicast", "address"},
    {"announcement", "parse"},
    {"icmp_unrelated", "track"},
    {"tuple_taken", "translate"},
    {"midstream", "translate"},
    {"no_backend", "translate"},
    {"no_local_backend", "translate"},
    {"source_range", "translate"},
    {"unlisted_port", "translate"},
    {"no_service", "route"},
    {"no_endpoint", "route"},
    {"blackhole", "route"},
    {"next_hop", "route"},
    {"nat_gateway", "route"},
    {"too_big", "send"},
    {"no_nat", "route"},
    {"ct_full", "remember"},
    {"ct_quota", "remember"},
    {"kernel", "send"},
};

std::string_view door_of(abi::drop_reason reason) { return door_among(departure, reason); }

const std::vector<std::string_view>& arrival_doors() {
    static const std::vector<std::string_view> names = {"identify", "parse",    "frame", "track",
                                                        "route",    "remember", "send"};
    return names;
}

static constexpr AtDoor arrival[] = {
    {"unknown_node", "identify"}, {"not_ours", "identify"}, {"outside_source", "identify"},
    {"spoofed_address", "frame"}, {"multicast", "frame"},   {"frame", "frame"},
    {"midstream", "track"},       {"tuple_taken", "track"}, {"no_nat", "route"},
};

std::string_view arrival_door_of(abi::drop_reason reason) {
    const std::string_view here = door_among(arrival, reason);
    return here.empty() ? door_of(reason) : here;
}

}  // namespace weft::cli
