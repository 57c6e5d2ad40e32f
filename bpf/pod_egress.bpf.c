// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A packet leaves a pod: tc ingress of the node's side of its veth, and of weft_net, the host's own door.
 *
 * Reading order: lib/packet.h (the packet, the convention of the doors), then the headers in the order below.
 */
#include "lib/allow.h"
#include "lib/clamp.h"
#include "lib/count.h"
#include "lib/identify.h"
#include "lib/neighbour.h"
#include "lib/parse.h"
#include "lib/peer.h"
#include "lib/remember.h"
#include "lib/rewrite.h"
#include "lib/route.h"
#include "lib/send.h"
#include "lib/too_big.h"
#include "lib/track.h"
#include "lib/translate.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int corridor(struct __sk_buff *skb, struct packet *p)
{
	struct ct_entry *row;

	return parse_network(skb, p) ?:
	       identify_sender(skb, p) ?:
	       parse_transport(skb, p) ?:
	       answer_neighbour(skb, p) ?:
	       identify_address(p) ?:
	       track(p, &row) ?:
	       translate(skb, p) ?:
	       allow_sender(p, row) ?:
	       route(skb, p) ?:
	       fit(skb, p) ?:
	       allow_receiver(p, row) ?:
	       remember(skb, p, row) ?:
	       remember_peer(skb, p) ?:
	       clamp_mss(skb, p) ?:
	       rewrite(skb, p) ?:
	       send(skb, p);
}

SEC("tc")
int pod_egress(struct __sk_buff *skb)
{
	struct packet p = { .hook = HOOK_POD_EGRESS, .action = TC_ACT_SHOT, .now_s = now_s() };

	return finish(skb, &p, corridor(skb, &p));
}
