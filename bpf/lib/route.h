/* Door 6, route: where the packet's (translated) destination is: an endpoint of this node, or beyond the uplink.
 *
 * Only replies to a connection that came from outside leave by the uplink. What the VPC's route table calls its own but
 * nobody here holds is DROP_NO_ENDPOINT.
 */
#ifndef WEFT_LIB_ROUTE_H
#define WEFT_LIB_ROUTE_H

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

DOOR(route)
{
	if (p->ct && p->is_reply && p->ct_flags & CT_FROM_OUTSIDE)
		return 0;
	const __u32 id = endpoint_id_at(p->to_vpc, &p->to.destination);
	const struct endpoint *receiver = id ? endpoint_by_id(id) : NULL;

	if (receiver) {
		p->receiver = id;
		p->receiver_flags = receiver->flags;
		p->receiver_generation = receiver->generation;
		p->receiver_ifindex = receiver->ifindex;
		__builtin_memcpy(p->receiver_mac, receiver->mac, 6);
		return 0;
	}
	const bool stays = p->sender && p->to_vpc == p->vpc;
	const struct route *row = route_of(stays ? p->route_table : p->to_vpc, &p->to.destination);

	if (!row)
		return -DROP_NO_NAT;
	if (row->kind == ROUTE_BLACKHOLE)
		return -DROP_BLACKHOLE;
	return row->kind == ROUTE_SERVICES ? -DROP_NO_SERVICE : -DROP_NO_ENDPOINT;
}

#endif
