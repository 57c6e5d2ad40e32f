/* Drop reasons: each packet that does not go on has one of these names. With it stand what it means and what
 * to look at next. The list becomes the enum, the metric label (weft_drops_total{reason}), the words of `weft why` and
 * `weft drops`, and docs/operate/drops.md. New ones go to the end: counters are by index.
 *
 * "answered" in a text means that the sender is told at once (TCP RST, ICMP unreachable) in the packet's place.
 */
#ifndef WEFT_ABI_DROP_REASONS_H
#define WEFT_ABI_DROP_REASONS_H

#include "abi/types.h"

#define WEFT_NEXT_CAPTURE "who sends it, and what? weft capture NODE"
#define WEFT_NEXT_IDENTITY "the agent and the pod disagree about its network: weft status, then delete the pod"
#define WEFT_NEXT_BACKENDS "is a ready pod behind the Service? kubectl get endpointslices; kubectl describe svc"

#define WEFT_DROP_REASONS(X) \
	X(MALFORMED, "a header is cut short or contradicts another", WEFT_NEXT_CAPTURE) \
	X(NOT_IP, "the frame is neither IPv4, IPv6 nor ARP", WEFT_NEXT_CAPTURE) \
	X(FRAGMENT, "an IP fragment whose first piece was not seen before it, or of a kind never passed", \
	  "send what fits the way, or by TCP; weft capture NODE") \
	X(PROTOCOL, "neither TCP, UDP nor an ICMP message that may pass", \
	  "only TCP, UDP and ICMP are carried; " WEFT_NEXT_CAPTURE) \
	X(UNKNOWN_ENDPOINT, "the interface belongs to no endpoint", WEFT_NEXT_IDENTITY) \
	X(SPOOFED_MAC, "the sender's MAC is not its endpoint's", WEFT_NEXT_IDENTITY) \
	X(SPOOFED_ADDRESS, "the source address is not the sending endpoint's", \
	  "does the pod forward for others? annotation weft.dev/allow-forwarding; else weft status, then delete the pod") \
	X(ARP, "ARP other than a request for another's address", WEFT_NEXT_CAPTURE) \
	X(NEIGHBOUR, "neighbour discovery other than a solicitation for another's address", WEFT_NEXT_CAPTURE) \
	X(ROUTER_DISCOVERY, "a router advertisement or redirect from an endpoint", \
	  "a pod is no router of its VPC; " WEFT_NEXT_CAPTURE) \
	X(DHCP, "DHCP from an endpoint", "a pod has its address already: end its DHCP client") \
	X(MULTICAST, "a broadcast or multicast destination", "only unicast is carried; " WEFT_NEXT_CAPTURE) \
	X(CT_FULL, "conntrack is full", "who fills it? weft conntrack") \
	X(TUPLE_TAKEN, "this port speaks to this backend by its Service already, or no free port was found", \
	  "who holds it? weft conntrack ADDRESS") \
	X(MIDSTREAM, "mid-stream TCP to a Service that no entry remembers; answered", \
	  "the client begins anew; where it goes on: weft conntrack ADDRESS") \
	X(NO_BACKEND, "the Service has no endpoint; answered", WEFT_NEXT_BACKENDS) \
	X(UNLISTED_PORT, "the address is a Service's, the port is not; answered", \
	  "which ports has the Service? kubectl get svc -A -o wide") \
	X(NO_SERVICE, "an address of the Service CIDR that no Service has", \
	  "which Services are there? kubectl get svc -A -o wide") \
	X(NO_ENDPOINT, "no endpoint has this address of the VPC", \
	  "who has the address? kubectl get pods -A -o wide (in a namespace of this VPC)") \
	X(BLACKHOLE, "the route table says blackhole", "which route says so? weft route show NAMESPACE/POD") \
	X(NO_NAT, "the destination is outside the VPC and nothing translates the source", \
	  "a pod reaches its own VPC, what that is peered with, and its VPC's own public addresses and nodePorts") \
	X(NOT_OURS, "came by the uplink for an address that is neither public and ours nor the node's", \
	  "which public addresses are there, and which node has them? kubectl get svc,ingress -A; weft status") \
	X(OUTSIDE_SOURCE, "came by the uplink with a source that lies inside the target VPC", \
	  "who outside uses an address of the VPC? weft vpc show VPC; weft capture NODE") \
	X(ICMP_UNRELATED, "an ICMP error about no connection we know", WEFT_NEXT_CAPTURE) \
	X(KERNEL, "the kernel refused to change or redirect the packet", "weft doctor; dmesg on the node") \
	X(CT_QUOTA, "the endpoint, or its VPC, has as many established connections as it may have", \
	  "who fills it? weft conntrack ADDRESS-OF-THE-POD") \
	X(NO_LOCAL_BACKEND, "the Service's policy is Local and its endpoints are all on other nodes", \
	  WEFT_NEXT_BACKENDS) \
	X(SOURCE_RANGE, "the client is in none of the Service's loadBalancerSourceRanges", \
	  "kubectl get svc -o yaml: spec.loadBalancerSourceRanges") \
	X(UNKNOWN_NODE, "a tunnel frame from an address that is no node's", \
	  "who sends to UDP 4789? kubectl get nodes -o wide; weft capture NODE udp port 4789") \
	X(FRAME, "a tunnel frame of a kind we do not know, or one that has passed too many nodes", \
	  "have all nodes one version? weft status") \
	X(NEXT_HOP, "the route's next hop is no endpoint that may forward for others", \
	  "what does the route say of it? weft route show NAMESPACE/POD") \
	X(NAT_GATEWAY, "the route leads to a NAT gateway, and this node has none", \
	  "kubectl get vrt -o yaml: which route leads to a NAT gateway") \
	X(TOO_BIG, "does not fit the way to the destination's node; answered", \
	  "the sender is told the size that fits; the path's MTU: weft status") \
	X(ANNOUNCEMENT, "a pod's kernel tells its multicast groups or looks for a router; nothing is lost", \
	  "nothing to do")

/* The places that count, by hook file. */
#define WEFT_HOOKS(X)     \
	X(POD_EGRESS)     \
	X(TUNNEL_INGRESS) \
	X(UPLINK_INGRESS)

ABI_BEGIN

enum drop_reason {
	DROP_NONE = 0,
#define X(name, text, next) DROP_##name,
	WEFT_DROP_REASONS(X)
#undef X
	DROP_REASONS,
};

enum hook {
#define X(name) HOOK_##name,
	WEFT_HOOKS(X)
#undef X
	HOOKS,
};

#define DROP_REASONS_MAX 64
#ifdef __cplusplus
static_assert(DROP_REASONS <= DROP_REASONS_MAX);
#endif

struct drop_counter {
	__u64 packets;
	__u64 bytes;
};
ABI_SIZE(struct drop_counter, 16);

/* Index into `drops`. */
static inline __u32 drop_index(__u32 hook, __u32 reason)
{
	return hook * DROP_REASONS_MAX + reason;
}

ABI_END

#endif
