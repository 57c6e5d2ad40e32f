/* Door 2 at the tunnel's end, and the frames between nodes (abi/tunnel.h).
 *
 * A frame is believed because the address it came from is a node's: the underlay keeps others from using that address.
 * Inside, the sender's node has asked for us whether the source may speak. A neighbour's source (100.64.0.0/10), which
 * every rule exempts, must be that very node's. What is handed over from outside has the backend's name in its frame;
 * translating it, and remembering it, is ours.
 */
#ifndef WEFT_LIB_TUNNEL_H
#define WEFT_LIB_TUNNEL_H

#include "lib/location.h"
#include "lib/packet.h"
#include "lib/port.h"
#include "lib/reject.h"
#include "lib/track.h"

static __always_inline void believe(struct packet *p, __u32 node, __u32 vni)
{
	p->from_node = node;
	p->vpc = p->to_vpc = p->frontend_vpc = vni;
}

static __always_inline int believe_underlay(struct packet *p, __u32 underlay, __u32 vni)
{
	const struct ip_addr from = mapped_v4(bpf_htonl(underlay));

	believe(p, location_of(VPC_OUTSIDE, &from), vni);
	return p->from_node ? 0 : -DROP_UNKNOWN_NODE;
}

/* Which node sent this, and in which VPC. */
DOOR(identify_node)
{
	struct bpf_tunnel_key key = {};

	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0))
		return -DROP_UNKNOWN_NODE;
	return believe_underlay(p, key.remote_ipv4, key.tunnel_id);
}

DOOR(read_frame)
{
	const struct tunnel_macs *macs = packet_bytes(skb, 0, sizeof(*macs));

	if (!macs || macs->mark != TUNNEL_MARK || p->ethertype == ETH_P_ARP)
		return -DROP_FRAME;
	p->frame = macs->kind_and_hops & 0xf;
	p->frame_name = macs->name;
	p->frame_port = macs->port;
	switch (p->frame) {
	case FRAME_PLAIN:
	case FRAME_VIA:
		if (p->vpc == VPC_OUTSIDE)
			return -DROP_FRAME;
		break;
	case FRAME_HAND_OVER:
		if (p->vpc != VPC_OUTSIDE || macs->kind_and_hops >> 4)
			return -DROP_FRAME;
		p->to_vpc = macs->vpc[0] << 16 | macs->vpc[1] << 8 | macs->vpc[2];
		return 0;
	default:
		return -DROP_FRAME;
	}
	if (addr_is_neighbour(&p->is.source) && location_of(p->vpc, &p->is.source) != p->from_node)
		return -DROP_SPOOFED_ADDRESS;
	return addr_is_multicast(&p->is.destination) ? -DROP_MULTICAST : 0;
}

/* Tells a client outside that we know nothing of its connection. */
static __always_inline int reset_outside(struct __sk_buff *skb, struct packet *p)
{
	const struct node *node = this_node();

	if (p->fragment || p->tcp_flags & TCP_RST || build_reset(skb, p) || !node || !node->uplink_ifindex)
		return -DROP_MIDSTREAM;
	skb->mark = 0;
	p->action = bpf_redirect_neigh(node->uplink_ifindex, NULL, 0, 0);
	return -DROP_MIDSTREAM;
}

/* Door 4 at the tunnel's end: the frame names the backend. A connection known to lead elsewhere begins anew: the node
 * that handed it over has chosen again. */
DOOR(take_over)
{
	if (p->frame != FRAME_HAND_OVER || p->is_icmp_error)
		return 0;
	const bool v4 = p->ethertype == ETH_P_IP;
	/* Tracking has set `to_vpc` for a connection it knows: the name speaks of the frame's. */
	const struct tunnel_macs *macs = packet_bytes(skb, 0, sizeof(*macs));

	if (!macs)
		return -DROP_FRAME;
	const __u32 vpc = macs->vpc[0] << 16 | macs->vpc[1] << 8 | macs->vpc[2];
	const struct endpoint *endpoint = endpoint_by_id(endpoint_id_named(vpc, p->frame_name, v4));

	if (!endpoint || (p->ct && p->is_reply))
		return -DROP_NO_ENDPOINT;
	const struct ip_addr *named = v4 ? &endpoint->v4 : &endpoint->v6;

	if (p->ct && p->to_vpc == vpc && p->to.destination_port == p->frame_port &&
	    addr_equal(&p->to.destination, named))
		return 0;
	if (p->protocol == IPPROTO_TCP && !is_syn(p))
		return reset_outside(skb, p);
	p->ct = CT_NEW;
	p->is_reply = false;
	p->is_translated = true;
	p->is_hairpin = false;
	p->backend = 0;
	p->to = p->is;
	p->to.destination = *named;
	p->to.destination_port = p->frame_port;
	p->to_vpc = vpc;
	return is_free(p) || choose_port(p) ? 0 : -DROP_TUPLE_TAKEN;
}

/* Door 6 at the uplink: the backend is on another node, which translates; ours only remembers whom it chose. */
static __always_inline int hand_over(struct packet *p)
{
	if (!p->to_node)
		return 0;
	p->frame = FRAME_HAND_OVER;
	p->frame_name = short_name(&p->to.destination);
	p->frame_port = p->to.destination_port;
	return 0;
}

/* The frame's addresses: what it is, and for whom. */
static __always_inline struct tunnel_macs frame_macs(const struct packet *p)
{
	return (struct tunnel_macs){
		.name = p->frame == FRAME_PLAIN ? 0 : p->frame_name,
		.port = p->frame == FRAME_HAND_OVER ? p->frame_port : 0,
		.mark = TUNNEL_MARK,
		.kind_and_hops = p->frame,
		.vpc = { p->to_vpc >> 16, p->to_vpc >> 8, p->to_vpc },
	};
}

static __always_inline __u32 frame_vni(const struct packet *p)
{
	return p->frame == FRAME_HAND_OVER ? VPC_OUTSIDE : p->to_vpc;
}

#endif
