/* Door 4, translate: a new connection to a frontend gets a backend.
 *
 * A random slot is tried first, then its neighbours, at most TUPLE_TRIES: a backend is passed over when the client's
 * port already speaks to it in another way, because its replies could not be told apart. A pod chosen as its own
 * backend sees the gateway as the client, or it would answer itself without us. Frontends with the flag `local` are
 * left alone: the service endpoint holds their address. No slots: rejected at once, or dropped where another node has
 * endpoints. With session affinity the client's last backend is tried first. Known connections: track.
 */
#ifndef WEFT_LIB_TRANSLATE_H
#define WEFT_LIB_TRANSLATE_H

#include "lib/affinity.h"
#include "lib/packet.h"
#include "lib/reject.h"
#include "lib/track.h"

static __always_inline const struct frontend *frontend_at(__u32 vpc, const struct tuple *t, __u8 protocol)
{
	const struct frontend_key key = {
		.vpc = vpc,
		.address = t->destination,
		.port = t->destination_port,
		.protocol = protocol,
	};

	return bpf_map_lookup_elem(MAP(frontends), &key);
}

static __always_inline const struct frontend *frontend_address(__u32 vpc, const struct ip_addr *address)
{
	const struct frontend_key key = { .vpc = vpc, .address = *address };

	return bpf_map_lookup_elem(MAP(frontends), &key);
}

/* The entry of this very connection, of which the translation row went first. */
static __always_inline bool is_own_leftover(const struct packet *p, const struct ct_entry *taken)
{
	return taken->flags & CT_TRANSLATED && taken->other_vpc == p->frontend_vpc &&
	       taken->translated_port == p->is.destination_port &&
	       addr_equal(&taken->translated_address, &p->is.destination);
}

/* Takes this backend if its replies will be told from all others'. */
static __always_inline bool try_backend(struct packet *p, __u32 id)
{
	const struct backend *backend = bpf_map_lookup_elem(MAP(backends), &id);
	struct ct_key key;
	__u8 known;

	if (!backend)
		return false;
	p->to.destination = backend->address;
	p->to.destination_port = backend->port;
	p->is_hairpin = p->sender && backend->vpc == p->vpc && addr_equal(&backend->address, &p->is.source);
	p->to.source = p->is_hairpin ? hairpin_source(&p->is.source) : p->is.source;
	p->to_vpc = backend->vpc;
	p->backend = id;
	ct_key_of(&key, p->to_vpc, p->tracked_protocol, &p->to);
	const struct ct_entry *taken = ct_find(&key, &known);

	return !taken || (taken->state == CT_CLOSING && is_syn(p)) || is_own_leftover(p, taken);
}

/* A global function: the loop is verified once. */
__attribute__((noinline, weak)) int choose_backend(struct packet *p, __u32 slots)
{
	if (!p || !slots)
		return -DROP_NO_BACKEND;
	__u32 slot = bpf_get_prandom_u32() % slots;

	for (int i = 0; i < TUPLE_TRIES; i++) {
		const struct slot_key at = { .service = p->service, .slot = slot };
		const __u32 *id = bpf_map_lookup_elem(MAP(slots), &at);

		if (id && try_backend(p, *id)) {
			p->is_translated = true;
			return 0;
		}
		slot = slot + 1 < slots ? slot + 1 : 0;
	}
	return p->backend ? -DROP_TUPLE_TAKEN : -DROP_NO_BACKEND; /* the rows of a Service just going away */
}

/* A client port that cannot go where its client belongs goes elsewhere, which does not move the client. */
__attribute__((noinline, weak)) int choose_by_affinity(struct packet *p, __u32 slots, __u32 idle_max_s)
{
	if (!p)
		return -DROP_NO_BACKEND;
	const struct affinity_key key = { .vpc = p->frontend_vpc, .service = p->service, .client = p->is.source };
	const __u32 now = now_s();
	const __u32 id = affinity_of(&key, idle_max_s, now);

	if (id && try_backend(p, id)) {
		p->is_translated = true;
		affinity_keep(&key, id, now);
		return 0;
	}
	const int verdict = choose_backend(p, slots);

	if (!verdict && !id)
		affinity_keep(&key, p->backend, now);
	return verdict;
}

static __always_inline bool may_come_from(const struct packet *p, const struct frontend *frontend)
{
	return !(frontend->flags & FRONTEND_SOURCE_RANGES) || p->sender_flags & ENDPOINT_HOST ||
	       is_in_source_ranges(frontend->service, &p->is.source);
}

DOOR(translate)
{
	if (p->ct || p->is_icmp_error)
		return 0;
	const struct frontend *frontend = frontend_at(p->frontend_vpc, &p->is, p->protocol);

	if (!frontend) {
		const struct frontend *address = frontend_address(p->frontend_vpc, &p->is.destination);

		/* Inside its VPC a local address is an endpoint's, whose own kernel refuses what nobody listens for. */
		if (!address || (address->flags & FRONTEND_LOCAL && p->sender))
			return 0;
		return reject(skb, p, DROP_UNLISTED_PORT);
	}
	if (frontend->flags & FRONTEND_LOCAL)
		return 0;
	if (!may_come_from(p, frontend))
		return -DROP_SOURCE_RANGE;
	if (!frontend->slots)
		return frontend->flags & FRONTEND_NONE_HERE ? -DROP_NO_LOCAL_BACKEND : reject(skb, p, DROP_NO_BACKEND);
	if (p->protocol == IPPROTO_TCP && !is_syn(p))
		return reject(skb, p, DROP_MIDSTREAM);
	p->service = frontend->service;
	if (frontend->affinity_s)
		return choose_by_affinity(p, frontend->slots, frontend->affinity_s);
	return choose_backend(p, frontend->slots);
}

#endif
