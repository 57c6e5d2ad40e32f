// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A packet arrives on the wire: tc ingress of the uplink.
 *
 * A frame of another node of ours is opened (lib/wrap.h), and the packet inside walks its own corridor (lib/from_node.h).
 * What is for the node itself passes to the kernel, but for nodePorts. What is for a nodePort or a public address of
 * ours is translated to a pod, which sees the client's own address, or handed to the service endpoint that holds the
 * address (L7). Nothing else comes in.
 */
#include "lib/allow.h"
#include "lib/clamp.h"
#include "lib/count.h"
#include "lib/from_node.h"
#include "lib/neighbour.h"
#include "lib/outside.h"
#include "lib/parse.h"
#include "lib/remember.h"
#include "lib/rewrite.h"
#include "lib/route.h"
#include "lib/send.h"
#include "lib/too_big.h"
#include "lib/track.h"
#include "lib/translate.h"
#include "lib/wrap.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int corridor(struct __sk_buff *skb, struct packet *p)
{
	struct ct_entry *row;

	return parse_network(skb, p) ?:
	       identify_target(skb, p) ?:
	       identify_node_port(skb, p) ?:
	       track(p, &row) ?:
	       translate(skb, p) ?:
	       route(skb, p) ?:
	       hand_over(p) ?:
	       fit(skb, p) ?:
	       allow_receiver(p, row) ?:
	       remember(skb, p, row) ?:
	       clamp_mss(skb, p) ?:
	       rewrite(skb, p) ?:
	       send(skb, p);
}

SEC("tc")
int uplink_ingress(struct __sk_buff *skb)
{
	struct packet p = { .hook = HOOK_UPLINK_INGRESS, .action = TC_ACT_SHOT, .now_s = now_s() };

	const int frame = unwrap(skb, &p);

	return finish(skb, &p, frame < 0 ? frame : frame == DONE ? corridor(skb, &p) : corridor_from_node(skb, &p));
}
