// weft shim: the parent of one pod's processes. It outlives the runtime: own session, subreaper, one poll loop, no
// thread.
//
//   DIR/shim.sock    orders in, reports out (protocol/runtime.h); any number of connections, each gets every report
//   log files        each container's output, see log_writer.h
//
// A container is its first process; when that ends, the rest of its cgroup is killed. If the shim itself is killed, the
// kernel kills the first processes (PR_SET_PDEATHSIG) and the runtime clears the cgroup.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "io/socket.h"
#include "runtime/exec.h"
#include "runtime/launch.h"
#include "runtime/log_writer.h"
#include "runtime/main.h"
#include "runtime/shim.h"

namespace weft::runtime {

using protocol::runtime::Launch;
using protocol::runtime::Order;
using protocol::runtime::Report;

namespace {

struct Container {
    Report report;
    std::string cgroup;
    std::unique_ptr<LogWriter> log;
    Fd out, err;
};

struct Connection {
    Fd fd;
    std::string input;
    bool broken = false;
};

class Shim {
public:
    static Result<Shim> open(const std::string& folder);
    int run();

private:
    void accept_connection();
    void read_orders(Connection& connection);
    void obey(const Order& order);
    void start(const Launch& launch);
    void reap();
    void ended(Container& container, int status);
    void copy_output(Container& container, Fd& from, LogWriter::Stream stream);
    void report(const Container& container);
    void send(Connection& connection, const std::string& line);

    Fd listener_, signals_;
    std::vector<Connection> connections_;
    std::map<std::string, Container> containers_;
    bool quit_ = false;
};

Result<Shim> Shim::open(const std::string& folder) {
    Shim shim;
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, nullptr);
    shim.signals_ = Fd(signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!shim.signals_) return fail_errno("signalfd");
    shim.listener_ = TRY(io::listen_unix(shim_socket(folder)));
    return shim;
}

int Shim::run() {
    while (!quit_) {
        std::vector<pollfd> polls{{signals_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
        for (const Connection& connection : connections_) polls.push_back({connection.fd.get(), POLLIN, 0});
        for (const auto& [name, container] : containers_) {
            if (container.out) polls.push_back({container.out.get(), POLLIN, 0});
            if (container.err) polls.push_back({container.err.get(), POLLIN, 0});
        }
        if (::poll(polls.data(), polls.size(), -1) < 0 && errno != EINTR) return 1;
        // Output first: what a program said before it ended stands in the log when its end is reported.
        for (auto& [name, container] : containers_) {
            copy_output(container, container.out, LogWriter::Stream::out);
            copy_output(container, container.err, LogWriter::Stream::err);
        }
        if (polls[0].revents != 0) reap();
        for (size_t i = 0; i < connections_.size(); i++)
            if (polls[i + 2].revents != 0) read_orders(connections_[i]);
        if (polls[1].revents != 0) accept_connection();
        std::erase_if(connections_, [](const Connection& connection) { return connection.broken; });
    }
    return 0;
}

void Shim::accept_connection() {
    Fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer) return;
    connections_.push_back({std::move(peer), "", false});
    for (const auto& [name, container] : containers_) send(connections_.back(), encode(container.report));
    send(connections_.back(), "\n");  // an empty line: all that was known has been said
}

void Shim::read_orders(Connection& connection) {
    char buffer[65536];
    const ssize_t n = ::recv(connection.fd.get(), buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0 || connection.input.size() > protocol::runtime::line_bytes_max) {
        connection.broken = true;
        return;
    }
    connection.input.append(buffer, size_t(n));
    size_t end = 0;
    while ((end = connection.input.find('\n')) != std::string::npos) {
        const Result<Order> order = protocol::runtime::decode_order(std::string_view(connection.input).substr(0, end));
        connection.input.erase(0, end + 1);
        if (order)
            obey(*order);
        else
            log::warning("order refused", {{"error", order.error().message}});
    }
}

void Shim::obey(const Order& order) {
    if (order.kind == Order::Kind::quit) {
        quit_ = true;
    } else if (order.kind == Order::Kind::start) {
        start(order.launch);
    } else if (const auto found = containers_.find(order.container); found != containers_.end()) {
        if (found->second.report.running) ::kill(found->second.report.pid, order.signal);
    }
}

void Shim::start(const Launch& plan) {
    Container& container = containers_[plan.container];
    const Report& last = container.report;
    if (!last.container.empty() && (last.running || plan.attempt <= last.attempt)) return report(container);
    container = Container{};
    container.cgroup = plan.cgroup;
    container.report.container = plan.container;
    container.report.attempt = plan.attempt;
    container.report.started_at = rfc3339(system_clock().wall());
    container.log = std::make_unique<LogWriter>(plan.log_file);
    Result<Launched> launched = launch(plan);
    if (!launched) {
        container.report.error = launched.error().message;
        container.report.exit_code = 128;
        container.report.finished_at = container.report.started_at;
        return report(container);
    }
    container.report.running = true;
    container.report.pid = launched->pid;
    container.report.pid_started = launched->started;
    container.out = std::move(launched->out);
    container.err = std::move(launched->err);
    report(container);
}

void Shim::reap() {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) > 0) {}
    int status = 0;
    pid_t pid = 0;
    while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
        for (auto& [name, container] : containers_)
            if (container.report.running && container.report.pid == pid) ended(container, status);
    }
}

