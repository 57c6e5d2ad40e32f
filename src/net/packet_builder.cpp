#include "net/packet_builder.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace weft::net {
namespace {

constexpr uint16_t ethertype_v4 = 0x0800;
constexpr uint16_t ethertype_v6 = 0x86dd;
constexpr uint16_t ethertype_arp = 0x0806;
constexpr size_t ethernet_bytes = 14;
constexpr size_t frame_bytes_min = 64;
constexpr uint8_t protocol_icmp = 1;
constexpr uint8_t protocol_tcp = 6;
constexpr uint8_t protocol_udp = 17;
constexpr uint8_t protocol_icmpv6 = 58;
constexpr uint8_t protocol_hop_by_hop = 0;  // the IPv6 extension headers that the reader passes over
constexpr uint8_t protocol_fragment = 44;
constexpr uint8_t protocol_destination_options = 60;

void put16(Bytes& out, uint16_t v) {
    out.push_back(uint8_t(v >> 8));
    out.push_back(uint8_t(v));
}

void put32(Bytes& out, uint32_t v) {
    put16(out, uint16_t(v >> 16));
    put16(out, uint16_t(v));
}

template <class Range>
void put(Bytes& out, const Range& bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_address(Bytes& out, const Address& a) {
    const size_t skipped = a.is_v4() ? 12 : 0;
    out.insert(out.end(), a.bytes.begin() + long(skipped), a.bytes.end());
}

void set16(Bytes& out, size_t at, uint16_t v) {
    out[at] = uint8_t(v >> 8);
    out[at + 1] = uint8_t(v);
}

uint16_t get16(const uint8_t* at) { return uint16_t(at[0] << 8 | at[1]); }

uint32_t get32(const uint8_t* at) { return uint32_t(get16(at)) << 16 | get16(at + 2); }

uint32_t sum(std::span<const uint8_t> bytes, uint32_t start = 0) {
    for (size_t i = 0; i < bytes.size(); i += 2) {
        start += uint32_t(bytes[i]) << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0);
        start = (start & 0xffff) + (start >> 16);
    }
    return start;
}

uint16_t finish(uint32_t s) {
    s = (s & 0xffff) + (s >> 16);
    return uint16_t(~s);
}

uint32_t pseudo(const Address& source, const Address& destination, uint8_t protocol, size_t bytes) {
    Bytes header;
    put_address(header, source);
    put_address(header, destination);
    put32(header, uint32_t(bytes));
    put32(header, protocol);
    return sum(header);
}

// Where a transport's checksum stands; 0: it has none we know.
size_t checksum_at(uint8_t protocol) {
    switch (protocol) {
        case protocol_tcp: return 16;
        case protocol_udp: return 6;
        case protocol_icmp:
        case protocol_icmpv6: return 2;
        default: return 0;
    }
}

}  // namespace

PacketBuilder::PacketBuilder(const Mac& source, const Mac& destination)
    : source_mac_(source), destination_mac_(destination) {}

PacketBuilder& PacketBuilder::arp(uint16_t operation, const Mac& sender_mac, const Address& sender,
                                  const Address& target) {
    ethertype_ = ethertype_arp;
    put16(arp_, 1);
    put16(arp_, ethertype_v4);
    arp_.push_back(6);
    arp_.push_back(4);
    put16(arp_, operation);
    put(arp_, sender_mac.bytes);
    put_address(arp_, sender);
    put(arp_, Mac{}.bytes);
    put_address(arp_, target);
    return *this;
}

PacketBuilder& PacketBuilder::ip(const Address& source, const Address& destination) {
    source_ = source;
    destination_ = destination;
    ethertype_ = source.is_v4() ? ethertype_v4 : ethertype_v6;
    return *this;
}

PacketBuilder& PacketBuilder::tcp(uint16_t source, uint16_t destination, uint8_t flags, uint32_t seq, uint32_t ack) {
    protocol_ = protocol_tcp;
    put16(transport_, source);
    put16(transport_, destination);
    put32(transport_, seq);
    put32(transport_, ack);
    transport_.push_back(5 << 4);
    transport_.push_back(flags);
    put16(transport_, 65535);
    put32(transport_, 0);
    return *this;
}

PacketBuilder& PacketBuilder::udp(uint16_t source, uint16_t destination) {
    protocol_ = protocol_udp;
    put16(transport_, source);
    put16(transport_, destination);
    put32(transport_, 0);
    return *this;
}

PacketBuilder& PacketBuilder::echo(bool request, uint16_t id, uint16_t sequence) {
    const uint8_t type = source_.is_v4() ? (request ? 8 : 0) : (request ? 128 : 129);
    return icmp(type, 0, uint32_t(id) << 16 | sequence);
}

