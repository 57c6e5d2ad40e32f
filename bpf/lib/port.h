/* The client's port as its backend sees it: its own, unless that already speaks to this backend in another way.
 *
 * Replies are known by the two ends they go between. Where two connections would have the same (one client port that
 * speaks to a pod by two Services; two pods of different VPCs with one address, at a backend that serves every VPC),
 * the later one gets another port, which the backend sees and which conntrack turns back. Such ports are below those
 * that kernels choose for their clients, so a client that comes later and cannot be given another port meets none of
 * them.
 */
#ifndef WEFT_LIB_PORT_H
#define WEFT_LIB_PORT_H

#include "lib/track.h"

#define CHOSEN_PORT_FIRST 1024
#define CHOSEN_PORTS (32768 - CHOSEN_PORT_FIRST) /* net.ipv4.ip_local_port_range begins there */

/* The entry of this very connection, of which the translation row went first. */
static __always_inline bool is_own_leftover(const struct packet *p, const struct ct_entry *taken)
{
	return taken->flags & CT_TRANSLATED && taken->other_vpc == p->frontend_vpc &&
	       taken->translated_port == p->is.destination_port &&
	       (taken->egress.other_port ?: p->to.source_port) == p->is.source_port &&
	       addr_equal(&taken->translated_address, &p->is.destination);
}

/* Would replies to `to` be told from all others'? Global: asked in loops, verified once. */
__attribute__((noinline, weak)) int is_free(struct packet *p)
{
	struct ct_key key;
	__u8 known;

	if (!p)
		return 0;
	ct_make_key(&key, p->to_vpc, p->tracked_protocol, &p->to);
	const struct ct_entry *taken = ct_find(p, &key, &known);

	return !taken || (taken->state == CT_CLOSING && is_syn(p)) || is_own_leftover(p, taken);
}

/* 1: `to` has a port that is free. */
__attribute__((noinline, weak)) int choose_port(struct packet *p)
{
	if (!p)
		return 0;
	for (int i = 0; i < TUPLE_TRIES; i++) {
		p->to.source_port = bpf_htons(CHOSEN_PORT_FIRST + bpf_get_prandom_u32() % CHOSEN_PORTS);
		if (is_free(p))
			return 1;
	}
	p->to.source_port = p->is.source_port;
	return 0;
}

#endif
