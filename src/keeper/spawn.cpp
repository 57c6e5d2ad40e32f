#include "keeper/spawn.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "base/strings.h"
#include "protocol/keeper.h"

namespace weft::keeper {

namespace {

namespace wire = protocol::keeper;

constexpr int send_patience_s = 1;
constexpr int first_free_fd = 10;  // above the numbers a worker is born with

Result<sockaddr_un> unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return fail(Code::invalid, "socket path too long: " + path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

void prepare_our_end(int fd) {
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    const timeval patience{send_patience_s, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

Result<Fd> listen_adopt(const std::string& path) {
    const sockaddr_un address = TRY(unix_address(path));
    Fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno("adopt socket");
    fchmod(fd.get(), 0600);  // before bind: the file has this mode from its first moment
    unlink(path.c_str());    // of a worker that is dead: nobody answered there
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return fail_errno("bind " + path);
    }
    if (listen(fd.get(), 4) != 0) return fail_errno("listen " + path);
    return fd;
}

Result<Fd> token_memfd(const std::string& token) {
    Fd fd(memfd_create("weft-token", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) return fail_errno("memfd for the token");
    if (write(fd.get(), token.data(), token.size()) != ssize_t(token.size())) return fail_errno("writing the token");
    fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    return fd;
}

Result<Fd> above_reserved(const Fd& fd) {
    Fd moved(fcntl(fd.get(), F_DUPFD_CLOEXEC, first_free_fd));
    if (!moved) return fail_errno("dup");
    return moved;
}

// Between fork and exec: system calls only, for other threads may have held any lock.
[[noreturn]] void become_worker(char* const* arguments, int cgroup, int channel, int token, int adopt) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    setsid();
    if (cgroup >= 0 && write(cgroup, "0", 1) != 1) _exit(126);
    if (dup2(channel, wire::channel_fd) < 0 || dup2(token, wire::token_fd) < 0 || dup2(adopt, wire::adopt_fd) < 0) {
        _exit(126);
    }
    // No capability here and no_new_privs: exec by uid 0 then gives none either.
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct nothing[2] = {};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_capset, &header, nothing) != 0) _exit(126);
    execv(arguments[0], arguments);
    _exit(127);
}

}  // namespace

Result<Fd> open_pidfd(pid_t pid) {
    Fd fd(int(syscall(SYS_pidfd_open, pid, 0)));
    if (!fd) return fail_errno("pidfd_open");
    fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
    return fd;
}

Result<Spawned> spawn(const Command& command) {
    int pair[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return fail_errno("keeper channel");
    Spawned spawned;
    spawned.channel = Fd(pair[0]);
    prepare_our_end(pair[0]);
    const Fd channel = TRY(above_reserved(Fd(pair[1])));
    const Fd token = TRY(above_reserved(TRY(token_memfd(command.token))));
    const Fd adopt = TRY(above_reserved(TRY(listen_adopt(command.adopt_path))));
    Fd cgroup;
    if (!command.cgroup_procs.empty()) cgroup.reset(open(command.cgroup_procs.c_str(), O_WRONLY | O_CLOEXEC));

    std::vector<char*> arguments;
    for (const std::string& argument : command.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    spawned.pid = fork();
    if (spawned.pid < 0) return fail_errno("fork");
    if (spawned.pid == 0) become_worker(arguments.data(), cgroup.get(), channel.get(), token.get(), adopt.get());
    spawned.pidfd = TRY(open_pidfd(spawned.pid));
    return spawned;
}

Result<Fd> connect_adopt(const std::string& path) {
    const sockaddr_un address = TRY(unix_address(path));
    Fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno("adopt socket");
    prepare_our_end(fd.get());
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    if (errno == ECONNREFUSED || errno == ENOENT) return fail(Code::not_found, "no living worker at " + path);
    return fail_errno("connect " + path);
}

std::string cgroup_procs_file(const std::string& cgroup) {
    const Result<std::string> mounts = read_file("/proc/self/mountinfo");
    if (!mounts) return {};
    for (const std::string_view line : split(*mounts, '\n')) {
        const size_t type = line.find(" - cgroup2 ");
        if (type == std::string_view::npos) continue;
        const std::vector<std::string_view> fields = split(line.substr(0, type), ' ');
        if (fields.size() < 5) continue;
        const std::string file = std::string(fields[4]) + "/" + cgroup + "/cgroup.procs";
        if (access(file.c_str(), W_OK) == 0) return file;
    }
    return {};
}

}  // namespace weft::keeper
