#include "support/world.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/fd.h"
#include "base/strings.h"
#include "standalone/down.h"
#include "standalone/process.h"
#include "support/janitor.h"

namespace weft::test {

std::string root() { return WEFT_ROOT; }

Output run(const std::string& command, int timeout_s) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return {1, "pipe failed"};
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        const int null = ::open("/dev/null", O_RDONLY);
        dup2(null, 0);
        dup2(writing.get(), 1);
        dup2(writing.get(), 2);
        execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
        _exit(127);
    }
    writing.reset();
    Output output;
    const MonotonicTime deadline = system_clock().now() + std::chrono::seconds(timeout_s);
    char buffer[65536];
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - system_clock().now()).count();
        pollfd wait{reading.get(), POLLIN, 0};
        if (left <= 0 || ::poll(&wait, 1, int(left)) == 0) {
            ::kill(-pid, SIGKILL);
            output.text += fmt::format("\n(ended after {} s: {})", timeout_s, command);
            break;
        }
        const ssize_t n = ::read(reading.get(), buffer, sizeof buffer);
        if (n <= 0) break;
        output.text.append(buffer, size_t(n));
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    output.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return output;
}

std::string eventually(int timeout_s, const std::function<std::string()>& holds) {
    const MonotonicTime start = system_clock().now();
    for (;;) {
        const std::string complaint = holds();
        const double waited = std::chrono::duration<double>(system_clock().now() - start).count();
        if (complaint.empty()) {
            if (waited > 1) fmt::print("(waited {:.1f} s)\n", waited);
            return "";
        }
        if (waited > timeout_s) return fmt::format("after {} s: {}", timeout_s, complaint);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
}

static Instance instance_of_this_process() {
    static constexpr char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    std::string name;
    for (unsigned pid = unsigned(getpid()); pid != 0; pid /= 36) name += digits[pid % 36];
    return MUST(Instance::parse("t" + name));
}

// Whatever ends this process, its instance does not outlive it.
static void take_down_at_the_end(const Instance& instance) {
    static bool done = false;
    if (std::exchange(done, true)) return;
    when_this_process_is_gone([weft = std::string(WEFT_BIN) + "/weft", name = instance.name(), run_dir = instance.run_dir()] {
        if (::access(run_dir.c_str(), F_OK) == 0)
            ::execl(weft.c_str(), "weft", "down", "--purge", "--instance", name.c_str(), nullptr);
    });
}

World::World() : instance_(instance_of_this_process()) { take_down_at_the_end(instance_); }

World::~World() {
    if (is_up_) (void)down();
}

static std::string quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

Output World::weft(const std::string& arguments, int timeout_s) const {
    return run(fmt::format("WEFT_INSTANCE={} {}/weft {}", instance_.name(), WEFT_BIN, arguments), timeout_s);
}

std::string World::up(const std::string& arguments, bool prove, const std::string& verb) {
    is_up_ = true;
    const std::string examples = prove ? " --examples " + root() + "/examples" : "";
    const Output output = weft(fmt::format("{} --instance {}{} {}", verb, instance_.name(), examples, arguments), 180);
    fmt::print("{}", output.text);
    return output.ok() ? "" : output.text + log_tails();
}

std::string World::down(bool purge) {
    const Output output = weft(std::string("down") + (purge ? " --purge" : ""), 60);
    if (output.ok()) is_up_ = false;
    return output.ok() ? "" : output.text;
}

Output World::kubectl(const std::string& arguments, int timeout_s) const {
    return run(fmt::format("HOME={} {} --kubeconfig {} {}", instance_.run_dir(), WEFT_KUBECTL, instance_.kubeconfig(), arguments),
               timeout_s);
}

Output World::apply(const std::string& yaml, const std::string& arguments) const {
    const std::string file = fmt::format("/tmp/weft-{}-{}.yaml", instance_.name(), gettid());
    MUST(write_file(file, yaml));
    Output output = kubectl("apply -f " + file + " " + arguments);
    ::unlink(file.c_str());
    return output;
}

Output World::from(const std::string& place, const std::string& command, int timeout_s) const {
    return weft(fmt::format("exec {} -- sh -c {}", place, quoted(command)), timeout_s);
}

Output World::in_pod(const std::string& ns, const std::string& pod, const std::string& command, int timeout_s) const {
    return weft(fmt::format("exec -n {} {} -- sh -c {}", ns, pod, quoted(command)), timeout_s);
}

json::Value World::get(const std::string& what, const std::string& ns) const {
    const Output output = kubectl(fmt::format("-n {} get {} -o json", ns, what));
    const auto value = json::parse(output.text);
    return output.ok() && value ? *value : json::Value(nullptr);
}

std::string World::field(const std::string& what, const std::string& jsonpath, const std::string& ns) const {
    const Output output = kubectl(fmt::format("-n {} get {} -o jsonpath={}", ns, what, quoted(jsonpath)));
    return output.ok() ? output.text : "";
}

int World::pid_of(const std::string& process, const std::string& node) const {
    const bool cluster_wide = process == "apiserver" || process == "controller" || process == "supervisor";
    if (process != "alb" && process != "dns")
        return standalone::living_pid(instance_.run_dir() + "/" + (cluster_wide ? "" : node + ".") + process + ".pid");
    // The keeper's children are found by their command line inside the node's system cgroup.
    const Output output = run(fmt::format("for p in $(cat $(grep ' - cgroup2 ' /proc/self/mountinfo | head -1 | cut -d' ' -f5)/{}/cgroup.procs);"
                                          " do tr '\\0' ' ' < /proc/$p/cmdline | grep -q ' \\?weft {} \\|/weft {} ' && echo $p; done",
                                          instance_.system_cgroup(node), process, process));
    return int(parse_unsigned(trim(output.text.substr(0, output.text.find('\n')))).value_or(0));
}

std::string World::log_tails() const {
    return run(fmt::format("for f in {}/log/*.log; do echo \"--- $f\"; tail -n 15 $f; done", instance_.run_dir())).text;
}

}  // namespace weft::test
