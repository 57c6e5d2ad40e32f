// Sysctls under /proc/sys/net, which follow the calling thread's network namespace. Names are paths with slashes
// ("net/ipv4/conf/eth0/rp_filter"), because interface names may hold dots. Setting what is set already writes nothing.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "kernel/netns.h"

namespace weft::kernel {

Result<std::string> get_sysctl(std::string_view name);                   // trimmed; not_found
Result<bool> set_sysctl(std::string_view name, std::string_view value);  // whether it had to be written

// A folder of sysctls ("net/ipv6/conf") as the calling thread's namespace sees it: it stays that namespace's, whoever writes
// there later and from where. not_found.
class SysctlFolder {
public:
    static Result<SysctlFolder> open(std::string_view name);
    Status write(const std::string& name, std::string_view value) const;  // without a look at what is set

private:
    explicit SysctlFolder(Fd fd) : fd_(std::move(fd)) {}

    Fd fd_;
};

Result<std::string> get_sysctl(const Netns& netns, std::string_view name);
Result<bool> set_sysctl(const Netns& netns, std::string_view name, std::string_view value);

}  // namespace weft::kernel
