/* Door 2 at the uplink: whose packet is this? The node's own passes; a public address of ours names the VPC behind it.
 *
 * The outside may speak from any address but those that the VPC behind the target uses itself: a reply to such a source
 * would go to a pod. Addresses of 100.64.0.0/10 are never believed from here.
 */
#ifndef WEFT_LIB_OUTSIDE_H
#define WEFT_LIB_OUTSIDE_H

#include "lib/neighbour.h"
#include "lib/packet.h"
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

DOOR(identify_target)
{
	const struct node *node = this_node();

	if (!node)
		return -DROP_NOT_OURS;
	if (p->ethertype == ETH_P_ARP)
		return answer_uplink_arp(skb, p, node);
	if (is_nodes_own(p, node)) {
		p->action = TC_ACT_OK;
		return DONE;
	}
	const struct frontend *address = frontend_address(VPC_OUTSIDE, &p->is.destination);

	if (!address)
		return -DROP_NOT_OURS;
	if (addr_is_identity(&p->is.source) || addr_is_multicast(&p->is.source) ||
	    route_of(address->vpc, &p->is.source))
		return -DROP_OUTSIDE_SOURCE;
	p->frontend_vpc = VPC_OUTSIDE;
	p->to_vpc = address->vpc;
	/* Translated connections are known in the client's world, untranslated ones in the service endpoint's. */
	p->vpc = address->flags & FRONTEND_LOCAL ? address->vpc : VPC_OUTSIDE;
	return 0;
}

#endif
