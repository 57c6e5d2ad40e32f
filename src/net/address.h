// Address and Prefix: the one address shape. 16 bytes, IPv4 as v4-mapped IPv6 (::ffff:a.b.c.d), network byte order, as in
// every BPF key. Prefix lengths are of the address's own family when shown, of the 128 bits when stored (IPv4 /24 = 120).
// Values only. Errors: parse() → Code::invalid naming the text. Source: spec/kubernetes.md §0 (strict literals).
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weft::net {

struct Address {
    std::array<uint8_t, 16> bytes{};

    static Result<Address> parse(std::string_view text);  // no leading zeros, no zone, no mapped notation
    static Address v4(uint32_t host_order);
    static Address v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
        return v4(uint32_t(a) << 24 | uint32_t(b) << 16 | uint32_t(c) << 8 | d);
    }

    bool is_v4() const;
    bool is_unspecified() const;       // 0.0.0.0 or ::
    uint32_t v4_host_order() const;    // only of a v4 address
    std::string text() const;
    std::string reverse_name() const;  // "7.1.0.10.in-addr.arpa", without a trailing dot
    Address plus(uint64_t n) const;    // carries through all bytes
    auto operator<=>(const Address&) const = default;
};

struct Prefix {
    Address address;  // host bits zero
    uint8_t bits128 = 0;

    static Result<Prefix> parse(std::string_view text);  // "10.0.1.0/24"; set host bits are an error
    static Prefix of(const Address& address, unsigned family_bits);  // masks the address
    static Prefix host(const Address& address) { return Prefix{address, 128}; }

    bool is_v4() const { return address.is_v4() && bits128 >= 96; }
    unsigned length() const { return is_v4() ? bits128 - 96u : bits128; }
    bool contains(const Address& a) const;
    bool contains(const Prefix& p) const { return bits128 <= p.bits128 && contains(p.address); }
    bool overlaps(const Prefix& p) const { return contains(p) || p.contains(*this); }
    uint64_t size() const;  // number of addresses; saturates at 2^63
    std::string text() const;
    auto operator<=>(const Prefix&) const = default;
};

struct Mac {
    std::array<uint8_t, 6> bytes{};

    static Result<Mac> parse(std::string_view text);
    std::string text() const;
    auto operator<=>(const Mac&) const = default;
};

// IP protocol numbers we know; values are the wire's.
enum class Protocol : uint8_t { icmp = 1, tcp = 6, udp = 17, icmpv6 = 58 };
Result<Protocol> parse_protocol(std::string_view text);  // "TCP", "UDP" (Kubernetes' spelling)
std::string_view protocol_name(Protocol protocol);

}  // namespace weft::net

template <>
struct std::hash<weft::net::Address> {
    size_t operator()(const weft::net::Address& a) const noexcept {
        uint64_t high = 0;
        uint64_t low = 0;
        __builtin_memcpy(&high, a.bytes.data(), 8);
        __builtin_memcpy(&low, a.bytes.data() + 8, 8);
        return size_t((high * 0x9e3779b97f4a7c15ULL) ^ (low * 0xc2b2ae3d27d4eb4fULL) ^ (low >> 29));
    }
};
