// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A packet of another node arrives: tc ingress of the VXLAN device, for the frames that uplink_ingress does not open.
 */
#include "lib/count.h"
#include "lib/from_node.h"
#include "lib/tunnel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tc")
int tunnel_ingress(struct __sk_buff *skb)
{
	struct packet p = { .hook = HOOK_TUNNEL_INGRESS, .action = TC_ACT_SHOT, .now_s = now_s() };

	return finish(skb, &p, identify_node(skb, &p) ?: corridor_from_node(skb, &p));
}

/* The same for a rehearsal, which has no tunnel (kernel/rehearsal.h): the context says what the tunnel's header would.
 * Loaded for that alone, attached nowhere. */
SEC("?tc")
int tunnel_rehearsal(struct __sk_buff *skb)
{
	struct packet p = { .hook = HOOK_TUNNEL_INGRESS, .action = TC_ACT_SHOT, .now_s = now_s() };

	return finish(skb, &p, believe_underlay(&p, skb->cb[0], skb->cb[1]) ?: corridor_from_node(skb, &p));
}
