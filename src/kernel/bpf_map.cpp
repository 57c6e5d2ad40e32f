#include "kernel/bpf_map.h"

#include <bpf/bpf.h>

#include <cerrno>

namespace weft::kernel {

Result<bool> RawMap::lookup(const void* key, void* value) const {
    if (bpf_map_lookup_elem(fd_.get(), key, value) == 0) return true;
    if (errno == ENOENT) return false;
    return fail_errno("look up in map " + name_);
}

Status RawMap::put(const void* keys, const void* values, uint32_t count) {
    const auto* key = static_cast<const char*>(keys);
    const auto* value = static_cast<const char*>(values);
    // A single entry goes the short way: a batch copies through buffers of its own.
    if (count == 1) {
        if (bpf_map_update_elem(fd_.get(), key, value, BPF_ANY) == 0) return {};
        return fail_errno("put into map " + name_);
    }
    for (uint32_t done = 0; done < count;) {
        uint32_t batch = std::min(count - done, map_batch_max);
        if (bpf_map_update_batch(fd_.get(), key + done * key_bytes_, value + done * value_bytes_, &batch, nullptr) !=
            0) {
            return fail_errno("put into map " + name_);
        }
        done += batch;
    }
    return {};
}

Status RawMap::erase(const void* keys, uint32_t count) {
    const auto* key = static_cast<const char*>(keys);
    for (uint32_t done = 0; done < count;) {
        uint32_t batch = std::min(count - done, map_batch_max);
        if (count > 1 && bpf_map_delete_batch(fd_.get(), key + done * key_bytes_, &batch, nullptr) == 0) {
            done += batch;
            continue;
        }
        // A batch stops at a key that is not there: from here one by one, up to and over it.
        if (count > 1 && errno == ENOENT) done += batch;
        if (done >= count) break;
        if (bpf_map_delete_elem(fd_.get(), key + done * key_bytes_) != 0 && errno != ENOENT) {
            return fail_errno("erase from map " + name_);
        }
        ++done;
    }
    return {};
}

Status RawMap::for_each(const std::function<void(const void* key, const void* value)>& visit) const {
    std::vector<char> keys(map_batch_max * key_bytes_);
    std::vector<char> values(map_batch_max * value_bytes_);
    // Where to go on: a bucket number or a key, the kernel's business.
    std::vector<char> token(std::max(key_bytes_, sizeof(uint64_t)));
    for (bool first = true, last = false; !last; first = false) {
        uint32_t count = map_batch_max;
        const int error = bpf_map_lookup_batch(fd_.get(), first ? nullptr : token.data(), token.data(), keys.data(),
                                               values.data(), &count, nullptr);
        last = error != 0;
        if (last && errno != ENOENT) return fail_errno("list map " + name_);
        for (uint32_t i = 0; i < count; ++i) visit(keys.data() + i * key_bytes_, values.data() + i * value_bytes_);
    }
    return {};
}

uint64_t NodeMaps::writes() const {
    return attachments->writes() + netns->writes() + endpoint->writes() + endpoints->writes() + routes->writes() +
           locations->writes() + nodes->writes() + frontends->writes() + slots->writes() + backends->writes() +
           source_ranges->writes() + vpc_limits->writes() + node->writes();
}

Result<std::vector<DropCount>> read_drops(const NodeMaps& maps) {
    std::vector<DropCount> counts;
    for (uint32_t hook = 0; hook < abi::HOOKS; ++hook) {
        for (uint32_t reason = 1; reason < abi::DROP_REASONS; ++reason) {
            DropCount count{abi::hook(hook), abi::drop_reason(reason)};
            for (const abi::drop_counter& cpu : TRY(maps.drops->lookup(abi::drop_index(hook, reason)))) {
                count.packets += cpu.packets;
                count.bytes += cpu.bytes;
            }
            if (count.packets != 0) counts.push_back(count);
        }
    }
    return counts;
}

}  // namespace weft::kernel

namespace weft::abi {
namespace {

// NO_BACKEND → no_backend, once.
template <size_t N>
std::array<std::string, N> lower_case(const std::array<const char*, N>& names) {
    std::array<std::string, N> out;
    for (size_t i = 0; i < N; ++i) {
        for (const char* c = names[i]; *c != 0; ++c) out[i] += *c >= 'A' && *c <= 'Z' ? char(*c - 'A' + 'a') : *c;
    }
    return out;
}

}  // namespace

std::string_view drop_reason_name(uint32_t reason) {
#define X(name, text, next) , #name
    static const auto names = lower_case(std::array<const char*, DROP_REASONS>{"" WEFT_DROP_REASONS(X)});
#undef X
    return reason < names.size() ? std::string_view(names[reason]) : std::string_view();
}

std::string_view drop_reason_text(uint32_t reason) {
#define X(name, text, next) , text
    static constexpr std::array<std::string_view, DROP_REASONS> texts{"" WEFT_DROP_REASONS(X)};
#undef X
    return reason < texts.size() ? texts[reason] : std::string_view();
}

std::string_view drop_reason_next(uint32_t reason) {
#define X(name, text, next) , next
    static constexpr std::array<std::string_view, DROP_REASONS> nexts{"" WEFT_DROP_REASONS(X)};
#undef X
    return reason < nexts.size() ? nexts[reason] : std::string_view();
}

std::string_view hook_name(uint32_t hook) {
#define X(name) #name,
    static const auto names = lower_case(std::array<const char*, HOOKS>{WEFT_HOOKS(X)});
#undef X
    return hook < names.size() ? std::string_view(names[hook]) : std::string_view();
}

}  // namespace weft::abi
