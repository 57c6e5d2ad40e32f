#include "net/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstring>

#include "base/strings.h"

namespace weft::net {

Address Address::v4(uint32_t host_order) {
    Address a;
    a.bytes[10] = a.bytes[11] = 0xff;
    const uint32_t wire = htonl(host_order);
    std::memcpy(&a.bytes[12], &wire, 4);
    return a;
}

bool Address::is_v4() const {
    static constexpr uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(bytes.data(), mapped, 12) == 0;
}

uint32_t Address::v4_host_order() const {
    uint32_t wire = 0;
    std::memcpy(&wire, &bytes[12], 4);
    return ntohl(wire);
}

bool Address::is_unspecified() const { return *this == Address{} || *this == v4(0u); }

Result<Address> Address::parse(std::string_view text) {
    const std::string copy(text);
    if (text.find(':') == std::string_view::npos) {
        in_addr v4_address{};
        if (inet_pton(AF_INET, copy.c_str(), &v4_address) != 1 || copy.size() != text.size())
            return fail(Code::invalid, fmt::format("\"{}\" is not an IP address", text));
        return v4(ntohl(v4_address.s_addr));
    }
    Address a;
    if (inet_pton(AF_INET6, copy.c_str(), a.bytes.data()) != 1 || a.is_v4())
        return fail(Code::invalid, fmt::format("\"{}\" is not an IP address", text));
    return a;
}

std::string Address::text() const {
    char buffer[INET6_ADDRSTRLEN];
    if (is_v4()) {
        inet_ntop(AF_INET, &bytes[12], buffer, sizeof buffer);
    } else {
        inet_ntop(AF_INET6, bytes.data(), buffer, sizeof buffer);
    }
    return buffer;
}

std::string Address::reverse_name() const {
    if (is_v4()) return fmt::format("{}.{}.{}.{}.in-addr.arpa", bytes[15], bytes[14], bytes[13], bytes[12]);
    std::string name;
    for (size_t i = 16; i-- > 0;) name += fmt::format("{:x}.{:x}.", bytes[i] & 15, bytes[i] >> 4);
    return name + "ip6.arpa";
}

Address Address::plus(uint64_t n) const {
    Address sum = *this;
    uint64_t carry = n;
    for (size_t i = 16; i-- > 0 && carry != 0;) {
        const uint64_t total = sum.bytes[i] + (carry & 0xff);
        sum.bytes[i] = uint8_t(total);
        carry = (carry >> 8) + (total >> 8);
    }
    return sum;
}

static Address masked(Address a, unsigned bits) {
    for (unsigned i = 0; i < 16; i++) {
        const unsigned first = i * 8;
        if (bits >= first + 8) continue;
        const unsigned keep = bits > first ? bits - first : 0;
        a.bytes[i] &= uint8_t(0xff00u >> keep);
    }
    return a;
}

Prefix Prefix::of(const Address& address, unsigned family_bits) {
    const unsigned bits = address.is_v4() ? family_bits + 96 : family_bits;
    return Prefix{masked(address, bits), uint8_t(bits)};
}

Result<Prefix> Prefix::parse(std::string_view text) {
    const auto bad = [&](std::string_view why) { return fail(Code::invalid, fmt::format("\"{}\" {}", text, why)); };
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos) return bad("is not a CIDR");
    const auto address = Address::parse(text.substr(0, slash));
    const std::string_view digits = text.substr(slash + 1);
    const auto bits = parse_unsigned(digits);
    if (!address || !bits || (digits.size() > 1 && digits[0] == '0')) return bad("is not a CIDR");
    if (*bits > (address->is_v4() ? 32u : 128u)) return bad("is not a CIDR: prefix too long");
    const Prefix prefix = of(*address, unsigned(*bits));
    if (prefix.address != *address) return bad("has host bits set");
    return prefix;
}

bool Prefix::contains(const Address& a) const { return masked(a, bits128) == address; }

uint64_t Prefix::size() const { return bits128 <= 65 ? uint64_t(1) << 63 : uint64_t(1) << (128 - bits128); }

std::string Prefix::text() const { return fmt::format("{}/{}", address.text(), length()); }

Result<Mac> Mac::parse(std::string_view text) {
    Mac mac;
    const auto parts = split(text, ':');
    if (parts.size() != 6) return fail(Code::invalid, fmt::format("\"{}\" is not a MAC address", text));
    for (size_t i = 0; i < 6; i++) {
        const std::string part(parts[i]);
        char* end = nullptr;
        const unsigned long value = std::strtoul(part.c_str(), &end, 16);
        if (part.size() != 2 || *end != 0) return fail(Code::invalid, fmt::format("\"{}\" is not a MAC address", text));
        mac.bytes[i] = uint8_t(value);
    }
    return mac;
}

std::string Mac::text() const {
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]);
}

Result<Protocol> parse_protocol(std::string_view text) {
    if (text == "TCP") return Protocol::tcp;
    if (text == "UDP") return Protocol::udp;
    return fail(Code::invalid, fmt::format("Unsupported value: \"{}\": supported values: \"TCP\", \"UDP\"", text));
}

std::string_view protocol_name(Protocol protocol) {
    switch (protocol) {
        case Protocol::icmp: return "ICMP";
        case Protocol::tcp: return "TCP";
        case Protocol::udp: return "UDP";
        case Protocol::icmpv6: return "ICMPv6";
    }
    return "?";
}

}  // namespace weft::net
