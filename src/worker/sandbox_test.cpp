#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "worker/sockets.h"
#include "worker/worker.h"

namespace weft::worker {
namespace {

bool refused(int64_t result) { return result < 0 && errno == EPERM; }

// Each line of the list: what is tried, and whether it came out as it should.
struct Checks {
    bool all_good = true;

    void expect(bool good, const char* what) {
        if (good) return;
        all_good = false;
        [[maybe_unused]] const ssize_t a = write(2, what, strlen(what));
        [[maybe_unused]] const ssize_t b = write(2, "\n", 1);
    }
};

void check_what_is_closed(Checks& checks) {
    checks.expect(refused(open("/etc/hostname", O_RDONLY)), "open");
    checks.expect(refused(open("/tmp/weft-sandbox-test", O_CREAT | O_WRONLY, 0600)), "create");
    checks.expect(refused(socket(AF_INET, SOCK_STREAM, 0)), "socket");
    checks.expect(refused(socket(AF_UNIX, SOCK_STREAM, 0)), "unix socket");
    checks.expect(refused(syscall(SYS_fork)), "fork");
    checks.expect(refused(execl("/bin/true", "true", nullptr)), "exec");
    checks.expect(refused(kill(getppid(), 0)), "kill");
    checks.expect(refused(syscall(SYS_setns, 0, 0)), "setns");
    checks.expect(refused(syscall(SYS_bpf, 0, nullptr, 0)), "bpf");
    checks.expect(refused(syscall(SYS_ptrace, 0, 0, 0, 0)), "ptrace");
    checks.expect(mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED,
                  "executable memory");
    int pair[2];
    checks.expect(refused(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair)), "datagram pair");
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct sets[2] = {};
    checks.expect(refused(syscall(SYS_capset, &header, sets)), "capset");
}

void check_what_is_open(Checks& checks, const Fd& listener, const Fd& client) {
    bool ran = false;
    std::thread([&ran] { ran = true; }).join();
    checks.expect(ran, "thread");
    Fd epoll(epoll_create1(EPOLL_CLOEXEC));
    Fd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    checks.expect(bool(epoll) && bool(wake), "epoll and eventfd");
    std::vector<char> memory(8 << 20);
    memory[memory.size() / 2] = 1;
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    checks.expect(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0, "getsockname");
    checks.expect(connect(client.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 || errno == EINPROGRESS,
                  "connect");
    const Fd accepted(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    checks.expect(bool(accepted), "accept");
    checks.expect(send(accepted.get(), "x", 1, MSG_NOSIGNAL) == 1, "send");
    char byte = 0;
    checks.expect(recv(client.get(), &byte, 1, 0) == 1, "receive");
    checks.expect(fcntl(accepted.get(), F_SETFL, O_NONBLOCK) == 0, "fcntl");
    checks.expect(bool(accepted.duplicate()), "duplicate");
    std::array<uint8_t, 8> random{};
    checks.expect(syscall(SYS_getrandom, random.data(), random.size(), 0) == 8, "getrandom");
}

TEST(SandboxTest, a_worker_can_serve_its_sockets_and_nothing_else) {
    const Fd listener = *make_listener({0, net::Address::v4(127, 0, 0, 1), 0, net::Protocol::tcp});
    const Fd client = *make_upstream(net::Protocol::tcp);
    const pid_t child = fork();
    if (child == 0) {
        Checks checks;
        // A thread from before must be locked in too.
        std::atomic<int> stage{0};
        bool confined = false;
        std::thread earlier([&] {
            stage.wait(0);
            confined = refused(open("/etc/hostname", O_RDONLY));
        });
        if (!enter_sandbox()) _exit(2);
        stage = 1;
        stage.notify_all();
        earlier.join();
        checks.expect(confined, "an earlier thread");
        check_what_is_closed(checks);
        check_what_is_open(checks, listener, client);
        _exit(checks.all_good ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace weft::worker
