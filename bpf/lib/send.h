/* Door 8, send: into the receiver's namespace, or out of the uplink.
 *
 * deliver() is shared by every hook that reaches local endpoints: bpf_redirect_peer passes no hook of the receiver's
 * veth, so whoever delivers has asked that endpoint's rules before. The mark is cleared (it would survive into the
 * pod) and the packet is declared the receiver's own. The host's pair has both ends in one namespace, where
 * redirect_peer drops: its packets leave weft_net and arrive at weft_host.
 */
#ifndef WEFT_LIB_SEND_H
#define WEFT_LIB_SEND_H

#include "lib/packet.h"

static __always_inline int deliver(struct __sk_buff *skb, struct packet *p)
{
	__u8 macs[12];

	__builtin_memcpy(macs, p->receiver_mac, 6);
	set_gateway_mac(macs + 6);
	if (bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0) || bpf_skb_change_type(skb, PACKET_HOST))
		return -DROP_KERNEL;
	skb->mark = 0;
	p->action = p->receiver_flags & ENDPOINT_HOST ? bpf_redirect(p->receiver_ifindex, 0)
						      : bpf_redirect_peer(p->receiver_ifindex, 0);
	return DONE;
}

DOOR(send)
{
	if (p->receiver)
		return deliver(skb, p);
	const struct node *node = this_node();

	if (!node || !node->uplink_ifindex)
		return -DROP_KERNEL;
	skb->mark = 0;
	p->action = bpf_redirect_neigh(node->uplink_ifindex, NULL, 0, 0);
	return DONE;
}

#endif
