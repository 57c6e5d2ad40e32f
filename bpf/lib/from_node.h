/* The corridor of a packet that another node of ours sent, once its frame is open: walked by whichever hook opened it,
 * the tunnel's device's or the uplink's.
 *
 * The VNI names the VPC; the sender's node has identified, translated and routed it, so those doors are shut here, but
 * for what is handed over from outside (VNI 0), which is translated where its backend is. It reaches a pod of this node
 * or nobody: nothing is sent on.
 */
#ifndef WEFT_LIB_FROM_NODE_H
#define WEFT_LIB_FROM_NODE_H

#include "lib/allow.h"
#include "lib/clamp.h"
#include "lib/parse.h"
#include "lib/remember.h"
#include "lib/rewrite.h"
#include "lib/route.h"
#include "lib/send.h"
#include "lib/track.h"
#include "lib/tunnel.h"

static __always_inline int corridor_from_node(struct __sk_buff *skb, struct packet *p)
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

#endif
