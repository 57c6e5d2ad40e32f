/* Conntrack: remembers who opened a connection, which backend it chose and what the two sides' rules said.
 *
 * Shapes: the key holds the two ends sorted by address and port, so both directions of a connection find one entry
 * (ICMP echo: the identifier stands for both ports). A translated connection has two rows:
 *   connection row   (backend's VPC, client and backend): the state, both verdicts, the address that replies get back;
 *   translation row  (client's VPC, client and frontend): names the backend; its times and state follow the other's.
 * States live in two maps: half-open in an LRU, established in a plain map that never evicts a live row. `ct_ring` has
 * the keys of established rows; a hand goes round in it with each new one and takes what has expired, so a full map
 * (DROP_CT_FULL) is full of living ones. What is established counts against two quotas (DROP_CT_QUOTA): of the
 * endpoint, in connections, a translated one being one (`ct_held`); of its VPC, in rows (`ct_vpc_held`).
 * Times (`…_s`, here and in other maps) are whole seconds of CLOCK_MONOTONIC as of the last tick: they stand still while
 * the machine sleeps.
 * Threads: BPF on any CPU writes; user space reads, and deletes what is older than ct_idle_max_s().
 * Source: RFC 5382 §5, RFC 4787 §4.3, design of the corridor in ARCHITECTURE.md.
 */
#ifndef WEFT_ABI_CONNTRACK_H
#define WEFT_ABI_CONNTRACK_H

#include "abi/limits.h"
#include "abi/types.h"

ABI_BEGIN

struct ct_key {
	__u32 vpc;
	struct ip_addr low;
	struct ip_addr high;
	__be16 low_port;
	__be16 high_port;
	__u8 protocol;
	__u8 spare[3];
};
ABI_SIZE(struct ct_key, 44);

enum ct_state {
	CT_HALF_OPEN = 1,   /* no proof yet that both sides want it */
	CT_ESTABLISHED = 2, /* TCP: the initiator's ACK of a SYN-ACK; UDP, ICMP: the first reply */
	CT_CLOSING = 3,	    /* TCP: both FINs, or an RST */
};

enum ct_flags {
	CT_INITIATOR_HIGH = 1 << 0, /* the initiator is the key's `high` end */
	CT_TRANSLATION_ROW = 1 << 1,
	CT_TRANSLATED = 1 << 2,	    /* connection row: replies get translated_address:translated_port as source */
	CT_HAIRPIN = 1 << 3,	    /* initiator and responder are one pod; the initiator appears as GATEWAY_V4 */
	CT_FROM_OUTSIDE = 1 << 4,   /* the initiator is beyond the uplink: replies leave there */
	CT_SYN_ACK = 1 << 5,	    /* TCP: the responder has answered */
	CT_FIN_ORIGINAL = 1 << 6,
	CT_FIN_REPLY = 1 << 7,
};

enum ct_answer {
	CT_NOT_ASKED = 0,
	CT_ALLOWED = 1,
};

/* One side's rules on the original tuple, with the generation of that side's group set when it was asked. */
struct ct_verdict {
	__u32 generation;
	__u16 answer;
	__be16 other_port; /* of the initiator (`egress`): in the other row, where it had to change there; else 0 */
};

struct ct_entry {
	__u64 original_packets;
	__u64 original_bytes;
	__u64 reply_packets;
	__u64 reply_bytes;
	__u32 last_seen_s;
	__u32 created_s;
	struct ct_verdict egress;  /* of the initiator */
	struct ct_verdict ingress; /* of the responder */
	struct ip_addr translated_address; /* connection row: the frontend; translation row: the backend */
	__u32 service;
	__u32 backend;	 /* id in `backends` */
	__u32 other_vpc; /* the VPC of the other row, where there are two */
	__u32 owner;	 /* endpoint id that it counts against: the initiator, or who is spoken to from outside */
	__u32 owner_vpc; /* that endpoint's, which may be gone before the row is */
	__be16 translated_port;
	__u8 state; /* enum ct_state */
	__u8 flags; /* enum ct_flags */
};
ABI_SIZE(struct ct_entry, 96);

/* Older than this, an entry is as if it were not there. */
static inline __u32 ct_idle_max_s(__u8 protocol, __u8 state)
{
	if (state == CT_HALF_OPEN)
		return CT_HALF_OPEN_S;
	if (protocol == 6)
		return state == CT_CLOSING ? CT_TCP_CLOSING_S : CT_TCP_ESTABLISHED_S;
	return protocol == 17 ? CT_UDP_S : CT_ICMP_S;
}

/* What the administrator allows a VPC. No row, or 0: the default. */
struct vpc_limits {
	__u32 ct_quota; /* established rows of all its endpoints; default CT_VPC_QUOTA */
};
ABI_SIZE(struct vpc_limits, 4);

/* A datagram in pieces: only the first has ports; the later ones, which must come after it, go the same way. */
struct fragment_key {
	__u32 vpc;
	struct ip_addr source;
	struct ip_addr destination;
	__be32 id; /* of 16 bits in IPv4 */
	__u8 protocol;
	__u8 spare[3];
};
ABI_SIZE(struct fragment_key, 44);

struct fragment {
	__be16 source_port;
	__be16 destination_port;
	__u32 seen_s;
};
ABI_SIZE(struct fragment, 8);

ABI_END

#endif
