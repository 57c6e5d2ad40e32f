/* Door 2 at the uplink: whose packet is this? The node's own passes, unless it is for a nodePort; a public address of
 * ours names the VPC behind it.
 *
 * The outside may speak from any address but those that the VPC behind the target uses itself: a reply to such a source
 * would go to a pod. Addresses of 100.64.0.0/10 are never believed from here.
 */
#ifndef WEFT_LIB_OUTSIDE_H
#define WEFT_LIB_OUTSIDE_H

#include "lib/neighbour.h"
#include "lib/packet.h"
#include "lib/parse.h"
#include "lib/route.h"
#include "lib/translate.h"

static __always_inline bool is_nodes_own(const struct packet *p, const struct node *node)
{
	const struct ip_addr *to = &p->is.destination;

	if (addr_equal(to, &node->v4) || addr_equal(to, &node->v6))
		return true;
	if (p->ethertype != ETH_P_IPV6) /* neighbour discovery needs link-local and multicast */
		return false;
	return addr_is_multicast(to) || (to->word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* An address of the VPC's own, whatever its routes make of it; a route to elsewhere says nothing of who is inside. */
static __always_inline bool is_vpcs_own(__u32 vpc, const struct ip_addr *source)
{
	const struct route *row = route_of(vpc, source);

	return row && (row->kind == ROUTE_LOCAL || row->kind == ROUTE_SERVICES || row->target == vpc);
}

static __always_inline bool claims_to_be_inside(__u32 vpc, const struct ip_addr *source)
{
	return addr_is_identity(source) || addr_is_multicast(source) || is_vpcs_own(vpc, source);
}

/* A pod's own address on the wire, where the fabric routes pods (abi/location.h, NODE_ROUTED): the row of VPC 0 says which
 * pod. Believed from pods of other nodes that are reached the same way. */
DOOR(identify_routed)
{
	const struct endpoint *target = endpoint_by_id(endpoint_id_at(VPC_OUTSIDE, &p->is.destination));

	if (!target)
		return -DROP_NOT_OURS;
	const __u32 from = location_of(target->vpc, &p->is.source);
	const struct remote_node *node = bpf_map_lookup_elem(MAP(nodes), &from);

	if (!node || !(node->flags & NODE_ROUTED) || addr_is_neighbour(&p->is.source))
		return -DROP_OUTSIDE_SOURCE;
	p->vpc = p->to_vpc = p->frontend_vpc = target->vpc;
	return 0;
}

DOOR(identify_target)
{
	const struct node *node = this_node();

	if (!node)
		return -DROP_NOT_OURS;
	if (p->ethertype == ETH_P_ARP)
		return answer_uplink_arp(skb, p, node);
	p->is_nodes_own = is_nodes_own(p, node);
	if (p->is_nodes_own) /* for a nodePort? Its ports are not parsed yet */
		return 0;
	const struct frontend *address = frontend_address(VPC_OUTSIDE, &p->is.destination);

	if (!address)
		return identify_routed(skb, p);
	if (claims_to_be_inside(address->vpc, &p->is.source))
		return -DROP_OUTSIDE_SOURCE;
	p->frontend_vpc = VPC_OUTSIDE;
	p->to_vpc = address->vpc;
	/* Translated connections are known in the client's world, untranslated ones in the service endpoint's. */
	p->vpc = address->flags & FRONTEND_LOCAL ? address->vpc : VPC_OUTSIDE;
	return 0;
}

/* The transport header; of the node's own packets only those for a nodePort, or about one, go on to the next door. What
 * cannot be parsed is the node's kernel's business too. */
DOOR(identify_node_port)
{
	const int verdict = parse_transport(skb, p) ?: answer_uplink_nd(skb, p);

	if (!p->is_nodes_own || verdict == DONE)
		return verdict;
	const struct frontend *frontend = verdict ? NULL : frontend_at(VPC_OUTSIDE, &p->is, p->tracked_protocol);

	if (!frontend) {
		p->action = TC_ACT_OK;
		return DONE;
	}
	if (claims_to_be_inside(frontend->vpc, &p->is.source))
		return -DROP_OUTSIDE_SOURCE;
	p->vpc = p->frontend_vpc = VPC_OUTSIDE;
	p->to_vpc = frontend->vpc;
	return 0;
}

#endif
