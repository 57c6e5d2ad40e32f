#include "kernel/cgroup.h"

#include <sys/mount.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/fd.h"
#include "base/strings.h"

namespace weft::kernel {

namespace fs = std::filesystem;

static constexpr auto empty_wait_max = std::chrono::seconds(5);

// mountinfo: "36 25 0:31 / /sys/fs/cgroup/unified rw,... - cgroup2 cgroup2 rw"
static std::string mounted_cgroup2() {
    const auto table = read_file("/proc/self/mountinfo");
    if (!table) return "";
    for (const std::string_view line : split(*table, '\n')) {
        const auto fields = split(line, ' ');
        const size_t dash = line.find(" - ");
        if (fields.size() < 6 || dash == std::string_view::npos) continue;
        if (line.substr(dash + 3).starts_with("cgroup2 ") && fields[3] == "/") return std::string(fields[4]);
    }
    return "";
}

Result<std::string> find_cgroup2(const std::string& fallback) {
    const std::string found = mounted_cgroup2();
    if (!found.empty()) return found;
    TRY(make_directories(fallback));
    if (::mount("none", fallback.c_str(), "cgroup2", 0, nullptr) < 0) return fail_errno("mount cgroup2 on " + fallback);
    return fallback;
}

static std::string path_of(const std::string& mount, std::string_view relative) { return mount + "/" + std::string(relative); }

Status create_cgroup(const std::string& mount, std::string_view relative) { return make_directories(path_of(mount, relative)); }

Status move_to_cgroup(const std::string& mount, std::string_view relative, int pid) {
    return write_existing(path_of(mount, relative) + "/cgroup.procs", std::to_string(pid));
}

static std::vector<fs::path> subtree(const std::string& top) {
    std::error_code error;
    std::vector<fs::path> folders{top};
    for (fs::recursive_directory_iterator at(top, error), end; !error && at != end; at.increment(error))
        if (at->is_directory(error)) folders.push_back(at->path());
    return folders;
}

std::vector<int> cgroup_processes(const std::string& mount, std::string_view relative) {
    std::vector<int> processes;
    for (const fs::path& folder : subtree(path_of(mount, relative))) {
        const auto list = read_file((folder / "cgroup.procs").string());
        if (!list) continue;
        for (const std::string_view line : split(*list, '\n'))
            if (const auto pid = parse_unsigned(line)) processes.push_back(int(*pid));
    }
    return processes;
}

Status kill_cgroup(const std::string& mount, std::string_view relative) {
    const std::string top = path_of(mount, relative);
    if (!fs::exists(top)) return {};
    TRY(write_existing(top + "/cgroup.kill", "1"));
    const auto deadline = std::chrono::steady_clock::now() + empty_wait_max;
    while (!cgroup_processes(mount, relative).empty()) {
        if (std::chrono::steady_clock::now() > deadline) return fail(Code::timeout, "cgroup " + top + " does not become empty");
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return {};
}

Status remove_cgroup(const std::string& mount, std::string_view relative) {
    const std::string top = path_of(mount, relative);
    if (!fs::exists(top)) return {};
    auto folders = subtree(top);
    // A killed process leaves its cgroup a moment after it left cgroup.procs.
    const auto deadline = std::chrono::steady_clock::now() + empty_wait_max;
    for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
        while (::rmdir(folder->c_str()) < 0 && errno != ENOENT) {
            if (errno != EBUSY || std::chrono::steady_clock::now() > deadline) return fail_errno("rmdir " + folder->string());
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }
    return {};
}

}  // namespace weft::kernel
