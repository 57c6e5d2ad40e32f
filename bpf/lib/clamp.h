/* MSS clamp: a SYN or SYN-ACK asks for no larger segments than its way can carry, so that TCP need not run into
 * "too big" first.
 *
 * The way's MTU is the least of what every pod of the overlay has (the uplink's less the tunnel; without overlay the
 * uplink's) and of what the row of the other node says, whichever side of the way this is: each node judges by its own row, so a way that is
 * narrower in one direction is known to both ends. Between two pods of one node nothing is clamped. What is handed over
 * goes on as it came: the reply takes another way, which the backend's node knows. An absent option stays absent: it
 * means 536. Source: RFC 9293 §3.7.1, RFC 6691.
 */
#ifndef WEFT_LIB_CLAMP_H
#define WEFT_LIB_CLAMP_H

#include "lib/packet.h"
#include "lib/reject.h"

#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2
#define TCP_OPTIONS_MAX 20 /* walked over; the option stands first in practice */
#define PATH_MTU_MIN 576   /* a row that says less is none (RFC 791 §3.2) */

struct mss_option {
	__u8 kind;
	__u8 bytes;
	__be16 mss;
};

/* What the MTU is at most; 0: unknown. */
static __always_inline __u32 way_mtu(const struct packet *p)
{
	const struct node *node = this_node();
	__u32 theirs = p->to_node ? p->to_mtu : 0;
	__u32 flags = p->to_node_flags;

	if (p->from_node && p->frame != FRAME_HAND_OVER) {
		const __u32 id = p->from_node; /* a key on the stack: 6.1 takes none out of a global function's argument */
		const struct remote_node *from = bpf_map_lookup_elem(MAP(nodes), &id);

		theirs = from ? from->mtu : 0;
		flags = from ? from->flags : 0;
	}
	const __u32 overhead = flags & NODE_ROUTED ? 0 : TUNNEL_OVERHEAD;
	__u32 mtu = node && node->uplink_mtu > overhead ? node->uplink_mtu - overhead : 0;

	if (theirs >= PATH_MTU_MIN && (!mtu || theirs < mtu))
		mtu = theirs;
	return mtu < PATH_MTU_MIN ? 0 : mtu;
}

static __always_inline int lower_mss(struct __sk_buff *skb, const struct packet *p, __u32 at, __be16 old, __u16 most)
{
	const __be16 new = bpf_htons(most);
	/* At an odd place the value's bytes belong to two words of the sum. */
	const bool odd = (at - p->l4_offset) & 1;

	if (bpf_ntohs(old) <= most)
		return 0;
	return bpf_l4_csum_replace(skb, p->l4_offset + TCP_CSUM_OFFSET, odd ? __builtin_bswap16(old) : old,
				   odd ? __builtin_bswap16(new) : new, 2) ||
		       bpf_skb_store_bytes(skb, at, &new, sizeof(new), 0)
		   ? -DROP_KERNEL
		   : 0;
}

DOOR(clamp_options)
{
	const __u32 mtu = way_mtu(p);
	const __u32 headers =
	    sizeof(struct tcphdr) + (p->ethertype == ETH_P_IP ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	__u8 words = 0; /* in the upper half */
	struct mss_option option;

	if (!mtu || bpf_skb_load_bytes(skb, p->l4_offset + 12, &words, sizeof(words)))
		return 0;
	const __u32 end = p->l4_offset + (words >> 4) * 4;
	__u32 at = p->l4_offset + sizeof(struct tcphdr);

	for (int i = 0; i < TCP_OPTIONS_MAX; i++) {
		if (at + sizeof(option) > end || bpf_skb_load_bytes(skb, at, &option, sizeof(option)) ||
		    option.kind == TCP_OPTION_END)
			return 0;
		if (option.kind == TCP_OPTION_MSS)
			return option.bytes == sizeof(option) ? lower_mss(skb, p, at + 2, option.mss, mtu - headers)
							      : 0;
		if (option.kind != TCP_OPTION_NOP && option.bytes < 2)
			return 0;
		at += option.kind == TCP_OPTION_NOP ? 1 : option.bytes;
	}
	return 0;
}

static __always_inline int clamp_mss(struct __sk_buff *skb, struct packet *p)
{
	if (p->protocol != IPPROTO_TCP || !(p->tcp_flags & TCP_SYN) || hands_over(p) ||
	    (p->hook == HOOK_POD_EGRESS && p->receiver))
		return 0;
	return clamp_options(skb, p);
}

#endif
