/* Door 5, allow: the rules of the initiator on what it sends, and of the responder on what it receives.
 *
 * Each side's answer is kept in the conntrack entry with the generation of that side's group set. Whichever packet of
 * the connection finds an answer of another generation asks that side again, about the original tuple. Inside a VPC
 * everything is allowed; from outside comes in only what a frontend exposes, which translate has seen to. The host is
 * exempt.
 */
#ifndef WEFT_LIB_ALLOW_H
#define WEFT_LIB_ALLOW_H

#include "lib/packet.h"

static __always_inline void refresh_verdict(struct ct_verdict *asked, __u32 generation, __u32 flags)
{
	if (!(flags & ENDPOINT_HOST) && asked->generation != generation)
		asked->generation = generation;
}

static __always_inline bool is_part_of(const struct packet *p, const struct ct_entry *row)
{
	return p->ct && row && !p->is_icmp_error;
}

/* The sender's side of the connection. A new connection's answers are written by remember(). */
static __always_inline int allow_sender(const struct packet *p, struct ct_entry *row)
{
	if (is_part_of(p, row) && p->sender)
		refresh_verdict(p->is_reply ? &row->ingress : &row->egress, p->sender_generation, p->sender_flags);
	return 0;
}

/* The receiver's side, once route has found who that is. */
static __always_inline int allow_receiver(const struct packet *p, struct ct_entry *row)
{
	if (is_part_of(p, row) && p->receiver)
		refresh_verdict(p->is_reply ? &row->egress : &row->ingress, p->receiver_generation, p->receiver_flags);
	return 0;
}

#endif
