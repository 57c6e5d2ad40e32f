// FakeMap: a Map in memory, with the kernel's manners (a full map refuses), for tests that need no privilege.
#pragma once
#include "kernel/bpf_map.h"

namespace weft::kernel {

template <class K, class V>
class FakeMap final : public Map<K, V> {
public:
    using Entry = typename Map<K, V>::Entry;

    explicit FakeMap(size_t entries_max = 1 << 20) : entries_max_(entries_max) {}

    Result<std::optional<V>> lookup(const K& key) const override {
        const auto found = entries.find(key);
        if (found == entries.end()) return std::nullopt;
        return found->second;
    }

    Status put_all(std::span<const Entry> all) override {
        for (const auto& [key, value] : all) {
            if (failure) return fail(*failure);
            if (!entries.contains(key) && entries.size() >= entries_max_) return fail(Code::exhausted, "map is full");
            entries.insert_or_assign(key, value);
            ++this->writes_;
        }
        return {};
    }

    Status erase_all(std::span<const K> keys) override {
        for (const K& key : keys) {
            if (failure) return fail(*failure);
            entries.erase(key);
            ++this->writes_;
        }
        return {};
    }

    Result<std::map<K, V>> all() const override { return entries; }

    std::map<K, V> entries;
    std::optional<Error> failure;  // every write fails with this while it is set

private:
    size_t entries_max_;
};

template <class K, class V>
class FakeCountersMap final : public CountersMap<K, V> {
public:
    Result<std::vector<V>> lookup(const K& key) const override {
        const auto found = entries.find(key);
        return found == entries.end() ? std::vector<V>{V{}} : std::vector<V>{found->second};
    }

    std::map<K, V> entries;
};

template <class K, class V>
auto make_fake(Map<K, V>*, size_t entries_max) {
    return std::make_unique<FakeMap<K, V>>(entries_max);
}

template <class K, class V>
auto make_fake(CountersMap<K, V>*, size_t) {
    return std::make_unique<FakeCountersMap<K, V>>();
}

// All maps of a node, empty.
inline NodeMaps fake_node_maps() {
    NodeMaps maps;
#define X(row, type, key, value, entries, flags) maps.row = make_fake(maps.row.get(), abi::row##_map::entries_max);
    WEFT_MAPS(X)
#undef X
    return maps;
}

}  // namespace weft::kernel
