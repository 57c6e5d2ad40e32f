/* Too big for the way: told to the sender at once, by ICMP "fragmentation needed" or ICMPv6 "packet too big" with the
 * size that fits, in the packet's place, so that no path is a black hole.
 *
 * What may be cut (IPv4 without DF) goes on: the kernel cuts the outer packet and the other node's puts it together; where
 * the fabric routes pods it takes the tunnel for that. So does an IPv6 packet of up to 1280 bytes, which every way of IPv6
 * carries. Of a packet that the device is to cut into segments (GSO) the segments must fit. The answer comes from the
 * address that was spoken to. Source: RFC 1191 §4, RFC 4443 §3.2, RFC 8200 §5, RFC 4213 §3.2.
 */
#ifndef WEFT_LIB_TOO_BIG_H
#define WEFT_LIB_TOO_BIG_H

#include "lib/location.h"
#include "lib/packet.h"
#include "lib/reject.h"

#define IPV6_MTU_MIN 1280
#define ICMP_CODE_FRAGMENTATION_NEEDED 4
#define ICMPV6_TOO_BIG 2
#define IP_DONT_FRAGMENT 0x4000

/* The largest IP packet on the wire that this becomes. */
static __always_inline __u32 wire_bytes(struct __sk_buff *skb, const struct packet *p)
{
	if (!skb->gso_size)
		return skb->len - L3_OFFSET;
	__u8 l4_header = 2 << 4; /* in words of 4, in the upper half: UDP's 8 bytes */

	if (p->protocol == IPPROTO_TCP)
		bpf_skb_load_bytes(skb, p->l4_offset + 12, &l4_header, sizeof(l4_header));
	return p->l4_offset - L3_OFFSET + (l4_header >> 4) * 4 + skb->gso_size;
}

static __always_inline bool may_be_cut(struct __sk_buff *skb, const struct packet *p)
{
	if (p->ethertype != ETH_P_IP)
		return false;
	const struct iphdr *ip = packet_bytes(skb, L3_OFFSET, sizeof(*ip));

	return ip && !(ip->frag_off & bpf_htons(IP_DONT_FRAGMENT));
}

#define HEAD_BYTES_MAX (IPV6_L4_OFFSET_MAX - L3_OFFSET + sizeof(struct tcphdr))

/* The sum of the packet's first `bytes` from the network header on. */
static __always_inline __u64 sum_of_head(struct __sk_buff *skb, __u32 bytes)
{
	__u64 sum = 0;
	__be32 word;

	for (__u32 at = 0; at < HEAD_BYTES_MAX && at < bytes; at += sizeof(word)) {
		if (bpf_skb_load_bytes(skb, L3_OFFSET + at, &word, sizeof(word)))
			break;
		sum += word;
	}
	return sum;
}

/* Turns the packet into the answer; the frame's addresses are turned too. */
DOOR(build_too_big)
{
	const bool v4 = p->ethertype == ETH_P_IP;
	const bool tcp = p->protocol == IPPROTO_TCP;
	const bool later = p->fragment == FRAGMENT_LATER; /* no transport header in it */
	const __u32 ip_bytes = v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	const __u32 head = p->l4_offset - L3_OFFSET; /* with options and extension headers */
	/* No less than the kernel lets us cut: the checksum that the device is to finish stays. */
	const __u32 inside = head + (tcp && !later ? sizeof(struct tcphdr) : sizeof(struct udphdr));
	/* The last 16 bits of the 32-bit MTU in ICMPv6, and of the second word in ICMP: the same place. */
	struct icmp_header icmp = {
		.type = v4 ? ICMP_UNREACHABLE : ICMPV6_TOO_BIG,
		.code = v4 ? ICMP_CODE_FRAGMENTATION_NEEDED : 0,
		.sequence = bpf_htons(p->to_mtu),
	};
	__u16 field = 0;
	bool partial = false;

	if (!later && (tcp || p->protocol == IPPROTO_UDP)) {
		const __u32 at = p->l4_offset + (tcp ? TCP_CSUM_OFFSET : UDP_CSUM_OFFSET);

		if (bpf_skb_load_bytes(skb, at, &field, sizeof(field)))
			return -DROP_KERNEL;
		partial = (tcp || field) && csum_is_partial(skb, at); /* of UDP, 0 means none */
	}
	if (bpf_skb_change_tail(skb, L3_OFFSET + inside, 0))
		return -DROP_KERNEL;
	/* A checksum left to the device, once finished, makes its region sum up to the complement of what stands in the
	 * field now. */
	__u64 sum = partial ? sum_of_head(skb, head) + (__u16)~field : sum_of_head(skb, inside);

	if (!v4)
		sum += pseudo_sum(&p->is, IPPROTO_ICMPV6, sizeof(icmp) + inside);
	icmp.checksum = ~csum_fold(sum + bpf_csum_diff(NULL, 0, (__be32 *)&icmp, sizeof(icmp), 0));
	if (bpf_skb_adjust_room(skb, ip_bytes + sizeof(icmp), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_NO_CSUM_RESET) ||
	    store_answer_ip(skb, p, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, sizeof(icmp) + inside) ||
	    bpf_skb_store_bytes(skb, L3_OFFSET + ip_bytes, &icmp, sizeof(icmp), BPF_F_RECOMPUTE_CSUM))
		return -DROP_KERNEL;
	return turn_frame(skb);
}

/* 0: it fits, or will be cut. Asked before anything of the packet is changed: the answer shows it as it came. */
DOOR(fit)
{
	if (!p->to_node)
		return 0;
	const __u32 bytes = wire_bytes(skb, p);

	p->is_cut = bytes > p->to_mtu;
	if (p->ethertype == ETH_P_IPV6 && p->to_mtu < IPV6_MTU_MIN)
		p->to_mtu = IPV6_MTU_MIN;
	if (bytes <= p->to_mtu)
		return 0;
	if (may_be_cut(skb, p))
		return p->to_node_flags & NODE_ROUTED && !head_for(p, p->to_node & NODE_NUMBER_MASK)
			   ? -DROP_NO_ENDPOINT
			   : 0;
	if (p->is_icmp_error || p->hook == HOOK_TUNNEL_INGRESS)
		return -DROP_TOO_BIG;
	if (!build_too_big(skb, p))
		turn_back(skb, p);
	return -DROP_TOO_BIG;
}

#endif
