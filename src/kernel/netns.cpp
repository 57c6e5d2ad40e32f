#include "kernel/netns.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>

#include "base/instance.h"
#include "kernel/link.h"

namespace weft::kernel {
namespace {

constexpr const char* netns_folder = "/run/netns";
constexpr int so_netns_cookie = 71;    // SO_NETNS_COOKIE, 5.14
constexpr int stacked_mounts_max = 8;  // of one name: only a crash between two creators can stack them

Status check_name(std::string_view name) {
    if (name.empty() || name.size() > 200 || name == "." || name == ".." || name.find('/') != name.npos)
        return fail(Code::invalid, "network namespace name \"" + std::string(name) + "\"");
    return {};
}

Status on_thread(const std::function<void()>& work) {
    try {
        std::thread(work).join();
    } catch (const std::system_error& error) {
        return fail(Code::exhausted, std::string("start a thread: ") + error.what());
    }
    return {};
}

// /run/netns as ip-netns(8) makes it: a shared mount, so that a name made or removed in one mount namespace is so in
// all.
Status prepare_folder() {
    TRY(make_directories(netns_folder));
    const Fd folder(::open(netns_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return fail_errno("open /run/netns");
    if (::flock(folder.get(), LOCK_EX) != 0) return fail_errno("lock /run/netns");
    if (::mount("", netns_folder, "none", MS_SHARED | MS_REC, nullptr) == 0) return {};
    if (errno != EINVAL) return fail_errno("share /run/netns");
    // Not a mount yet: make it one, on itself.
    if (::mount(netns_folder, netns_folder, "none", MS_BIND | MS_REC, nullptr) != 0)
        return fail_errno("mount /run/netns");
    if (::mount("", netns_folder, "none", MS_SHARED | MS_REC, nullptr) != 0) return fail_errno("share /run/netns");
    return {};
}

Status bring_lo_up() {
    Netlink netlink = TRY(Netlink::open());
    return set_link_up(netlink, 1, true);
}

// On a thread of its own: a new namespace, held by a bind mount of the thread's nsfs file.
Status make_and_mount(const std::string& path) {
    if (::unshare(CLONE_NEWNET) != 0) return fail_errno("unshare network namespace");
    TRY(bring_lo_up());
    if (::mount("/proc/thread-self/ns/net", path.c_str(), "none", MS_BIND, nullptr) != 0)
        return fail_errno("mount " + path);
    return {};
}

}  // namespace

Result<Netns> Netns::open_path(const std::string& path) {
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail_errno("open " + path);
    return Netns(std::move(fd));
}

Result<Netns> Netns::open(std::string_view name) {
    TRY(check_name(name));
    const std::string path = Instance::netns_path(name);
    struct stat file{};
    struct stat folder{};
    if (::stat(path.c_str(), &file) != 0) return fail_errno("network namespace " + std::string(name));
    // A plain file is what a crash between creating and mounting leaves: no namespace.
    if (::stat(netns_folder, &folder) == 0 && folder.st_dev == file.st_dev)
        return fail(Code::not_found, "network namespace " + std::string(name) + ": only an empty file");
    return open_path(path);
}

Result<Netns> Netns::current() { return open_path("/proc/thread-self/ns/net"); }

Result<Netns> Netns::create(std::string_view name) {
    TRY(check_name(name));
    TRY(prepare_folder());
    const std::string path = Instance::netns_path(name);
    if (exists(name)) return fail(Code::already_exists, "network namespace " + std::string(name));
    {
        const Fd file(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
        if (!file) return fail_errno("create " + path);
    }
    Status made = fail(Code::io, "not run");
    TRY(on_thread([&] { made = make_and_mount(path); }));
    if (!made) {
        ::unlink(path.c_str());
        return fail(made.error().in("network namespace " + std::string(name)));
    }
    return open(name);
}

Result<Netns> Netns::open_or_create(std::string_view name) {
    if (exists(name)) return open(name);
    return create(name);
}

Status Netns::remove(std::string_view name) {
    TRY(check_name(name));
    const std::string path = Instance::netns_path(name);
    for (int i = 0; i < stacked_mounts_max && ::umount2(path.c_str(), MNT_DETACH) == 0; ++i) {
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + path);
    return {};
}

bool Netns::exists(std::string_view name) { return open(name).has_value(); }

Result<std::vector<std::string>> Netns::list() {
    std::vector<std::string> names;
    DIR* folder = ::opendir(netns_folder);
    if (folder == nullptr) {
        if (errno == ENOENT) return names;
        return fail_errno("list /run/netns");
    }
    while (const dirent* entry = ::readdir(folder)) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(folder);
    std::sort(names.begin(), names.end());
    return names;
}

Status Netns::run_on_thread(const std::function<void()>& work) const {
    Status entered;
    TRY(on_thread([&] {
        if (::setns(fd_.get(), CLONE_NEWNET) != 0) {
            entered = fail_errno("enter network namespace");
            return;
        }
        work();
    }));
    return entered;
}

Result<uint64_t> Netns::cookie() const {
    return run([]() -> Result<uint64_t> {
        const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        if (!socket) return fail_errno("socket");
        uint64_t cookie = 0;
        socklen_t bytes = sizeof(cookie);
        if (::getsockopt(socket.get(), SOL_SOCKET, so_netns_cookie, &cookie, &bytes) != 0)
            return fail_errno("network namespace cookie");
        return cookie;
    });
}

Result<uint64_t> Netns::inode() const {
    struct stat file{};
    if (::fstat(fd_.get(), &file) != 0) return fail_errno("network namespace inode");
    return uint64_t(file.st_ino);
}

}  // namespace weft::kernel