void Shim::ended(Container& container, int status) {
    // Its other processes go too; they are reaped here, as ours.
    if (!container.cgroup.empty()) (void)write_existing(container.cgroup + "/cgroup.kill", "1");
    copy_output(container, container.out, LogWriter::Stream::out);
    copy_output(container, container.err, LogWriter::Stream::err);
    container.log->flush();
    Report& last = container.report;
    last.running = false;
    last.pid = 0;
    last.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    last.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    last.finished_at = rfc3339(system_clock().wall());
    report(container);
}

void Shim::copy_output(Container& container, Fd& from, LogWriter::Stream stream) {
    static constexpr int reads_max = 64;  // a chatty program does not keep the others waiting
    char buffer[16384];
    for (int i = 0; from && i < reads_max; i++) {
        const ssize_t n = ::read(from.get(), buffer, sizeof buffer);
        if (n > 0) container.log->write(stream, {buffer, size_t(n)});
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n <= 0) from.reset();
    }
}

void Shim::report(const Container& container) {
    for (Connection& connection : connections_) send(connection, encode(container.report));
}

// A reader that does not read is let go: it connects again and gets the state whole.
void Shim::send(Connection& connection, const std::string& line) {
    if (::send(connection.fd.get(), line.data(), line.size(), MSG_NOSIGNAL) != ssize_t(line.size()))
        connection.broken = true;
}

// The caller waits for the first process, which ends when the second one listens.
int run_detached(const std::string& folder, const std::string& netns) {
    ::signal(SIGPIPE, SIG_IGN);
    const Fd space(::open(netns.c_str(), O_RDONLY | O_CLOEXEC));
    if (!space || ::setns(space.get(), CLONE_NEWNET) != 0) {
        log::error("shim cannot enter its network namespace", {{"netns", netns}});
        return 1;
    }
    Result<Shim> shim = Shim::open(folder);
    if (!shim) {
        log::error("shim cannot start", {{"folder", folder}, {"error", shim.error().message}});
        return 1;
    }
    const pid_t child = ::fork();
    if (child != 0) return child < 0 ? 1 : 0;
    ::setsid();
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    // The starter waits for the end of its pipes: give them up.
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const Fd notes(::open((folder + "/shim.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    ::dup2(null.get(), 0);
    ::dup2(null.get(), 1);
    ::dup2(notes ? notes.get() : null.get(), 2);
    return shim->run();
}

}  // namespace

std::string shim_socket(const std::string& folder) { return folder + "/shim.sock"; }

int shim_main(int argc, char** argv) {
    log::set_process("shim");
    std::string folder;
    std::string netns;
    for (int i = 1; i < argc; i++) {
        const std::string_view argument = argv[i];
        if (argument == "--exec") return exec_main();
        if (argument == "--dir" && i + 1 < argc) folder = argv[++i];
        else if (argument == "--netns" && i + 1 < argc) netns = argv[++i];
        else return log::error("shim: unknown argument", {{"argument", argument}}), 2;
    }
    if (folder.empty() || netns.empty()) return log::error("shim: --dir and --netns are required"), 2;
    // Nothing of the runtime's is ours but stdin, stdout and stderr.
    ::syscall(SYS_close_range, 3u, ~0u, 0u);
    return run_detached(folder, netns);
}

}  // namespace weft::runtime
