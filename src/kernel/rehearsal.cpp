#include "kernel/rehearsal.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>
#include <set>

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
    explicit Copy(bpf_object* opened) : object(opened, bpf_object__close) {}

    std::unique_ptr<bpf_object, void (*)(bpf_object*)> object;
    NodeMaps maps;  // those the second instance writes
    int program = -1;
};

Rehearsal::Rehearsal() = default;
Rehearsal::Rehearsal(Rehearsal&&) noexcept = default;
Rehearsal::~Rehearsal() = default;

namespace {

std::string hook_of(ProgramName program) {
    switch (program) {
        case ProgramName::tunnel_ingress:
            return "tunnel_ingress";
        case ProgramName::uplink_ingress:
            return "uplink_ingress";
        default:
            return "pod_egress";
    }
}

Status prepare_maps(bpf_object* object, const std::string& bpf_dir) {
    for (const std::string& name : pinned_map_names()) {
        bpf_map* map = bpf_object__find_map_by_name(object, name.c_str());
        if (map == nullptr) continue;
        bpf_map__set_pin_path(map, nullptr);
        if (!shared_maps.contains(std::string_view(name).substr(0, name.rfind("_v")))) continue;
        const Fd pinned(bpf_obj_get((bpf_dir + "/" + name).c_str()));
        if (!pinned) return fail_errno("open map " + bpf_dir + "/" + name);
        if (const int error = bpf_map__reuse_fd(map, pinned.get()))
            return fail(errno_error(-error, "reuse map " + name));
    }
    return {};
}

Result<ProgramTag> tag_of(int program) {
    bpf_prog_info info{};
    uint32_t bytes = sizeof(info);
    if (bpf_obj_get_info_by_fd(program, &info, &bytes) != 0) return fail_errno("program info");
    ProgramTag tag{};
    std::copy(std::begin(info.tag), std::end(info.tag), tag.begin());
    return tag;
}

}  // namespace

Result<Rehearsal> Rehearsal::open(const std::string& bpf_dir, ProgramName program) {
    const std::string hook = hook_of(program);
    const std::string rehearsed = program == ProgramName::tunnel_ingress ? "tunnel_rehearsal" : hook;
    Rehearsal rehearsal;
    rehearsal.maps_ = TRY(open_pinned_maps(bpf_dir));
    const std::span<const std::byte> elf = object_file(program);
    bpf_object_open_opts options{};
    options.sz = sizeof(options);
    options.object_name = hook.c_str();
    bpf_object* const opened = bpf_object__open_mem(elf.data(), elf.size(), &options);
    if (opened == nullptr) return fail_errno("open " + hook);
    rehearsal.copy_ = std::make_unique<Copy>(opened);
    Copy& copy = *rehearsal.copy_;
    TRY(prepare_maps(opened, bpf_dir));
    bpf_program* const run = bpf_object__find_program_by_name(opened, rehearsed.c_str());
    if (run == nullptr) return fail(Code::not_found, "no program " + rehearsed);
    bpf_program__set_autoload(run, true);
    if (const int error = bpf_object__load(opened)) return fail(errno_error(-error, "load " + hook));
    copy.program = bpf_program__fd(run);
    copy.maps = TRY(maps_of_object(opened));
#define X(row, type, key, value, entries, flags) \
    if (!shared_maps.contains(#row))             \
        TRY(copy_rows(*rehearsal.maps_.row, *copy.maps.row, std::string_view(#type) == "ARRAY"));
    WEFT_MAPS(X)
#undef X
    rehearsal.tag_ = TRY(tag_of(bpf_program__fd(bpf_object__find_program_by_name(opened, hook.c_str()))));
    const Fd pinned(bpf_obj_get((bpf_dir + "/program/" + hook).c_str()));
    const auto running = pinned ? tag_of(pinned.get()) : Result<ProgramTag>(fail(Code::not_found, hook));
    rehearsal.is_the_running_program_ = running && *running == rehearsal.tag_;
    return rehearsal;
}

Result<Rehearsed> Rehearsal::run(const Netns& netns, int ifindex, const net::Bytes& frame, const TestSkb& skb) {
    const auto before = all_of(copy_->maps);
    const auto counted = TRY(read_drops(copy_->maps));
    Rehearsed seen;
    TestRun run = TRY(netns.run([&]() -> Result<TestRun> { return test_run(copy_->program, ifindex, frame, skb); }));
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
