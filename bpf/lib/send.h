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

#include "lib/host.h"
#include "lib/packet.h"
#include "lib/tunnel.h"
#include "lib/wrap.h"

#define FAMILY_V4 2 /* AF_INET and AF_INET6, whose header is the C library's */
#define FAMILY_V6 10

static __always_inline int deliver(struct __sk_buff *skb, struct packet *p)
{
	struct ethhdr *eth = packet_bytes(skb, 0, sizeof(*eth));

	if (!eth)
		return -DROP_KERNEL;
	__builtin_memcpy(eth->h_dest, p->receiver_mac, 6);
	set_gateway_mac(eth->h_source);
	if (skb->pkt_type != PACKET_HOST && bpf_skb_change_type(skb, PACKET_HOST))
		return -DROP_KERNEL;
	skb->mark = 0;
	p->action = p->receiver_flags & ENDPOINT_HOST ? bpf_redirect(p->receiver_ifindex, 0)
						      : bpf_redirect_peer(p->receiver_ifindex, 0);
	return DONE;
}

/* As it is, to the next hop on the way to that node. */
static __always_inline int send_plain(struct packet *p, const struct node *node)
{
	const __u32 id = p->to_node;
	const struct remote_node *way = bpf_map_lookup_elem(MAP(nodes), &id);
	struct bpf_redir_neigh hop = {}; /* a constant one would make a .rodata map, which is new with each load */

	if (!way)
		return -DROP_NO_ENDPOINT;
	if (addr_is_v4(&way->underlay)) {
		hop.nh_family = FAMILY_V4;
		hop.ipv4_nh = way->underlay.word[3];
	} else {
		hop.nh_family = FAMILY_V6;
		__builtin_memcpy(hop.ipv6_nh, &way->underlay, sizeof(hop.ipv6_nh));
	}
	p->action = bpf_redirect_neigh(node->uplink_ifindex, &hop, sizeof(hop), 0);
	return DONE;
}

/* By the VXLAN device: the kernel finds the way, and cuts what must be cut. */
static __always_inline int send_by_device(struct __sk_buff *skb, struct packet *p, const struct node *node)
{
	const struct tunnel_macs macs = frame_macs(p);
	struct bpf_tunnel_key key = {
		.tunnel_id = frame_vni(p),
		.remote_ipv4 = p->to_underlay,
		.tunnel_ttl = TUNNEL_TTL,
	};

	if (!node->tunnel_ifindex || bpf_skb_store_bytes(skb, 0, &macs, sizeof(macs), 0) ||
	    bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX))
		return -DROP_KERNEL;
	p->action = bpf_redirect(node->tunnel_ifindex, 0);
	return DONE;
}

/* To another node: by the tunnel, or where the fabric knows the pods' addresses as it is. */
DOOR(send_to_node)
{
	const struct node *node = this_node();

	if (!node)
		return -DROP_KERNEL;
	skb->mark = 0;
	if (p->to_node_flags & NODE_ROUTED)
		return send_plain(p, node);
	const int wrapped = wrap(skb, p, node);

	if (wrapped)
		return wrapped == DONE ? send_by_device(skb, p, node) : wrapped;
	struct bpf_redir_neigh hop = { .nh_family = FAMILY_V4, .ipv4_nh = bpf_htonl(p->to_underlay) };

	p->action = bpf_redirect_neigh(node->uplink_ifindex, &hop, sizeof(hop), 0);
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
	if (is_own_address(node, &p->to.destination))
		return hand_to_host(skb, p, node);
	skb->mark = 0;
	p->action = bpf_redirect_neigh(node->uplink_ifindex, NULL, 0, 0);
	return DONE;
}

#endif
