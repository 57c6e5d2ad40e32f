#include "kernel/rehearsal.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>
#include <set>

#include <skel/pod_egress.skel.h>

#include "kernel/test_run.h"

namespace weft::kernel {
namespace {

// Written by the agent only: the program reads the node's own. Every other map is copied, so that one that is new to us
// stays untouched too.
const std::set<std::string_view> shared_maps = {"attachments", "netns", "endpoint", "endpoints", "routes", "locations", "nodes",
                                                "frontends",   "slots", "backends", "node"};

// A new array is all zero: most of a large one need not be written.
template <class K, class V>
Status copy_rows(const Map<K, V>& from, Map<K, V>& to, bool is_array) {
    const V zero{};
    std::vector<std::pair<K, V>> list;
    for (const auto& row : TRY(from.all()))
        if (!is_array || std::memcmp(&row.second, &zero, sizeof(V)) != 0) list.emplace_back(row.first, row.second);
    return list.empty() ? Status() : to.put_all(list);
}

template <class K, class V>
Status copy_rows(const CountersMap<K, V>&, CountersMap<K, V>&, bool) {
    return {};  // counters begin at zero
}

std::map<abi::ct_key, abi::ct_entry> all_of(const NodeMaps& maps) {
    std::map<abi::ct_key, abi::ct_entry> rows;
    for (const auto* map : {maps.ct_half_open.get(), maps.ct_established.get()})
        if (auto some = map->all()) rows.merge(*some);
    return rows;
}

}  // namespace

struct Rehearsal::Copy {
    std::unique_ptr<pod_egress_bpf, void (*)(pod_egress_bpf*)> skeleton{nullptr, pod_egress_bpf__destroy};
    NodeMaps maps;  // those the second instance writes
};

Rehearsal::Rehearsal() : copy_(std::make_unique<Copy>()) {}

Rehearsal::Rehearsal(Rehearsal&&) noexcept = default;
Rehearsal::~Rehearsal() = default;

Result<Rehearsal> Rehearsal::open(const std::string& bpf_dir) {
    Rehearsal rehearsal;
    rehearsal.maps_ = TRY(open_pinned_maps(bpf_dir));
    bpf_object_open_opts options{};
    options.sz = sizeof(options);
    Copy& copy = *rehearsal.copy_;
    copy.skeleton.reset(pod_egress_bpf__open_opts(&options));
    if (!copy.skeleton) return fail_errno("open pod_egress");
    for (const std::string& name : pinned_map_names()) {
        bpf_map* map = bpf_object__find_map_by_name(copy.skeleton->obj, name.c_str());
        if (map == nullptr) continue;
        bpf_map__set_pin_path(map, nullptr);
        if (!shared_maps.contains(std::string_view(name).substr(0, name.rfind("_v")))) continue;
        const Fd pinned(bpf_obj_get((bpf_dir + "/" + name).c_str()));
        if (!pinned) return fail_errno("open map " + bpf_dir + "/" + name);
        if (const int error = bpf_map__reuse_fd(map, pinned.get()))
            return fail(errno_error(-error, "reuse map " + name));
    }
    if (const int error = pod_egress_bpf__load(copy.skeleton.get()))
        return fail(errno_error(-error, "load pod_egress"));
    copy.maps = TRY(maps_of_object(copy.skeleton->obj));
#define X(row, type, key, value, entries, flags) \
    if (!shared_maps.contains(#row))             \
        TRY(copy_rows(*rehearsal.maps_.row, *copy.maps.row, std::string_view(#type) == "ARRAY"));
    WEFT_MAPS(X)
#undef X
    bpf_prog_info info{};
    uint32_t bytes = sizeof(info);
    if (bpf_obj_get_info_by_fd(bpf_program__fd(copy.skeleton->progs.pod_egress), &info, &bytes) != 0)
        return fail_errno("program info");
    std::copy(std::begin(info.tag), std::end(info.tag), rehearsal.tag_.begin());
    const Fd pinned(bpf_obj_get((bpf_dir + "/program/pod_egress").c_str()));
    bpf_prog_info running{};
    bytes = sizeof(running);
    rehearsal.is_the_running_program_ = pinned && bpf_obj_get_info_by_fd(pinned.get(), &running, &bytes) == 0 &&
                                        std::equal(std::begin(info.tag), std::end(info.tag), std::begin(running.tag));
    return rehearsal;
}

Result<Rehearsed> Rehearsal::run(const Netns& netns, int ifindex, const net::Bytes& frame) {
    const auto before = all_of(copy_->maps);
    const auto counted = TRY(read_drops(copy_->maps));
    Rehearsed seen;
    TestRun run = TRY(netns.run([&]() -> Result<TestRun> {
        return test_run(bpf_program__fd(copy_->skeleton->progs.pod_egress), ifindex, frame);
    }));
    seen.action = run.action;
    seen.frame = std::move(run.frame);
    for (const DropCount& now : TRY(read_drops(copy_->maps))) {
        uint64_t earlier = 0;
        for (const DropCount& then : counted)
            if (then.hook == now.hook && then.reason == now.reason) earlier = then.packets;
        if (now.packets != earlier) seen.reason = now.reason;
    }
    for (const auto& [key, entry] : all_of(copy_->maps)) {
        const auto known = before.find(key);
        if (known == before.end() || !(known->second == entry)) seen.rows.emplace(key, entry);
    }
    return seen;
}

}  // namespace weft::kernel
