/* Service: frontends (vpc, address, port, protocol) → slots (service, slot) → backends (id).
 *
 * A `service` here is one port of one Service, seen from one side: its number names a list of slots. A public address
 * has its rows in VPC 0 and in its owner's VPC. Each address also has a row with port 0 and protocol 0
 * (FRONTEND_ADDRESS): "this address is ours", from which the uplink answers ARP and unlisted ports are rejected.
 * A row (VPC 0, address, port 0, protocol FRONTEND_ANNOUNCED) says that this node, of all that have the address, is the one
 * that answers ARP and neighbour discovery for it on the wire; packets for it are taken either way.
 * A nodePort is a row of the node's own address, without a row of port 0: the other ports are the node's business.
 * Order of writing: backends, slots, source ranges, frontends; on removal the other way round. A flow over UDP moves to
 * another backend when its own leaves `backends`; a TCP connection stays.
 */
#ifndef WEFT_ABI_SERVICE_H
#define WEFT_ABI_SERVICE_H

#include "abi/types.h"

ABI_BEGIN

enum frontend_flags {
	FRONTEND_ADDRESS = 1 << 0, /* the row with port 0 */
	/* Served by the service endpoint of `vpc` on this node: delivered untranslated to endpoints[vpc, address]. */
	FRONTEND_LOCAL = 1 << 1,
	/* No slots, but endpoints on other nodes: dropped, not refused, so that whoever spreads over nodes tries on. */
	FRONTEND_NONE_HERE = 1 << 2,
	/* Only for sources in `source_ranges` of this service; none there: for nobody. The host is exempt. */
	FRONTEND_SOURCE_RANGES = 1 << 3,
};

#define FRONTEND_ANNOUNCED 255

struct frontend_key {
	__u32 vpc;
	struct ip_addr address;
	__be16 port;
	__u8 protocol; /* IP protocol number */
	__u8 spare;
};
ABI_SIZE(struct frontend_key, 24);

struct frontend {
	__u32 service;
	__u32 slots; /* 0: no endpoint, rejected at once */
	__u32 flags;
	__u32 vpc;   /* the owner's */
	__u32 affinity_s; /* a client goes where it went, unless it was away for longer; 0: no affinity */
};
ABI_SIZE(struct frontend, 20);

struct slot_key {
	__u32 service;
	__u32 slot; /* 0 .. slots-1 */
};
ABI_SIZE(struct slot_key, 8);

struct backend {
	__u32 vpc;
	struct ip_addr address;
	__be16 port;
	__u8 protocol;
	__u8 spare;
};
ABI_SIZE(struct backend, 24);

/* Prefixes that a frontend with FRONTEND_SOURCE_RANGES is open to. prefix_bits counts the service, as in route.h. */
#define SOURCE_RANGE_BITS 32

struct source_range_key {
	__u32 prefix_bits;
	__u32 service;
	struct ip_addr address;
};
ABI_SIZE(struct source_range_key, 24);

/* Where a client of a Service with sessionAffinity goes. Kernel-owned; the backend is kept too: ids may come again. */
struct affinity_key {
	__u32 vpc; /* the client's */
	__u32 service;
	struct ip_addr client;
};
ABI_SIZE(struct affinity_key, 24);

struct affinity {
	struct backend backend;
	__u32 id;
	__u32 seen_s; /* abi/conntrack.h, of its last packet or new connection */
};
ABI_SIZE(struct affinity, 32);

/* What a socket asked for before connect() was translated; getpeername() shows it. Socket storage, kernel-owned. */
struct peer_name {
	struct ip_addr asked_address;
	struct ip_addr backend_address;
	__be16 asked_port;
	__be16 backend_port;
};
ABI_SIZE(struct peer_name, 36);

ABI_END

#endif
