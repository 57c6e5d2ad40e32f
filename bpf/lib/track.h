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

/* Makes the key of a tuple; 1 if its source is the key's high end. */
static __always_inline bool ct_make_key(struct ct_key *key, __u32 vpc, __u8 protocol, const struct tuple *t)
{
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

/* The same, its branches verified once. */
__attribute__((noinline, weak)) int ct_key_of(struct ct_key *key, __u32 vpc, __u8 protocol, const struct tuple *t)
{
	return key && t ? ct_make_key(key, vpc, protocol, t) : 0;
}

static __always_inline bool ct_is_old(const struct ct_entry *entry, __u8 protocol, __u32 now)
{
	/* Signed: another CPU may have stamped it a moment after we read the clock. */
	return (__s32)(now - entry->last_seen_s) > (__s32)ct_idle_max_s(protocol, entry->state);
}

static __always_inline struct ct_entry *ct_find(const struct packet *p, const struct ct_key *key, __u8 *known)
{
	struct ct_entry *entry = bpf_map_lookup_elem(MAP(ct_established), key);

	*known = CT_IN_ESTABLISHED;
	if (!entry) {
		entry = bpf_map_lookup_elem(MAP(ct_half_open), key);
		*known = CT_IN_HALF_OPEN;
	}
	return entry && !ct_is_old(entry, key->protocol, p->now_s) ? entry : NULL;
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
	p->is_translated = ct->flags & CT_TRANSLATED;
	p->is_hairpin = ct->flags & CT_HAIRPIN;
}

/* The packet goes to a frontend and a translation row knows it: follow it to the connection row. */
static __always_inline struct ct_entry *track_translated(struct packet *p, const struct ct_entry *row, struct ct_key *key)
{
	__u8 known;

	p->to.destination = row->translated_address;
	p->to.destination_port = row->translated_port;
	if (row->flags & CT_HAIRPIN)
		p->to.source = hairpin_source(&p->is.source);
	if (row->egress.other_port)
		p->to.source_port = row->egress.other_port;
	p->to_vpc = row->other_vpc;
	ct_key_of(key, p->to_vpc, p->tracked_protocol, &p->to);
	struct ct_entry *ct = ct_find(p, key, &known);

	/* The same two ends may since have met by another frontend, or from another VPC. */
	if (ct && ct->flags & CT_TRANSLATED && ct->other_vpc == p->frontend_vpc &&
	    ct->translated_port == p->is.destination_port &&
	    (ct->egress.other_port ?: p->to.source_port) == p->is.source_port &&
	    addr_equal(&ct->translated_address, &p->is.destination) && !must_choose_again(p, ct)) {
		know(p, ct, known);
		return ct;
	}
	p->to = p->is;
	p->to_vpc = p->vpc;
	return NULL;
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
	if (ct->egress.other_port)
		p->to.destination_port = ct->egress.other_port;
	if (p->is_hairpin)
		p->to.destination = p->is.source;
}

/* `row` is then the connection's, where it is known: kept in the hook's own frame, so that remember need not look for it
 * again. That is why this is no global function like other doors: those pass no pointers. */
static __always_inline int track(struct packet *p, struct ct_entry **row)
{
	struct ct_key key;
	__u8 known;
	const bool high = ct_key_of(&key, p->vpc, p->tracked_protocol, &p->is);
	struct ct_entry *ct = ct_find(p, &key, &known);

	*row = NULL;
	if (ct) {
		p->is_reply = high != !!(ct->flags & CT_INITIATOR_HIGH);
		if (ct->flags & CT_TRANSLATION_ROW) {
			if (!p->is_reply)
				*row = track_translated(p, ct, &key);
		} else if (p->is_reply) {
			track_reply(p, ct, known);
			*row = ct;
		} else if (ct->flags & CT_TRANSLATED) {
			/* Speaks to a backend from a port that already speaks to it by its Service: whose reply would
			 * it be? Unless that connection is closed: then the port begins anew. */
			if (!(is_syn(p) && ct->state == CT_CLOSING))
				return -DROP_TUPLE_TAKEN;
		} else if (!must_choose_again(p, ct)) {
			know(p, ct, known);
			*row = ct;
		}
	}
	if (!p->ct)
		p->is_reply = false;
	return p->is_icmp_error && !p->ct ? -DROP_ICMP_UNRELATED : 0;
}

#endif
