#include "cli/place.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/clock.h"
#include "base/fd.h"
#include "kernel/cgroup.h"
#include "kernel/netns.h"

namespace weft::cli {

static constexpr size_t output_bytes_max = 1024 * 1024;

Result<std::string> place_netns(const Instance& instance, std::string_view place) {
    const std::string name = instance.node_netns(place);
    if (kernel::Netns::exists(name)) return name;
    std::string known;
    const std::string prefix = "weft-" + instance.name() + "-";
    for (const std::string& other : TRY(kernel::Netns::list()))
        if (other.starts_with(prefix) && !other.starts_with(instance.pod_netns(""))) known += " " + other.substr(prefix.size());
    return fail(Code::not_found, "no place named \"" + std::string(place) + "\"; there are:" + (known.empty() ? " none" : known));
}

// A node's own cgroup where there is one, so that its socket programs serve the program as they serve the node.
static std::string cgroup_of(const Instance& instance, const std::string& cgroup2, const std::string& netns) {
    const std::string node = netns.substr(instance.node_netns("").size());
    const bool is_node = std::filesystem::exists(cgroup2 + "/" + instance.pods_cgroup(node));
    return is_node ? instance.exec_cgroup(node) : instance.cgroup() + "/exec";
}

static Status enter(const Instance& instance, const std::string& netns) {
    const std::string cgroup2 = TRY(kernel::find_cgroup2());
    const std::string cgroup = cgroup_of(instance, cgroup2, netns);
    TRY(kernel::create_cgroup(cgroup2, cgroup));
    TRY(kernel::move_to_cgroup(cgroup2, cgroup, 0));
    const std::string path = Instance::netns_path(netns);
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return fail_errno("open " + path);
    if (setns(file.get(), CLONE_NEWNET) < 0) return fail_errno("enter " + netns);
    return {};
}

static std::vector<char*> pointers(const std::vector<std::string>& argv) {
    std::vector<char*> list;
    for (const std::string& argument : argv) list.push_back(const_cast<char*>(argument.c_str()));
    list.push_back(nullptr);
    return list;
}

Error exec_in(const Instance& instance, const std::string& netns, const std::vector<std::string>& argv) {
    if (const Status entered = enter(instance, netns); !entered) return entered.error();
    execvp(argv[0].c_str(), pointers(argv).data());
    return errno_error(errno, argv[0]);
}

static std::string read_until_end(int fd, int pid, int timeout_s) {
    std::string text;
    char buffer[16384];
    const MonotonicTime deadline = system_clock().now() + std::chrono::seconds(timeout_s);
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - system_clock().now()).count();
        pollfd wait{fd, POLLIN, 0};
        if (left <= 0 || ::poll(&wait, 1, int(left)) == 0) {
            ::kill(pid, SIGKILL);
            return text + "\n(ended after " + std::to_string(timeout_s) + " s)";
        }
        const ssize_t n = ::read(fd, buffer, sizeof buffer);
        if (n <= 0) return text;
        if (text.size() < output_bytes_max) text.append(buffer, size_t(n));
    }
}

Result<Output> run_in(const Instance& instance, const std::string& netns, const std::vector<std::string>& argv, int timeout_s) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return fail_errno("pipe");
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t pid = fork();
    if (pid < 0) return fail_errno("fork");
    if (pid == 0) {
        dup2(writing.get(), 1);
        dup2(writing.get(), 2);
        const Error error = exec_in(instance, netns, argv);
        (void)!::write(2, error.message.data(), error.message.size());
        _exit(127);
    }
    writing.reset();
    Output output;
    output.text = read_until_end(reading.get(), pid, timeout_s);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    output.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return output;
}

}  // namespace weft::cli
