// The row of `endpoints` by which a tunnel frame finds an IPv6 endpoint: a frame has no room for the whole address
// (bpf/abi/tunnel.h). Values only.
#pragma once
#include "kernel/abi.h"

namespace weft::abi {

inline endpoint_key short_key_of(uint32_t vpc, const net::Address& ipv6) {
    const ip_addr whole = to_abi(ipv6);
    const uint32_t name = SHORT_IPV6(__builtin_bswap32(whole.word[1]), __builtin_bswap32(whole.word[3]));
    return {vpc, {{0, 0, __builtin_bswap32(SHORT_IPV6_MARK), __builtin_bswap32(name)}}};
}

}  // namespace weft::abi
