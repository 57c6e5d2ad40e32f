/* Door 3, second half: what the packet makes of its connection, once nothing else objects to it.
 *
 * A new connection gets its row, or its two rows when translated, in the half-open LRU. A row moves to the
 * established map when both sides want the connection: TCP, the initiator's ACK after the responder's; else the first
 * reply. Counters and times are of the connection row; the translation row is kept from ageing before it.
 */
#ifndef WEFT_LIB_REMEMBER_H
#define WEFT_LIB_REMEMBER_H

#include "lib/reclaim.h"
#include "lib/track.h"

/* Of an older connection of the same tuple, closed or too old, nothing may stay. */
static __always_inline int ct_write(const struct ct_key *key, const struct ct_entry *entry)
{
	const struct ct_entry *old = bpf_map_lookup_elem(MAP(ct_established), key);

	if (old)
		ct_forget(key, old);
	return bpf_map_update_elem(MAP(ct_half_open), key, entry, BPF_ANY) ? -DROP_CT_FULL : 0;
}

DOOR(remember_new)
{
	const __u8 hairpin = p->is_hairpin ? CT_HAIRPIN : 0;
	const __u8 from_outside = p->frontend_vpc == VPC_OUTSIDE ? CT_FROM_OUTSIDE : 0;
	const bool port_changes = p->to.source_port != p->is.source_port;
	const __u32 now = p->now_s;
	struct ct_key key;
	struct ct_entry entry = {
		.original_packets = 1,
		.original_bytes = skb->len,
		.last_seen_s = now,
		.created_s = now,
		.egress = { p->sender_generation, CT_ALLOWED, 0 },
		.ingress = { p->receiver_generation, CT_ALLOWED, 0 },
		.service = p->service,
		.backend = p->backend,
		.owner = p->sender ? p->sender : p->receiver,
		.owner_vpc = p->sender ? p->vpc : p->to_vpc,
		.state = CT_HALF_OPEN,
	};

	if (p->is_translated) {
		entry.flags = CT_TRANSLATION_ROW | hairpin | from_outside;
		entry.translated_address = p->to.destination;
		entry.translated_port = p->to.destination_port;
		entry.other_vpc = p->to_vpc;
		entry.egress.other_port = port_changes ? p->to.source_port : 0;
		if (ct_make_key(&key, p->frontend_vpc, p->tracked_protocol, &p->is))
			entry.flags |= CT_INITIATOR_HIGH;
		const int verdict = ct_write(&key, &entry);

		if (verdict)
			return verdict;
		entry.flags = CT_TRANSLATED | hairpin;
		entry.translated_address = p->is.destination;
		entry.translated_port = p->is.destination_port;
		entry.other_vpc = p->frontend_vpc;
		entry.egress.other_port = port_changes ? p->is.source_port : 0;
	}
	entry.flags |= from_outside;
	/* Untranslated, it is known in the VPC it came from: a peering leads it into another (peer.h). */
	if (ct_make_key(&key, p->is_translated ? p->to_vpc : p->vpc, p->tracked_protocol, &p->to))
		entry.flags |= CT_INITIATOR_HIGH;
	return ct_write(&key, &entry);
}

/* The key of the connection row, and that of the translation row, whichever way the packet goes. */
static __always_inline void connection_key(const struct packet *p, struct ct_key *key)
{
	ct_key_of(key, p->is_reply || !p->is_translated ? p->vpc : p->to_vpc, p->tracked_protocol,
		  p->is_reply ? &p->is : &p->to);
}

static __always_inline void translation_key(const struct packet *p, struct ct_key *key)
{
	ct_key_of(key, p->is_reply ? p->ct_other_vpc : p->frontend_vpc, p->tracked_protocol,
		  p->is_reply ? &p->to : &p->is);
}

/* Moves a half-open row to the established map. */
static __always_inline int ct_promote(const struct ct_key *key)
{
	struct ct_entry *entry = bpf_map_lookup_elem(MAP(ct_half_open), key);

	if (!entry)
		return 0;
	entry->state = CT_ESTABLISHED;
	const int verdict = ct_put_established(key, entry);

	if (verdict) {
		entry->state = CT_HALF_OPEN;
		return verdict;
	}
	bpf_map_delete_elem(MAP(ct_half_open), key);
	return 0;
}

DOOR(establish)
{
	struct ct_key key;

	connection_key(p, &key);
	const int verdict = ct_promote(&key); /* first: it is what the endpoint's quota counts */

	if (verdict || !p->is_translated)
		return verdict;
	translation_key(p, &key);
	return ct_promote(&key);
}

