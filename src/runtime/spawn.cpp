#include "runtime/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>

namespace weft::runtime {

namespace {

struct Pipe {
    Fd read, write;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
    return Pipe{Fd(ends[0]), Fd(ends[1])};
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
    std::vector<char*> list;
    for (const std::string& text : strings) list.push_back(const_cast<char*>(text.c_str()));
    list.push_back(nullptr);
    return list;
}

// Reads both outputs and feeds the input until both outputs end. False when the time is over or the output is too long.
bool converse(Pipe& in, Pipe& out, Pipe& err, std::string_view input, MonotonicTime deadline, Finished& finished) {
    ::signal(SIGPIPE, SIG_IGN);
    while (out.read || err.read) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - system_clock().now());
        if (left.count() <= 0) return false;
        if (input.empty()) in.write.reset();
        pollfd polls[] = {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}, {in.write.get(), POLLOUT, 0}};
        if (::poll(polls, 3, int(left.count())) < 0 && errno != EINTR) return false;
        if (polls[2].revents != 0) {
            const ssize_t n = ::write(in.write.get(), input.data(), input.size());
            input.remove_prefix(n > 0 ? size_t(n) : input.size());
        }
        for (const auto& [ready, pipe, text] :
             {std::tuple(polls[0].revents, &out, &finished.out), std::tuple(polls[1].revents, &err, &finished.err)}) {
            if (ready == 0) continue;
            char buffer[16384];
            const ssize_t n = ::read(pipe->read.get(), buffer, sizeof buffer);
            if (n > 0) text->append(buffer, size_t(n));
            if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) pipe->read.reset();
            if (text->size() > output_bytes_max) return false;
        }
    }
    return true;
}

}  // namespace

Result<Spawned> spawn_program(const std::vector<std::string>& argv, const std::vector<std::string>& environment, int in,
                              int out, int err, int extra, bool own_session) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, err, 2);
    if (extra >= 0) posix_spawn_file_actions_adddup2(&actions, extra, 3);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, short(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                (own_session ? POSIX_SPAWN_SETSID : 0)));
    pid_t pid = 0;
    const int error = posix_spawn(&pid, argv[0].c_str(), &actions, &attributes, pointers(argv).data(),
                                  pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) return fail(errno_error(error, "exec " + argv[0]));
    return Spawned{pid};
}

int wait_program(int pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return 255;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

Result<Finished> run_program(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                             std::string_view input, Duration timeout) {
    Pipe in = TRY(make_pipe());
    Pipe out = TRY(make_pipe());
    Pipe err = TRY(make_pipe());
    const Spawned spawned = TRY(spawn_program(argv, environment, in.read.get(), out.write.get(), err.write.get()));
    in.read.reset();
    out.write.reset();
    err.write.reset();
    Finished finished;
    const bool whole = converse(in, out, err, input, system_clock().now() + timeout, finished);
    if (!whole) ::kill(spawned.pid, SIGKILL);
    finished.exit_code = wait_program(spawned.pid);
    if (!whole) return fail(Code::timeout, argv[0] + ": no end in time");
    return finished;
}

}  // namespace weft::runtime
