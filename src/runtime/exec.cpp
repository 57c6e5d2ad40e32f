#include "runtime/exec.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <future>
#include <mutex>
#include <thread>

#include "base/fd.h"
#include "base/json.h"
#include "runtime/launch.h"
#include "runtime/spawn.h"

namespace weft::runtime {

namespace {

// First byte of every message.
enum Channel : char {
    channel_stdin = 0,
    channel_stdout = 1,
    channel_stderr = 2,
    channel_status = 3,
    channel_resize = 4
};
constexpr unsigned char channel_close = 255;  // v5
constexpr Duration close_patience = std::chrono::seconds(2);

struct Ends {
    Fd program_in, program_out, program_err;
    Fd in, out, err;  // ours; with a terminal in and out are the same
};

Result<Ends> open_terminal() {
    Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) return fail_errno("open a terminal");
    char name[128];
    if (::ptsname_r(master.get(), name, sizeof name) != 0) return fail_errno("name of a terminal");
    Ends ends;
    ends.program_in = Fd(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!ends.program_in) return fail_errno(std::string("open ") + name);
    ends.program_out = TRY(ends.program_in.duplicate());
    ends.program_err = TRY(ends.program_in.duplicate());
    ends.in = TRY(master.duplicate());
    ends.out = std::move(master);
    return ends;
}

Status open_pipe(Fd& read, Fd& write) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
    read.reset(ends[0]);
    write.reset(ends[1]);
    return {};
}

Result<Ends> open_ends(const ExecOptions& options) {
    if (options.tty) return open_terminal();
    Ends ends;
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null) return fail_errno("open /dev/null");
    if (options.in)
        TRY(open_pipe(ends.program_in, ends.in));
    else
        ends.program_in = TRY(null.duplicate());
    if (options.out)
        TRY(open_pipe(ends.out, ends.program_out));
    else
        ends.program_out = TRY(null.duplicate());
    if (options.err)
        TRY(open_pipe(ends.err, ends.program_err));
    else
        ends.program_err = TRY(null.duplicate());
    return ends;
}

// The plan as a file that the program inherits: argv would show the environment to everyone.
Result<Fd> plan_file(const ExecTarget& target) {
    Fd file(::memfd_create("weft-exec", MFD_CLOEXEC));
    if (!file) return fail_errno("memfd");
    const std::string text = fmt::format("{} {}\n{}", target.pid, target.pid_started, encode(target.plan));
    if (::write(file.get(), text.data(), text.size()) != ssize_t(text.size()) || ::lseek(file.get(), 0, SEEK_SET) != 0)
        return fail_errno("write the plan");
    return file;
}

Status write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno("write");
        bytes.remove_prefix(size_t(n));
    }
    return {};
}

void resize(const Ends& ends, std::string_view text) {
    const Result<json::Value> size = json::parse(text);
    if (!size) return;
    winsize window{};
    window.ws_col = static_cast<unsigned short>(json::find_int(*size, {"Width"}));
    window.ws_row = static_cast<unsigned short>(json::find_int(*size, {"Height"}));
    (void)::ioctl(ends.in ? ends.in.get() : ends.out.get(), TIOCSWINSZ, &window);
}

// The program, as two threads see it: nobody signals it once its number may mean another process.
class Program {
public:
    explicit Program(int pid) : pid_(pid) {}

    void hang_up() {
        const std::lock_guard lock(mutex_);
        if (ended_) return;
        ::kill(-pid_, SIGHUP);
        ::kill(-pid_, SIGTERM);
    }

