/* Door 2 at the uplink: whose packet is this? The node's own passes, unless it is for a nodePort; a public address of
 * ours names the VPC behind it.
 *
 * The outside may speak from any address but those that the VPC behind the target uses itself: a reply to such a source
 * would go to a pod. Addresses of 100.64.0.0/10 are never believed from here.
 */
#ifndef WEFT_LIB_OUTSIDE_H
#define WEFT_LIB_OUTSIDE_H

#include "lib/host.h"
#include "lib/neighbour.h"
#include "lib/packet.h"
#include "lib/parse.h"
#include "lib/route.h"
#include "lib/translate.h"

static __always_inline bool is_nodes_own(const struct packet *p, const struct node *node)
{
	const struct ip_addr *to = &p->is.destination;

	if (is_own_address(node, to))
		return true;
	if (addr_is_multicast(to)) /* neighbour discovery, DHCP, whatever the node itself takes part in */
		return true;
	return p->ethertype == ETH_P_IPV6 && (to->word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
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
 * pod. Believed from pods of other nodes that are reached the same way. The fabric's routers may only speak of a packet
 * of the pod's own: what kind of ICMP this is shows behind the next door, track asks for the connection. */
DOOR(identify_routed)
{
	const struct endpoint *target = endpoint_by_id(endpoint_id_at(VPC_OUTSIDE, &p->is.destination));

	if (!target)
		return -DROP_NOT_OURS;
	const __u32 from = location_of(target->vpc, &p->is.source);
	const struct remote_node *node = bpf_map_lookup_elem(MAP(nodes), &from);

	p->vpc = p->to_vpc = p->frontend_vpc = target->vpc;
	if (node && node->flags & NODE_ROUTED && !addr_is_neighbour(&p->is.source)) {
		p->from_node = from;
		return 0;
	}
	p->from_fabric = true;
	return p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6 ? 0 : -DROP_OUTSIDE_SOURCE;
}

DOOR(identify_target)
{
	const struct node *node = this_node();

	if (!node)
		return -DROP_NOT_OURS;
	if (p->ethertype == ETH_P_ARP)
		return answer_uplink_arp(skb, p, node);
	p->from_host = skb->mark == MARK_FROM_HOST;
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

/* A pod on another node answers a program of this one that asked at a nodePort of ours: source and destination are both
 * the node's, which the kernel would take for a lie. Believed where that program's question is remembered. */
DOOR(answer_from_node_port)
{
	const struct node *node = this_node();
	struct ct_key key;
	__u8 known;

	if (!node || !is_own_address(node, &p->is.source))
		return 0;
	const bool high = ct_key_of(&key, VPC_OUTSIDE, p->tracked_protocol, &p->is);
	const struct ct_entry *asked = ct_find(p, &key, &known);
	const bool is_answer =
		asked && asked->flags & CT_TRANSLATION_ROW && high != !!(asked->flags & CT_INITIATOR_HIGH);

	return is_answer ? hand_to_host(skb, p, node) : 0;
}

/* The transport header; of the node's own packets only those for a nodePort, or about one, go on to the next door. What
 * cannot be parsed is the node's kernel's business too. */
DOOR(identify_node_port)
{
	const int verdict = parse_transport(skb, p) ?: answer_uplink_nd(skb, p);

	if (p->from_fabric && !verdict && !p->is_icmp_error)
		return -DROP_OUTSIDE_SOURCE;
	if (!p->is_nodes_own || verdict == DONE)
		return verdict;
	const struct frontend *frontend = verdict ? NULL : frontend_at(VPC_OUTSIDE, &p->is, p->tracked_protocol);

	if (!frontend) {
		p->action = TC_ACT_OK;
		return verdict ? DONE : (answer_from_node_port(skb, p) ?: DONE);
	}
	if (claims_to_be_inside(frontend->vpc, &p->is.source))
		return -DROP_OUTSIDE_SOURCE;
	p->vpc = p->frontend_vpc = VPC_OUTSIDE;
	p->to_vpc = frontend->vpc;
	return 0;
}

#endif
