// Map<K, V>: one map of the data plane, seen from user space. KernelMap is the real one, FakeMap (bpf_map_fake.h) is
// for tests of the brain. NodeMaps holds one member for each row of bpf/abi/maps.h.
//
// Writes go in batches: one syscall for many entries, in the order given. writes() counts entries that were put or
// erased, so a test can say "a restart with unchanged objects writes nothing". Errors: a full map → exhausted naming
// the map. Erasing what is not there is success. Threads: one writer (the brain); reads from any thread.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/delta.h"
#include "base/fd.h"
#include "base/result.h"
#include "kernel/abi.h"

namespace weft::kernel {

template <class K, class V>
class Map {
public:
    using Entry = std::pair<K, V>;

    virtual ~Map() = default;

    virtual Result<std::optional<V>> lookup(const K& key) const = 0;
    virtual Status put_all(std::span<const Entry> entries) = 0;  // adds or replaces
    virtual Status erase_all(std::span<const K> keys) = 0;
    virtual Result<std::map<K, V>> all() const = 0;  // consistent only while nobody else writes

    Status put(const K& key, const V& value) {
        const Entry entry{key, value};
        return put_all({&entry, 1});
    }

    Status erase(const K& key) { return erase_all({&key, 1}); }

    // Puts, then erases. A reconciler whose order matters calls put_all and erase_all itself.
    Status apply(const Delta<K, V>& delta) {
        TRY(put_all(delta.puts));
        return erase_all(delta.deletes);
    }

    uint64_t writes() const { return writes_; }

protected:
    uint64_t writes_ = 0;
};

// The untyped calls: one implementation for all shapes. Batches are cut into map_batch_max entries.
inline constexpr uint32_t map_batch_max = 4096;

class RawMap {
public:
    RawMap(Fd fd, std::string name, size_t key_bytes, size_t value_bytes)
        : fd_(std::move(fd)), name_(std::move(name)), key_bytes_(key_bytes), value_bytes_(value_bytes) {}

    int fd() const { return fd_.get(); }
    const std::string& name() const { return name_; }

    Result<bool> lookup(const void* key, void* value) const;  // false: not there
    Status put(const void* keys, const void* values, uint32_t count);
    Status erase(const void* keys, uint32_t count);
    // Calls visit(key, value) for every entry, in batches; visit may erase what it has seen.
    Status for_each(const std::function<void(const void* key, const void* value)>& visit) const;

private:
    Fd fd_;
    std::string name_;
    size_t key_bytes_;
    size_t value_bytes_;
};

template <class K, class V>
class KernelMap final : public Map<K, V> {
public:
    using Entry = typename Map<K, V>::Entry;

    KernelMap(Fd fd, std::string name) : raw_(std::move(fd), std::move(name), sizeof(K), sizeof(V)) {}

    Result<std::optional<V>> lookup(const K& key) const override {
        V value{};
        if (!TRY(raw_.lookup(&key, &value))) return std::nullopt;
        return value;
    }

    Status put_all(std::span<const Entry> entries) override {
        std::vector<K> keys;
        std::vector<V> values;
        keys.reserve(entries.size());
        values.reserve(entries.size());
        for (const auto& [key, value] : entries) {
            keys.push_back(key);
            values.push_back(value);
        }
        this->writes_ += entries.size();
        return raw_.put(keys.data(), values.data(), uint32_t(entries.size()));
    }

    Status erase_all(std::span<const K> keys) override {
        this->writes_ += keys.size();
        return raw_.erase(keys.data(), uint32_t(keys.size()));
    }

    Result<std::map<K, V>> all() const override {
        std::map<K, V> entries;
        TRY(raw_.for_each([&](const void* key, const void* value) {
            K k;
            V v;
            std::memcpy(&k, key, sizeof(K));
            std::memcpy(&v, value, sizeof(V));
            entries.emplace(k, v);
        }));
        return entries;
    }

    int fd() const { return raw_.fd(); }

private:
    RawMap raw_;
};

// A map with one value per CPU that only the kernel writes: read as a list.
template <class K, class V>
class CountersMap {
public:
    virtual ~CountersMap() = default;
    virtual Result<std::vector<V>> lookup(const K& key) const = 0;  // one per possible CPU; empty: no such key
};

template <class K, class V>
class KernelCountersMap final : public CountersMap<K, V> {
public:
    KernelCountersMap(Fd fd, std::string name, size_t cpus)
        : cpus_(cpus), raw_(std::move(fd), std::move(name), sizeof(K), sizeof(V) * cpus) {
        static_assert(sizeof(V) % 8 == 0, "the kernel rounds each CPU's value up to 8 bytes");
    }

    Result<std::vector<V>> lookup(const K& key) const override {
        std::vector<V> values(cpus_);
        if (!TRY(raw_.lookup(&key, values.data()))) values.clear();
        return values;
    }

    int fd() const { return raw_.fd(); }

private:
    size_t cpus_;
    RawMap raw_;
};

// What a row's type means here.
template <class K, class V>
using map_of_HASH = Map<K, V>;
template <class K, class V>
using map_of_LRU_HASH = Map<K, V>;
template <class K, class V>
using map_of_LPM_TRIE = Map<K, V>;
template <class K, class V>
using map_of_ARRAY = Map<K, V>;  // erase is refused
template <class K, class V>
using map_of_PERCPU_ARRAY = CountersMap<K, V>;

}  // namespace weft::kernel

namespace weft::abi {

// endpoints_map::Key, ::Value, ::name, ::entries_max: the row of the list, as a type.
#define X(row, type, key, value, entries, flags)                                       \
    struct row##_map {                                                                 \
        using Key = key;                                                               \
        using Value = value;                                                           \
        static constexpr std::string_view name = #row;                                 \
        static constexpr uint32_t entries_max = entries;                               \
    };
WEFT_MAPS(X)
#undef X

}  // namespace weft::abi

namespace weft::kernel {

struct NodeMaps {
#define X(row, type, key, value, entries, flags) \
    std::unique_ptr<map_of_##type<abi::row##_map::Key, abi::row##_map::Value>> row;
    WEFT_MAPS(X)
#undef X

    // Entries put or erased so far, of the maps that the agent owns.
    uint64_t writes() const;
};

// A drop counter that is not zero, summed over the CPUs.
struct DropCount {
    abi::hook hook;
    abi::drop_reason reason;
    uint64_t packets = 0;
    uint64_t bytes = 0;
};

Result<std::vector<DropCount>> read_drops(const NodeMaps& maps);

}  // namespace weft::kernel