PacketBuilder& PacketBuilder::icmp(uint8_t type, uint8_t code, uint32_t rest) {
    protocol_ = source_.is_v4() ? protocol_icmp : protocol_icmpv6;
    transport_.push_back(type);
    transport_.push_back(code);
    put16(transport_, 0);
    put32(transport_, rest);
    return *this;
}

PacketBuilder& PacketBuilder::extension(uint8_t number, const Bytes& rest) {
    extensions_.emplace_back(number, rest);
    return *this;
}

PacketBuilder& PacketBuilder::ipv6_fragment(uint16_t offset_and_more, uint32_t id) {
    Bytes rest{0};
    put16(rest, offset_and_more);
    put32(rest, id);
    return extension(protocol_fragment, rest);
}

PacketBuilder& PacketBuilder::payload(std::string_view text) {
    put(payload_, text);
    return *this;
}

PacketBuilder& PacketBuilder::payload(const Bytes& data) {
    put(payload_, data);
    return *this;
}

PacketBuilder& PacketBuilder::ethertype(uint16_t value) {
    ethertype_ = value;
    return *this;
}

PacketBuilder& PacketBuilder::protocol(uint8_t value) {
    protocol_ = value;
    return *this;
}

PacketBuilder& PacketBuilder::fragment(uint16_t offset_and_bits) {
    fragment_ = offset_and_bits;
    return *this;
}

PacketBuilder& PacketBuilder::ip_length(uint16_t value) {
    ip_length_ = value;
    return *this;
}

PacketBuilder& PacketBuilder::no_udp_checksum() {
    udp_checksum_ = false;
    return *this;
}

Bytes PacketBuilder::bytes() const {
    Bytes out;
    put(out, destination_mac_.bytes);
    put(out, source_mac_.bytes);
    put16(out, ethertype_);
    put(out, arp_);

    Bytes transport = transport_;
    put(transport, payload_);
    if (protocol_ == protocol_udp && transport_.size() >= 8) set16(transport, 4, uint16_t(transport.size()));
    const size_t checksum = checksum_at(protocol_);
    if (checksum != 0 && transport_.size() > checksum && (protocol_ != protocol_udp || udp_checksum_)) {
        const uint32_t start =
            protocol_ == protocol_icmp ? 0 : pseudo(source_, destination_, protocol_, transport.size());
        set16(transport, checksum, finish(sum(transport, start)));
    }
    if (ethertype_ == ethertype_v4) {
        Bytes header{0x45, 0};
        put16(header, ip_length_.value_or(uint16_t(20 + transport.size())));
        put16(header, 1);
        put16(header, fragment_);
        header.push_back(64);
        header.push_back(protocol_);
        put16(header, 0);
        put_address(header, source_);
        put_address(header, destination_);
        set16(header, 10, finish(sum(header)));
        put(out, header);
    } else if (ethertype_ == ethertype_v6) {
        put32(out, 6u << 28);
        Bytes extensions;
        for (size_t i = 0; i < extensions_.size(); ++i) {
            extensions.push_back(i + 1 < extensions_.size() ? extensions_[i + 1].first : protocol_);
            put(extensions, extensions_[i].second);
        }
        put16(out, uint16_t(extensions.size() + transport.size()));
        out.push_back(extensions_.empty() ? protocol_ : extensions_.front().first);
        const bool is_neighbour_discovery = protocol_ == protocol_icmpv6 && transport[0] >= 133 && transport[0] <= 137;
        out.push_back(is_neighbour_discovery ? 255 : 64);
        put_address(out, source_);
        put_address(out, destination_);
        put(out, extensions);
    }
    put(out, transport);
    if (out.size() < frame_bytes_min) out.resize(frame_bytes_min);
    return out;
}

