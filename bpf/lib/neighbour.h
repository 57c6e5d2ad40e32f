/* ARP and neighbour discovery, answered in place: every address but the asker's own has the gateway's MAC.
 *
 * A probe for one's own address or from none (duplicate address detection) gets no answer, or the pod would give its
 * address up. We learn nothing from what we hear. On the uplink only public addresses that this node announces are answered,
 * and its pods' own where the fabric routes them, with the uplink's MAC. Source: RFC 826, RFC 4861 §7.2, RFC 5227.
 */
#ifndef WEFT_LIB_NEIGHBOUR_H
#define WEFT_LIB_NEIGHBOUR_H

#include "lib/host.h"
#include "lib/identify.h"
#include "lib/packet.h"
#include "lib/parse.h"

struct arp_v4 {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_bytes;
	__u8 protocol_bytes;
	__be16 operation;
	__u8 sender_mac[6];
	__be32 sender;
	__u8 target_mac[6];
	__be32 target;
} __attribute__((packed));

struct nd_message {
	struct icmp_header icmp; /* id and sequence: flags */
	struct ip_addr target;
	__u8 option_type;
	__u8 option_bytes_8; /* in units of 8 */
	__u8 mac[6];
};

#define ARP_ETHERNET 1
#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ND_OPTION_SOURCE_MAC 1
#define ND_OPTION_TARGET_MAC 2

static __always_inline const struct arp_v4 *arp_request(struct __sk_buff *skb)
{
	const struct arp_v4 *arp = packet_bytes(skb, L3_OFFSET, sizeof(*arp));

	const bool is_request = arp && arp->hardware == bpf_htons(ARP_ETHERNET) &&
				arp->protocol == bpf_htons(ETH_P_IP) && arp->hardware_bytes == 6 &&
				arp->protocol_bytes == 4 && arp->operation == bpf_htons(ARP_REQUEST);

	return is_request ? arp : NULL;
}

/* Sends the frame back to where it came from. */
static __always_inline int turn_back(struct __sk_buff *skb, struct packet *p)
{
	const struct node *node = p->from_host ? this_node() : NULL;

	if (node)
		return hand_to_host(skb, p, node);
	p->action = bpf_redirect(skb->ifindex, 0);
	return DONE;
}

