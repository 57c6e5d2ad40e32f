#include "base/fd.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

namespace weft {

Result<Fd> Fd::duplicate() const {
    const int copy = fcntl(fd_, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return fail_errno("duplicate descriptor");
    return Fd(copy);
}

Result<std::string> read_file(const std::string& path) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return fail_errno("open " + path);
    std::string content;
    char buffer[16384];
    for (;;) {
        const ssize_t n = ::read(file.get(), buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno("read " + path);
        if (n == 0) return content;
        content.append(buffer, size_t(n));
    }
}

static Status write_all(int fd, std::string_view content, const std::string& path) {
    while (!content.empty()) {
        const ssize_t n = ::write(fd, content.data(), content.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno("write " + path);
        content.remove_prefix(size_t(n));
    }
    return {};
}

Status write_file(const std::string& path, std::string_view content, unsigned mode) {
    const std::string temporary = path + ".tmp" + std::to_string(::getpid());
    {
        const Fd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
        if (!file) return fail_errno("create " + temporary);
        TRY(write_all(file.get(), content, temporary));
        if (fchmod(file.get(), mode) < 0) return fail_errno("chmod " + temporary);
        if (fsync(file.get()) < 0) return fail_errno("fsync " + temporary);
    }
    if (::rename(temporary.c_str(), path.c_str()) < 0) return fail_errno("rename to " + path);
    const std::string folder = std::filesystem::path(path).parent_path().string();
    const Fd directory(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory) (void)fsync(directory.get());
    return {};
}

Status write_existing(const std::string& path, std::string_view content) {
    const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file) return fail_errno("open " + path);
    if (::write(file.get(), content.data(), content.size()) < 0) return fail_errno("write " + path);
    return {};
}

Status make_directories(const std::string& path, unsigned mode) {
    std::string part;
    size_t at = 0;
    while (at != std::string::npos) {
        at = path.find('/', at + 1);
        part = path.substr(0, at);
        if (::mkdir(part.c_str(), mode) < 0 && errno != EEXIST) return fail_errno("mkdir " + part);
    }
    return {};
}

Status remove_tree(const std::string& path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return fail(errno_error(error.value(), "remove " + path));
    return {};
}

Result<Fd> lock_file(const std::string& path) {
    Fd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock) return fail_errno("open " + path);
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
    if (errno == EWOULDBLOCK) return fail(Code::conflict, path + " is held by another process");
    return fail_errno("lock " + path);
}

}  // namespace weft
