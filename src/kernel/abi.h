// The window into bpf/abi: addresses to and from the data plane's shape, and ==, < for its structs, byte by byte as the
// kernel compares keys. With this, Delta<K, V> and std::map take ABI structs as they are. Values only.
#pragma once
#include <linux/bpf.h>
#include <time.h>

#include <compare>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "abi/maps.h"
#include "net/address.h"

namespace weft::abi {

template <class T>
concept AbiStruct =
    std::is_class_v<T> && std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>;

template <AbiStruct T>
bool operator==(const T& a, const T& b) {
    return std::memcmp(&a, &b, sizeof(T)) == 0;
}

template <AbiStruct T>
std::strong_ordering operator<=>(const T& a, const T& b) {
    return std::memcmp(&a, &b, sizeof(T)) <=> 0;
}

// The data plane's clock: whole seconds of CLOCK_MONOTONIC, as of the last tick.
inline uint32_t now_s() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return uint32_t(now.tv_sec);
}

inline ip_addr to_abi(const net::Address& address) {
    ip_addr out{};
    std::memcpy(&out, address.bytes.data(), sizeof(out));
    return out;
}

inline net::Address from_abi(const ip_addr& address) {
    net::Address out;
    std::memcpy(out.bytes.data(), &address, sizeof(address));
    return out;
}

inline __be16 to_abi_port(uint16_t port) { return __builtin_bswap16(port); }

inline uint16_t from_abi_port(__be16 port) { return __builtin_bswap16(port); }

inline endpoint_key endpoint_key_of(uint32_t vpc, const net::Address& address) { return {vpc, to_abi(address)}; }

inline route_key route_key_of(uint32_t table, const net::Prefix& prefix) {
    return {uint32_t(ROUTE_TABLE_BITS + prefix.bits128), table, to_abi(prefix.address)};
}

inline location_key location_key_of(uint32_t vpc, const net::Prefix& prefix) {
    return {uint32_t(LOCATION_VPC_BITS + prefix.bits128), vpc, to_abi(prefix.address)};
}

inline frontend_key frontend_key_of(uint32_t vpc, const net::Address& address, uint16_t port, net::Protocol protocol) {
    return {vpc, to_abi(address), to_abi_port(port), uint8_t(protocol), 0};
}

// The row that says "this address is ours".
inline frontend_key frontend_address_key(uint32_t vpc, const net::Address& address) {
    return {vpc, to_abi(address), 0, 0, 0};
}

// "no_backend", "pod_egress": the words of metrics, CLI and documents; empty when out of range.
std::string_view drop_reason_name(uint32_t reason);
std::string_view drop_reason_text(uint32_t reason);
std::string_view drop_reason_next(uint32_t reason);  // what to look at, or to type
std::string_view hook_name(uint32_t hook);
// Not a loss that anybody need look into: every kernel sends such packets unasked.
inline bool is_noise(std::string_view reason) { return reason == "announcement"; }

}  // namespace weft::abi
