// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The node's own programs speak to an address of ours: tc egress of the uplink, where public addresses would leave, and
 * of the loopback, where the node's own address stays.
 *
 * What is for a public address or a nodePort turns round into the uplink's ingress, marked; uplink_ingress does the
 * rest, so that a program on the node needs neither a cgroup nor a route to be served. Everything else passes: nothing
 * is translated, dropped or counted here. What pods sent was judged by pod_egress and is not looked at.
 */
#include "lib/host.h"
#include "lib/parse.h"
#include "lib/translate.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A port of the node's own that is a nodePort, or an error about one. */
static __always_inline bool is_for_node_port(struct __sk_buff *skb, struct packet *p)
{
	return !parse_transport(skb, p) && frontend_at(VPC_OUTSIDE, &p->is, p->tracked_protocol);
}

static __always_inline int turn_round(struct __sk_buff *skb, const struct node *node)
{
	if (bpf_skb_store_bytes(skb, 0, node->uplink_mac, 6, 0)) /* else it would arrive as another's */
		return TC_ACT_OK;
	skb->mark = MARK_FROM_HOST;
	return bpf_redirect(node->uplink_ifindex, BPF_F_INGRESS);
}

SEC("tc")
int uplink_egress(struct __sk_buff *skb)
{
	struct packet p = {.hook = HOOK_UPLINK_INGRESS}; /* whose parse this is; nothing is counted */
	const struct node *node = this_node();

	if (skb->ingress_ifindex || !node || !node->uplink_ifindex)
		return TC_ACT_OK;
	if (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6))
		return TC_ACT_OK;
	if (parse_network(skb, &p))
		return TC_ACT_OK;
	if (is_own_address(node, &p.is.destination))
		return is_for_node_port(skb, &p) ? turn_round(skb, node) : TC_ACT_OK;
	return frontend_address(VPC_OUTSIDE, &p.is.destination) ? turn_round(skb, node) : TC_ACT_OK;
}
