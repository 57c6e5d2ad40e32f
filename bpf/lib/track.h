/* Door 3, track: does this packet belong to a connection we know, and which way does it go?
 *
 * Says what is known of the connection (ct…), and where it is translated what the packet shall become (`to`). Entries
 * too old count as absent, as do those that must choose again: UDP and TCP SYN whose backend has left, TCP SYN on a
 * closed connection. What becomes of the entry stands in remember.h.
 */
#ifndef WEFT_LIB_TRACK_H
#define WEFT_LIB_TRACK_H

#include "lib/packet.h"

static __always_inline bool end_less(const struct ip_addr *a, __be16 a_port, const struct ip_addr *b, __be16 b_port)
{
	/* Any total order will do; the last word is where addresses of one family differ. */
#pragma unroll
	for (int i = 3; i >= 0; i--)
		if (a->word[i] != b->word[i])
			return a->word[i] < b->word[i];
	return a_port < b_port;
}

/* Makes the key of a tuple; returns 1 if its source is the key's high end. Global: its branches are verified once. */
__attribute__((noinline, weak)) int ct_key_of(struct ct_key *key, __u32 vpc, __u8 protocol, const struct tuple *t)
{
	if (!key || !t)
		return 0;
	const bool high = end_less(&t->destination, t->destination_port, &t->source, t->source_port);

	key->vpc = vpc;
	key->low = high ? t->destination : t->source;
	key->high = high ? t->source : t->destination;
	key->low_port = high ? t->destination_port : t->source_port;
	key->high_port = high ? t->source_port : t->destination_port;
	key->protocol = protocol;
	key->spare[0] = key->spare[1] = key->spare[2] = 0;
	return high;
}

static __always_inline bool ct_is_old(const struct ct_entry *entry, __u8 protocol)
{
	/* Signed: another CPU may have stamped it a moment after we read the clock. */
	return (__s32)(now_s() - entry->last_seen_s) > (__s32)ct_idle_max_s(protocol, entry->state);
}

static __always_inline struct ct_entry *ct_find(const struct ct_key *key, __u8 *known)
{
	struct ct_entry *entry = bpf_map_lookup_elem(MAP(ct_established), key);

	*known = CT_IN_ESTABLISHED;
	if (!entry) {
		entry = bpf_map_lookup_elem(MAP(ct_half_open), key);
		*known = CT_IN_HALF_OPEN;
	}
	return entry && !ct_is_old(entry, key->protocol) ? entry : NULL;
}

static __always_inline bool is_syn(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

/* In the original direction: must a connection with this entry be made anew? */
static __always_inline bool must_choose_again(const struct packet *p, const struct ct_entry *ct)
{
	if (is_syn(p) && ct->state == CT_CLOSING)
		return true;
	if (!(ct->flags & CT_TRANSLATED) || !(is_syn(p) || p->protocol == IPPROTO_UDP))
		return false;
	const __u32 id = ct->backend;

	if (!id) /* handed over to us: the node that chose chooses again, or a peering: nothing was chosen */
		return false;
	const struct backend *backend = bpf_map_lookup_elem(MAP(backends), &id);

	return !backend || backend->port != p->to.destination_port ||
	       !addr_equal(&backend->address, &p->to.destination);
}

static __always_inline void know(struct packet *p, const struct ct_entry *ct, __u8 known)
{
	p->ct = known;
	p->ct_state = ct->state;
	p->ct_flags = ct->flags;
	p->ct_other_vpc = ct->other_vpc;
	p->ct_egress_generation = ct->egress.generation;
	p->ct_ingress_generation = ct->ingress.generation;
	p->is_translated = ct->flags & CT_TRANSLATED;
	p->is_hairpin = ct->flags & CT_HAIRPIN;
}

/* The packet goes to a frontend and a translation row knows it: follow it to the connection row. */
static __always_inline void track_translated(struct packet *p, const struct ct_entry *row)
{
	struct ct_key key;
	__u8 known;

	p->to.destination = row->translated_address;
	p->to.destination_port = row->translated_port;
	if (row->flags & CT_HAIRPIN)
		p->to.source = hairpin_source(&p->is.source);
	p->to_vpc = row->other_vpc;
	ct_key_of(&key, p->to_vpc, p->tracked_protocol, &p->to);
	const struct ct_entry *ct = ct_find(&key, &known);

	/* The same two ends may since have met by another frontend. */
	if (ct && ct->flags & CT_TRANSLATED && ct->translated_port == p->is.destination_port &&
	    addr_equal(&ct->translated_address, &p->is.destination) && !must_choose_again(p, ct)) {
		know(p, ct, known);
		return;
	}
	p->to = p->is;
	p->to_vpc = p->vpc;
}

static __always_inline void track_reply(struct packet *p, const struct ct_entry *ct, __u8 known)
{
	know(p, ct, known);
	if (!p->is_translated)
		return;
	/* The client may be in another VPC than the backend: the host's, behind every VPC's kubernetes.default. */
	p->to_vpc = p->ct_other_vpc;
	p->to.source = ct->translated_address;
	p->to.source_port = ct->translated_port;
	if (p->is_hairpin)
		p->to.destination = p->is.source;
}

DOOR(track)
{
	struct ct_key key;
	__u8 known;
	const bool high = ct_key_of(&key, p->vpc, p->tracked_protocol, &p->is);
	const struct ct_entry *ct = ct_find(&key, &known);

	if (ct) {
		p->is_reply = high != !!(ct->flags & CT_INITIATOR_HIGH);
		if (ct->flags & CT_TRANSLATION_ROW) {
			if (!p->is_reply)
				track_translated(p, ct);
		} else if (p->is_reply) {
			track_reply(p, ct, known);
		} else if (ct->flags & CT_TRANSLATED) {
			/* Speaks to a backend from a port that already speaks to it by its Service: whose reply would
			 * it be? Unless that connection is closed: then the port begins anew. */
			if (!(is_syn(p) && ct->state == CT_CLOSING))
				return -DROP_TUPLE_TAKEN;
		} else if (!must_choose_again(p, ct)) {
			know(p, ct, known);
		}
	}
	if (!p->ct)
		p->is_reply = false;
	return p->is_icmp_error && !p->ct ? -DROP_ICMP_UNRELATED : 0;
}

#endif