/* Of a connection that is handed over only one side is seen here: its replies leave at the backend's node. */
static __always_inline __u8 ct_next_state_one_way(const struct packet *p)
{
	if (p->protocol != IPPROTO_TCP)
		return CT_ESTABLISHED;
	if (p->tcp_flags & (TCP_RST | TCP_FIN))
		return CT_CLOSING;
	return p->ct_state == CT_HALF_OPEN && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_ACK ? CT_ESTABLISHED
											       : p->ct_state;
}

/* The state after this packet; marks in `flags` what it has seen on the way there. */
static __always_inline __u8 ct_next_state(const struct packet *p, __u8 *flags)
{
	const __u8 both_fins = CT_FIN_ORIGINAL | CT_FIN_REPLY;

	if (hands_over(p))
		return ct_next_state_one_way(p);
	if (p->protocol != IPPROTO_TCP)
		return p->is_reply ? CT_ESTABLISHED : p->ct_state;
	if (p->tcp_flags & TCP_RST)
		return CT_CLOSING;
	if (p->tcp_flags & TCP_FIN)
		*flags |= p->is_reply ? CT_FIN_REPLY : CT_FIN_ORIGINAL;
	if (p->is_reply && p->tcp_flags & TCP_ACK)
		*flags |= CT_SYN_ACK;
	if ((*flags & both_fins) == both_fins)
		return CT_CLOSING;
	if (p->ct_state == CT_HALF_OPEN && !p->is_reply && p->tcp_flags & TCP_ACK && *flags & CT_SYN_ACK)
		return CT_ESTABLISHED;
	return p->ct_state;
}

/* The client goes on speaking to the backend that its Service remembers for it. */
static __always_inline void refresh_affinity(const struct packet *p, const struct ct_entry *row, __u32 now)
{
	const struct affinity_key key = {
		.vpc = p->is_reply ? p->ct_other_vpc : p->frontend_vpc,
		.service = row->service,
		.client = p->is_reply ? p->to.destination : p->is.source,
	};
	struct affinity *known = bpf_map_lookup_elem(MAP(affinity), &key);

	if (known && known->id == row->backend)
		known->seen_s = now;
}

/* The translation row must not end before its connection, nor the client be forgotten: touched by the first packet of
 * each second, whichever way it goes. */
__attribute__((noinline, weak)) int refresh_translation(const struct packet *p, __u32 state)
{
	struct ct_key key;
	__u8 known;

	if (!p)
		return 0;
	const __u32 now = p->now_s;

	translation_key(p, &key);
	struct ct_entry *row = ct_find(p, &key, &known);

	if (!row)
		return 0;
	row->last_seen_s = now;
	refresh_affinity(p, row, now);
	if (state == CT_CLOSING)
		row->state = CT_CLOSING;
	return 0;
}

static __always_inline void ct_count(const struct __sk_buff *skb, const struct packet *p, struct ct_entry *ct)
{
	if (p->is_reply) {
		__sync_fetch_and_add(&ct->reply_packets, 1);
		__sync_fetch_and_add(&ct->reply_bytes, skb->len);
	} else {
		__sync_fetch_and_add(&ct->original_packets, 1);
		__sync_fetch_and_add(&ct->original_bytes, skb->len);
	}
}

static __always_inline int remember_known(struct __sk_buff *skb, struct packet *p, struct ct_entry *ct)
{
	if (p->is_icmp_error) /* speaks about the connection, is no part of it */
		return 0;
	const __u32 now = p->now_s;
	const __u32 last_seen_s = ct->last_seen_s;
	__u8 flags = p->ct_flags;
	const __u8 state = ct_next_state(p, &flags);

	ct_count(skb, p, ct);
	if (last_seen_s != now)
		ct->last_seen_s = now;
	if (flags != p->ct_flags)
		ct->flags = flags;
	if (p->is_translated && (state != p->ct_state || now != last_seen_s))
		refresh_translation(p, state);
	if (state == p->ct_state)
		return 0;
	if (state == CT_ESTABLISHED)
		return establish(skb, p);
	ct->state = state;
	return 0;
}

/* `row`: the connection's, as track found it. Another CPU may have taken it away meanwhile: then a spent row, or one of
 * a flood, is counted wrong once. */
static __always_inline int remember(struct __sk_buff *skb, struct packet *p, struct ct_entry *row)
{
	return p->ct && row ? remember_known(skb, p, row) : remember_new(skb, p);
}

#endif
