/* Route: what a VPC's route table says about an address that is no endpoint of this node. Longest prefix wins.
 * An address in no row lies outside the VPC.
 */
#ifndef WEFT_ABI_ROUTE_H
#define WEFT_ABI_ROUTE_H

#include "abi/types.h"

ABI_BEGIN

enum route_kind {
	ROUTE_LOCAL = 1,     /* inside the VPC (its CIDRs, 100.64.0.0/10): only an endpoint can hold the address */
	ROUTE_SERVICES = 2,  /* the VPC's Service CIDR: only a frontend can hold the address */
	ROUTE_BLACKHOLE = 3,
	ROUTE_PEERING = 4,   /* `target` is the other VPC */
	ROUTE_ENDPOINT = 5,  /* `via` is the address, in the same VPC, of the endpoint that forwards */
	ROUTE_NAT = 6,       /* a NAT gateway */
};

/* prefix_bits counts the table too: 32 + bits of the 128-bit address, so an IPv4 /24 is 32 + 96 + 24 = 152. */
#define ROUTE_TABLE_BITS 32

struct route_key {
	__u32 prefix_bits;
	__u32 table;
	struct ip_addr address;
};
ABI_SIZE(struct route_key, 24);

struct route {
	__u32 kind; /* enum route_kind */
	__u32 target; /* PEERING: the other VPC; BLACKHOLE, ENDPOINT: the VPC itself if the block is its own; else 0 */
	struct ip_addr via;
};
ABI_SIZE(struct route, 24);

ABI_END

#endif
