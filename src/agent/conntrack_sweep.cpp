#include "agent/conntrack_sweep.h"

namespace weft::agent {

bool is_expired(const abi::ct_key& key, const abi::ct_entry& entry, uint64_t now_s) {
    // A packet on another CPU may have stamped it after `now_s` was read.
    return entry.last_seen_s < now_s && now_s - entry.last_seen_s > abi::ct_idle_max_s(key.protocol, entry.state);
}

Result<Swept> sweep(kernel::Map<abi::ct_key, abi::ct_entry>& map, uint64_t now_s) {
    const auto entries = TRY(map.all());
    std::vector<abi::ct_key> expired;
    for (const auto& [key, entry] : entries) {
        if (!is_expired(key, entry, now_s)) continue;
        const auto again = TRY(map.lookup(key));
        if (again && is_expired(key, *again, now_s)) expired.push_back(key);
    }
    TRY(map.erase_all(expired));
    return Swept{expired.size(), entries.size() - expired.size()};
}

}  // namespace weft::agent
