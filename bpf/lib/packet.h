/* struct packet: what a hook has learned about the packet it holds, and the convention of the doors.
 *
 * A door takes the packet and returns 0 (go on to the next door), a negative drop reason, or DONE (`action` is set
 * and no further door is walked through). Doors are joined by `?:`, so a hook file reads as the list of its doors. A
 * packet that is answered on the spot has its `action` set and returns the drop reason all the same: it is counted.
 * Addresses and ports stay as they arrived; what they shall become stands in `to`, and only rewrite.h makes it so.
 */
#ifndef WEFT_LIB_PACKET_H
#define WEFT_LIB_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/icmp.h"
#include "lib/maps.h"

#define DONE 1

/* A door is a global function: verified once, by itself, with its own frame. The verifier takes a pointer argument for
 * maybe NULL; `weak` keeps the compiler from knowing better. */
#define DOOR(name)                                                                               \
	static __always_inline int name##_door(struct __sk_buff *skb, struct packet *p);         \
	__attribute__((noinline, weak)) int name(struct __sk_buff *skb, struct packet *p)        \
	{                                                                                        \
		return p ? name##_door(skb, p) : -DROP_KERNEL;                                   \
	}                                                                                        \
	static __always_inline int name##_door(struct __sk_buff *skb, struct packet *p)

enum tcp_flag { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ACK = 16 };

struct tuple {
	struct ip_addr source;
	struct ip_addr destination;
	__be16 source_port; /* ICMP echo: the identifier, in both */
	__be16 destination_port;
};

/* Plain values only, no pointers: so every door is a global function, which the verifier checks once and by itself. */
struct packet {
	struct tuple is;
	struct tuple to; /* equal to `is` unless a door decided otherwise */
	__u32 vpc;	    /* of the packet as it came */
	__u32 to_vpc;	    /* of its destination after translation */
	__u32 frontend_vpc; /* where the sender looks for frontends: its VPC, or the outside */
	__u32 service;	    /* of a new translated connection */
	__u32 backend;

	__u32 now_s; /* abi/conntrack.h, when the hook began */

	__u32 sender; /* endpoint id; 0: the outside */
	__u32 sender_flags;
	__u32 sender_generation;
	__u32 route_table;

	__u32 receiver; /* endpoint id; 0: the outside */
	__u32 receiver_flags;
	__u32 receiver_generation;
	__u32 receiver_ifindex;

	__u32 from_node;   /* id of the node this came from, by its tunnel or its routed way; 0: from elsewhere */
	__u32 to_node;	   /* id of the node where the receiver is; 0: this one, or the outside */
	__u32 to_underlay; /* its tunnel's end, host order */
	__u32 to_mtu;
	__u32 to_node_flags;
	__be32 frame_name; /* abi/tunnel.h, of the frame that came or is to be sent */

	__u32 ct_other_vpc;
	__be32 ip_id;

	__u16 ethertype; /* host order */
	__u16 fragment_offset; /* in bytes */
	__u16 l4_bytes;	 /* of header and payload, as the IP header says; 0 in a packet beyond 64 KB */
	__u8 hook;
	__u8 action;
	__u8 l4_offset;	 /* a byte, so that the verifier knows its bounds */
	__u8 protocol;
	__u8 tracked_protocol; /* of the connection: for an ICMP error, that of the packet inside */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 receiver_mac[6];
	__u8 ct; /* enum ct_known: is this a connection we know */
	__u8 ct_state;
	__u8 ct_flags;
	__u8 fragment; /* enum fragment_place */
	__u8 frame;    /* enum frame_kind */
	__be16 frame_port;
	bool is_reply;
	bool source_is_own; /* the sender may speak from its source */
	bool is_icmp_error; /* `is` is then the reversed tuple of the packet inside */
	bool icmp_from_end; /* the error comes from the very address the packet inside went to, not from a router */
	bool is_translated;
	bool is_hairpin;
	bool is_nodes_own; /* arrived for the node's own address */
	bool from_host;	   /* a program of this node speaks to an address of ours: host.h */
	bool from_fabric;  /* arrived for a routed pod from no pod: only an ICMP error may */
	bool is_cut;	   /* too big for the way, and the kernel will cut what is around it */
};

enum ct_known { CT_NEW = 0, CT_IN_HALF_OPEN, CT_IN_ESTABLISHED };

