/* Endpoint: an attachment to the network: a pod, a VPC's service endpoint on this node, or the host itself.
 *
 * attachments (ifindex) and netns (namespace cookie) say who speaks; endpoint (id) says who that is; endpoints
 * (vpc, address) says who holds an address on this node. Ids are given by the agent, from 1; 0 is nobody.
 */
#ifndef WEFT_ABI_ENDPOINT_H
#define WEFT_ABI_ENDPOINT_H

#include "abi/types.h"

/* The one MAC that answers for every address a pod asks for, and the sender of every frame a pod receives. */
#define GATEWAY_MAC { 0x02, 0x77, 0x65, 0x66, 0x74, 0x01 }
/* 169.254.1.1, the pod's gateway. Also the source of a pod's packets that its own Service sends back to it: nobody
 * else has this address, so such tuples never meet others. Its IPv6 form is made as those of IDENTITY_V4. */
#define GATEWAY_V4 0xa9fe0101u
/* 100.64.0.0/10: service and host endpoints. Believed from the veth of the endpoint that holds the address only. */
#define IDENTITY_V4 0x64400000u
#define IDENTITY_V4_MASK 0xffc00000u
/* Their IPv6 form: fd77:6566:7400::/96 and the IPv4 address in the last word. */
#define IDENTITY_V6_0 0xfd776566u
#define IDENTITY_V6_1 0x74000000u

ABI_BEGIN

enum endpoint_flags {
	/* The pair weft_host/weft_net: delivered to by bpf_redirect(weft_net), exempt from policy. `ifindex` is
	 * weft_net, `mac` is weft_host's. */
	ENDPOINT_HOST = 1 << 0,
	/* A service endpoint: may send from every address whose row in `endpoints` is its own. */
	ENDPOINT_SERVICE = 1 << 1,
	/* May send and receive packets of others' addresses: a pod that forwards (weft.dev/allow-forwarding). */
	ENDPOINT_FORWARDS = 1 << 2,
};

struct endpoint {
	__u32 vpc;
	__u32 ifindex;	   /* the node's side of the veth */
	struct ip_addr v4; /* mapped; all zero: none */
	struct ip_addr v6;
	__u32 flags;
	__u32 route_table; /* first part of the key in `routes`: the VPC's main table is its vpc */
	__u32 group_set;   /* 0: no security group */
	__u32 generation;  /* of that group set; a verdict of another generation is asked again */
	__u32 ct_quota;	   /* established connections it may have; 0: CT_ENDPOINT_QUOTA */
	__u8 mac[6];	   /* of the endpoint's own side */
	__u8 spare[2];
};
ABI_SIZE(struct endpoint, 68);

struct endpoint_key {
	__u32 vpc;
	struct ip_addr address;
};
ABI_SIZE(struct endpoint_key, 20);

/* The node itself: one entry, index 0 of `node`. */
struct node {
	struct ip_addr v4; /* the underlay address: what comes for it is the node's own */
	struct ip_addr v6;
	__u32 uplink_ifindex;
	__u32 host_endpoint;  /* id */
	__u32 tunnel_ifindex; /* the VXLAN device; 0: none */
	__u32 uplink_mtu;
	__u8 uplink_mac[6];
	__u8 flags; /* enum node_flags */
	__u8 spare;
};
ABI_SIZE(struct node, 56);

enum node_flags {
	/* The hooks write and open the tunnel's packets themselves (lib/wrap.h). Not where IPsec has a say in them. */
	NODE_WRAPS = 1 << 0,
};

ABI_END

#endif
