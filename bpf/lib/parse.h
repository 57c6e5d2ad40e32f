/* Door 1, parse: frame and headers become `is`, the only place that reads them. Two halves, because the uplink must
 * know whose packet it is before it judges what is inside.
 *
 * Lengths are checked against the IP header, not the frame: short frames are padded, GSO frames hold many segments.
 * IPv4 options are passed over, and so are IPv6 hop-by-hop and destination options, at most IPV6_EXTENSIONS_MAX; a
 * routing header would lead elsewhere than it says (DROP_PROTOCOL). An IPv6 fragment of the whole datagram is none.
 * Source: RFC 791, 8200, 9293, 768, 792, 4443, 5095, 6946.
 */
#ifndef WEFT_LIB_PARSE_H
#define WEFT_LIB_PARSE_H

#include "lib/packet.h"

#define IP_MORE_FRAGMENTS 0x2000
#define IP_FRAGMENT_OFFSET 0x1fff

static __always_inline int parse_v4(struct __sk_buff *skb, struct packet *p)
{
	const struct iphdr *ip = packet_bytes(skb, L3_OFFSET, sizeof(*ip));

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return -DROP_MALFORMED;
	const __u32 header = ip->ihl * 4;
	const __u32 total = bpf_ntohs(ip->tot_len);

	p->is.source = mapped_v4(ip->saddr);
	p->is.destination = mapped_v4(ip->daddr);
	p->protocol = ip->protocol;
	p->ip_id = ip->id;
	p->fragment_offset = (bpf_ntohs(ip->frag_off) & IP_FRAGMENT_OFFSET) * 8;
	if (p->fragment_offset)
		p->fragment = FRAGMENT_LATER;
	else if (ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS))
		p->fragment = FRAGMENT_FIRST;
	p->l4_offset = L3_OFFSET + header;
	if (!total && skb->gso_size) /* beyond 64 KB the field is 0 */
		return 0;
	if (total <= header || L3_OFFSET + total > skb->len)
		return -DROP_MALFORMED;
	p->l4_bytes = total - header;
	return 0;
}

/* A fragment header; of the other extension headers the first two fields. */
struct ipv6_extension {
	__u8 next;
	__u8 bytes_8; /* in units of 8, beyond the first; a fragment header has none */
	__be16 offset_and_more;
	__be32 id;
};

#define IPV6_MORE_FRAGMENTS 0x0001
#define IPV6_FRAGMENT_OFFSET 0xfff8

static __always_inline bool is_transport(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_ICMPV6;
}

/* False: of a datagram in pieces the first must show its transport; other headers between would hide it in a later one. */
static __always_inline bool parse_fragment_header(struct packet *p, const struct ipv6_extension *header)
{
	const __u16 field = bpf_ntohs(header->offset_and_more);

	p->ip_id = header->id;
	p->fragment_offset = field & IPV6_FRAGMENT_OFFSET;
	if (p->fragment_offset)
		p->fragment = FRAGMENT_LATER;
	else if (field & IPV6_MORE_FRAGMENTS)
		p->fragment = FRAGMENT_FIRST;
	return !p->fragment || is_transport(header->next);
}

/* Goes on to the transport header. */
static __always_inline int parse_extensions(struct __sk_buff *skb, struct packet *p)
{
	bool was_fragment = false;

	for (int i = 0; i <= IPV6_EXTENSIONS_MAX; i++) {
		const bool is_fragment = p->protocol == IPPROTO_FRAGMENT;

		if (p->fragment ||
		    (!is_fragment && p->protocol != IPPROTO_HOPOPTS && p->protocol != IPPROTO_DSTOPTS))
			return 0;
		const struct ipv6_extension *header = packet_bytes(skb, p->l4_offset, sizeof(*header));

		if (!header)
			return -DROP_MALFORMED;
		const __u32 bytes = is_fragment ? sizeof(*header) : (header->bytes_8 + 1) * 8;
		const __u32 next_offset = p->l4_offset + bytes;

		if (next_offset > IPV6_L4_OFFSET_MAX)
			return -DROP_PROTOCOL;
		if (p->l4_bytes && bytes >= p->l4_bytes)
			return -DROP_MALFORMED;
		if (is_fragment && (was_fragment || !parse_fragment_header(p, header)))
			return -DROP_FRAGMENT;
		was_fragment |= is_fragment;
		p->l4_bytes -= p->l4_bytes ? bytes : 0;
		p->protocol = header->next;
		p->l4_offset = next_offset;
	}
	return -DROP_PROTOCOL;
}

