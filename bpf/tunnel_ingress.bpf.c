// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A packet of another node arrives: tc ingress of the VXLAN device.
 *
 * The VNI names the VPC; the sender's node has identified, translated and routed it, so those doors are shut here, but
 * for what is handed over from outside (VNI 0), which is translated where its backend is. It reaches a pod of this node
 * or nobody: nothing is sent on.
 */
#include "lib/allow.h"
#include "lib/clamp.h"
#include "lib/count.h"
#include "lib/parse.h"
#include "lib/remember.h"
#include "lib/rewrite.h"
#include "lib/route.h"
#include "lib/send.h"
#include "lib/track.h"
#include "lib/tunnel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int corridor(struct __sk_buff *skb, struct packet *p)
{
	struct ct_entry *row;

	return parse_network(skb, p) ?:
	       parse_transport(skb, p) ?:
	       read_frame(skb, p) ?:
	       track(p, &row) ?:
	       take_over(skb, p) ?:
	       route_here(skb, p) ?:
	       allow_receiver(p, row) ?:
	       remember(skb, p, row) ?:
	       clamp_mss(skb, p) ?:
	       rewrite(skb, p) ?:
	       send(skb, p);
}

SEC("tc")
int tunnel_ingress(struct __sk_buff *skb)
{
	struct packet p = { .hook = HOOK_TUNNEL_INGRESS, .action = TC_ACT_SHOT, .now_s = now_s() };

	return finish(skb, &p, identify_node(skb, &p) ?: corridor(skb, &p));
}

/* The same for a rehearsal, which has no tunnel (kernel/rehearsal.h): the context says what the tunnel's header would.
 * Loaded for that alone, attached nowhere. */
SEC("?tc")
int tunnel_rehearsal(struct __sk_buff *skb)
{
	struct packet p = { .hook = HOOK_TUNNEL_INGRESS, .action = TC_ACT_SHOT, .now_s = now_s() };

	return finish(skb, &p, believe_node(&p, skb->cb[0], skb->cb[1]) ?: corridor(skb, &p));
}