enum fragment_place { FRAGMENT_NONE = 0, FRAGMENT_FIRST, FRAGMENT_LATER };

/* A packet from outside for a backend on another node: goes there as it is. */
static __always_inline bool hands_over(const struct packet *p)
{
	return p->to_node && p->frame == FRAME_HAND_OVER;
}

#define L3_OFFSET ETH_HLEN

/* Read anew each time: the compiler may otherwise keep a 32-bit copy, and the verifier then sees no packet pointer. */
static __always_inline void *packet_at(struct __sk_buff *skb, __u32 offset)
{
	return (void *)(long)*(volatile __u32 *)&skb->data + offset;
}

static __always_inline void *packet_end(struct __sk_buff *skb)
{
	return (void *)(long)*(volatile __u32 *)&skb->data_end;
}

/* A pointer to `bytes` bytes at `offset`, made linear if need be; NULL if the packet is shorter. Valid until the next
 * helper that changes the packet. */
static __always_inline void *packet_bytes(struct __sk_buff *skb, __u32 offset, __u32 bytes)
{
	void *at = packet_at(skb, offset);

	if (at + bytes <= packet_end(skb))
		return at;
	if (bpf_skb_pull_data(skb, offset + bytes))
		return NULL;
	at = packet_at(skb, offset);
	return at + bytes <= packet_end(skb) ? at : NULL;
}

static __always_inline __u32 now_s(void)
{
	return bpf_ktime_get_coarse_ns() / 1000000000ull;
}

static __always_inline struct ip_addr mapped_v4(__be32 address)
{
	return (struct ip_addr){ .word = { 0, 0, bpf_htonl(0xffff), address } };
}

static __always_inline bool addr_is_v4(const struct ip_addr *a)
{
	return !a->word[0] && !a->word[1] && a->word[2] == bpf_htonl(0xffff);
}

static __always_inline bool addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->word[3] == b->word[3] && a->word[2] == b->word[2] && a->word[1] == b->word[1] &&
	       a->word[0] == b->word[0];
}

static __always_inline bool addr_is_zero(const struct ip_addr *a)
{
	return !(a->word[0] | a->word[1] | a->word[2] | a->word[3]);
}

static __always_inline bool addr_is_identity(const struct ip_addr *a)
{
	if (addr_is_v4(a))
		return (a->word[3] & bpf_htonl(IDENTITY_V4_MASK)) == bpf_htonl(IDENTITY_V4);
	return a->word[0] == bpf_htonl(IDENTITY_V6_0) && a->word[1] == bpf_htonl(IDENTITY_V6_1) && !a->word[2];
}

/* The client that a pod sees when its own Service sends it back to itself. */
static __always_inline struct ip_addr hairpin_source(const struct ip_addr *client)
{
	if (addr_is_v4(client))
		return mapped_v4(bpf_htonl(GATEWAY_V4));
	return (struct ip_addr){
		.word = { bpf_htonl(IDENTITY_V6_0), bpf_htonl(IDENTITY_V6_1), 0, bpf_htonl(GATEWAY_V4) },
	};
}

static __always_inline bool addr_is_multicast(const struct ip_addr *a)
{
	if (addr_is_v4(a))
		return bpf_ntohl(a->word[3]) >= 0xe0000000u; /* 224/4, 240/4, broadcast */
	return (a->word[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
}

static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] && a[5] == b[5];
}

/* Byte by byte: a constant array would make a .rodata map, which is new with each load, and with it the program. */
static __always_inline void set_gateway_mac(volatile __u8 *mac)
{
	const __u8 gateway[] = GATEWAY_MAC;

#pragma unroll
	for (int i = 0; i < 6; i++)
		mac[i] = gateway[i];
}

static __always_inline struct endpoint *endpoint_by_id(__u32 id)
{
	return bpf_map_lookup_elem(MAP(endpoint), &id);
}

static __always_inline __u32 endpoint_id_at(__u32 vpc, const struct ip_addr *address)
{
	const struct endpoint_key key = { .vpc = vpc, .address = *address };
	const __u32 *id = bpf_map_lookup_elem(MAP(endpoints), &key);

	return id ? *id : 0;
}

static __always_inline const struct node *this_node(void)
{
	const __u32 index = 0;

	return bpf_map_lookup_elem(MAP(node), &index);
}

#endif