static __always_inline int parse_v6(struct __sk_buff *skb, struct packet *p)
{
	const struct ipv6hdr *ip = packet_bytes(skb, L3_OFFSET, sizeof(*ip));

	if (!ip || ip->version != 6)
		return -DROP_MALFORMED;
	const __u32 payload = bpf_ntohs(ip->payload_len);

	__builtin_memcpy(&p->is.source, &ip->saddr, sizeof(p->is.source));
	__builtin_memcpy(&p->is.destination, &ip->daddr, sizeof(p->is.destination));
	p->protocol = ip->nexthdr;
	p->l4_offset = L3_OFFSET + sizeof(*ip);
	if (!payload && !skb->gso_size)
		return -DROP_MALFORMED;
	if (L3_OFFSET + sizeof(*ip) + payload > skb->len)
		return -DROP_MALFORMED;
	p->l4_bytes = payload;
	/* A mapped address on the wire would pass for IPv4 in every key. */
	if (addr_is_v4(&p->is.source) || addr_is_v4(&p->is.destination))
		return -DROP_MALFORMED;
	return parse_extensions(skb, p);
}

/* Frame and network header. */
DOOR(parse_network)
{
	const struct ethhdr *eth = packet_bytes(skb, 0, sizeof(*eth));

	if (!eth)
		return -DROP_MALFORMED;
	p->ethertype = bpf_ntohs(eth->h_proto);
	if (skb->vlan_present)
		return -DROP_NOT_IP;
	if (p->ethertype == ETH_P_IP)
		return parse_v4(skb, p);
	if (p->ethertype == ETH_P_IPV6)
		return parse_v6(skb, p);
	return p->ethertype == ETH_P_ARP ? 0 : -DROP_NOT_IP;
}

static __always_inline bool l4_too_short(const struct packet *p, __u32 bytes)
{
	return p->l4_bytes && p->l4_bytes < bytes;
}

static __always_inline int parse_tcp(struct __sk_buff *skb, struct packet *p)
{
	const struct tcphdr *tcp = packet_bytes(skb, p->l4_offset, sizeof(*tcp));

	if (!tcp || l4_too_short(p, tcp->doff * 4) || tcp->doff < 5)
		return -DROP_MALFORMED;
	p->is.source_port = tcp->source;
	p->is.destination_port = tcp->dest;
	p->tcp_flags = ((const __u8 *)tcp)[13];
	return 0;
}

static __always_inline int parse_udp(struct __sk_buff *skb, struct packet *p)
{
	const struct udphdr *udp = packet_bytes(skb, p->l4_offset, sizeof(*udp));

	/* The length field of a GSO datagram speaks of the whole, that of a segment of itself: both are ≤ l4_bytes.
	 * In a first fragment it speaks of more than is here. */
	if (!udp || l4_too_short(p, sizeof(*udp)) || bpf_ntohs(udp->len) < sizeof(*udp) ||
	    (p->fragment == FRAGMENT_NONE && l4_too_short(p, bpf_ntohs(udp->len))))
		return -DROP_MALFORMED;
	p->is.source_port = udp->source;
	p->is.destination_port = udp->dest;
	return 0;
}

static __always_inline bool is_icmp_error_type(const struct packet *p)
{
	if (p->protocol == IPPROTO_ICMP)
		return p->icmp_type == ICMP_UNREACHABLE || p->icmp_type == ICMP_TIME_EXCEEDED ||
		       p->icmp_type == ICMP_PARAMETER_PROBLEM;
	return p->icmp_type >= ICMPV6_UNREACHABLE && p->icmp_type <= ICMPV6_PARAMETER_PROBLEM;
}

static __always_inline bool is_echo(const struct packet *p)
{
	if (p->protocol == IPPROTO_ICMP)
		return p->icmp_type == ICMP_ECHO_REQUEST || p->icmp_type == ICMP_ECHO_REPLY;
	return p->icmp_type == ICMPV6_ECHO_REQUEST || p->icmp_type == ICMPV6_ECHO_REPLY;
}

/* The head of the packet that an ICMP error is about: its tuple, reversed, is the way the error goes. */
static __always_inline int parse_embedded(struct __sk_buff *skb, struct packet *p)
{
	const struct ip_addr from = p->is.source;
	const struct ip_addr to = p->is.destination;
	__u32 l4 = p->l4_offset + sizeof(struct icmp_header);

	if (p->ethertype == ETH_P_IP) {
		const struct iphdr *ip = packet_bytes(skb, l4, sizeof(*ip));

		if (!ip || ip->version != 4 || ip->ihl != 5 || ip->frag_off & bpf_htons(0x1fff))
			return -DROP_MALFORMED;
		p->is.source = mapped_v4(ip->daddr);
		p->is.destination = mapped_v4(ip->saddr);
		p->tracked_protocol = ip->protocol;
		l4 += sizeof(*ip);
	} else {
		const struct ipv6hdr *ip = packet_bytes(skb, l4, sizeof(*ip));

		if (!ip || ip->version != 6)
			return -DROP_MALFORMED;
		__builtin_memcpy(&p->is.source, &ip->daddr, sizeof(p->is.source));
		__builtin_memcpy(&p->is.destination, &ip->saddr, sizeof(p->is.destination));
		p->tracked_protocol = ip->nexthdr;
		l4 += sizeof(*ip);
	}
	const struct icmp_header *head = packet_bytes(skb, l4, sizeof(*head)); /* ports, or an echo's header */

	if (!head || !addr_equal(&p->is.destination, &to))
		return -DROP_MALFORMED;
	const __be16 *ports = (const void *)head;
	const bool has_ports = p->tracked_protocol == IPPROTO_TCP || p->tracked_protocol == IPPROTO_UDP;

	p->is.destination_port = has_ports ? ports[0] : head->id;
	p->is.source_port = has_ports ? ports[1] : head->id;
	p->icmp_from_end = addr_equal(&p->is.source, &from);
	return 0;
}

