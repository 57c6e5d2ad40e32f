/* Door 7, rewrite: makes the headers say what `to` says. The only place beside parse that knows the family.
 *
 * Checksums only through the helpers: the program cannot see whether they are finished. Order: transport checksum for
 * the address (pseudo header) and the port, then the IP header's, then the bytes themselves. ICMP errors carry the
 * head of the packet they are about: it is changed back to what its sender had sent; its own transport checksum is
 * left alone, nobody verifies it. Source: RFC 3022 §4.3, RFC 5508 §4.
 */
#ifndef WEFT_LIB_REWRITE_H
#define WEFT_LIB_REWRITE_H

#include "lib/packet.h"
#include "lib/reject.h"

static __always_inline __u32 checksum_offset(const struct packet *p)
{
	if (p->protocol == IPPROTO_TCP)
		return p->l4_offset + TCP_CSUM_OFFSET;
	if (p->protocol == IPPROTO_UDP)
		return p->l4_offset + UDP_CSUM_OFFSET;
	return p->l4_offset + offsetof(struct icmp_header, checksum);
}

/* One address of the network header. */
static __always_inline int rewrite_address(struct __sk_buff *skb, struct packet *p, struct ip_addr *old,
					   struct ip_addr *new, bool is_source)
{
	const __u64 mangled = p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	const __u32 checksum = checksum_offset(p);

	if (p->ethertype == ETH_P_IP) {
		const __u32 at =
			L3_OFFSET + (is_source ? offsetof(struct iphdr, saddr) : offsetof(struct iphdr, daddr));

		if (p->protocol != IPPROTO_ICMP && p->fragment != FRAGMENT_LATER &&
		    bpf_l4_csum_replace(skb, checksum, old->word[3], new->word[3], BPF_F_PSEUDO_HDR | mangled | 4))
			return -DROP_KERNEL;
		return bpf_l3_csum_replace(skb, L3_OFFSET + offsetof(struct iphdr, check), old->word[3], new->word[3],
					   4) ||
				       bpf_skb_store_bytes(skb, at, &new->word[3], 4, 0)
			       ? -DROP_KERNEL
			       : 0;
	}
	const __u32 at = L3_OFFSET + (is_source ? offsetof(struct ipv6hdr, saddr) : offsetof(struct ipv6hdr, daddr));
	const __s64 diff = bpf_csum_diff(old->word, sizeof(*old), new->word, sizeof(*new), 0);

	if (p->fragment != FRAGMENT_LATER &&
	    bpf_l4_csum_replace(skb, checksum, 0, diff, BPF_F_PSEUDO_HDR | mangled))
		return -DROP_KERNEL;
	if (bpf_skb_store_bytes(skb, at, new, sizeof(*new), 0))
		return -DROP_KERNEL;
	bpf_csum_update(skb, diff); /* only complete packets need it; the others answer with an error */
	return 0;
}

static __always_inline int rewrite_port(struct __sk_buff *skb, struct packet *p, __be16 old, __be16 new, bool is_source)
{
	const __u64 mangled = p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	const __u32 at = p->l4_offset + (is_source ? 0 : 2); /* the same in TCP and UDP */

	return bpf_l4_csum_replace(skb, checksum_offset(p), old, new, mangled | 2) ||
			       bpf_skb_store_bytes(skb, at, &new, sizeof(new), 0)
		       ? -DROP_KERNEL
		       : 0;
}

DOOR(rewrite_addresses)
{
	if (!addr_equal(&p->is.source, &p->to.source) && rewrite_address(skb, p, &p->is.source, &p->to.source, true))
		return -DROP_KERNEL;
	if (!addr_equal(&p->is.destination, &p->to.destination))
		return rewrite_address(skb, p, &p->is.destination, &p->to.destination, false);
	return 0;
}

/* An address and its header's checksum change by opposite amounts: the ICMP checksum sees neither. */
static __always_inline int rewrite_embedded_v4(struct __sk_buff *skb, struct packet *p, __u32 inner)
{
	const __u32 inner_sum = inner + offsetof(struct iphdr, check);

	if (bpf_l3_csum_replace(skb, inner_sum, p->is.destination.word[3], p->to.destination.word[3], 4) ||
	    bpf_l3_csum_replace(skb, inner_sum, p->is.source.word[3], p->to.source.word[3], 4) ||
	    bpf_skb_store_bytes(skb, inner + offsetof(struct iphdr, saddr), &p->to.destination.word[3], 4, 0) ||
	    bpf_skb_store_bytes(skb, inner + offsetof(struct iphdr, daddr), &p->to.source.word[3], 4, 0))
		return -DROP_KERNEL;
	return 0;
}

/* No checksum of its own: the ICMPv6 checksum counts its addresses. */
static __always_inline int rewrite_embedded_v6(struct __sk_buff *skb, struct packet *p, __u32 inner)
{
	__s64 diff = bpf_csum_diff(p->is.destination.word, 16, p->to.destination.word, 16, 0);

	diff = bpf_csum_diff(p->is.source.word, 16, p->to.source.word, 16, diff);
	if (bpf_l4_csum_replace(skb, checksum_offset(p), 0, diff, 0) ||
	    bpf_skb_store_bytes(skb, inner + offsetof(struct ipv6hdr, saddr), &p->to.destination, 16, 0) ||
	    bpf_skb_store_bytes(skb, inner + offsetof(struct ipv6hdr, daddr), &p->to.source, 16, 0))
		return -DROP_KERNEL;
	return 0;
}

/* The packet inside an ICMP error: its source is where the error goes, its destination where it came from. Parse saw to
 * it that it has neither options nor extension headers. */
DOOR(rewrite_embedded)
{
	const bool v4 = p->ethertype == ETH_P_IP;
	const __u32 inner = p->l4_offset + sizeof(struct icmp_header);
	const __u32 inner_l4 = inner + (v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	const __u32 icmp_sum = checksum_offset(p);

	if (v4 ? rewrite_embedded_v4(skb, p, inner) : rewrite_embedded_v6(skb, p, inner))
		return -DROP_KERNEL;
	return bpf_l4_csum_replace(skb, icmp_sum, p->is.destination_port, p->to.destination_port, 2) ||
			       bpf_l4_csum_replace(skb, icmp_sum, p->is.source_port, p->to.source_port, 2) ||
			       bpf_skb_store_bytes(skb, inner_l4, &p->to.destination_port, 2, 0) ||
			       bpf_skb_store_bytes(skb, inner_l4 + 2, &p->to.source_port, 2, 0)
		       ? -DROP_KERNEL
		       : 0;
}

DOOR(rewrite)
{
	if (!p->is_translated || hands_over(p))
		return 0;
	if (p->is_icmp_error) {
		if (rewrite_embedded(skb, p))
			return -DROP_KERNEL;
		if (!p->icmp_from_end) /* a router on the way reports: it stays the source */
			p->to.source = p->is.source;
		return rewrite_addresses(skb, p);
	}
	if (rewrite_addresses(skb, p))
		return -DROP_KERNEL;
	if (p->fragment == FRAGMENT_LATER) /* has no ports */
		return 0;
	if (p->is.source_port != p->to.source_port &&
	    rewrite_port(skb, p, p->is.source_port, p->to.source_port, true))
		return -DROP_KERNEL;
	if (p->is.destination_port != p->to.destination_port)
		return rewrite_port(skb, p, p->is.destination_port, p->to.destination_port, false);
	return 0;
}

#endif
