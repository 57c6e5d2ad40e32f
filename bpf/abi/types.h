/* Types of the contract between the data plane (C) and the rest of the house (C++): both compilers read bpf/abi.
 *
 * Shapes: every key starts with the VPC; 0 is the outside. Addresses are 16 bytes in network order, IPv4 mapped as
 * ::ffff:a.b.c.d. Ports are network order (`__be16`), everything else is host order. No struct has hidden padding:
 * spare bytes are named and zero, because the kernel compares keys byte by byte.
 * In C++ everything here lives in namespace weft::abi.
 */
#ifndef WEFT_ABI_TYPES_H
#define WEFT_ABI_TYPES_H

#include <linux/types.h>

/* Part of every map's name: libbpf takes over a pinned map of equal sizes and other meaning without a word. */
#define ABI_VERSION 3

#ifdef __cplusplus
#include <type_traits>
#define ABI_BEGIN namespace weft::abi {
#define ABI_END }
#define ABI_SIZE(type, bytes)                          \
	static_assert(sizeof(type) == (bytes));        \
	static_assert(std::has_unique_object_representations_v<type> && std::is_trivially_copyable_v<type>)
#else
#define ABI_BEGIN
#define ABI_END
#define ABI_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has its size")
#endif

ABI_BEGIN

struct ip_addr {
	__be32 word[4];
};
ABI_SIZE(struct ip_addr, 16);

/* 24 bits, the VNI on the wire. */
#define VPC_OUTSIDE 0u

ABI_END

#endif
