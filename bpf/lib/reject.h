/* Rejection: tells the sender at once that nobody will answer, with a packet built in the refused one's place: a TCP
 * RST, or ICMP port unreachable with the refused packet's headers inside. It goes back out of the interface it came
 * by.
 *
 * A packet's checksum may be finished ("none", "complete") or left to the device ("partial": the field then holds the
 * sum of the pseudo header alone), and no helper tells which. We ask: bpf_l4_csum_replace without the pseudo-header
 * flag leaves a partial field alone. Then we leave a field of the same kind behind, so that offloads on either side
 * stay right. Never an answer to RST, to an ICMP error, or to a packet with IP options. Source: RFC 9293 §3.5.2, RFC
 * 792, RFC 1122 §3.2.2.
 */
#ifndef WEFT_LIB_REJECT_H
#define WEFT_LIB_REJECT_H

#include "lib/neighbour.h"
#include "lib/packet.h"

#define REJECT_TTL 64
#define UDP_CSUM_OFFSET offsetof(struct udphdr, check)
#define TCP_CSUM_OFFSET offsetof(struct tcphdr, check)

static __always_inline __u32 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Is the checksum at `offset` left to the device? */
static __always_inline bool csum_is_partial(struct __sk_buff *skb, __u32 offset)
{
	__u16 before = 0;
	__u16 after = 0;

	if (bpf_skb_load_bytes(skb, offset, &before, sizeof(before)) ||
	    bpf_l4_csum_replace(skb, offset, 0, bpf_htons(0x1111), 2) ||
	    bpf_skb_load_bytes(skb, offset, &after, sizeof(after)) ||
	    bpf_skb_store_bytes(skb, offset, &before, sizeof(before), 0))
		return false;
	return before == after;
}

static __always_inline __u64 pseudo_sum(const struct tuple *t, __u8 protocol, __u32 bytes)
{
	__u64 sum = bpf_htonl(bytes) + (__u64)bpf_htonl(protocol);

	/* A mapped prefix would count as 0xffff, which is zero in this arithmetic only when folded once: leave it
	 * out. */
#pragma unroll
	for (int i = 0; i < 4; i++)
		if (i != 2 || !addr_is_v4(&t->source))
			sum += (__u64)t->source.word[i] + t->destination.word[i];
	return sum;
}

/* Frame addresses of the answer. */
static __always_inline int turn_frame(struct __sk_buff *skb)
{
	__u8 macs[12];

	if (bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)))
		return -DROP_KERNEL;
	return bpf_skb_store_bytes(skb, 0, macs + 6, 6, 0) || bpf_skb_store_bytes(skb, 6, macs, 6, 0) ? -DROP_KERNEL
												      : 0;
}

static __always_inline void ipv4_header(struct iphdr *ip, __u8 protocol, __u32 bytes, __be32 source, __be32 destination)
{
	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(bytes),
		.frag_off = bpf_htons(0x4000),
		.ttl = REJECT_TTL,
		.protocol = protocol,
		.saddr = source,
		.daddr = destination,
	};
	ip->check = ~csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)ip, sizeof(*ip), 0));
}

static __always_inline void ipv6_header(struct ipv6hdr *ip, __u8 protocol, __u32 bytes, const struct ip_addr *source,
					const struct ip_addr *destination)
{
	*ip = (struct ipv6hdr){
		.version = 6,
		.payload_len = bpf_htons(bytes),
		.nexthdr = protocol,
		.hop_limit = REJECT_TTL,
	};
	__builtin_memcpy(&ip->saddr, source, sizeof(*source));
	__builtin_memcpy(&ip->daddr, destination, sizeof(*destination));
}

/* The network header of an answer from the refused destination to the source, over what is there or at its place. */
static __always_inline int store_answer_ip(struct __sk_buff *skb, struct packet *p, __u8 protocol, __u32 payload)
{
	if (p->ethertype == ETH_P_IP) {
		struct iphdr ip;

		ipv4_header(&ip, protocol, sizeof(ip) + payload, p->is.destination.word[3], p->is.source.word[3]);
		return bpf_skb_store_bytes(skb, L3_OFFSET, &ip, sizeof(ip), BPF_F_RECOMPUTE_CSUM);
	}
	struct ipv6hdr ip;

	ipv6_header(&ip, protocol, payload, &p->is.destination, &p->is.source);
	return bpf_skb_store_bytes(skb, L3_OFFSET, &ip, sizeof(ip), BPF_F_RECOMPUTE_CSUM);
}

/* Payload bytes that the refused segment occupies in sequence space. */
static __always_inline __u32 sequence_space(struct __sk_buff *skb, const struct packet *p, const struct tcphdr *tcp)
{
	const __u32 bytes = skb->len - p->l4_offset - tcp->doff * 4;

	return (p->l4_bytes ? p->l4_bytes - tcp->doff * 4 : bytes) + !!(p->tcp_flags & TCP_SYN) +
	       !!(p->tcp_flags & TCP_FIN);
}

