// Packets for tests, probes and fuzz seeds: a fluent builder that fills in lengths and checksums, and a reader that
// tells what a frame says and whether its checksums hold.
//
//   const Bytes frame = packet(client_mac, gateway_mac).ipv4(pod_a, service).udp(4000, 53).payload("hello").bytes();
//   const PacketView seen = TRY(read_packet(frame));   // seen.destination, seen.udp->destination_port,
//   seen.checksums_ok
//
// Values only. Errors: a frame that is cut short or no IP/ARP → invalid. Source: RFC 791, 8200, 768, 9293, 792, 4443,
// 826.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace weft::net {

using Bytes = std::vector<uint8_t>;

inline constexpr uint8_t tcp_fin = 1;
inline constexpr uint8_t tcp_syn = 2;
inline constexpr uint8_t tcp_rst = 4;
inline constexpr uint8_t tcp_psh = 8;
inline constexpr uint8_t tcp_ack = 16;

class PacketBuilder {
public:
    PacketBuilder(const Mac& source, const Mac& destination);

    PacketBuilder& arp(uint16_t operation, const Mac& sender_mac, const Address& sender, const Address& target);
    PacketBuilder& ip(const Address& source, const Address& destination);  // family from the addresses
    PacketBuilder& tcp(uint16_t source, uint16_t destination, uint8_t flags, uint32_t seq = 1000, uint32_t ack = 0);
    PacketBuilder& udp(uint16_t source, uint16_t destination);
    PacketBuilder& echo(bool request, uint16_t id, uint16_t sequence = 1);
    // Any ICMP message: type, code, the four bytes after the checksum, then payload.
    PacketBuilder& icmp(uint8_t type, uint8_t code, uint32_t rest = 0);
    // An IPv6 extension header: its number and what comes after its first byte; in the order of the calls.
    PacketBuilder& extension(uint8_t number, const Bytes& rest);
    PacketBuilder& ipv6_fragment(uint16_t offset_and_more, uint32_t id = 1);
    PacketBuilder& payload(std::string_view text);
    PacketBuilder& payload(const Bytes& data);

    // For what must not pass.
    PacketBuilder& ethertype(uint16_t value);
    PacketBuilder& protocol(uint8_t value);            // a header nobody knows; payload follows at once
    PacketBuilder& fragment(uint16_t offset_and_bits); // the IPv4 field as it stands
    PacketBuilder& ip_length(uint16_t value);          // IPv4 total length, instead of the true one
    PacketBuilder& no_udp_checksum();

    Bytes bytes() const;  // padded to 64, as the kernel's test runs need

private:
    Mac source_mac_;
    Mac destination_mac_;
    uint16_t ethertype_ = 0;
    Address source_;
    Address destination_;
    uint8_t protocol_ = 0;
    uint16_t fragment_ = 0x4000;  // don't fragment
    std::optional<uint16_t> ip_length_;
    bool udp_checksum_ = true;
    std::vector<std::pair<uint8_t, Bytes>> extensions_;  // number, rest
    Bytes arp_;
    Bytes transport_;  // header, checksum zero
    Bytes payload_;
};

inline PacketBuilder packet(const Mac& source, const Mac& destination) { return {source, destination}; }

struct PacketView {
    struct Arp {
        uint16_t operation = 0;
        Mac sender_mac, target_mac;
        Address sender, target;
    };
    struct Tcp {
        uint16_t source_port = 0, destination_port = 0;
        uint32_t seq = 0, ack = 0;
        uint8_t flags = 0;
    };
    struct Udp {
        uint16_t source_port = 0, destination_port = 0;
    };
    struct Icmp {
        uint8_t type = 0, code = 0;
        uint16_t id = 0, sequence = 0;
        std::shared_ptr<const PacketView> about;  // the packet inside an error
    };

    Mac source_mac, destination_mac;
    uint16_t ethertype = 0;
    Address source, destination;
    uint8_t protocol = 0;
    uint8_t ttl = 0;
    size_t ip_bytes = 0;  // as the IP header says
    std::optional<Arp> arp;
    std::optional<Tcp> tcp;
    std::optional<Udp> udp;
    std::optional<Icmp> icmp;
    std::string payload;
    bool checksums_ok = true;  // IP header and transport; inside an error only what is complete is judged

    std::string text() const;  // "10.0.1.5:40000 > 10.0.1.6:80 tcp S", for messages of failing tests
};

Result<PacketView> read_packet(std::span<const uint8_t> frame);

}  // namespace weft::net