static __always_inline int answer_arp(struct __sk_buff *skb, struct packet *p, const __u8 *mac)
{
	struct arp_v4 *arp = packet_bytes(skb, L3_OFFSET, sizeof(*arp));
	struct ethhdr *eth = packet_bytes(skb, 0, sizeof(*eth) + sizeof(*arp));

	if (!arp || !eth)
		return -DROP_ARP;
	arp = (void *)(eth + 1);
	const __be32 asked = arp->target;

	__builtin_memcpy(eth->h_dest, arp->sender_mac, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
	arp->operation = bpf_htons(ARP_REPLY);
	__builtin_memcpy(arp->target_mac, arp->sender_mac, 6);
	arp->target = arp->sender;
	__builtin_memcpy(arp->sender_mac, mac, 6);
	arp->sender = asked;
	return turn_back(skb, p);
}

static __always_inline int answer_pod_arp(struct __sk_buff *skb, struct packet *p, const struct endpoint *sender)
{
	const struct arp_v4 *arp = arp_request(skb);

	if (!arp || !arp->sender)
		return -DROP_ARP;
	const __be32 asked = arp->target;
	const struct ip_addr asker = mapped_v4(arp->sender);

	if (!mac_equal(arp->sender_mac, sender->mac))
		return -DROP_SPOOFED_MAC;
	if (!may_speak_from(sender, p->sender, &asker))
		return -DROP_SPOOFED_ADDRESS;
	if (asked == asker.word[3] || asked == sender->v4.word[3])
		return -DROP_ARP;
	__u8 gateway[6];

	set_gateway_mac(gateway);
	return answer_arp(skb, p, gateway);
}

static __always_inline __sum16 icmpv6_checksum(const struct ipv6hdr *ip, const struct nd_message *nd)
{
	const __be32 tail[2] = { bpf_htonl(sizeof(*nd)), bpf_htonl(IPPROTO_ICMPV6) };
	__s64 sum = bpf_csum_diff(NULL, 0, (__be32 *)&ip->saddr, 32, 0);

	sum = bpf_csum_diff(NULL, 0, (__be32 *)tail, sizeof(tail), sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)nd, sizeof(*nd), sum);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

#define ND_OFFSET (sizeof(struct ethhdr) + sizeof(struct ipv6hdr))

/* A solicitation that may be answered: by a neighbour (no router passes it on), who has an address and says its MAC. */
static __always_inline const struct nd_message *nd_solicitation(struct __sk_buff *skb, const struct packet *p)
{
	const struct ipv6hdr *ip = packet_bytes(skb, L3_OFFSET, sizeof(*ip) + sizeof(struct nd_message));
	const struct nd_message *nd = (const void *)(ip + 1);

	if (!ip || p->l4_offset != ND_OFFSET || p->l4_bytes != sizeof(*nd))
		return NULL;
	const bool is_good = nd->option_type == ND_OPTION_SOURCE_MAC && nd->option_bytes_8 == 1 &&
			     ip->hop_limit == 255 && !addr_is_zero(&p->is.source);

	return is_good ? nd : NULL;
}

#define ND_ROUTER_SOLICITED_OVERRIDE 0xe000
#define ND_SOLICITED_OVERRIDE 0x6000

/* The advertisement of `mac`, in the solicitation's place. */
static __always_inline int answer_nd(struct __sk_buff *skb, struct packet *p, const __u8 *mac, __u16 flags)
{
	struct ethhdr *eth = packet_bytes(skb, 0, ND_OFFSET + sizeof(struct nd_message));

	if (!eth)
		return -DROP_NEIGHBOUR;
	struct ipv6hdr *ip = (void *)(eth + 1);
	struct nd_message *nd = (void *)(ip + 1);

	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
	__builtin_memcpy(&ip->daddr, &p->is.source, sizeof(ip->daddr));
	__builtin_memcpy(&ip->saddr, &nd->target, sizeof(ip->saddr));
	ip->hop_limit = 255;
	nd->icmp.type = ND_ADVERTISEMENT;
	nd->icmp.checksum = 0;
	nd->icmp.id = bpf_htons(flags);
	nd->option_type = ND_OPTION_TARGET_MAC;
	__builtin_memcpy(nd->mac, mac, 6);
	nd->icmp.checksum = icmpv6_checksum(ip, nd);
	return turn_back(skb, p);
}

static __always_inline int answer_pod_nd(struct __sk_buff *skb, struct packet *p, const struct endpoint *sender)
{
	const struct nd_message *asks = nd_solicitation(skb, p);
	__u8 gateway[6];

	if (!asks || addr_equal(&asks->target, &sender->v6) || addr_equal(&asks->target, &p->is.source))
		return -DROP_NEIGHBOUR;
	set_gateway_mac(gateway);
	return answer_nd(skb, p, gateway, ND_ROUTER_SOLICITED_OVERRIDE);
}

/* An endpoint's ARP or neighbour discovery; 0: the packet is neither. */
DOOR(answer_neighbour)
{
	const bool is_arp = p->ethertype == ETH_P_ARP;

	if (!is_arp && !is_neighbour_discovery(p))
		return 0;
	const struct endpoint *sender = endpoint_by_id(p->sender);

	if (!sender)
		return -DROP_UNKNOWN_ENDPOINT;
	if (is_arp)
		return answer_pod_arp(skb, p, sender);
	if (p->icmp_type == ND_SOLICITATION)
		return answer_pod_nd(skb, p, sender);
	if (p->icmp_type == ND_ROUTER_SOLICITATION)
		return -DROP_ANNOUNCEMENT;
	return p->icmp_type == ND_ADVERTISEMENT ? -DROP_NEIGHBOUR : -DROP_ROUTER_DISCOVERY;
}

/* Of all the nodes that serve a public address, is this the one that others on the wire send to? A routed pod's is here. */
static __always_inline bool is_announced_here(const struct ip_addr *address)
{
	if (endpoint_id_at(VPC_OUTSIDE, address))
		return true;
	const struct frontend_key key = {
		.vpc = VPC_OUTSIDE,
		.address = *address,
		.protocol = FRONTEND_ANNOUNCED,
	};

	return bpf_map_lookup_elem(MAP(frontends), &key);
}

/* The uplink's ARP: such addresses are answered, all else is the node's own business. */
static __always_inline int answer_uplink_arp(struct __sk_buff *skb, struct packet *p, const struct node *node)
{
	const struct arp_v4 *arp = arp_request(skb);
	const struct ip_addr asked = mapped_v4(arp ? arp->target : 0);

	if (arp && arp->sender != arp->target && is_announced_here(&asked))
		return answer_arp(skb, p, node->uplink_mac);
	p->action = TC_ACT_OK;
	return DONE;
}

/* The uplink's neighbour discovery; 0: not about an announced address. */
static __always_inline int answer_uplink_nd(struct __sk_buff *skb, struct packet *p)
{
	if (p->protocol != IPPROTO_ICMPV6 || p->icmp_type != ND_SOLICITATION)
		return 0;
	const struct nd_message *asks = nd_solicitation(skb, p);
	const struct node *node = this_node();

	if (!asks || !node)
		return 0;
	const struct ip_addr target = asks->target;

	return is_announced_here(&target) ? answer_nd(skb, p, node->uplink_mac, ND_SOLICITED_OVERRIDE) : 0;
}

#endif
