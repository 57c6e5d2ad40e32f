// Tables: the data plane's maps as the brain knows them. A Table is one map with a copy of its rows, read once at
// start; after that the agent is the only writer, so comparing with the copy is comparing with the kernel. Putting what
// is there already and erasing what is not costs nothing and writes nothing: that is how a restart leaves the maps
// alone.
//
// Errors: from the map, naming it; a failed write reads the rows again, so the copy never lies. Threads: the brain's.
#pragma once
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "kernel/bpf_map.h"

namespace weft::agent {

inline metrics::Counter& map_writes() {
    static metrics::Counter& counter = metrics::counter(
        "weft_map_writes_total", {}, "Rows that the agent put into or erased from the data plane's maps.");
    return counter;
}

template <class K, class V>
class Table {
public:
    using Entry = std::pair<K, V>;

    explicit Table(kernel::Map<K, V>& map) : map_(map) {}

    Status load() {
        rows_ = TRY(map_.all());
        return {};
    }

    const std::map<K, V>& rows() const { return rows_; }

    const V* find(const K& key) const {
        const auto found = rows_.find(key);
        return found == rows_.end() ? nullptr : &found->second;
    }

    Status put_all(const std::vector<Entry>& entries) {
        std::vector<Entry> different;
        for (const auto& [key, value] : entries) {
            const V* have = find(key);
            if (have == nullptr || !(*have == value)) different.emplace_back(key, value);
        }
        if (different.empty()) return {};
        map_writes().add(different.size());
        TRY(checked(map_.put_all(different)));
        for (const auto& [key, value] : different) rows_.insert_or_assign(key, value);
        return {};
    }

    Status erase_all(const std::vector<K>& keys) {
        std::vector<K> present;
        for (const K& key : keys)
            if (find(key) != nullptr) present.push_back(key);
        if (present.empty()) return {};
        map_writes().add(present.size());
        TRY(checked(map_.erase_all(present)));
        for (const K& key : present) rows_.erase(key);
        return {};
    }

    Status put(const K& key, const V& value) { return put_all({{key, value}}); }

    Status erase(const K& key) { return erase_all({key}); }

    // Puts, then erases.
    Status apply(const Delta<K, V>& delta) {
        TRY(put_all(delta.puts));
        return erase_all(delta.deletes);
    }

private:
    Status checked(const Status& written) {
        if (!written) (void)load();
        return written;
    }

    kernel::Map<K, V>& map_;
    std::map<K, V> rows_;
};

// Those of bpf/abi/maps.h that the agent writes.
#define WEFT_AGENT_TABLES(X) \
    X(attachments) X(netns) X(endpoint) X(endpoints) X(routes) X(locations) X(nodes) X(frontends) X(slots) X(backends) X(source_ranges) X(vpc_limits) X(node)

struct Tables {
    explicit Tables(kernel::NodeMaps& all) : maps(all) {}

    Status load() {
#define X(row) TRY(row.load());
        WEFT_AGENT_TABLES(X)
#undef X
        return {};
    }

    kernel::NodeMaps& maps;

#define X(row) Table<abi::row##_map::Key, abi::row##_map::Value> row{*maps.row};
    WEFT_AGENT_TABLES(X)
#undef X
};

}  // namespace weft::agent
