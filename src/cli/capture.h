// Capture: the packets of a pod or of a node, as lines for people or as a pcap file for tcpdump and Wireshark.
//
// Here are the parts that are pure: the filter's words and the file's format. Errors name the word. Threads: any.
// Source: draft-ietf-opsawg-pcap (the file, with nanoseconds), packet(7).
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"
#include "net/packet_builder.h"

namespace weft::cli {

struct CaptureArgs {
    std::string where;                 // NAMESPACE/POD, POD, a node's name, internet, fabric
    std::vector<std::string> filter;   // words, see Filter
    std::string interface;             // "" = all of them
    std::string file;                  // "" = lines; "-" = pcap to stdout
    uint64_t count = 0;                // 0 = until interrupted
    unsigned seconds = 0;              // 0 = until interrupted
};
int capture(const Common& common, const CaptureArgs& args);

// "tcp port 80 not host 10.0.1.5": each condition holds. Words: tcp, udp, icmp, arp, ip, ip6; host ADDRESS; net PREFIX;
// port N; `not` before one; `and` between them may be said. An ICMP error matches by what it is about, too.
class Filter {
public:
    static Result<Filter> parse(const std::vector<std::string>& words);
    bool matches(const net::PacketView& packet) const;

private:
    enum class What : uint8_t { tcp, udp, icmp, arp, ip, ip6, net, port };
    struct Condition {
        What what{};
        bool negated = false;
        std::optional<net::Prefix> prefix;
        uint16_t port = 0;
        bool holds_for(const net::PacketView& packet) const;
    };
    std::vector<Condition> conditions_;
};

// "10.0.1.5:40000 > 10.0.1.6:80 tcp SYN ACK". Checksums are not judged: inside a machine the kernel leaves them out.
std::string words_of(const net::PacketView& packet);

inline constexpr uint32_t capture_bytes_max = 262144;  // of one frame, as tcpdump says
std::string pcap_head();
std::string pcap_record(uint64_t time_ns, std::span<const uint8_t> frame, uint32_t bytes_on_the_wire);

}  // namespace weft::cli
