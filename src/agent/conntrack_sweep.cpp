#include "agent/conntrack_sweep.h"

#include <set>

namespace weft::agent {

bool is_expired(const abi::ct_key& key, const abi::ct_entry& entry, uint64_t now_s) {
    // A packet on another CPU may have stamped it after `now_s` was read.
    return entry.last_seen_s < now_s && now_s - entry.last_seen_s > abi::ct_idle_max_s(key.protocol, entry.state);
}

Result<Swept> sweep(kernel::Map<abi::ct_key, abi::ct_entry>& map, uint64_t now_s) {
    const auto entries = TRY(map.all());
    std::vector<abi::ct_key> expired;
    Swept swept;
    for (const auto& [key, entry] : entries) {
        if (is_expired(key, entry, now_s)) {
            const auto again = TRY(map.lookup(key));
            if (!again) continue;
            if (is_expired(key, *again, now_s)) {
                expired.push_back(key);
                continue;
            }
        }
        ++swept.left;
        if ((entry.flags & abi::CT_TRANSLATION_ROW) == 0) ++swept.held[entry.owner];
        ++swept.vpc_held[entry.owner_vpc];
    }
    TRY(map.erase_all(expired));
    swept.expired = expired.size();
    return swept;
}

Status recount(kernel::Map<uint32_t, __s64>& held, const std::map<uint32_t, int64_t>& counted) {
    std::vector<std::pair<uint32_t, __s64>> different;
    std::set<uint32_t> known;
    for (const auto& [owner, have] : TRY(held.all())) {
        const auto found = counted.find(owner);
        const __s64 want = found == counted.end() ? 0 : found->second;
        if (have != want) different.emplace_back(owner, want);
        known.insert(owner);
    }
    for (const auto& [owner, want] : counted)
        if (!known.contains(owner)) different.emplace_back(owner, want);
    return held.put_all(different);
}

}  // namespace weft::agent
