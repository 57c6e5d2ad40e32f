/* The maps of abi/maps.h as BPF definitions, pinned by name. MAP(endpoints) is the address of one.
 *
 * Each hook file defines all of them: libbpf joins them by their pins, so every program sees the same maps.
 */
#ifndef WEFT_LIB_MAPS_H
#define WEFT_LIB_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/maps.h"

#define X(row, map_type, map_key, map_value, entries, flags) \
	struct {                                             \
		__uint(type, BPF_MAP_TYPE_##map_type);       \
		__uint(max_entries, entries);                \
		__uint(map_flags, flags);                    \
		__uint(pinning, LIBBPF_PIN_BY_NAME);         \
		__type(key, map_key);                        \
		__type(value, map_value);                    \
	} WEFT_MAP_NAME(row) SEC(".maps");
WEFT_MAPS(X)
#undef X

#define MAP(row) (&WEFT_MAP_NAME(row))

#endif