namespace {

Address v4_at(const uint8_t* at) { return Address::v4(get32(at)); }

Address v6_at(const uint8_t* at) {
    Address a;
    std::memcpy(a.bytes.data(), at, 16);
    return a;
}

Mac mac_at(const uint8_t* at) {
    Mac mac;
    std::memcpy(mac.bytes.data(), at, 6);
    return mac;
}

std::string text_of(std::span<const uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

Status read_ip(std::span<const uint8_t> packet, PacketView& view, bool embedded);

Status read_transport(std::span<const uint8_t> data, PacketView& view, bool embedded) {
    if (data.size() < 8) return fail(Code::invalid, "transport header is cut short");
    const uint8_t* at = data.data();
    const bool has_checksum = view.protocol != protocol_udp || get16(at + 6) != 0;
    if (!embedded && has_checksum) {
        const uint32_t start = view.protocol == protocol_icmp ? 0 : pseudo(view.source, view.destination, view.protocol,
                                                                           data.size());
        if (finish(sum(data, start)) != 0) view.checksums_ok = false;
    }
    size_t header = 8;
    if (view.protocol == protocol_tcp) {
        view.tcp = PacketView::Tcp{get16(at), get16(at + 2), get32(at + 4)};
        if (data.size() >= 20) {
            view.tcp->ack = get32(at + 8);
            view.tcp->flags = at[13];
            header = std::min<size_t>(size_t(at[12] >> 4) * 4, data.size());
        }
    } else if (view.protocol == protocol_udp) {
        view.udp = PacketView::Udp{get16(at), get16(at + 2)};
    } else {
        view.icmp = PacketView::Icmp{at[0], at[1], get16(at + 4), get16(at + 6), nullptr};
        const bool error = view.protocol == protocol_icmp ? at[0] == 3 || at[0] == 11 || at[0] == 12 : at[0] < 128;
        if (error && !embedded) {
            auto inside = std::make_shared<PacketView>();
            TRY(read_ip(data.subspan(8), *inside, true));
            view.icmp->about = std::move(inside);
        }
    }
    view.payload = text_of(data.subspan(header));
    return {};
}

Status read_ip(std::span<const uint8_t> packet, PacketView& view, bool embedded) {
    if (packet.size() < 20) return fail(Code::invalid, "IP header is cut short");
    const uint8_t* at = packet.data();
    size_t header = 40;
    bool is_later_piece = false;  // has no transport header
    if (at[0] >> 4 == 4) {
        header = size_t(at[0] & 15) * 4;
        view.ip_bytes = get16(at + 2);
        view.ttl = at[8];
        view.protocol = at[9];
        view.source = v4_at(at + 12);
        view.destination = v4_at(at + 16);
        if (packet.size() < header || finish(sum(packet.first(header))) != 0) view.checksums_ok = false;
    } else {
        if (packet.size() < header) return fail(Code::invalid, "IPv6 header is cut short");
        view.ip_bytes = header + get16(at + 4);
        view.protocol = at[6];
        view.ttl = at[7];
        view.source = v6_at(at + 8);
        view.destination = v6_at(at + 24);
        while (view.protocol == protocol_hop_by_hop || view.protocol == protocol_destination_options ||
               view.protocol == protocol_fragment) {
            if (packet.size() < header + 8) return fail(Code::invalid, "IPv6 extension header is cut short");
            const uint8_t* const extension = at + header;
            is_later_piece = view.protocol == protocol_fragment && (get16(extension + 2) & 0xfff8) != 0;
            header += view.protocol == protocol_fragment ? 8 : (extension[1] + 1u) * 8;
            view.protocol = extension[0];
            if (is_later_piece) break;
        }
    }
    const size_t end = embedded ? std::min(packet.size(), view.ip_bytes) : view.ip_bytes;
    if (end < header || end > packet.size()) return fail(Code::invalid, "IP length contradicts the frame");
    if (checksum_at(view.protocol) == 0 || is_later_piece) {
        view.payload = text_of(packet.subspan(header, end - header));
        return {};
    }
    return read_transport(packet.subspan(header, end - header), view, embedded);
}

}  // namespace

Result<PacketView> read_packet(std::span<const uint8_t> frame) {
    if (frame.size() < ethernet_bytes) return fail(Code::invalid, "frame is cut short");
    PacketView view;
    view.destination_mac = mac_at(frame.data());
    view.source_mac = mac_at(frame.data() + 6);
    view.ethertype = get16(frame.data() + 12);
    const auto rest = frame.subspan(ethernet_bytes);
    if (view.ethertype == ethertype_arp) {
        if (rest.size() < 28) return fail(Code::invalid, "ARP is cut short");
        view.arp = PacketView::Arp{get16(rest.data() + 6), mac_at(rest.data() + 8), mac_at(rest.data() + 18),
                                   v4_at(rest.data() + 14), v4_at(rest.data() + 24)};
        return view;
    }
    if (view.ethertype != ethertype_v4 && view.ethertype != ethertype_v6) {
        return fail(Code::invalid, fmt::format("ethertype {:#06x}", view.ethertype));
    }
    TRY(read_ip(rest, view, false));
    return view;
}

std::string PacketView::text() const {
    if (arp) return fmt::format("arp {} who-has {} tell {}", arp->operation, arp->target.text(), arp->sender.text());
    std::string what = fmt::format("protocol {}", protocol);
    uint16_t from = 0;
    uint16_t to = 0;
    if (tcp) {
        from = tcp->source_port;
        to = tcp->destination_port;
        what = fmt::format("tcp flags {:#x} seq {} ack {}", tcp->flags, tcp->seq, tcp->ack);
    } else if (udp) {
        from = udp->source_port;
        to = udp->destination_port;
        what = "udp";
    } else if (icmp) {
        what = fmt::format("icmp {}/{} id {}", icmp->type, icmp->code, icmp->id);
        if (icmp->about) what += " about [" + icmp->about->text() + "]";
    }
    return fmt::format("{}:{} > {}:{} {}{}", source.text(), from, destination.text(), to, what,
                       checksums_ok ? "" : " BAD CHECKSUM");
}

}  // namespace weft::net
