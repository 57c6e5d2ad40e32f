// Conntrack sweep: takes away entries that are older than their state allows, which the data plane already treats as
// absent, and counts anew what each endpoint and each VPC holds: the data plane counts as it goes, but knows
// nothing of what we take away. A thread of its own: the maps are large, and only the kernel and this sweep write them.
// Source: bpf/abi/conntrack.h.
#pragma once
#include <cstdint>

#include "base/result.h"
#include "kernel/bpf_map.h"

namespace weft::agent {

bool is_expired(const abi::ct_key& key, const abi::ct_entry& entry, uint64_t now_s);

struct Swept {
    size_t expired = 0;
    size_t left = 0;
    std::map<uint32_t, int64_t> held;      // connections that are left, by owner
    std::map<uint32_t, int64_t> vpc_held;  // rows that are left, by the owner's VPC
};
// `now_s` is abi::now_s(). An entry that was refreshed meanwhile is looked at again before it goes.
Result<Swept> sweep(kernel::Map<abi::ct_key, abi::ct_entry>& map, uint64_t now_s);
// Connections made between the count and the write are missed until the next sweep: quotas err on the open side.
Status recount(kernel::Map<uint32_t, __s64>& held, const std::map<uint32_t, int64_t>& counted);

}  // namespace weft::agent
