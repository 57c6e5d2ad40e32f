/* Door 6, route: where the packet's (translated) destination is: an endpoint of this node, on another node, or beyond
 * the uplink.
 *
 * An address of the VPC is where its endpoint is, before any route. Else the sender's route table says: a peering leads
 * into the other VPC (`to_vpc`), where the same two questions are asked and no further table: peering is not transitive.
 * Every packet asks, so a route that is gone is gone for living connections too. A next hop gets the packet as it is.
 * Only replies to a connection that came from outside leave by the uplink. What the table calls its own but nobody
 * holds is DROP_NO_ENDPOINT.
 */
#ifndef WEFT_LIB_ROUTE_H
#define WEFT_LIB_ROUTE_H

#include "lib/location.h"
#include "lib/packet.h"

static __always_inline const struct route *route_of(__u32 table, const struct ip_addr *address)
{
	const struct route_key key = {
		.prefix_bits = ROUTE_TABLE_BITS + 128,
		.table = table,
		.address = *address,
	};

	return bpf_map_lookup_elem(MAP(routes), &key);
}

static __always_inline bool receive_at(struct packet *p, __u32 id)
{
	const struct endpoint *receiver = id ? endpoint_by_id(id) : NULL;

	if (!receiver)
		return false;
	p->receiver = id;
	p->receiver_flags = receiver->flags;
	p->receiver_generation = receiver->generation;
	p->receiver_ifindex = receiver->ifindex;
	__builtin_memcpy(p->receiver_mac, receiver->mac, 6);
	return true;
}

/* Where the fabric routes pods it takes a pod's own packet inside its VPC as it is; whatever needs more said than the packet
 * says takes the tunnel to the same node. The other end judges alike: identify_routed in outside.h. */
static __always_inline __u32 way_to(const struct packet *p, __u32 node)
{
	if (node <= NODE_NUMBER_MASK)
		return node;
	return p->sender && p->to_vpc == p->vpc && endpoint_id_at(VPC_OUTSIDE, &p->to.source) ? node
											       : node & NODE_NUMBER_MASK;
}

/* Is somebody of `to_vpc` at the destination: 0, else a reason. */
DOOR(find_receiver)
{
	if (receive_at(p, endpoint_id_at(p->to_vpc, &p->to.destination)))
		return 0;
	const __u32 node = way_to(p, location_of(p->to_vpc, &p->to.destination));

	return node && head_for(p, node) ? 0 : -DROP_NO_ENDPOINT;
}

/* Is this endpoint one that forwards, here or on another node? */
static __always_inline int find_next_hop(struct packet *p, const struct ip_addr *via)
{
	const __u32 id = endpoint_id_at(p->to_vpc, via);

	if (id)
		return id != p->sender && receive_at(p, id) && p->receiver_flags & ENDPOINT_FORWARDS ? 0
												     : -DROP_NEXT_HOP;
	const __u32 node = location_of(p->to_vpc, via) & NODE_NUMBER_MASK;

	p->frame = FRAME_VIA;
	p->frame_name = short_name(via);
	return node && head_for(p, node) ? 0 : -DROP_NEXT_HOP;
}

static __always_inline int follow_route(struct __sk_buff *skb, struct packet *p)
{
	const bool stays = p->sender && p->to_vpc == p->vpc;
	const struct route *row = route_of(stays ? p->route_table : p->to_vpc, &p->to.destination);

	if (!row)
		return -DROP_NO_NAT;
	switch (row->kind) {
	case ROUTE_BLACKHOLE:
		return -DROP_BLACKHOLE;
	case ROUTE_SERVICES:
		return -DROP_NO_SERVICE;
	case ROUTE_NAT:
		return -DROP_NAT_GATEWAY;
	case ROUTE_PEERING:
		if (!stays)
			return -DROP_NO_ENDPOINT;
		p->to_vpc = row->target;
		return find_receiver(skb, p);
	case ROUTE_ENDPOINT:
		return stays ? find_next_hop(p, &row->via) : -DROP_NO_ENDPOINT;
	default:
		return -DROP_NO_ENDPOINT;
	}
}

DOOR(route)
{
	if (p->ct && p->is_reply && p->ct_flags & CT_FROM_OUTSIDE)
		return 0;
	p->frame = FRAME_PLAIN;
	return find_receiver(skb, p) ? follow_route(skb, p) : 0;
}

/* At the tunnel's end: here or nowhere. */
DOOR(route_here)
{
	if (p->frame == FRAME_VIA) {
		const __u32 hop = endpoint_id_named(p->vpc, p->frame_name, p->ethertype == ETH_P_IP);

		return receive_at(p, hop) && p->receiver_flags & ENDPOINT_FORWARDS ? 0 : -DROP_NEXT_HOP;
	}
	return receive_at(p, endpoint_id_at(p->to_vpc, &p->to.destination)) ? 0 : -DROP_NO_ENDPOINT;
}

#endif
