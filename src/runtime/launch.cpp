#include "runtime/launch.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/strings.h"
#include "runtime/tree.h"

namespace weft::runtime {

using protocol::runtime::Launch;

namespace {

Status join_cgroup(const std::string& folder) {
    if (folder.empty()) return {};
    TRY(make_directories(folder));
    return write_existing(folder + "/cgroup.procs", "0");
}

Status take_user(const Launch& plan) {
    const std::vector<gid_t> groups(plan.groups.begin(), plan.groups.end());
    const bool own_groups = !groups.empty() || plan.gid >= 0 || plan.uid >= 0;
    if (own_groups && ::setgroups(groups.size(), groups.data()) != 0) return fail_errno("setgroups");
    if (plan.gid >= 0 && ::setgid(gid_t(plan.gid)) != 0) return fail_errno("setgid");
    if (plan.uid >= 0 && ::setuid(uid_t(plan.uid)) != 0) return fail_errno("setuid");
    return {};
}

std::string path_of(const Launch& plan) {
    for (const std::string& variable : plan.environment)
        if (variable.starts_with("PATH=")) return variable.substr(5);
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

// The program as execvp would find it, but by the container's PATH.
std::string find_program(const std::string& name, const std::string& path) {
    if (name.find('/') != std::string::npos) return name;
    for (const std::string_view folder : split(path, ':')) {
        const std::string candidate = std::string(folder) + "/" + name;
        if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    return "";
}

void restore_signals() {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    for (int signal = 1; signal < NSIG; signal++) ::signal(signal, SIG_DFL);
}

// The last step of every way in; returns only on error.
Error exec_program(const Launch& plan) {
    const std::string folder = plan.working_dir.empty() ? "/" : plan.working_dir;
    if (::chdir(folder.c_str()) != 0) return fail_errno("working directory " + folder).error();
    std::vector<char*> argv;
    std::vector<char*> environment;
    for (const std::string& argument : plan.argv) argv.push_back(const_cast<char*>(argument.c_str()));
    for (const std::string& variable : plan.environment) environment.push_back(const_cast<char*>(variable.c_str()));
    argv.push_back(nullptr);
    environment.push_back(nullptr);
    const std::string program = find_program(plan.argv[0], path_of(plan));
    if (program.empty()) return {Code::not_found, "exec: \"" + plan.argv[0] + "\": executable file not found in $PATH"};
    restore_signals();
    ::execve(program.c_str(), argv.data(), environment.data());
    return fail_errno("exec: \"" + program + "\"").error();
}

Error become_container(const Launch& plan, pid_t parent, int out, int err) {
    ::setsid();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) return {Code::unavailable, "the shim died"};
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || ::dup2(null, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(err, 2) < 0) return fail_errno("dup2").error();
    if (const Status status = join_cgroup(plan.cgroup); !status) return status.error();
    if (const Status status = build_tree(plan); !status) return status.error();
    if (const Status status = take_user(plan); !status) return status.error();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // setuid cleared it
    return exec_program(plan);
}

struct Pipe {
    Fd read, write;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
    return Pipe{Fd(ends[0]), Fd(ends[1])};
}

[[noreturn]] void tell_and_exit(const Fd& failure, const Error& error) {
    (void)!::write(failure.get(), error.message.data(), error.message.size());
    ::_exit(127);
}

}  // namespace

uint64_t process_start_time(pid_t pid) {
    const Result<std::string> stat = read_file("/proc/" + std::to_string(pid) + "/stat");
    if (!stat) return 0;
    const size_t name_end = stat->rfind(')');  // the name may hold anything
    if (name_end == std::string::npos) return 0;
    const std::vector<std::string_view> fields = split(std::string_view(*stat).substr(name_end + 2), ' ');
    return fields.size() > 19 ? parse_unsigned(fields[19]).value_or(0) : 0;
}

Result<Launched> launch(const Launch& plan) {
    Pipe out = TRY(make_pipe());
    Pipe err = TRY(make_pipe());
    Pipe failure = TRY(make_pipe());
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno("fork");
    if (pid == 0) tell_and_exit(failure.write, become_container(plan, parent, out.write.get(), err.write.get()));
    failure.write.reset();
    std::string why;
    char buffer[4096];
    ssize_t n = 0;
    while ((n = ::read(failure.read.get(), buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0) why.append(buffer, size_t(n));
    if (!why.empty()) {
        ::waitpid(pid, nullptr, 0);
        return fail(Code::io, why);
    }
    (void)fcntl(out.read.get(), F_SETFL, O_NONBLOCK);
    (void)fcntl(err.read.get(), F_SETFL, O_NONBLOCK);
    return Launched{pid, process_start_time(pid), std::move(out.read), std::move(err.read)};
}

Error enter_and_exec(const Launch& plan, pid_t pid, uint64_t pid_started) {
    const Fd process(int(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process) return fail_errno("container is not running").error();
    if (process_start_time(pid) != pid_started) return {Code::not_found, "container is not running"};
    if (const Status status = join_cgroup(plan.cgroup); !status) return status.error();
    const Fd root(::open(("/proc/" + std::to_string(pid) + "/root").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root) return fail_errno("root of the container").error();
    if (::setns(process.get(), CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWNET) != 0) return fail_errno("setns").error();
    if (::fchdir(root.get()) != 0 || ::chroot(".") != 0) return fail_errno("chroot").error();
    if (const Status status = take_user(plan); !status) return status.error();
    return exec_program(plan);
}

}  // namespace weft::runtime
