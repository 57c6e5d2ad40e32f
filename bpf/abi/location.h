/* Location: on which node an address of a VPC is, if not on this one. Longest prefix wins: AddressBlocks, and single
 * addresses where a block was split or an address moved.
 *
 * Rows of LOCATION_EVERY_VPC hold what is the same in each: the neighbours (100.64.0.0/10). Rows of VPC 0 are the nodes'
 * underlay addresses: only from these is a tunnel frame taken.
 * locations (vpc, prefix) → node id; nodes (id) → how to reach it. Ids are given by this node's agent, from 1, and
 * taken over from the map after its restart: they mean nothing on another node.
 */
#ifndef WEFT_ABI_LOCATION_H
#define WEFT_ABI_LOCATION_H

#include "abi/types.h"

ABI_BEGIN

/* prefix_bits counts the VPC too: 32 + bits of the 128-bit address. */
#define LOCATION_VPC_BITS 32
#define LOCATION_EVERY_VPC 0xffffffffu /* above every VPC, which has 24 bits */

struct location_key {
	__u32 prefix_bits;
	__u32 vpc;
	struct ip_addr address;
};
ABI_SIZE(struct location_key, 24);

struct remote_node {
	struct ip_addr underlay; /* where its tunnel ends */
	__u32 mtu;		 /* of an inner packet on the way to it */
	__u32 flags;		 /* enum remote_node_flags */
};
ABI_SIZE(struct remote_node, 24);

enum remote_node_flags {
	/* Reached by plain routing: the fabric knows the pods' addresses. Rows (VPC 0, address) of `endpoints` then say which pod
	 * of this node an address on the wire is. */
	NODE_ROUTED = 1 << 0,
};

ABI_END

#endif
