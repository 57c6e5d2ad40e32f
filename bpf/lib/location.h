/* On which node is an address that is not here? abi/location.h.
 *
 * A VPC's own rows are asked first; the neighbours' addresses (100.64.0.0/10, fd77:6566:7400::/96) are the same in every
 * VPC and have one row each.
 */
#ifndef WEFT_LIB_LOCATION_H
#define WEFT_LIB_LOCATION_H

#include "lib/packet.h"

static __always_inline bool addr_is_neighbour(const struct ip_addr *a)
{
	return addr_is_identity(a) || (a->word[0] == bpf_htonl(IDENTITY_V6_0) && a->word[1] == bpf_htonl(IDENTITY_V6_1));
}

/* Node id, 0: nowhere. */
static __always_inline __u32 location_of(__u32 vpc, const struct ip_addr *address)
{
	const struct location_key key = {
		.prefix_bits = LOCATION_VPC_BITS + 128,
		.vpc = addr_is_neighbour(address) ? LOCATION_EVERY_VPC : vpc,
		.address = *address,
	};
	const __u32 *id = bpf_map_lookup_elem(MAP(locations), &key);

	return id ? *id : 0;
}

/* The way to that node, written into the packet; false: the agent has taken the node away. */
static __always_inline bool head_for(struct packet *p, __u32 id)
{
	const struct remote_node *node = bpf_map_lookup_elem(MAP(nodes), &id);

	if (!node)
		return false;
	p->to_node = id;
	p->to_underlay = bpf_ntohl(node->underlay.word[3]);
	p->to_mtu = node->mtu;
	p->to_node_flags = node->flags;
	return true;
}

/* How a tunnel frame names an address. */
static __always_inline __be32 short_name(const struct ip_addr *a)
{
	if (addr_is_v4(a))
		return a->word[3];
	return bpf_htonl(SHORT_IPV6(bpf_ntohl(a->word[1]), bpf_ntohl(a->word[3])));
}

/* The local endpoint with this name, 0: nobody. */
static __always_inline __u32 endpoint_id_named(__u32 vpc, __be32 name, bool v4)
{
	const struct ip_addr key = { .word = { 0, 0, bpf_htonl(v4 ? 0xffff : SHORT_IPV6_MARK), name } };

	return endpoint_id_at(vpc, &key);
}

#endif
