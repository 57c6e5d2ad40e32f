#include "kernel/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strings.h"

namespace weft::kernel {
namespace {

Result<std::string> path_of(std::string_view name) {
    if (name.substr(0, 4) != "net/" || name.find("..") != name.npos)
        return fail(Code::invalid, "sysctl " + std::string(name) + ": must begin with net/");
    return "/proc/sys/" + std::string(name);
}

}  // namespace

Result<std::string> get_sysctl(std::string_view name) {
    const std::string path = TRY(path_of(name));
    const std::string text = TRY_IN("sysctl " + std::string(name), read_file(path));
    return std::string(trim(text));
}

Result<bool> set_sysctl(std::string_view name, std::string_view value) {
    const std::string path = TRY(path_of(name));
    if (TRY(get_sysctl(name)) == value) return false;
    TRY_IN("sysctl " + std::string(name), write_existing(path, value));
    return true;
}

Result<SysctlFolder> SysctlFolder::open(std::string_view name) {
    const std::string path = TRY(path_of(name));
    Fd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return fail_errno("open " + path);
    return SysctlFolder(std::move(fd));
}

Status SysctlFolder::write(const std::string& name, std::string_view value) const {
    const Fd file(::openat(fd_.get(), name.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file) return fail_errno("sysctl " + name);
    if (::write(file.get(), value.data(), value.size()) < 0) return fail_errno("sysctl " + name);
    return {};
}

Result<std::string> get_sysctl(const Netns& netns, std::string_view name) {
    return netns.run([&]() -> Result<std::string> { return get_sysctl(name); });
}

Result<bool> set_sysctl(const Netns& netns, std::string_view name, std::string_view value) {
    return netns.run([&]() -> Result<bool> { return set_sysctl(name, value); });
}

}  // namespace weft::kernel
