#include "support/wild_frames.h"

namespace weft::test {
namespace {

using net::Address;
using net::Bytes;

constexpr uint16_t valid_port = 7007, vxlan_port = 4789;
constexpr uint16_t ports_first = 1024, ports = 96;

Address address(std::string_view text) { return MUST(Address::parse(text)); }

Bytes vxlan(uint32_t vni, const Bytes& inner) {
    Bytes bytes{8, 0, 0, 0, uint8_t(vni >> 16), uint8_t(vni >> 8), uint8_t(vni), 0};
    bytes.insert(bytes.end(), inner.begin(), inner.end());
    return bytes;
}

// A query for a name that has the mark as its first label.
std::string dns_query(const std::string& label) {
    std::string query("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
    query += char(label.size()) + label;
    query += std::string("\x03web\x00\x00\x01\x00\x01", 9);
    return query;
}

}  // namespace

Bytes with_tag(Bytes frame, uint16_t protocol, uint16_t id) {
    const uint8_t tag[] = {uint8_t(protocol >> 8), uint8_t(protocol), uint8_t(id >> 8), uint8_t(id)};
    frame.insert(frame.begin() + 12, std::begin(tag), std::end(tag));
    return frame;
}

WildFrames::WildFrames(uint64_t seed, char letter, std::vector<Address> peers, std::vector<Address> others)
    : rng_(seed), letter_(letter), peers_(std::move(peers)), others_(std::move(others)) {}

Address WildFrames::one_of(const std::vector<Address>& list, bool v6) {
    for (int i = 0; i < 64; ++i)
        if (const Address& drawn = list[rng_.below(list.size())]; drawn.is_v4() != v6) return drawn;
    return address(v6 ? "fd00:10::9" : "10.0.1.9");
}

Address WildFrames::anyone(bool v6) { return one_of(rng_.below(2) == 0 ? peers_ : others_, v6); }

uint16_t WildFrames::port() { return uint16_t(ports_first + rng_.below(ports)); }

std::string WildFrames::body(std::string_view more) { return std::string(raw_mark) + letter_ + std::string(more); }

WildFrames::Frame WildFrames::next(const RawDoor& from) {
    const bool v6 = !from.v6.is_unspecified() && rng_.below(3) == 0;
    if (rng_.below(10) >= 6) return {wild(from, v6), false};
    const Address to = one_of(peers_, v6);
    if (to == (v6 ? from.v6 : from.v4)) return {wild(from, v6), false};
    return {from.frame().ip(v6 ? from.v6 : from.v4, to).udp(port(), valid_port).payload(body(valid_word)).bytes(), true};
}

// Of addresses that are not its own: by ARP, neighbour discovery, router discovery.
Bytes WildFrames::claim(const RawDoor& from, bool v6) {
    const Address mine = v6 ? from.v6 : from.v4, claimed = anyone(v6);
    if (!v6) {
        const net::Mac everyone{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
        return net::packet(from.mac, everyone)
            .arp(uint16_t(1 + rng_.below(2)), from.mac, claimed, rng_.below(2) == 0 ? claimed : mine)
            .payload(body())
            .bytes();
    }
    const uint8_t types[] = {134, 135, 136, 137};
    Bytes target(claimed.bytes.begin(), claimed.bytes.end());
    return from.frame()
        .ip(rng_.below(2) == 0 ? mine : claimed, rng_.below(2) == 0 ? address("ff02::1") : anyone(true))
        .icmp(types[rng_.below(4)], 0, 0x60000000)
        .payload(target)
        .payload(body())
        .bytes();
}

Bytes WildFrames::fragment(const RawDoor& from, bool v6, const Address& to) {
    const bool is_first = rng_.below(2) == 0;
    net::PacketBuilder packet = from.frame().ip(v6 ? from.v6 : from.v4, to);
    if (v6) packet.ipv6_fragment(is_first ? 1 : uint16_t(8 << rng_.below(4)), uint32_t(rng_.below(16)));
    else packet.fragment(is_first ? 0x2000 : uint16_t(1 << rng_.below(4)));
    return packet.udp(port(), rng_.below(2) == 0 ? valid_port : 53).payload(body() + std::string(32, 'x')).bytes();
}

// About a packet that somebody may have sent, here or in the other VPC.
Bytes WildFrames::error(const RawDoor& from, bool v6, const Address& to) {
    const Bytes inner =
        net::packet(from.mac, from.mac).ip(to, anyone(v6)).udp(rng_.below(2) == 0 ? valid_port : 53, port()).payload(body()).bytes();
    const Bytes about(inner.begin() + 14, inner.end());
    const uint8_t types4[] = {3, 11, 12}, types6[] = {1, 2, 3, 4};
    const uint8_t type = v6 ? types6[rng_.below(4)] : types4[rng_.below(3)];
    return from.frame().ip(v6 ? from.v6 : from.v4, to).icmp(type, uint8_t(rng_.below(5)), 1280).payload(about).bytes();
}

Bytes WildFrames::wild(const RawDoor& from, bool v6) {
    const Address mine = v6 ? from.v6 : from.v4, to = anyone(v6);
    const uint16_t at[] = {valid_port, 53, 80, 8080, 9000, vxlan_port};
    const uint16_t to_port = at[rng_.below(6)];
    switch (rng_.below(10)) {
        case 0:
            return from.frame().ip(anyone(v6), to).udp(port(), to_port).payload(body()).bytes();
        case 1:
            return net::packet(net::Mac{{2, 0, 0, 1, 2, 3}}, from.mac).ip(mine, to).udp(port(), to_port).payload(body()).bytes();
        case 2:
            return with_tag(from.frame().ip(mine, to).udp(port(), to_port).payload(body()).bytes(),
                            rng_.below(2) == 0 ? 0x8100 : 0x88a8, uint16_t(rng_.below(16)));
        case 3:
            return claim(from, v6);
        case 4:
            return fragment(from, v6, to);
        case 5:
            return error(from, v6, to);
        case 6: {
            const Bytes inner = from.frame().ip(mine, to).udp(port(), to_port).payload(body()).bytes();
            const Address node = v6 ? to : address(rng_.below(2) == 0 ? "198.18.1.1" : "198.18.1.2");
            return from.frame().ip(mine, node).udp(port(), vxlan_port).payload(vxlan(uint32_t(rng_.below(8)), inner)).bytes();
        }
        case 7:  // connections that were never made, or that somebody else made
            return from.frame().ip(mine, to).tcp(port(), to_port, uint8_t(rng_.below(32)), uint32_t(rng_.next())).payload(body()).bytes();
        case 8:
            return from.frame()
                .ip(mine, address(v6 ? "ff02::fb" : rng_.below(2) == 0 ? "224.0.0.251" : "255.255.255.255"))
                .udp(port(), to_port)
                .payload(body())
                .bytes();
        default:
            return from.frame()
                .ip(mine, rng_.below(2) == 0 ? address(v6 ? "fd00:172:21::a" : "172.21.0.10") : to)
                .udp(port(), 53)
                .payload(dns_query(body()))
                .bytes();
    }
}

}  // namespace weft::test
