/* Door 2, identify: who sent this, and may they speak from that address?
 *
 * A pod speaks from its own addresses and MAC only. A service endpoint also from every address whose row in
 * `endpoints` is its own (the DNS address, L7 addresses). The outside may speak from anything that lies in no CIDR of
 * the VPC it speaks to. An endpoint that forwards may speak from any address but a neighbour's.
 */
#ifndef WEFT_LIB_IDENTIFY_H
#define WEFT_LIB_IDENTIFY_H

#include "lib/location.h"
#include "lib/packet.h"

static __always_inline bool may_speak_from(const struct endpoint *sender, __u32 id, const struct ip_addr *source)
{
	if (addr_is_zero(source)) /* as an endpoint's missing family is */
		return false;
	if (addr_is_v4(source) ? addr_equal(source, &sender->v4) : addr_equal(source, &sender->v6))
		return true;
	if (sender->flags & ENDPOINT_FORWARDS && !addr_is_neighbour(source) && !addr_is_multicast(source))
		return true;
	return sender->flags & ENDPOINT_SERVICE && endpoint_id_at(sender->vpc, source) == id;
}

/* Which endpoint is behind this interface; its MAC must be on the frame. Whether the source is its own is seen here and
 * judged once it is known what kind of packet this is. */
DOOR(identify_sender)
{
	const __u32 ifindex = skb->ifindex;
	const __u32 *id = bpf_map_lookup_elem(MAP(attachments), &ifindex);

	if (!id)
		return -DROP_UNKNOWN_ENDPOINT;
	const struct endpoint *sender = endpoint_by_id(*id);

	if (!sender)
		return -DROP_UNKNOWN_ENDPOINT;
	p->sender = *id;
	p->sender_flags = sender->flags;
	p->sender_generation = sender->generation;
	p->route_table = sender->route_table;
	p->vpc = p->to_vpc = p->frontend_vpc = sender->vpc;
	p->source_is_own = may_speak_from(sender, *id, &p->is.source);
	const struct ethhdr *eth = packet_bytes(skb, 0, sizeof(*eth));

	return eth && mac_equal(eth->h_source, sender->mac) ? 0 : -DROP_SPOOFED_MAC;
}

static __always_inline bool is_dhcp(const struct packet *p)
{
	if (p->protocol != IPPROTO_UDP)
		return false;
	return (p->is.source_port == bpf_htons(68) && p->is.destination_port == bpf_htons(67)) ||
	       (p->is.source_port == bpf_htons(546) && p->is.destination_port == bpf_htons(547));
}

/* Nothing but unicast, from an address of its own. */
static __always_inline int identify_address(const struct packet *p)
{
	if (is_dhcp(p))
		return -DROP_DHCP;
	if (addr_is_multicast(&p->is.destination))
		return -DROP_MULTICAST;
	/* No endpoint is a router, but those that forward, and they speak of no neighbour's packets. */
	if (p->is_icmp_error && !p->icmp_from_end &&
	    (!(p->sender_flags & ENDPOINT_FORWARDS) || addr_is_neighbour(&p->is.source)))
		return -DROP_ICMP_UNRELATED;
	return p->source_is_own ? 0 : -DROP_SPOOFED_ADDRESS;
}

#endif
