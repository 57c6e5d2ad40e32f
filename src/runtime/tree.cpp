#include "runtime/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/fd.h"
#include "base/strings.h"

namespace weft::runtime {

using protocol::runtime::BindMount;
using protocol::runtime::Launch;

namespace {

// A path inside a volume may not leave it, whatever links a container has put there.
Result<Fd> open_beneath(int folder, const std::string& path) {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    Fd fd(int(::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how)));
    if (!fd) return fail_errno("subPath " + path);
    return fd;
}

// The folder at `path`, made step by step.
Result<Fd> make_beneath(const Fd& folder, const std::string& path) {
    Fd at = TRY(folder.duplicate());
    for (const std::string_view step : split(path, '/')) {
        if (step.empty() || step == ".") continue;
        if (::mkdirat(at.get(), std::string(step).c_str(), 0755) == 0) {
            // Made by root for a program that may be someone else; it has the volume's own rights.
            struct stat above{};
            if (::fstat(at.get(), &above) == 0)
                (void)!::fchownat(at.get(), std::string(step).c_str(), above.st_uid, above.st_gid, AT_SYMLINK_NOFOLLOW);
            (void)::fchmodat(at.get(), std::string(step).c_str(), above.st_mode & 07777, 0);
        } else if (errno != EEXIST) {
            return fail_errno("create subPath " + path);
        }
        at = TRY(open_beneath(at.get(), std::string(step)));
    }
    return at;
}

struct Tree {
    Fd fd;  // a copy that hangs nowhere yet
    bool folder = false;
};

Result<Tree> copy_of(int at, const std::string& path, bool whole = false) {
    const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW |
                           unsigned(path.empty() ? AT_EMPTY_PATH : 0) | unsigned(whole ? AT_RECURSIVE : 0);
    Tree tree;
    tree.fd = Fd(::open_tree(at, path.c_str(), flags));
    struct stat status{};
    if (!tree.fd || ::fstat(tree.fd.get(), &status) != 0) return fail_errno("open_tree " + path);
    tree.folder = S_ISDIR(status.st_mode);
    return tree;
}

Result<Tree> source_tree(const BindMount& mount) {
    Fd source(::open(mount.source.c_str(), O_PATH | O_CLOEXEC));
    if (!source) return fail_errno("open " + mount.source);
    if (!mount.inner.empty()) {
        Result<Fd> inner = open_beneath(source.get(), mount.inner);
        if (!inner && inner.error().code == Code::not_found && !mount.read_only)
            inner = make_beneath(source, mount.inner);
        source = TRY(std::move(inner));
    }
    Tree tree = TRY(copy_of(source.get(), ""));
    if (mount.read_only) {
        mount_attr attributes{};
        attributes.attr_set = MOUNT_ATTR_RDONLY;
        if (::mount_setattr(tree.fd.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
            return fail_errno("make read-only " + mount.target);
    }
    return tree;
}

Status hang(const Tree& tree, int at, const std::string& path) {
    if (::move_mount(tree.fd.get(), "", at, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return fail_errno("mount " + path);
    return {};
}

// Something of the right kind to mount upon.
Status make_stand(int at, const std::string& name, bool folder) {
    if (folder) {
        if (::mkdirat(at, name.c_str(), 0755) == 0 || errno == EEXIST) return {};
    } else if (const Fd made(::openat(at, name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644)); made) {
        return {};
    }
    return fail_errno("create " + name);
}

Status bind_again(const Fd& before, const Fd& cover, const std::string& name) {
    struct stat status{};
    if (::fstatat(before.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return {};  // gone meanwhile
    if (S_ISLNK(status.st_mode)) {
        char target[4096];
        const ssize_t n = ::readlinkat(before.get(), name.c_str(), target, sizeof target - 1);
        if (n < 0) return fail_errno("readlink " + name);
        target[n] = 0;
        return ::symlinkat(target, cover.get(), name.c_str()) == 0 ? Status{} : fail_errno("symlink " + name);
    }
    const Result<Tree> tree = copy_of(before.get(), name, true);
    if (!tree) return tree.error().code == Code::not_found ? Status{} : fail(tree.error());
    TRY(make_stand(cover.get(), name, tree->folder));
    return hang(*tree, cover.get(), name);
}

// Puts a folder in memory over `folder`, with all that was in it.
Status cover(const std::string& folder) {
    const Fd before(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status{};
    if (!before || ::fstat(before.get(), &status) != 0) return fail_errno("open " + folder);
    const Fd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
    const auto set = [&](const char* key, const std::string& value) {
        return ::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0;
    };
    const bool fine = context && set("source", "weft") && set("mode", fmt::format("{:o}", status.st_mode & 07777)) &&
                      set("uid", std::to_string(status.st_uid)) && set("gid", std::to_string(status.st_gid)) &&
                      ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0;
    const Tree memory{Fd(fine ? ::fsmount(context.get(), FSMOUNT_CLOEXEC, 0) : -1), true};
    if (!memory.fd) return fail_errno("tmpfs for " + folder);
    // Names first: while it is read, nothing hangs over it.
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> list(::fdopendir(TRY(before.duplicate()).release()), ::closedir);
    if (!list) return fail_errno("read " + folder);
    while (const dirent* entry = ::readdir(list.get()))
        if (const std::string name = entry->d_name; name != "." && name != "..") names.push_back(name);
    TRY(hang(memory, AT_FDCWD, folder));
    for (const std::string& name : names) TRY(bind_again(before, memory.fd, name));
    if (folder != "/") return {};
    // Our root is still what lies beneath.
    if (::fchdir(memory.fd.get()) != 0 || ::chroot(".") != 0) return fail_errno("chroot to the covered root");
    return {};
}

bool is_within(std::string_view path, std::string_view folder) {
    return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
}

// `target` with the links of its existing part followed, as the container sees it, and that part.
struct Place {
    std::string existing, missing;  // missing: "" or relative
};

Place place_of(const std::string& target) {
    std::string existing = target;
    std::string missing;
    for (;;) {
        if (const std::unique_ptr<char, void (*)(void*)> real(::realpath(existing.c_str(), nullptr), ::free); real)
            return {real.get(), missing};
        const size_t slash = existing.rfind('/');
        missing = existing.substr(slash + 1) + (missing.empty() ? "" : "/" + missing);
        existing.resize(std::max<size_t>(slash, 1));
    }
}

Status put(const BindMount& mount, const Tree& tree, std::vector<std::string>& volumes) {
    Place place = place_of(mount.target);
    if (!place.missing.empty()) {
        // In a volume of the pod the folder is simply made, as container runtimes do; elsewhere the root stays as it
        // is.
        const bool in_volume = std::any_of(volumes.begin(), volumes.end(), [&](const std::string& volume) {
            return is_within(place.existing, volume);
        });
        if (!in_volume) TRY(cover(place.existing));
        const std::string base = place.existing == "/" ? "" : place.existing;
        const size_t slash = place.missing.rfind('/');
        if (slash != std::string::npos) TRY(make_directories(base + "/" + place.missing.substr(0, slash)));
        TRY(make_stand(AT_FDCWD, base + "/" + place.missing, tree.folder));
        place.existing = base + "/" + place.missing;
    }
    TRY(hang(tree, AT_FDCWD, place.existing));
    volumes.push_back(place.existing);
    return {};
}

}  // namespace

Status build_tree(const Launch& plan) {
    if (::unshare(CLONE_NEWNS | CLONE_NEWUTS) != 0) return fail_errno("unshare");
    // Mounts of the host still come in; ours never get out.
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return fail_errno("mount / slave");
    if (!plan.hostname.empty() && ::sethostname(plan.hostname.data(), plan.hostname.size()) != 0)
        return fail_errno("sethostname " + plan.hostname);
    std::vector<Tree> trees;  // taken while the host's paths can still be seen
    for (const BindMount& mount : plan.mounts) trees.push_back(TRY(source_tree(mount)));
    if (!plan.root.empty()) {
        for (const std::string folder : {"/proc", "/dev", "/sys"}) {
            TRY(make_directories(plan.root + folder));
            if (::mount(folder.c_str(), (plan.root + folder).c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
                return fail_errno("mount " + plan.root + folder);
        }
        if (::chroot(plan.root.c_str()) != 0 || ::chdir("/") != 0) return fail_errno("chroot " + plan.root);
    }
    std::vector<std::string> volumes;
    for (size_t i = 0; i < trees.size(); i++) TRY(put(plan.mounts[i], trees[i], volumes));
    return {};
}

}  // namespace weft::runtime
