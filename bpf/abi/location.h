/* Location: on which node an address of a VPC is, if not on this one. Longest prefix wins: AddressBlocks, and single
 * addresses where a block was split or an address moved.
 *
 * Rows of LOCATION_EVERY_VPC hold what is the same in each: the neighbours (100.64.0.0/10). Rows of VPC 0 are the nodes'
 * underlay addresses: only from these is a tunnel frame taken.
 * locations (vpc, prefix) → node id; nodes (id) → how to reach it. Ids are given by this node's agent, from 1, and
 * taken over from the map after its restart: they mean nothing on another node. A node has up to three: its number alone is
 * its tunnel, with NODE_WAY_V4 or NODE_WAY_V6 added the way on which the fabric itself takes packets of that family to its pods
 * (NODE_ROUTED). All locations of a VPC without overlay name such ways.
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
	struct ip_addr underlay; /* where its tunnel ends; of a routed way: the next hop on the wire */
	__u32 mtu;		 /* of a pod's packet on the way to it */
	__u32 flags;		 /* enum remote_node_flags */
};
ABI_SIZE(struct remote_node, 24);

#define NODE_NUMBER_MASK 0xffffu
#define NODE_WAY_V4 0x10000u
#define NODE_WAY_V6 0x20000u

enum remote_node_flags {
	/* Reached by plain routing: the fabric knows the pods' addresses. Rows (VPC 0, address) of `endpoints` then say which pod
	 * of this node an address on the wire is. */
	NODE_ROUTED = 1 << 0,
	/* On the uplink's own wire: the hooks may write its tunnel's packets themselves (lib/wrap.h). */
	NODE_ON_LINK = 1 << 1,
};

ABI_END

#endif
