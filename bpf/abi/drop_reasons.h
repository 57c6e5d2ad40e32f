/* Drop reasons: each packet that does not go on has one of these names. The list becomes the enum, the metric label
 * (weft_drops_total{reason}), the CLI text and docs/operate/drops.md. New ones go to the end: counters are by index.
 *
 * "answered" in a text means that the sender is told at once (TCP RST, ICMP unreachable) in the packet's place.
 */
#ifndef WEFT_ABI_DROP_REASONS_H
#define WEFT_ABI_DROP_REASONS_H

#include "abi/types.h"

#define WEFT_DROP_REASONS(X)                                                                            \
	X(MALFORMED, "a header is cut short or contradicts another")                                    \
	X(NOT_IP, "the frame is neither IPv4, IPv6 nor ARP")                                            \
	X(FRAGMENT, "an IP fragment whose first piece was not seen before it, or of a kind never passed")   \
	X(PROTOCOL, "neither TCP, UDP nor an ICMP message that may pass")                               \
	X(UNKNOWN_ENDPOINT, "the interface belongs to no endpoint")                                     \
	X(SPOOFED_MAC, "the sender's MAC is not its endpoint's")                                        \
	X(SPOOFED_ADDRESS, "the source address is not the sending endpoint's")                          \
	X(ARP, "ARP other than a request for another's address")                                        \
	X(NEIGHBOUR, "neighbour discovery other than a solicitation for another's address")             \
	X(ROUTER_DISCOVERY, "a router advertisement or redirect from an endpoint")                       \
	X(DHCP, "DHCP from an endpoint")                                                                \
	X(MULTICAST, "a broadcast or multicast destination")                                            \
	X(CT_FULL, "conntrack is full")                                                                 \
	X(TUPLE_TAKEN, "this port speaks to this backend by its Service already, or no free port was found") \
	X(MIDSTREAM, "mid-stream TCP to a Service that no entry remembers; answered")                   \
	X(NO_BACKEND, "the Service has no endpoint; answered")                                          \
	X(UNLISTED_PORT, "the address is a Service's, the port is not; answered")                       \
	X(NO_SERVICE, "an address of the Service CIDR that no Service has")                             \
	X(NO_ENDPOINT, "no endpoint has this address of the VPC")                                       \
	X(BLACKHOLE, "the route table says blackhole")                                                  \
	X(NO_NAT, "the destination is outside the VPC and nothing translates the source")               \
	X(NOT_OURS, "came by the uplink for an address that is neither public and ours nor the node's") \
	X(OUTSIDE_SOURCE, "came by the uplink with a source that lies inside the target VPC")           \
	X(ICMP_UNRELATED, "an ICMP error about no connection we know")                                  \
	X(KERNEL, "the kernel refused to change or redirect the packet")                                \
	X(CT_QUOTA, "the endpoint, or its VPC, has as many established connections as it may have")                  \
	X(NO_LOCAL_BACKEND, "the Service's policy is Local and its endpoints are all on other nodes")   \
	X(SOURCE_RANGE, "the client is in none of the Service's loadBalancerSourceRanges")             \
	X(UNKNOWN_NODE, "a tunnel frame from an address that is no node's")                             \
	X(FRAME, "a tunnel frame of a kind we do not know, or one that has passed too many nodes")      \
	X(NEXT_HOP, "the route's next hop is no endpoint that may forward for others")                  \
	X(NAT_GATEWAY, "the route leads to a NAT gateway, and this node has none")                      \
	X(TOO_BIG, "does not fit the way to the destination's node; answered")                           \
	X(ANNOUNCEMENT, "a pod's kernel tells its multicast groups or looks for a router; nothing is lost")

/* The places that count, by hook file. */
#define WEFT_HOOKS(X)     \
	X(POD_EGRESS)     \
	X(TUNNEL_INGRESS) \
	X(UPLINK_INGRESS)

ABI_BEGIN

enum drop_reason {
	DROP_NONE = 0,
#define X(name, text) DROP_##name,
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