DOOR(build_reset)
{
	const struct tcphdr *refused = packet_bytes(skb, p->l4_offset, sizeof(*refused));

	if (!refused)
		return -DROP_KERNEL;
	struct tcphdr reset = {
		.source = p->is.destination_port,
		.dest = p->is.source_port,
		.doff = sizeof(reset) / 4,
		.rst = 1,
	};

	if (p->tcp_flags & TCP_ACK) {
		reset.seq = refused->ack_seq;
	} else {
		reset.ack = 1;
		reset.ack_seq = bpf_htonl(bpf_ntohl(refused->seq) + sequence_space(skb, p, refused));
	}
	const bool partial = csum_is_partial(skb, p->l4_offset + TCP_CSUM_OFFSET);
	const __u64 pseudo = pseudo_sum(&p->is, IPPROTO_TCP, sizeof(reset));

	reset.check = partial ? csum_fold(pseudo)
			      : ~csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&reset, sizeof(reset), 0) + pseudo);
	if (bpf_skb_change_tail(skb, p->l4_offset + sizeof(reset), 0) ||
	    store_answer_ip(skb, p, IPPROTO_TCP, sizeof(reset)) ||
	    bpf_skb_store_bytes(skb, p->l4_offset, &reset, sizeof(reset), BPF_F_RECOMPUTE_CSUM))
		return -DROP_KERNEL;
	return turn_frame(skb);
}

/* The sum of the refused packet's headers as they will be: a partial checksum, once finished, makes its region sum up
 * to the complement of what stands in the field now. */
static __always_inline __u64 embedded_sum(struct __sk_buff *skb, struct packet *p, __u32 ip_bytes, bool partial,
					  __u16 udp_field)
{
	__be32 udp[2];
	__u64 sum = 0;

	if (p->ethertype == ETH_P_IP) {
		__be32 ip[5];

		bpf_skb_load_bytes(skb, L3_OFFSET, ip, sizeof(ip));
		sum = bpf_csum_diff(NULL, 0, ip, sizeof(ip), 0);
	} else {
		__be32 ip[10];

		bpf_skb_load_bytes(skb, L3_OFFSET, ip, sizeof(ip));
		sum = bpf_csum_diff(NULL, 0, ip, sizeof(ip), 0);
	}
	if (partial)
		return sum + (__u16)~udp_field;
	bpf_skb_load_bytes(skb, L3_OFFSET + ip_bytes, udp, sizeof(udp));
	return sum + csum_fold(bpf_csum_diff(NULL, 0, udp, sizeof(udp), 0));
}

DOOR(build_port_unreachable)
{
	const bool v4 = p->ethertype == ETH_P_IP;
	const __u32 ip_bytes = v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	const __u32 inside = ip_bytes + sizeof(struct udphdr);
	const __u32 field = L3_OFFSET + ip_bytes + UDP_CSUM_OFFSET;
	struct icmp_header icmp = {
		.type = v4 ? ICMP_UNREACHABLE : ICMPV6_UNREACHABLE,
		.code = v4 ? ICMP_CODE_PORT : ICMPV6_CODE_PORT,
	};
	__u16 checksum = 0;

	if (bpf_skb_load_bytes(skb, field, &checksum, sizeof(checksum)))
		return -DROP_KERNEL;
	/* A UDP checksum of 0 means none, and then nothing is partial. */
	const bool partial = checksum && csum_is_partial(skb, field);

	if (bpf_skb_change_tail(skb, L3_OFFSET + inside, 0))
		return -DROP_KERNEL;
	__u64 sum = embedded_sum(skb, p, ip_bytes, partial, checksum);

	if (!v4)
		sum += pseudo_sum(&p->is, IPPROTO_ICMPV6, sizeof(icmp) + inside);
	icmp.checksum = ~csum_fold(sum + bpf_csum_diff(NULL, 0, (__be32 *)&icmp, sizeof(icmp), 0));
	if (bpf_skb_adjust_room(skb, ip_bytes + sizeof(icmp), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_NO_CSUM_RESET) ||
	    store_answer_ip(skb, p, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, sizeof(icmp) + inside) ||
	    bpf_skb_store_bytes(skb, L3_OFFSET + ip_bytes, &icmp, sizeof(icmp), BPF_F_RECOMPUTE_CSUM))
		return -DROP_KERNEL;
	return turn_frame(skb);
}

/* Refuses the packet for `reason`, with an answer where the protocol has one. */
static __always_inline int reject(struct __sk_buff *skb, struct packet *p, enum drop_reason reason)
{
	const bool has_options = p->l4_offset != L3_OFFSET + (p->ethertype == ETH_P_IP ? 20 : 40);
	bool answers = false;

	if (has_options || p->fragment == FRAGMENT_LATER)
		return -reason;
	if (p->protocol == IPPROTO_TCP && !(p->tcp_flags & TCP_RST))
		answers = !build_reset(skb, p);
	else if (p->protocol == IPPROTO_UDP)
		answers = !build_port_unreachable(skb, p);
	if (answers)
		turn_back(skb, p);
	return -reason;
}

#endif
