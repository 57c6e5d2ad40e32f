#include "standalone/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/strings.h"

namespace weft::standalone {

static std::string file_stem(const ProcessSpec& spec) { return spec.node.empty() ? spec.name : spec.node + "." + spec.name; }

std::string pid_file(const Instance& instance, const ProcessSpec& spec) {
    return instance.run_dir() + "/" + file_stem(spec) + ".pid";
}

std::string log_file(const Instance& instance, const ProcessSpec& spec) {
    return instance.run_dir() + "/log/" + file_stem(spec) + ".log";
}

uint64_t start_time_of(int pid) {
    const auto stat = read_file(fmt::format("/proc/{}/stat", pid));
    if (!stat) return 0;
    // The name in parentheses may hold spaces; field 22 is the 20th after it. A zombie has ended for us.
    const size_t close = stat->rfind(')');
    if (close == std::string::npos) return 0;
    const auto fields = split(trim(std::string_view(*stat).substr(close + 1)), ' ');
    if (fields.size() < 20 || fields[0] == "Z" || fields[0] == "X") return 0;
    return parse_unsigned(fields[19]).value_or(0);
}

int living_pid(const std::string& path) {
    const auto text = read_file(path);
    if (!text) return 0;
    const auto parts = split(trim(*text), ' ');
    if (parts.size() != 2) return 0;
    const int pid = int(parse_unsigned(parts[0]).value_or(0));
    const uint64_t started = parse_unsigned(parts[1]).value_or(0);
    return pid > 0 && started != 0 && start_time_of(pid) == started ? pid : 0;
}

Status write_pid_file(const std::string& path, int pid) {
    return write_file(path, fmt::format("{} {}\n", pid, start_time_of(pid)), 0600);
}

static Result<Fd> open_pidfd(int pid) {
    const int fd = int(syscall(SYS_pidfd_open, pid, 0));
    if (fd < 0) return fail_errno("pidfd_open");
    return Fd(fd);
}

Result<Process> Process::adopt(const Instance& instance, const ProcessSpec& spec) {
    const int pid = living_pid(pid_file(instance, spec));
    if (pid == 0) return fail(Code::not_found, spec.name + " does not run");
    return Process(pid, TRY(open_pidfd(pid)));
}

// Between fork and exec: system calls only.
[[noreturn]] static void become(int netns, int cgroup_procs, int log, char* const* argv) {
    setsid();
    const char self[] = "0";
    if (cgroup_procs >= 0 && ::write(cgroup_procs, self, 1) < 0) _exit(125);
    if (netns >= 0 && setns(netns, CLONE_NEWNET) < 0) _exit(126);
    const int null = ::open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(log, 1);
    dup2(log, 2);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execv(argv[0], argv);
    _exit(127);
}

Result<Process> Process::start(const Instance& instance, const ProcessSpec& spec, const std::string& cgroup2) {
    const auto open_or_fail = [](const std::string& path, int flags) -> Result<Fd> {
        Fd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
        if (!fd) return fail_errno("open " + path);
        return fd;
    };
    Fd netns;
    if (!spec.node.empty()) netns = TRY(open_or_fail(Instance::netns_path(instance.node_netns(spec.node)), O_RDONLY));
    const Fd procs = TRY(open_or_fail(cgroup2 + "/" + spec.cgroup + "/cgroup.procs", O_WRONLY));
    const Fd log = TRY(open_or_fail(log_file(instance, spec), O_WRONLY | O_CREAT | O_APPEND));
    std::vector<char*> argv;
    for (const std::string& argument : spec.arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);

    const pid_t pid = fork();
    if (pid < 0) return fail_errno("fork");
    if (pid == 0) become(netns.get(), procs.get(), log.get(), argv.data());
    Fd pidfd = TRY(open_pidfd(pid));
    TRY(write_pid_file(pid_file(instance, spec), pid));
    return Process(pid, std::move(pidfd));
}

void Process::signal(int number) const { (void)syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0); }

std::string Process::wait_for_end() {
    siginfo_t info{};
    // P_PIDFD; ECHILD for an adopted process: its status went to init.
    if (waitid(idtype_t(3), id_t(pidfd_.get()), &info, WEXITED) < 0) return "ended";
    if (info.si_code == CLD_EXITED) return fmt::format("exit status {}", info.si_status);
    return fmt::format("killed by signal {}", info.si_status);
}

}  // namespace weft::standalone