static __always_inline bool is_neighbour_discovery(const struct packet *p)
{
	return p->protocol == IPPROTO_ICMPV6 && p->icmp_type >= ND_ROUTER_SOLICITATION && p->icmp_type <= ND_REDIRECT;
}

/* Who listens to which multicast group: every kernel says so when it gets an address. */
static __always_inline bool is_listener_discovery(const struct packet *p)
{
	return p->protocol == IPPROTO_ICMPV6 &&
	       ((p->icmp_type >= MLD_QUERY && p->icmp_type <= MLD_DONE) || p->icmp_type == MLD_REPORT_V2);
}

static __always_inline int parse_icmp(struct __sk_buff *skb, struct packet *p)
{
	/* ICMPv6 has the same first eight bytes: type, code, checksum, identifier, sequence. */
	const struct icmp_header *icmp = packet_bytes(skb, p->l4_offset, sizeof(*icmp));

	if (!icmp || l4_too_short(p, sizeof(*icmp)))
		return -DROP_MALFORMED;
	p->icmp_type = icmp->type;
	p->is_icmp_error = is_icmp_error_type(p);
	if (p->is_icmp_error)
		return p->fragment ? -DROP_FRAGMENT : parse_embedded(skb, p);
	if (is_listener_discovery(p))
		return -DROP_ANNOUNCEMENT;
	if (!is_echo(p))
		return is_neighbour_discovery(p) ? 0 : -DROP_PROTOCOL;
	p->is.source_port = icmp->id;
	p->is.destination_port = icmp->id;
	return 0;
}

static __always_inline struct fragment_key fragment_key_of(const struct packet *p)
{
	return (struct fragment_key){
		.vpc = p->vpc,
		.source = p->is.source,
		.destination = p->is.destination,
		.id = p->ip_id,
		.protocol = p->protocol,
	};
}

/* Later pieces follow their first. None of them may reach back into the header that the first one showed (RFC 1858). */
static __always_inline int parse_later_fragment(struct packet *p)
{
	const struct fragment_key key = fragment_key_of(p);
	const struct fragment *first = bpf_map_lookup_elem(MAP(fragments), &key);

	if (!first || (__s32)(now_s() - first->seen_s) > FRAGMENTED_S || p->fragment_offset < sizeof(struct tcphdr))
		return -DROP_FRAGMENT;
	p->is.source_port = first->source_port;
	p->is.destination_port = first->destination_port;
	return 0;
}

static __always_inline int remember_first_fragment(const struct packet *p)
{
	const struct fragment_key key = fragment_key_of(p);
	const struct fragment first = {
		.source_port = p->is.source_port,
		.destination_port = p->is.destination_port,
		.seen_s = now_s(),
	};

	return bpf_map_update_elem(MAP(fragments), &key, &first, BPF_ANY) ? -DROP_FRAGMENT : 0;
}

static __always_inline int unknown_transport(const struct packet *p)
{
	if (p->protocol == IPPROTO_FRAGMENT)
		return -DROP_FRAGMENT;
	return p->protocol == IPPROTO_IGMP && p->ethertype == ETH_P_IP ? -DROP_ANNOUNCEMENT : -DROP_PROTOCOL;
}

/* The transport header. */
DOOR(parse_transport)
{
	int verdict = 0;

	if (p->ethertype == ETH_P_ARP)
		return 0;
	p->tracked_protocol = p->protocol;
	if (p->fragment == FRAGMENT_LATER)
		verdict = parse_later_fragment(p);
	else if (p->protocol == IPPROTO_TCP)
		verdict = parse_tcp(skb, p);
	else if (p->protocol == IPPROTO_UDP)
		verdict = parse_udp(skb, p);
	else if (p->protocol == (p->ethertype == ETH_P_IP ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		verdict = parse_icmp(skb, p);
	else
		verdict = unknown_transport(p);
	if (!verdict && p->fragment == FRAGMENT_FIRST)
		verdict = remember_first_fragment(p);
	p->to = p->is;
	return verdict;
}

#endif
