/* Door 8, send: into the receiver's namespace, through the tunnel, or out of the uplink.
 *
 * deliver() is shared by every hook that reaches local endpoints: bpf_redirect_peer passes no hook of the receiver's
 * veth, so whoever delivers has asked that endpoint's rules before. The mark is cleared (it would survive into the
 * pod) and the packet is declared the receiver's own. The host's pair has both ends in one namespace, where
 * redirect_peer drops: its packets leave weft_net and arrive at weft_host. The tunnel's outer UDP has no checksum: what
 * is inside has its own, and with one the packet would arrive as CHECKSUM_COMPLETE.
 */
#ifndef WEFT_LIB_SEND_H
#define WEFT_LIB_SEND_H

#include "lib/packet.h"
#include "lib/tunnel.h"

#define TUNNEL_TTL 64

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

/* To another node: by the tunnel, or where the fabric knows the pods' addresses as it is. */
DOOR(send_to_node)
{
	const struct node *node = this_node();

	if (!node)
		return -DROP_KERNEL;
	skb->mark = 0;
	if (p->to_node_flags & NODE_ROUTED && p->frame == FRAME_PLAIN) {
		p->action = bpf_redirect_neigh(node->uplink_ifindex, NULL, 0, 0);
		return DONE;
	}
	struct bpf_tunnel_key key = {
		.tunnel_id = p->frame == FRAME_HAND_OVER ? VPC_OUTSIDE : p->to_vpc,
		.remote_ipv4 = p->to_underlay,
		.tunnel_ttl = TUNNEL_TTL,
	};

	if (!node->tunnel_ifindex || write_frame(skb, p) ||
	    bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX))
		return -DROP_KERNEL;
	p->action = bpf_redirect(node->tunnel_ifindex, 0);
	return DONE;
}

DOOR(send)
{
	if (p->receiver)
		return deliver(skb, p);
	if (p->to_node)
		return send_to_node(skb, p);
	const struct node *node = this_node();

	if (!node || !node->uplink_ifindex)
		return -DROP_KERNEL;
	skb->mark = 0;
	p->action = bpf_redirect_neigh(node->uplink_ifindex, NULL, 0, 0);
	return DONE;
}

#endif
