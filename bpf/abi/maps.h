/* Maps: the one list of what the data plane remembers. BPF expands it to map definitions (lib/maps.h), C++ to typed
 * members (src/kernel/bpf_map.h). Pinned by name, the ABI version in the name.
 *
 * X(name, type, key, value, entries, flags). Kernel-owned maps (written by BPF, not by the agent's reconcilers) are
 * affinity, ct_*, fragments, drops; all others have one writer, the agent (which also sweeps ct_*, recounts ct_held, ct_vpc_held).
 * BPF_F_NO_PREALLOC where a node rarely comes near the limit: the memory is then what is used.
 */
#ifndef WEFT_ABI_MAPS_H
#define WEFT_ABI_MAPS_H

#include "abi/conntrack.h"
#include "abi/drop_reasons.h"
#include "abi/endpoint.h"
#include "abi/limits.h"
#include "abi/location.h"
#include "abi/route.h"
#include "abi/service.h"
#include "abi/tunnel.h"

/* clang-format off */
#define WEFT_MAPS(X)                                                                                               \
	X(attachments,    HASH,         __u32,               __u32,               ENDPOINTS_MAX,          BPF_F_NO_PREALLOC) \
	X(netns,          HASH,         __u64,               __u32,               ENDPOINTS_MAX,          BPF_F_NO_PREALLOC) \
	X(endpoint,       HASH,         __u32,               struct endpoint,     ENDPOINTS_MAX,          BPF_F_NO_PREALLOC) \
	X(endpoints,      HASH,         struct endpoint_key, __u32,               ENDPOINT_ADDRESSES_MAX, BPF_F_NO_PREALLOC) \
	X(routes,         LPM_TRIE,     struct route_key,    struct route,        ROUTES_MAX,             BPF_F_NO_PREALLOC) \
	X(locations,      LPM_TRIE,     struct location_key, __u32,               LOCATIONS_MAX,          BPF_F_NO_PREALLOC) \
	X(nodes,          HASH,         __u32,               struct remote_node,  NODES_MAX,              BPF_F_NO_PREALLOC) \
	X(frontends,      HASH,         struct frontend_key, struct frontend,     FRONTENDS_MAX,          BPF_F_NO_PREALLOC) \
	X(slots,          HASH,         struct slot_key,     __u32,               SLOTS_MAX,              BPF_F_NO_PREALLOC) \
	X(backends,       HASH,         __u32,               struct backend,      BACKENDS_MAX,           BPF_F_NO_PREALLOC) \
	X(source_ranges,  LPM_TRIE,     struct source_range_key, __u32,           SOURCE_RANGES_MAX,      BPF_F_NO_PREALLOC) \
	X(affinity,       LRU_HASH,     struct affinity_key, struct affinity,     AFFINITY_MAX,           0)                 \
	X(node,           ARRAY,        __u32,               struct node,         1,                      0)                 \
	X(ct_established, HASH,         struct ct_key,       struct ct_entry,     CT_ESTABLISHED_MAX,     BPF_F_NO_PREALLOC) \
	X(ct_half_open,   LRU_HASH,     struct ct_key,       struct ct_entry,     CT_HALF_OPEN_MAX,       0)                 \
	X(ct_ring,        ARRAY,        __u32,               struct ct_key,       CT_RING_MAX,            0)                 \
	X(ct_hand,        ARRAY,        __u32,               __u64,               1,                      0)                 \
	X(vpc_limits,     HASH,         __u32,               struct vpc_limits,   VPCS_MAX,               BPF_F_NO_PREALLOC) \
	X(ct_vpc_held,    HASH,         __u32,               __s64,               VPCS_MAX,               BPF_F_NO_PREALLOC) \
	X(ct_held,        ARRAY,        __u32,               __s64,               ENDPOINTS_MAX,          0)                 \
	X(fragments,      LRU_HASH,     struct fragment_key, struct fragment,     FRAGMENTED_MAX,         0)                 \
	X(drops,          PERCPU_ARRAY, __u32,               struct drop_counter, HOOKS * DROP_REASONS_MAX, 0)
/* clang-format on */

/* attachments_v2 and so on: the name of the pin, and (its first 15 letters) what `bpftool map` shows. */
#define WEFT_MAP_NAME__(name, version) name##_v##version
#define WEFT_MAP_NAME_(name, version) WEFT_MAP_NAME__(name, version)
#define WEFT_MAP_NAME(name) WEFT_MAP_NAME_(name, ABI_VERSION)

#endif
