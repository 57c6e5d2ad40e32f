// Which RDATA holds domain names, and where: what decode must decompress and what encode may compress; options of OPT.
//
// Only the types of RFC 1035 may be compressed when sent (RFC 3597 §4); a few more are decompressed when received.
// Threads: pure.
#pragma once
#include <cstdint>
#include <string_view>

#include "dns_wire/message.h"

namespace weft::dns_wire {

inline constexpr uint16_t extended_error_option = 15;  // of an OPT; RFC 8914

struct RdataLayout {
    uint8_t bytes_before = 0;  // fixed fields in front of the names
    uint8_t names = 0;
    bool strings_before = false;  // NAPTR: three character strings after the fixed fields
    bool may_compress = false;
};

constexpr RdataLayout layout_of(Type type) {
    switch (type) {
        case Type::ns:
        case Type::cname:
        case Type::ptr: return {0, 1, false, true};
        case Type::soa: return {0, 2, false, true};
        case Type::mx: return {2, 1, false, true};
        case Type::rp: return {0, 2, false, false};
        case Type::afsdb: return {2, 1, false, false};
        case Type::srv: return {6, 1, false, false};
        case Type::naptr: return {4, 1, true, false};
        case Type::dname: return {0, 1, false, false};
        default: return {};
    }
}

}  // namespace weft::dns_wire
