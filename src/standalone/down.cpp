#include "standalone/down.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "base/strings.h"
#include "kernel/cgroup.h"
#include "kernel/netns.h"
#include "standalone/process.h"
#include "standalone/supervisor.h"
#include "standalone/topology.h"

namespace weft::standalone {

namespace fs = std::filesystem;

static void sort_pin(const Fd& pin, BpfIds& ids) {
    bpf_map_info map{};
    bpf_prog_info program{};
    bpf_link_info link{};
    const auto read = [&](void* info, uint32_t size) { return bpf_obj_get_info_by_fd(pin.get(), info, &size) == 0; };
    // The kinds answer with their own structs; /proc tells which one a descriptor is.
    const std::string kind = fs::read_symlink(fmt::format("/proc/self/fd/{}", pin.get())).string();
    if (kind.find("bpf-map") != std::string::npos && read(&map, sizeof map)) ids.maps.push_back(map.id);
    if (kind.find("bpf-prog") != std::string::npos && read(&program, sizeof program)) ids.programs.push_back(program.id);
    if (kind.find("bpf_link") != std::string::npos && read(&link, sizeof link)) ids.links.push_back(link.id);
}

static void add_programs_using(const std::set<uint32_t>& maps, BpfIds& ids) {
    uint32_t id = 0;
    while (bpf_prog_get_next_id(id, &id) == 0) {
        const Fd program(bpf_prog_get_fd_by_id(id));
        if (!program) continue;
        uint32_t used[256];
        bpf_prog_info info{};
        info.map_ids = reinterpret_cast<uintptr_t>(used);
        info.nr_map_ids = 256;
        uint32_t size = sizeof info;
        if (bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) continue;
        const size_t n = std::min<size_t>(info.nr_map_ids, 256);
        if (std::any_of(used, used + n, [&](uint32_t map) { return maps.contains(map); })) ids.programs.push_back(id);
    }
}

Result<BpfIds> bpf_ids_of(const Instance& instance) {
    BpfIds ids;
    std::error_code error;
    for (fs::recursive_directory_iterator at(instance.bpf_mount(), error), end; !error && at != end; at.increment(error)) {
        if (at->is_directory(error)) continue;
        const Fd pin(bpf_obj_get(at->path().c_str()));
        if (pin) sort_pin(pin, ids);
    }
    add_programs_using({ids.maps.begin(), ids.maps.end()}, ids);
    return ids;
}

BpfIds still_there(const BpfIds& ids) {
    BpfIds there;
    const auto keep = [](const std::vector<uint32_t>& all, std::vector<uint32_t>& found, int (*open)(uint32_t)) {
        for (const uint32_t id : all)
            if (Fd(open(id))) found.push_back(id);
    };
    keep(ids.maps, there.maps, bpf_map_get_fd_by_id);
    keep(ids.programs, there.programs, bpf_prog_get_fd_by_id);
    keep(ids.links, there.links, bpf_link_get_fd_by_id);
    return there;
}

std::vector<std::string> leftovers(const Instance& instance, bool purged) {
    std::vector<std::string> left;
    if (fs::exists(instance.run_dir())) left.push_back("path " + instance.run_dir());
    if (purged && fs::exists(instance.state_dir())) left.push_back("path " + instance.state_dir());
    const std::string prefix = "weft-" + instance.name() + "-";
    if (const auto names = kernel::Netns::list())
        for (const std::string& name : *names)
            if (name.starts_with(prefix)) left.push_back("network namespace " + name);
    if (const auto mounts = read_file("/proc/self/mountinfo"))
        for (const std::string_view line : split(*mounts, '\n'))
            if (line.find(instance.run_dir() + "/") != std::string_view::npos) left.push_back("mount " + std::string(line));
    if (const auto cgroup2 = kernel::find_cgroup2(); cgroup2 && fs::exists(*cgroup2 + "/" + instance.cgroup()))
        left.push_back("cgroup " + instance.cgroup());
    return left;
}

// The supervisor first, so that it starts nothing again.
static void stop_supervisor(const Instance& instance) {
    const std::string file = supervisor_pid_file(instance);
    const int pid = living_pid(file);
    if (pid == 0) return;
    ::kill(pid, SIGTERM);
    for (int i = 0; i < 200 && living_pid(file) != 0; i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

// The API server gets the chance to close its store in order; everything else may be killed at any time anyway.
static void stop_api_server(const Instance& instance) {
    const std::string file = instance.run_dir() + "/apiserver.pid";
    const int pid = living_pid(file);
    if (pid == 0) return;
    ::kill(pid, SIGTERM);
    for (int i = 0; i < 200 && living_pid(file) != 0; i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

Status down(const Instance& instance, bool purge) {
    const BpfIds ids = TRY(bpf_ids_of(instance));
    const std::string cgroup2 = TRY(kernel::find_cgroup2());
    stop_supervisor(instance);
    stop_api_server(instance);
    TRY(kernel::kill_cgroup(cgroup2, instance.cgroup()));
    TRY(remove_topology(instance));
    if (::umount2(instance.bpf_mount().c_str(), MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
        return fail_errno("unmount " + instance.bpf_mount());
    TRY(remove_tree(instance.run_dir()));
    TRY(kernel::remove_cgroup(cgroup2, instance.cgroup()));
    if (purge) TRY(remove_tree(instance.state_dir()));

    const MonotonicTime deadline = system_clock().now() + std::chrono::seconds(leftovers_wait_s);
    for (;;) {
        const BpfIds there = still_there(ids);
        const auto left = leftovers(instance, purge);
        if (left.empty() && there.maps.empty() && there.programs.empty() && there.links.empty()) return {};
        if (system_clock().now() > deadline) {
            std::string text = fmt::format("still there after {} s: {} maps, {} programs, {} links", leftovers_wait_s,
                                           there.maps.size(), there.programs.size(), there.links.size());
            for (const std::string& what : left) text += ", " + what;
            return fail(Code::timeout, text);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
}

}  // namespace weft::standalone
