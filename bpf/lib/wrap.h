/* The tunnel's outer headers, written and taken off by the hooks themselves.
 *
 * The VXLAN device could do it all; it looks a route up and allocates for every packet, and at the other end there are
 * the kernel's UDP input and one queue more (docs/design/overlay.md). So it is left with the rest: ways that lead over a
 * router, packets that are to be cut or are too long for the header's length, a tunnel inside the tunnel; arriving
 * fragments, IP options, UDP checksums, IPv6 inside before kernel 6.3. What is opened here the kernel still takes for a
 * tunnel's: nobody may shorten it, so frames that are no plain ones, which may have to be answered, are not opened, and it
 * would be cut wrong into datagrams, so joined UDP is not either. The wire cannot tell who wrote a frame.
 * Source: RFC 7348 §5, RFC 6040 §4 (ECN), RFC 6864 §4.
 */
#ifndef WEFT_LIB_WRAP_H
#define WEFT_LIB_WRAP_H

#include "lib/parse.h"
#include "lib/reject.h"
#include "lib/tunnel.h"

#ifndef BPF_F_ADJ_ROOM_DECAP_L3_IPV6 /* of kernel 6.3 */
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV6 (1ull << 8)
#endif

#define TUNNEL_TTL 64
#define IP_BYTES_MAX 65535
#define ECN_MASK 3
#define ECN_CE 3
#define ECN_ECT_0 2
#define VXLAN_HAS_VNI 0x08000000u
#define SOURCE_PORT_FIRST 0xc000 /* of 2^14: RFC 7348 §5 */

struct outer {
	struct iphdr ip;
	struct udphdr udp;
	__be32 vxlan;
	__be32 vni; /* in the upper 24 bits */
	struct tunnel_macs macs;
	__be16 ethertype;
};
_Static_assert(offsetof(struct outer, ethertype) + sizeof(__be16) == TUNNEL_OVERHEAD, "the outer headers");

static __always_inline __u64 sum_of_ip(const struct iphdr *ip)
{
	const __be32 *words = (const __be32 *)ip;

	return (__u64)words[0] + words[1] + words[2] + words[3] + words[4];
}

/* A congestion mark inside is news to nobody outside. */
static __always_inline __u8 outer_ecn(struct __sk_buff *skb, const struct packet *p)
{
	const __u8 *first = packet_bytes(skb, L3_OFFSET, 2);
	const __u8 ecn = !first ? 0 : (p->ethertype == ETH_P_IP ? first[1] : first[1] >> 4) & ECN_MASK;

	return ecn == ECN_CE ? ECN_ECT_0 : ecn;
}

/* 0: wrapped. DONE, and nothing has changed: the device must do it. */
static __always_inline int wrap(struct __sk_buff *skb, const struct packet *p, const struct node *node)
{
	const __u32 bytes = skb->len - L3_OFFSET + TUNNEL_OVERHEAD;

	if (!(node->flags & NODE_WRAPS) || !(p->to_node_flags & NODE_ON_LINK) || p->is_cut || bytes > IP_BYTES_MAX)
		return DONE;
	struct outer outer = {
		.ip = {
			.version = 4,
			.ihl = 5,
			.tos = outer_ecn(skb, p),
			.tot_len = bpf_htons(bytes),
			.id = bpf_get_prandom_u32(), /* without DF, as the device has it: a router may cut */
			.ttl = TUNNEL_TTL,
			.protocol = IPPROTO_UDP,
			.saddr = node->v4.word[3],
			.daddr = bpf_htonl(p->to_underlay),
		},
		.udp = {
			.source = bpf_htons(SOURCE_PORT_FIRST | (bpf_get_hash_recalc(skb) & ~SOURCE_PORT_FIRST)),
			.dest = bpf_htons(TUNNEL_PORT),
			.len = bpf_htons(bytes - sizeof(struct iphdr)),
		},
		.vxlan = bpf_htonl(VXLAN_HAS_VNI),
		.vni = bpf_htonl(frame_vni(p) << 8),
		.macs = frame_macs(p),
		.ethertype = bpf_htons(p->ethertype),
	};

	outer.ip.check = ~csum_fold(sum_of_ip(&outer.ip));
	const __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |
			    BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN);

	const __be16 v4 = bpf_htons(ETH_P_IP); /* for those who look: the neighbours' table writes these addresses anew */

	if (bpf_skb_adjust_room(skb, TUNNEL_OVERHEAD, BPF_ADJ_ROOM_MAC, flags))
		return DONE;
	if (bpf_skb_store_bytes(skb, ETH_HLEN, &outer, TUNNEL_OVERHEAD, 0) ||
	    (p->ethertype == ETH_P_IPV6 && bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_proto), &v4, sizeof(v4), 0)))
		return -DROP_KERNEL;
	return 0;
}

