/* The one exit: counts what does not go on by (reason, hook) and turns the verdict into the hook's action. */
#ifndef WEFT_LIB_COUNT_H
#define WEFT_LIB_COUNT_H

#include "lib/packet.h"

static __always_inline int finish(const struct __sk_buff *skb, const struct packet *p, int verdict)
{
	if (verdict < 0) {
		const __u32 index = drop_index(p->hook, -verdict);
		struct drop_counter *counter = bpf_map_lookup_elem(MAP(drops), &index);

		if (counter) { /* this CPU's own: no atomics */
			counter->packets++;
			counter->bytes += skb->len;
		}
	}
	return p->action;
}

#endif
