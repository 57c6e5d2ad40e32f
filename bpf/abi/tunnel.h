/* Tunnel: what stands in the frame between two nodes of ours.
 *
 *   outer   IPv4 node → node, UDP 4789, VXLAN; VNI = the VPC in which the inner addresses mean something, 0: the outside
 *   inner   Ethernet, whose twelve bytes of addresses are ours (struct tunnel_macs); the IP packet
 * No device ever looks at the inner addresses. FRAME_PLAIN: the inner destination lives on the node that receives it.
 * FRAME_VIA: `name` is the endpoint, in the same VPC, that forwards it (ROUTE_ENDPOINT). FRAME_HAND_OVER (VNI 0): the
 * packet is as it came from outside (client → public address); `name`, `port` and `vpc` are the backend that was chosen
 * for it, and the node that receives it translates.
 * An IPv6 address is named by short_ipv6(); rows (vpc, short_key(...)) of `endpoints` say who that is.
 */
#ifndef WEFT_ABI_TUNNEL_H
#define WEFT_ABI_TUNNEL_H

#include "abi/types.h"

#define TUNNEL_PORT 4789
/* Outer IPv4, UDP, VXLAN, inner Ethernet. */
#define TUNNEL_OVERHEAD 50
/* The first byte of every inner source address: locally administered, and no device has it (a VXLAN device drops what
 * bears its own address). */
#define TUNNEL_MARK 0x0e

ABI_BEGIN

enum frame_kind {
	FRAME_PLAIN = 1,
	FRAME_VIA = 2,
	FRAME_HAND_OVER = 3,
};

struct tunnel_macs {
	__be32 name; /* destination address */
	__be16 port;
	__u8 mark; /* source address */
	__u8 kind_and_hops; /* enum frame_kind, and in the upper half how many nodes it has passed since the first */
	__u8 vpc[3];	    /* big-endian */
	__u8 spare;
};
ABI_SIZE(struct tunnel_macs, 12);

/* Enough to tell the addresses of one VPC apart: it has a /56, a vSwitch a /64 of it, and a pod's place in its vSwitch
 * stays below 2^24. */
#define SHORT_IPV6(second_word, last_word) ((last_word) ^ ((second_word) << 24))
#define SHORT_IPV6_MARK 0xfffdu /* third word of the key, where IPv4 has 0xffff */

ABI_END

#endif
