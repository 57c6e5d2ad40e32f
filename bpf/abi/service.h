/* Service: frontends (vpc, address, port, protocol) → slots (service, slot) → backends (id).
 *
 * A `service` here is one port of one Service, seen from one side: its number names a list of slots. A public address
 * has its rows in VPC 0 and in its owner's VPC. Each address also has a row with port 0 and protocol 0
 * (FRONTEND_ADDRESS): "this address is ours", from which the uplink answers ARP and unlisted ports are rejected.
 * Order of writing: backends, slots, frontends; on removal the other way round. A flow over UDP moves to another
 * backend when its own leaves `backends`; a TCP connection stays.
 */
#ifndef WEFT_ABI_SERVICE_H
#define WEFT_ABI_SERVICE_H

#include "abi/types.h"

ABI_BEGIN

enum frontend_flags {
	FRONTEND_ADDRESS = 1 << 0, /* the row with port 0 */
	/* Served by the service endpoint of `vpc` on this node: delivered untranslated to endpoints[vpc, address]. */
	FRONTEND_LOCAL = 1 << 1,
};

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
};
ABI_SIZE(struct frontend, 16);

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
