#include "kernel/cgroup_link.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace weft::kernel {
namespace {

constexpr std::string_view link_dir = "/link";

struct HookRow {
    SocketHook hook;
    bpf_attach_type type;
    ProgramName program;
    std::string_view name;
};
constexpr HookRow hooks[] = {
    {SocketHook::connect4, BPF_CGROUP_INET4_CONNECT, ProgramName::connect4, "connect4"},
    {SocketHook::connect6, BPF_CGROUP_INET6_CONNECT, ProgramName::connect6, "connect6"},
    {SocketHook::getpeername4, BPF_CGROUP_INET4_GETPEERNAME, ProgramName::getpeername4, "getpeername4"},
    {SocketHook::getpeername6, BPF_CGROUP_INET6_GETPEERNAME, ProgramName::getpeername6, "getpeername6"},
};

const HookRow& row_of(SocketHook hook) { return hooks[size_t(hook)]; }

struct PinnedLink {
    Fd fd;
    bpf_link_info info{};
};

// nullopt: no pin there.
Result<std::optional<PinnedLink>> open_pin(const std::string& pin) {
    PinnedLink link;
    link.fd = Fd(bpf_obj_get(pin.c_str()));
    if (!link.fd) {
        if (errno == ENOENT) return std::nullopt;
        return fail_errno("open link " + pin);
    }
    uint32_t bytes = sizeof(link.info);
    if (bpf_obj_get_info_by_fd(link.fd.get(), &link.info, &bytes) != 0) return fail_errno("link info " + pin);
    return link;
}

Result<ProgramTag> tag_of_program(uint32_t id) {
    const Fd fd(bpf_prog_get_fd_by_id(id));
    if (!fd) return fail_errno("open program " + std::to_string(id));
    bpf_prog_info info{};
    uint32_t bytes = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd.get(), &info, &bytes) != 0) return fail_errno("program info");
    ProgramTag tag{};
    std::copy(std::begin(info.tag), std::end(info.tag), tag.begin());
    return tag;
}

Status create_link(const std::string& pin, int cgroup, const HookRow& row, const Program& program) {
    const Fd link(bpf_link_create(program.fd.get(), cgroup, row.type, nullptr));
    if (!link) return fail_errno("attach " + program.name);
    const std::string temporary = pin + "_new";
    unlink(temporary.c_str());
    if (bpf_obj_pin(link.get(), temporary.c_str()) != 0) return fail_errno("pin " + temporary);
    if (rename(temporary.c_str(), pin.c_str()) != 0) return fail_errno("rename " + temporary);
    return {};
}

}  // namespace

Result<Attached> ensure_cgroup_link(const std::string& pin, const std::string& cgroup, SocketHook hook,
                                    const Program& program) {
    const HookRow& row = row_of(hook);
    const Fd directory(open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return fail_errno("open cgroup " + cgroup);
    struct stat facts {};
    if (fstat(directory.get(), &facts) != 0) return fail_errno("stat cgroup " + cgroup);

    const auto pinned = TRY(open_pin(pin));
    // The inode number of a cgroup directory is its id; 0 in a link's info: that cgroup is gone.
    const bool is_ours = pinned && pinned->info.type == BPF_LINK_TYPE_CGROUP &&
                         pinned->info.cgroup.cgroup_id == facts.st_ino && pinned->info.cgroup.attach_type == row.type;
    if (!is_ours) {
        TRY_IN("cgroup " + cgroup, create_link(pin, directory.get(), row, program));
        return Attached::changed;
    }
    const bool same = pinned->info.prog_id == program.id || TRY(tag_of_program(pinned->info.prog_id)) == program.tag;
    if (same) return Attached::unchanged;
    if (bpf_link_update(pinned->fd.get(), program.fd.get(), nullptr) != 0) return fail_errno("update link " + pin);
    return Attached::changed;
}

Result<Attached> attach_socket_programs(const BpfObject& object, const std::string& bpf_dir,
                                        const std::string& cgroup) {
    const std::string links = bpf_dir + std::string(link_dir);
    if (mkdir(links.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("mkdir " + links);
    Attached result = Attached::unchanged;
    for (const HookRow& row : hooks) {
        const std::string pin = links + "/" + std::string(row.name);
        if (TRY(ensure_cgroup_link(pin, cgroup, row.hook, object.program(row.program))) == Attached::changed) {
            result = Attached::changed;
        }
    }
    return result;
}

Status detach_socket_programs(const std::string& bpf_dir) {
    for (const HookRow& row : hooks) {
        const std::string pin = bpf_dir + std::string(link_dir) + "/" + std::string(row.name);
        if (unlink(pin.c_str()) != 0 && errno != ENOENT) return fail_errno("unlink " + pin);
    }
    return {};
}

}  // namespace weft::kernel
