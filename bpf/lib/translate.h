/* Door 4, translate: a new connection to a frontend gets a backend.
 *
 * A random slot is tried first, then its neighbours, at most TUPLE_TRIES: a backend is passed over when the client's
 * port already speaks to it in another way (port.h); where all are, the last one sees another port. A pod chosen as its own
 * backend sees the gateway as the client, or it would answer itself without us. Frontends with the flag `local` are
 * left alone: the service endpoint holds their address. No slots: rejected at once, or dropped where another node has
 * endpoints. With session affinity the client's last backend is tried first. Known connections: track.
 */
#ifndef WEFT_LIB_TRANSLATE_H
#define WEFT_LIB_TRANSLATE_H

#include "lib/affinity.h"
#include "lib/location.h"
#include "lib/packet.h"
#include "lib/port.h"
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

/* A pod asks at a nodePort of another node: every node has the same ones, so this one serves it. */
static __always_inline const struct frontend *frontend_of_other_node(const struct packet *p)
{
	const struct node *node = p->sender ? this_node() : NULL;

	if (!node || !addr_is_v4(&p->is.destination) || !location_of(VPC_OUTSIDE, &p->is.destination))
		return NULL;
	const struct tuple here = { .destination = node->v4, .destination_port = p->is.destination_port };

	return frontend_at(p->vpc, &here, p->protocol);
}

/* Takes this backend if its replies will be told from all others'. */
static __always_inline bool try_backend(struct packet *p, __u32 id)
{
	const struct backend *backend = bpf_map_lookup_elem(MAP(backends), &id);

	if (!backend)
		return false;
	p->to.destination = backend->address;
	p->to.destination_port = backend->port;
	p->is_hairpin = p->sender && backend->vpc == p->vpc && addr_equal(&backend->address, &p->is.source);
	p->to.source = p->is_hairpin ? hairpin_source(&p->is.source) : p->is.source;
	p->to_vpc = backend->vpc;
	p->backend = id;
	/* In the backend's VPC the client's address may be another's: its port tells them apart. */
	return p->sender && p->to_vpc != p->vpc ? choose_port(p) : is_free(p);
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
	if (!p->backend) /* the rows of a Service just going away */
		return -DROP_NO_BACKEND;
	p->is_translated = choose_port(p);
	return p->is_translated ? 0 : -DROP_TUPLE_TAKEN;
}

static __always_inline struct affinity_key affinity_key_of(const struct packet *p)
{
	return (struct affinity_key){ .vpc = p->frontend_vpc, .service = p->service, .client = p->is.source };
}

/* 1: the client's own backend takes it. A global function, for its frame is not that of what else may be chosen. */
__attribute__((noinline, weak)) int stay(struct packet *p, __u32 idle_max_s)
{
	if (!p)
		return 0;
	const struct affinity_key key = affinity_key_of(p);
	const __u32 id = affinity_of(&key, idle_max_s, p->now_s);

	p->is_translated = id && try_backend(p, id);
	if (p->is_translated)
		affinity_keep(&key, id, p->now_s);
	return p->is_translated;
}

/* A client port that cannot go where its client belongs goes elsewhere, which does not move the client. */
__attribute__((noinline, weak)) int settle(struct packet *p, __u32 idle_max_s)
{
	if (!p)
		return 0;
	const struct affinity_key key = affinity_key_of(p);

	if (!affinity_of(&key, idle_max_s, p->now_s))
		affinity_keep(&key, p->backend, p->now_s);
	return 0;
}

static __always_inline bool may_come_from(const struct packet *p, const struct frontend *frontend)
{
	return !(frontend->flags & FRONTEND_SOURCE_RANGES) || p->sender_flags & ENDPOINT_HOST || p->from_host ||
	       is_in_source_ranges(frontend->service, &p->is.source);
}

DOOR(translate)
{
	if (p->ct || p->is_icmp_error)
		return 0;
	/* The node's own programs count as inside: an external policy of Local does not speak of them. */
	const __u32 vpc = p->from_host ? p->to_vpc : p->frontend_vpc;
	const struct frontend *frontend = frontend_at(vpc, &p->is, p->protocol) ?: frontend_of_other_node(p);

	if (!frontend) {
		const struct frontend *address = frontend_address(vpc, &p->is.destination);

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
	const __u32 affinity_s = frontend->affinity_s;

	if (affinity_s && stay(p, affinity_s))
		return 0;
	const int verdict = choose_backend(p, frontend->slots);

	if (!verdict && affinity_s)
		settle(p, affinity_s);
	return verdict;
}

#endif
