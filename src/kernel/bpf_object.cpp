#include "kernel/bpf_object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>

#include <skel/pod_egress.skel.h>
#include <skel/socket.skel.h>
#include <skel/tunnel_ingress.skel.h>
#include <skel/uplink_egress.skel.h>
#include <skel/uplink_ingress.skel.h>

#include "base/log.h"
#include "base/rollback.h"

namespace weft::kernel {
namespace {

constexpr long bpf_filesystem_magic = 0xcafe4a11;
constexpr std::string_view program_dir = "/program";

// libbpf explains itself by printing: the last warnings become part of our error instead.
thread_local std::string libbpf_said;

int keep_libbpf_warning(libbpf_print_level level, const char* format, va_list arguments) {
    if (level != LIBBPF_WARN) return 0;
    char* line = nullptr;  // the verifier's log comes as one line of megabytes; the reason stands at its end
    const int bytes = vasprintf(&line, format, arguments);
    if (bytes < 0) return 0;
    libbpf_said.append(line, size_t(bytes));
    std::free(line);
    constexpr size_t kept_bytes = 4096;
    if (libbpf_said.size() > kept_bytes) libbpf_said.erase(0, libbpf_said.size() - kept_bytes);
    return 0;
}

std::unexpected<Error> fail_libbpf(int error, std::string_view doing) {
    Error e = errno_error(error < 0 ? -error : error, doing);
    if (!libbpf_said.empty()) e.message += " (" + libbpf_said + ")";
    std::replace(e.message.begin(), e.message.end(), '\n', ' ');
    return fail(std::move(e));
}

// The file names in a directory; absent is empty.
std::vector<std::string> names_in(const std::string& dir) {
    std::vector<std::string> names;
    if (DIR* handle = opendir(dir.c_str())) {
        while (const dirent* entry = readdir(handle)) {
            if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
        }
        closedir(handle);
    }
    return names;
}

// A pin "<map>_v7" when we are version 1 was made by a later weft.
Status refuse_newer_abi(const std::string& dir) {
    for (const std::string& name : names_in(dir)) {
        const size_t mark = name.rfind("_v");
        if (mark == std::string::npos) continue;
        unsigned version = 0;
        const char* end = name.data() + name.size();
        const auto parsed = std::from_chars(name.data() + mark + 2, end, version);
        if (parsed.ec == std::errc() && parsed.ptr == end && version > ABI_VERSION) {
            return fail(Code::conflict, dir + ": map " + name + " is of a newer data plane, ours is version " +
                                            std::to_string(ABI_VERSION));
        }
    }
    return {};
}

struct ProgramFacts {
    bpf_prog_info info{};
    std::set<uint32_t> maps;
};

Result<ProgramFacts> facts_of(int fd) {
    constexpr uint32_t maps_max = 64;
    uint32_t maps[maps_max] = {};
    ProgramFacts facts;
    facts.info.map_ids = reinterpret_cast<uintptr_t>(maps);
    facts.info.nr_map_ids = maps_max;
    uint32_t bytes = sizeof(facts.info);
    if (bpf_obj_get_info_by_fd(fd, &facts.info, &bytes) != 0) return fail_errno("program info");
    facts.maps.insert(maps, maps + std::min(facts.info.nr_map_ids, maps_max));
    return facts;
}

bool same_program(const ProgramFacts& a, const ProgramFacts& b) {
    return std::equal(std::begin(a.info.tag), std::end(a.info.tag), std::begin(b.info.tag)) && a.maps == b.maps;
}

// The pinned program where it is the same, else ours, pinned in its place.
Result<Program> keep_or_pin(const std::string& dir, const bpf_program* loaded) {
    const std::string name = bpf_program__name(loaded);
    const std::string pin = dir + std::string(program_dir) + "/" + name;
    ProgramFacts facts = TRY_IN(name, facts_of(bpf_program__fd(loaded)));
    Fd fd(bpf_obj_get(pin.c_str()));
    bool adopted = false;
    if (fd) {
        ProgramFacts pinned = TRY_IN(pin, facts_of(fd.get()));
        adopted = same_program(pinned, facts);
        if (adopted) facts = std::move(pinned);
    }
    if (!adopted) {
        fd = Fd(fcntl(bpf_program__fd(loaded), F_DUPFD_CLOEXEC, 3));
        if (!fd) return fail_errno("dup " + name);
        const std::string temporary = pin + "_new";
        unlink(temporary.c_str());
        if (bpf_obj_pin(fd.get(), temporary.c_str()) != 0) return fail_errno("pin " + temporary);
        if (rename(temporary.c_str(), pin.c_str()) != 0) return fail_errno("rename " + temporary);
    }
    Program program;
    program.fd = std::move(fd);
    program.name = name;
    program.id = facts.info.id;
    std::copy(std::begin(facts.info.tag), std::end(facts.info.tag), program.tag.begin());
    program.verified_instructions = facts.info.verified_insns;
    return program;
}

// Opens and loads one skeleton; its maps come from, or go to, their pins in dir.
template <class Skeleton, auto open, auto load, auto destroy>
Result<std::unique_ptr<Skeleton, void (*)(Skeleton*)>> load_skeleton(const std::string& dir, std::string_view name) {
    bpf_object_open_opts options{};
    options.sz = sizeof(options);
    options.pin_root_path = dir.c_str();
    libbpf_said.clear();
    std::unique_ptr<Skeleton, void (*)(Skeleton*)> skeleton(open(&options), destroy);
    if (!skeleton) return fail_libbpf(errno, "open " + std::string(name));
    if (const int error = load(skeleton.get())) return fail_libbpf(error, "load " + std::string(name));
    return skeleton;
}

template <class K, class V>
Result<std::unique_ptr<Map<K, V>>> open_map(Map<K, V>*, Fd fd, std::string name) {
    return std::make_unique<KernelMap<K, V>>(std::move(fd), std::move(name));
}

template <class K, class V>
Result<std::unique_ptr<CountersMap<K, V>>> open_map(CountersMap<K, V>*, Fd fd, std::string name) {
    const int cpus = libbpf_num_possible_cpus();
    if (cpus <= 0) return fail(errno_error(-cpus, "count CPUs"));
    return std::make_unique<KernelCountersMap<K, V>>(std::move(fd), std::move(name), size_t(cpus));
}

#define WEFT_TEXT_(x) #x
#define WEFT_TEXT(x) WEFT_TEXT_(x)

Result<NodeMaps> open_maps(const std::string& dir) {
    NodeMaps maps;
#define X(row, type, key, value, entries, flags)                                      \
    {                                                                                 \
        const std::string pin = dir + "/" WEFT_TEXT(WEFT_MAP_NAME(row));              \
        Fd fd(bpf_obj_get(pin.c_str()));                                              \
        if (!fd) return fail_errno("open map " + pin);                                \
        maps.row = TRY_IN(#row, open_map(maps.row.get(), std::move(fd), #row));       \
    }
    WEFT_MAPS(X)
#undef X
    return maps;
}

}  // namespace

Result<BpfObject> BpfObject::install(const std::string& dir) {
    static std::once_flag print_once;
    std::call_once(print_once, [] { libbpf_set_print(keep_libbpf_warning); });

    if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("mkdir " + dir);
    const std::string programs = dir + std::string(program_dir);
    if (mkdir(programs.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("mkdir " + programs);
    TRY(refuse_newer_abi(dir));

    Rollback rollback;
    for (const std::string& pins : {dir, programs}) {
        rollback.on_failure([pins, before = names_in(pins)] {
            for (const std::string& name : names_in(pins)) {
                if (std::find(before.begin(), before.end(), name) == before.end()) unlink((pins + "/" + name).c_str());
            }
        });
    }

    const auto pod_egress = TRY((load_skeleton<pod_egress_bpf, pod_egress_bpf__open_opts, pod_egress_bpf__load,
                                               pod_egress_bpf__destroy>(dir, "pod_egress")));
    const auto uplink_ingress =
        TRY((load_skeleton<uplink_ingress_bpf, uplink_ingress_bpf__open_opts, uplink_ingress_bpf__load,
                           uplink_ingress_bpf__destroy>(dir, "uplink_ingress")));
    const auto uplink_egress =
        TRY((load_skeleton<uplink_egress_bpf, uplink_egress_bpf__open_opts, uplink_egress_bpf__load,
                           uplink_egress_bpf__destroy>(dir, "uplink_egress")));
    const auto tunnel_ingress =
        TRY((load_skeleton<tunnel_ingress_bpf, tunnel_ingress_bpf__open_opts, tunnel_ingress_bpf__load,
                           tunnel_ingress_bpf__destroy>(dir, "tunnel_ingress")));
    const auto socket = TRY(
        (load_skeleton<socket_bpf, socket_bpf__open_opts, socket_bpf__load, socket_bpf__destroy>(dir, "socket")));

    BpfObject object;
    object.maps_ = TRY(open_maps(dir));
    const std::pair<ProgramName, const bpf_program*> loaded[] = {
        {ProgramName::pod_egress, pod_egress->progs.pod_egress},
        {ProgramName::uplink_ingress, uplink_ingress->progs.uplink_ingress},
        {ProgramName::uplink_egress, uplink_egress->progs.uplink_egress},
        {ProgramName::tunnel_ingress, tunnel_ingress->progs.tunnel_ingress},
        {ProgramName::connect4, socket->progs.connect4},
        {ProgramName::connect6, socket->progs.connect6},
        {ProgramName::getpeername4, socket->progs.getpeername4},
        {ProgramName::getpeername6, socket->progs.getpeername6},
    };
    for (const auto& [name, program] : loaded) object.programs_[size_t(name)] = TRY(keep_or_pin(dir, program));
    rollback.dismiss();
    return object;
}

Result<NodeMaps> open_pinned_maps(const std::string& dir) { return open_maps(dir); }

std::vector<std::string> pinned_map_names() {
    return {
#define X(row, type, key, value, entries, flags) WEFT_TEXT(WEFT_MAP_NAME(row)),
        WEFT_MAPS(X)
#undef X
    };
}

Result<NodeMaps> maps_of_object(const ::bpf_object* object) {
    NodeMaps maps;
#define X(row, type, key, value, entries, flags)                                                            \
    {                                                                                                       \
        const int found = bpf_object__find_map_fd_by_name(object, WEFT_TEXT(WEFT_MAP_NAME(row)));           \
        Fd fd(found < 0 ? -1 : fcntl(found, F_DUPFD_CLOEXEC, 3));                                           \
        if (!fd) return fail(Code::not_found, "the object has no map " #row);                               \
        maps.row = TRY_IN(#row, open_map(maps.row.get(), std::move(fd), #row));                             \
    }
    WEFT_MAPS(X)
#undef X
    return maps;
}

std::span<const std::byte> object_file(ProgramName program) {
    size_t bytes = 0;
    const void* data = nullptr;
    switch (program) {
        case ProgramName::uplink_ingress: data = uplink_ingress_bpf__elf_bytes(&bytes); break;
        case ProgramName::tunnel_ingress: data = tunnel_ingress_bpf__elf_bytes(&bytes); break;
        default: data = pod_egress_bpf__elf_bytes(&bytes); break;
    }
    return {static_cast<const std::byte*>(data), bytes};
}

Status mount_bpf_filesystem(const std::string& path) {
    TRY(make_directories(path, 0700));
    struct statfs facts {};
    if (statfs(path.c_str(), &facts) != 0) return fail_errno("statfs " + path);
    if (facts.f_type == bpf_filesystem_magic) return {};
    if (mount("bpf", path.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0) {
        return fail_errno("mount bpf on " + path);
    }
    return {};
}

Status unmount_bpf_filesystem(const std::string& path) {
    struct statfs facts {};
    if (statfs(path.c_str(), &facts) != 0) {
        if (errno == ENOENT) return {};
        return fail_errno("statfs " + path);
    }
    if (facts.f_type != bpf_filesystem_magic) return {};
    if (umount2(path.c_str(), MNT_DETACH) != 0) return fail_errno("unmount " + path);
    return {};
}

}  // namespace weft::kernel
