// The pure half of `weft capture`: filter and file.
#include <fmt/format.h>

#include <cstring>

#include "base/strings.h"
#include "cli/capture.h"
#include "cli/conntrack.h"

namespace weft::cli {

static constexpr uint32_t pcap_magic_ns = 0xa1b23c4d;
static constexpr uint16_t ethertype_arp = 0x0806, ethertype_ip = 0x0800, ethertype_ip6 = 0x86dd;
static constexpr uint8_t protocol_icmp = 1, protocol_icmp6 = 58;

Result<Filter> Filter::parse(const std::vector<std::string>& arguments) {
    std::vector<std::string> words;  // a quoted filter is one argument
    for (const std::string& argument : arguments)
        for (const std::string_view word : split(argument, ' '))
            if (!trim(word).empty()) words.emplace_back(to_lower(trim(word)));
    static constexpr std::pair<std::string_view, What> plain[] = {{"tcp", What::tcp}, {"udp", What::udp},
                                                                  {"icmp", What::icmp}, {"arp", What::arp},
                                                                  {"ip", What::ip},     {"ip6", What::ip6}};
    Filter filter;
    Condition next;
    bool is_open = false;  // after `not` or `and`
    for (size_t i = 0; i < words.size(); i++) {
        const std::string& word = words[i];
        if (word == "and" && !filter.conditions_.empty() && !is_open) {
            is_open = true;
            continue;
        }
        if (word == "not" || word == "!") {
            next.negated = !next.negated;
            is_open = true;
            continue;
        }
        const auto* known = std::find_if(std::begin(plain), std::end(plain), [&](const auto& p) { return p.first == word; });
        if (known != std::end(plain)) {
            next.what = known->second;
        } else if (word == "host" || word == "net" || word == "port") {
            if (++i == words.size()) return fail(Code::invalid, fmt::format("filter: {0} what? for example: {0} {1}", word, word == "port" ? "80" : word == "net" ? "10.0.1.0/24" : "10.0.1.1"));
            if (word == "port") {
                const auto port = parse_unsigned(words[i]);
                if (!port || *port > UINT16_MAX)
                    return fail(Code::invalid, fmt::format("filter: port \"{}\" is none of 0 to 65535", words[i]));
                next.what = What::port;
                next.port = uint16_t(*port);
            } else {
                next.what = What::net;
                next.prefix = word == "net" ? TRY_IN("filter: net", net::Prefix::parse(words[i]))
                                            : net::Prefix::host(TRY_IN("filter: host", net::Address::parse(words[i])));
            }
        } else {
            return fail(Code::invalid, fmt::format("filter: \"{}\" is none of tcp, udp, icmp, arp, ip, ip6, host ADDRESS, "
                                                   "net PREFIX, port N, not, and; weft capture --help",
                                                   word));
        }
        filter.conditions_.push_back(std::exchange(next, {}));
        is_open = false;
    }
    if (is_open) return fail(Code::invalid, fmt::format("filter: \"{}\" at its end", words.back()));
    return filter;
}

bool Filter::Condition::holds_for(const net::PacketView& packet) const {
    switch (what) {
        case What::tcp:
            return packet.tcp.has_value();
        case What::udp:
            return packet.udp.has_value();
        case What::icmp:
            return packet.protocol == protocol_icmp || packet.protocol == protocol_icmp6;
        case What::arp:
            return packet.ethertype == ethertype_arp;
        case What::ip:
            return packet.ethertype == ethertype_ip;
        case What::ip6:
            return packet.ethertype == ethertype_ip6;
        case What::net:
            if (packet.arp) return prefix->contains(packet.arp->sender) || prefix->contains(packet.arp->target);
            return prefix->contains(packet.source) || prefix->contains(packet.destination);
        case What::port:
            return (packet.tcp && (packet.tcp->source_port == port || packet.tcp->destination_port == port)) ||
                   (packet.udp && (packet.udp->source_port == port || packet.udp->destination_port == port));
    }
    return false;
}

bool Filter::matches(const net::PacketView& packet) const {
    for (const Condition& condition : conditions_) {
        bool holds = condition.holds_for(packet);
        if (!holds && packet.icmp && packet.icmp->about) holds = condition.holds_for(*packet.icmp->about);
        if (holds == condition.negated) return false;
    }
    return true;
}

std::string words_of(const net::PacketView& packet) {
    if (!packet.tcp) {
        net::PacketView unjudged = packet;
        unjudged.checksums_ok = true;
        return unjudged.text();
    }
    static constexpr std::pair<uint8_t, std::string_view> names[] = {
        {net::tcp_syn, "SYN"}, {net::tcp_fin, "FIN"}, {net::tcp_rst, "RST"}, {net::tcp_psh, "PSH"}, {net::tcp_ack, "ACK"}};
    std::string flags;
    for (const auto& [bit, name] : names)
        if ((packet.tcp->flags & bit) != 0) flags += fmt::format(" {}", name);
    const auto end = [](const net::Address& address, uint16_t port) { return End{address, port}.text(); };
    return fmt::format("{} > {} tcp{}", end(packet.source, packet.tcp->source_port),
                       end(packet.destination, packet.tcp->destination_port), flags);
}

template <class... T>
static std::string bytes_of(T... values) {  // in the machine's order, which the magic number tells
    std::string out;
    ((out.append(reinterpret_cast<const char*>(&values), sizeof values)), ...);
    return out;
}

std::string pcap_head() {
    constexpr uint32_t ethernet = 1;
    return bytes_of(pcap_magic_ns, uint16_t(2), uint16_t(4), int32_t(0), uint32_t(0), capture_bytes_max, ethernet);
}

std::string pcap_record(uint64_t time_ns, std::span<const uint8_t> frame, uint32_t bytes_on_the_wire) {
    std::string out = bytes_of(uint32_t(time_ns / 1'000'000'000), uint32_t(time_ns % 1'000'000'000),
                               uint32_t(frame.size()), bytes_on_the_wire);
    out.append(reinterpret_cast<const char*>(frame.data()), frame.size());
    return out;
}

}  // namespace weft::cli
