/* Session affinity and source ranges: what a frontend asks about the client, for packets and for sockets alike.
 *
 * A client is remembered with its backend when it makes a new connection; it goes there again while that backend is in
 * the list and it was not away for longer than the Service allows, counted from its last packet (remember.h), or from its
 * last connection where that was translated at the socket. Source: spec of sessionAffinity: ClientIP.
 */
#ifndef WEFT_LIB_AFFINITY_H
#define WEFT_LIB_AFFINITY_H

#include <stdbool.h>
#include <bpf/bpf_endian.h>

#include "lib/maps.h"

/* The id of the backend that this client shall go to again; 0: choose. */
static __always_inline __u32 affinity_of(const struct affinity_key *key, __u32 idle_max_s, __u32 now)
{
	const struct affinity *known = bpf_map_lookup_elem(MAP(affinity), key);

	if (!known || (__s32)(now - known->seen_s) > (__s32)idle_max_s)
		return 0;
	const __u32 id = known->id;
	const struct backend *backend = bpf_map_lookup_elem(MAP(backends), &id);

	if (!backend || backend->vpc != known->backend.vpc || backend->port != known->backend.port ||
	    backend->protocol != known->backend.protocol ||
	    backend->address.word[3] != known->backend.address.word[3] ||
	    backend->address.word[2] != known->backend.address.word[2] ||
	    backend->address.word[1] != known->backend.address.word[1] ||
	    backend->address.word[0] != known->backend.address.word[0])
		return 0;
	return id;
}

static __always_inline void affinity_keep(const struct affinity_key *key, __u32 id, __u32 now)
{
	const struct backend *backend = bpf_map_lookup_elem(MAP(backends), &id);

	if (!backend)
		return;
	const struct affinity entry = { .backend = *backend, .id = id, .seen_s = now };

	bpf_map_update_elem(MAP(affinity), key, &entry, BPF_ANY); /* a full LRU forgets another client */
}

/* The value of a row is its prefix length in 128 bits: an IPv6 range that is wide enough to cover the mapped addresses
 * does not speak of IPv4. */
static __always_inline bool is_in_source_ranges(__u32 service, const struct ip_addr *source)
{
	const struct source_range_key key = {
		.prefix_bits = SOURCE_RANGE_BITS + 128,
		.service = service,
		.address = *source,
	};
	const __u32 *bits = bpf_map_lookup_elem(MAP(source_ranges), &key);
	const bool is_v4 = !source->word[0] && !source->word[1] && source->word[2] == bpf_htonl(0xffff);

	return bits && (!is_v4 || *bits >= 96);
}

#endif