static __always_inline bool is_wrapped(const struct outer *outer, const struct node *node, __u32 bytes)
{
	const __be32 *first = (const __be32 *)&outer->ip; /* version, header length, tos, total length */

	return (first[0] & bpf_htonl(0xff000000)) == bpf_htonl(0x45000000) && outer->ip.protocol == IPPROTO_UDP &&
	       outer->udp.dest == bpf_htons(TUNNEL_PORT) && !outer->udp.check &&
	       !(outer->ip.frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET)) &&
	       outer->ip.daddr == node->v4.word[3] && outer->vxlan == bpf_htonl(VXLAN_HAS_VNI) &&
	       !(outer->vni & bpf_htonl(0xff)) && bpf_ntohs(outer->ip.tot_len) == bytes &&
	       bpf_ntohs(outer->udp.len) + sizeof(outer->ip) == bytes &&
	       outer->macs.kind_and_hops == FRAME_PLAIN && outer->macs.mark == TUNNEL_MARK &&
	       (outer->ethertype == bpf_htons(ETH_P_IP) || outer->ethertype == bpf_htons(ETH_P_IPV6)) &&
	       csum_fold(sum_of_ip(&outer->ip)) == 0xffff;
}

/* A datagram that is many. */
static __always_inline bool is_joined_udp(struct __sk_buff *skb, __be16 ethertype)
{
	const __u32 at = ETH_HLEN + TUNNEL_OVERHEAD +
			 (ethertype == bpf_htons(ETH_P_IP) ? offsetof(struct iphdr, protocol) : offsetof(struct ipv6hdr, nexthdr));
	__u8 protocol = 0;

	return skb->gso_size && (bpf_skb_load_bytes(skb, at, &protocol, sizeof(protocol)) || protocol != IPPROTO_TCP);
}

/* RFC 6040 §4.2. */
static __always_inline int mark_inside(struct __sk_buff *skb, __be16 ethertype)
{
	const __u32 bytes = ethertype == bpf_htons(ETH_P_IP) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);

	return packet_bytes(skb, L3_OFFSET, bytes) && bpf_skb_ecn_set_ce(skb) ? 0 : -DROP_FRAME;
}

/* Door 2 at the wire for what is another node's: 0, and the packet is what was inside, with its frame's addresses before
 * it; DONE: it is none, or the kernel's to open; else a reason. */
DOOR(unwrap)
{
	const struct node *node = this_node();

	if (!node || !(node->flags & NODE_WRAPS) || skb->protocol != bpf_htons(ETH_P_IP) ||
	    skb->len < ETH_HLEN + TUNNEL_OVERHEAD)
		return DONE;
	struct ethhdr *eth = packet_bytes(skb, 0, ETH_HLEN + TUNNEL_OVERHEAD);
	const struct outer *outer = (const struct outer *)(eth + 1);

	if (!eth || !is_wrapped(outer, node, skb->len - ETH_HLEN) || !mac_equal(eth->h_dest, node->uplink_mac))
		return DONE;
	const struct ip_addr from = mapped_v4(outer->ip.saddr);
	const __u32 from_node = location_of(VPC_OUTSIDE, &from);
	const __u32 vni = bpf_ntohl(outer->vni) >> 8;
	const struct tunnel_macs macs = outer->macs;
	const __be16 ethertype = outer->ethertype;
	const bool is_marked = (outer->ip.tos & ECN_MASK) == ECN_CE;
	const __u64 inside = ethertype == bpf_htons(ETH_P_IP) ? 0 : BPF_F_ADJ_ROOM_DECAP_L3_IPV6;

	if (!from_node || is_joined_udp(skb, ethertype) ||
	    bpf_skb_adjust_room(skb, -TUNNEL_OVERHEAD, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | inside))
		return DONE;
	p->hook = HOOK_TUNNEL_INGRESS;
	believe(p, from_node, vni);
	eth = packet_bytes(skb, 0, sizeof(*eth));
	if (!eth)
		return -DROP_KERNEL;
	__builtin_memcpy(eth, &macs, sizeof(macs));
	eth->h_proto = ethertype;
	return is_marked ? mark_inside(skb, ethertype) : 0;
}

#endif
