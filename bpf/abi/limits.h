/* Limits of one node's data plane: each has a name, and a named failure when it is reached. */
#ifndef WEFT_ABI_LIMITS_H
#define WEFT_ABI_LIMITS_H

/* Map sizes, in entries. A full map refuses the write (exhausted); full conntrack is DROP_CT_FULL. */
#define ENDPOINTS_MAX 4096	       /* pods, service endpoints and the host of one node */
#define ENDPOINT_ADDRESSES_MAX 32768   /* two families each, and the local addresses of service endpoints */
#define ROUTES_MAX 16384
#define LOCATIONS_MAX 65536	       /* AddressBlocks of other nodes, and single addresses */
#define NODES_MAX 4096
#define FRONTENDS_MAX 65536
#define SLOTS_MAX 262144
#define BACKENDS_MAX 65536
#define SOURCE_RANGES_MAX 65536
#define AFFINITY_MAX 65536	       /* LRU: clients that are remembered for sessionAffinity */
#define CT_ESTABLISHED_MAX 262144
#define CT_HALF_OPEN_MAX 65536	       /* LRU: a flood evicts other half-open entries, never an established one */

/* Established connections of one endpoint, unless its `ct_quota` says so. */
#define CT_ENDPOINT_QUOTA (CT_ESTABLISHED_MAX / 4)
/* Established rows of one VPC, unless `vpc_limits` says so. A connection translated per packet has two. */
#define CT_VPC_QUOTA (CT_ESTABLISHED_MAX / 2)
#define VPCS_MAX 4096		       /* of one node */
/* Keys of established rows, for the hand that looks for expired ones: more than rows, so that a free place is near. */
#define CT_RING_MAX (CT_ESTABLISHED_MAX / 4 * 5)
#define CT_CLAIM_TRIES 16	       /* places looked at for each new established row */
#define CT_RECLAIM_TRIES 32	       /* and when the map is full, or an endpoint at its quota */

#define IPV6_EXTENSIONS_MAX 4	       /* extension headers of a packet that are passed over (RFC 8200 §4.1) */
#define IPV6_L4_OFFSET_MAX 200	       /* and where in the frame what follows them may begin */

#define FRAGMENTED_MAX 16384	       /* LRU: datagrams in pieces at one time */
#define FRAGMENTED_S 30		       /* RFC 791 §3.2: later pieces may come this long after the first */

/* How often translate looks for another backend when a reply tuple is taken by another connection. */
#define TUPLE_TRIES 8

/* Idle times of conntrack, in seconds. RFC 5382 §5 asks for at least 2 h 4 min and 4 min, RFC 4787 §4.3 for 2 min. */
#define CT_HALF_OPEN_S 30
#define CT_TCP_ESTABLISHED_S 7440
#define CT_TCP_CLOSING_S 60
#define CT_TCP_SPENT_S 2 /* of a closed connection: after this its row goes first when room is wanted */
#define CT_UDP_S 180
#define CT_ICMP_S 30

#endif