    int wait() {
        siginfo_t info;
        while (::waitid(P_PID, id_t(pid_), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {}
        const std::lock_guard lock(mutex_);
        ended_ = true;
        return wait_program(pid_);
    }

private:
    const int pid_;
    std::mutex mutex_;
    bool ended_ = false;
};

// What the client sends, until it leaves; then the program is told by a hang-up.
void pump_input(http::WebSocket& socket, Ends& ends, Program& program, bool tty) {
    for (;;) {
        const Result<http::WebSocket::Message> message = socket.receive();
        if (!message || message->opcode == http::Opcode::close) break;
        const std::string& bytes = message->payload;
        if (bytes.empty()) continue;
        const unsigned char channel = static_cast<unsigned char>(bytes[0]);
        if (channel == channel_resize && tty) resize(ends, std::string_view(bytes).substr(1));
        if (channel == channel_stdin && ends.in && !write_all(ends.in.get(), std::string_view(bytes).substr(1)))
            ends.in.reset();
        if (channel == channel_close && bytes.size() > 1 && bytes[1] == channel_stdin && !tty) ends.in.reset();
    }
    program.hang_up();
    if (!tty) ends.in.reset();
}

bool pump_one(http::WebSocket& socket, Fd& from, char channel) {
    char buffer[1 + 16384];
    buffer[0] = channel;
    const ssize_t n = ::read(from.get(), buffer + 1, sizeof buffer - 1);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (n <= 0) {  // a terminal whose program has ended says EIO
        from.reset();
        return true;
    }
    return socket.send(http::Opcode::binary, {buffer, size_t(n) + 1}).has_value();
}

void pump_output(http::WebSocket& socket, Ends& ends) {
    while (ends.out || ends.err) {
        pollfd polls[] = {{ends.out.get(), POLLIN, 0}, {ends.err.get(), POLLIN, 0}};
        if (::poll(polls, 2, -1) < 0 && errno != EINTR) return;
        if (polls[0].revents != 0 && !pump_one(socket, ends.out, channel_stdout)) return;
        if (polls[1].revents != 0 && !pump_one(socket, ends.err, channel_stderr)) return;
    }
}

void say_status(http::WebSocket& socket, const std::string& status) {
    (void)socket.send(http::Opcode::binary, std::string(1, channel_status) + status);
    socket.close(1000);
}

std::string failure_status(std::string_view message) {
    return json::serialize(json::Object{{"kind", "Status"},
                                        {"apiVersion", "v1"},
                                        {"metadata", json::Object{}},
                                        {"status", "Failure"},
                                        {"message", message},
                                        {"reason", "InternalError"},
                                        {"code", 500}});
}

}  // namespace

std::string exit_status(int exit_code) {
    if (exit_code == 0)
        return json::serialize(json::Object{
            {"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", json::Object{}}, {"status", "Success"}});
    const json::Array causes{json::Object{{"reason", "ExitCode"}, {"message", std::to_string(exit_code)}}};
    return json::serialize(json::Object{
        {"kind", "Status"},
        {"apiVersion", "v1"},
        {"metadata", json::Object{}},
        {"status", "Failure"},
        {"message", fmt::format("command terminated with non-zero exit code: exit status {}", exit_code)},
        {"reason", "NonZeroExitCode"},
        {"details", json::Object{{"causes", causes}}}});
}

Result<ExecOptions> parse_exec_options(const http::Query& query) {
    ExecOptions options;
    for (const std::string_view word : query.all("command")) options.command.emplace_back(word);
    options.in = query.flag("stdin");
    options.out = query.flag("stdout");
    options.tty = query.flag("tty");
    options.err = query.flag("stderr") && !options.tty;
    if (options.command.empty()) return fail(Code::invalid, "you must specify at least 1 command for the container");
    if (!options.in && !options.out && !options.err)
        return fail(Code::invalid, "you must specify at least 1 of stdin, stdout, stderr");
    return options;
}

void run_exec(const ExecTarget& target, const ExecOptions& options, io::Stream& stream) {
    http::WebSocket socket(stream, http::Side::server);
    Result<Ends> opened = open_ends(options);
    const Result<Fd> plan = plan_file(target);
    if (!opened || !plan)
        return say_status(socket, failure_status(!opened ? opened.error().message : plan.error().message));
    Ends& ends = *opened;
    const Result<Spawned> spawned =
        spawn_program({target.self_binary, "shim", "--exec"}, {options.tty ? "WEFT_EXEC_TTY=1" : "WEFT_EXEC_TTY=0"},
                      ends.program_in.get(), ends.program_out.get(), ends.program_err.get(), plan->get(), true);
    if (!spawned) return say_status(socket, failure_status(spawned.error().message));
    ends.program_in.reset();
    ends.program_out.reset();
    ends.program_err.reset();
    Program program(spawned->pid);
    std::promise<void> client_left;
    std::jthread input([&] {
        pump_input(socket, ends, program, options.tty);
        client_left.set_value();
    });
    pump_output(socket, ends);
    say_status(socket, exit_status(program.wait()));
    // The client answers the close and that ends the input thread; one that does not is cut off.
    if (client_left.get_future().wait_for(close_patience) != std::future_status::ready) stream.shutdown();
}

Result<Ran> run_in_container(const ExecTarget& target, Duration timeout, std::stop_token stop) {
    static constexpr auto stop_check = std::chrono::milliseconds(200);
    Fd read, write;
    TRY(open_pipe(read, write));
    const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const Fd plan = TRY(plan_file(target));
    const Spawned spawned = TRY(spawn_program({target.self_binary, "shim", "--exec"}, {"WEFT_EXEC_TTY=0"}, null.get(),
                                              write.get(), write.get(), plan.get(), true));
    write.reset();
    const Fd process(int(::syscall(SYS_pidfd_open, spawned.pid, 0)));
    const MonotonicTime deadline = system_clock().now() + timeout;
    Ran ran;
    bool over = false;
    while (!over && !stop.stop_requested() && system_clock().now() < deadline) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - system_clock().now());
        // A child left behind may hold the pipe: the program's own end counts.
        pollfd polls[] = {{read.get(), POLLIN, 0}, {process.get(), POLLIN, 0}};
        (void)::poll(polls, 2, int(std::clamp(left, std::chrono::milliseconds(0), stop_check).count()));
        over = polls[1].revents != 0;
        if (polls[0].revents == 0) continue;
        char buffer[16384];
        const ssize_t n = ::read(read.get(), buffer, sizeof buffer);
        if (n > 0) ran.output.append(buffer, std::min(size_t(n), ran_output_max - ran.output.size()));
        if (n == 0) read.reset();
    }
    if (!over) ::kill(-spawned.pid, SIGKILL);
    ran.exit_code = wait_program(spawned.pid);
    if (over) return ran;
    if (stop.stop_requested()) return fail(Code::unavailable, "the runtime stops");
    return fail(Code::timeout, fmt::format("command timed out after {}s",
                                           std::chrono::duration_cast<std::chrono::seconds>(timeout).count()));
}

int exec_main() {
    const Fd plan_fd(3);
    std::string text;
    char buffer[65536];
    for (ssize_t n = 0; (n = ::read(plan_fd.get(), buffer, sizeof buffer)) > 0;) text.append(buffer, size_t(n));
    int pid = 0;
    unsigned long long started = 0;
    int used = 0;
    if (std::sscanf(text.c_str(), "%d %llu\n%n", &pid, &started, &used) != 2) return 126;
    const Result<protocol::runtime::Launch> plan =
        protocol::runtime::decode_launch(std::string_view(text).substr(size_t(used)));
    if (!plan) return 126;
    (void)::fcntl(plan_fd.get(), F_SETFD, FD_CLOEXEC);
    const char* tty = std::getenv("WEFT_EXEC_TTY");
    if (tty != nullptr && *tty == '1') (void)::ioctl(0, TIOCSCTTY, 0);
    const Error error = enter_and_exec(*plan, pid, started);
    (void)write_all(2, error.message + "\n");
    return error.code == Code::not_found ? 127 : 126;
}

}  // namespace weft::runtime
