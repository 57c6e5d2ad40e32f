// Fd: a file descriptor that closes itself. -1 is "none".
#pragma once
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace weft {

class Fd {
public:
    Fd() = default;

    explicit Fd(int fd) : fd_(fd) {}

    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) reset(std::exchange(other.fd_, -1));
        return *this;
    }

    ~Fd() { reset(); }

    int get() const { return fd_; }

    explicit operator bool() const { return fd_ >= 0; }

    int release() { return std::exchange(fd_, -1); }

    void reset(int fd = -1) {
        if (fd_ >= 0) ::close(fd_);
        fd_ = fd;
    }

    Result<Fd> duplicate() const;  // CLOEXEC

private:
    int fd_ = -1;
};

// Whole small files. write_file replaces atomically (temporary name, fsync, rename) with the given mode.
Result<std::string> read_file(const std::string& path);
Status write_file(const std::string& path, std::string_view content, unsigned mode = 0600);
// Writes to a file that exists already (sysctl, cgroup), in one write().
Status write_existing(const std::string& path, std::string_view content);
Status make_directories(const std::string& path, unsigned mode = 0755);
Status remove_tree(const std::string& path);  // absent is success; does not cross mount points
// Ours until it closes, however the process ends. conflict: another one holds it.
Result<Fd> lock_file(const std::string& path);

}  // namespace weft
