/* Peering: a packet that route led into another VPC is remembered there too, so that each side has its own entry: this
 * one is what the answer is known by, when it comes from the other VPC. Of two nodes each keeps its own side's.
 */
#ifndef WEFT_LIB_PEER_H
#define WEFT_LIB_PEER_H

#include "lib/remember.h"
#include "lib/track.h"

/* Not a door of its own: one more frame between the hook and what remembers would be too much stack. */
static __always_inline int remember_peer(struct __sk_buff *skb, struct packet *p)
{
	struct ct_entry *row;

	if (p->to_vpc == p->vpc || p->is_translated || !p->receiver)
		return 0;
	p->vpc = p->frontend_vpc = p->to_vpc;
	p->ct = CT_NEW;
	return track(p, &row) ?: remember(skb, p, row);
}

#endif
