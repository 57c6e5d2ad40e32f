/* The node's own programs as clients of addresses that are ours: nodePorts of the node itself, public addresses.
 *
 * What they send to one turns round at the uplink or at the loopback (uplink_egress) and comes in by the uplink like
 * anybody's from outside, with the node's address as its source and MARK_FROM_HOST, which no packet of the wire has.
 * What is said to them in turn is handed to weft_host, because nobody answers for the node's own address on the wire.
 */
#ifndef WEFT_LIB_HOST_H
#define WEFT_LIB_HOST_H

#include "lib/packet.h"

#define MARK_FROM_HOST 0x77656674u

static __always_inline bool is_own_address(const struct node *node, const struct ip_addr *a)
{
	return addr_equal(a, &node->v4) || addr_equal(a, &node->v6);
}

/* To the node itself. */
static __always_inline int hand_to_host(struct __sk_buff *skb, struct packet *p, const struct node *node)
{
	const struct endpoint *host = endpoint_by_id(node->host_endpoint);
	__u8 macs[12];

	if (!host)
		return -DROP_NO_ENDPOINT;
	__builtin_memcpy(macs, host->mac, 6);
	set_gateway_mac(macs + 6);
	if (bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0))
		return -DROP_KERNEL;
	skb->mark = 0;
	p->action = bpf_redirect(host->ifindex, 0);
	return DONE;
}

#endif
