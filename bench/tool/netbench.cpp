// netbench: the load of the network benchmarks. One thread, blocking, so that client and server can share one CPU and the
// scheduler's placement is not what gets measured.
//
//   netbench server PORT                       answers everything, forever
//   netbench rr|crr|stream ADDRESS PORT SECONDS
// Prints one number: rr = round trips/s of one byte, crr = connections/s (connect, one byte each way, close), stream = MB/s.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

using Clock = std::chrono::steady_clock;

static sockaddr_in address_of(const char* host, const char* port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(uint16_t(std::atoi(port)));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        std::fprintf(stderr, "netbench: bad address %s\n", host);
        std::exit(2);
    }
    return address;
}

static int connect_to(const sockaddr_in& to) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    // Closing by reset keeps ports out of TIME_WAIT; thousands of connections a second would run out of them.
    const linger hard{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0) {
        std::perror("netbench: connect");
        std::exit(1);
    }
    return fd;
}

static void must(bool ok, const char* what) {
    if (ok) return;
    std::perror(what);
    std::exit(1);
}

// First byte of a connection: 'p' echo bytes, 's' swallow a stream.
static int serve(const char* port) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in any = address_of("0.0.0.0", port);
    must(bind(listener, reinterpret_cast<sockaddr*>(&any), sizeof any) == 0, "netbench: bind");
    must(listen(listener, 1024) == 0, "netbench: listen");
    std::vector<pollfd> fds{{listener, POLLIN, 0}};
    static char buffer[1 << 20];
    for (;;) {
        poll(fds.data(), fds.size(), -1);
        for (size_t i = fds.size(); i-- > 1;) {
            if (fds[i].revents == 0) continue;
            const ssize_t n = recv(fds[i].fd, buffer, sizeof buffer, 0);
            if (n <= 0) {
                close(fds[i].fd);
                fds[i] = fds.back();
                fds.pop_back();
            } else if (n == 1) {
                (void)!send(fds[i].fd, buffer, 1, MSG_NOSIGNAL);
            }
        }
        if (fds[0].revents != 0) {
            const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            fds.push_back({fd, POLLIN, 0});
        }
    }
}

static double per_second(uint64_t n, Clock::time_point start) {
    return double(n) / std::chrono::duration<double>(Clock::now() - start).count();
}

static double round_trips(const sockaddr_in& to, Clock::time_point end) {
    const int fd = connect_to(to);
    const auto start = Clock::now();
    uint64_t n = 0;
    char byte = 'p';
    while (Clock::now() < end) {
        must(send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1, "netbench: round trip");
        n++;
    }
    return per_second(n, start);
}

static double connects(const sockaddr_in& to, Clock::time_point end) {
    const auto start = Clock::now();
    uint64_t n = 0;
    char byte = 'p';
    while (Clock::now() < end) {
        const int fd = connect_to(to);
        must(send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1, "netbench: connection");
        close(fd);
        n++;
    }
    return per_second(n, start);
}

static double stream(const sockaddr_in& to, Clock::time_point end) {
    static char buffer[128 * 1024];
    const int fd = connect_to(to);
    const auto start = Clock::now();
    uint64_t bytes = 0;
    while (Clock::now() < end) {
        const ssize_t n = send(fd, buffer, sizeof buffer, MSG_NOSIGNAL);
        must(n > 0, "netbench: stream");
        bytes += uint64_t(n);
    }
    return per_second(bytes, start) / 1e6;
}

int main(int argc, char** argv) {
    const std::string_view mode = argc > 1 ? argv[1] : "";
    if (mode == "server" && argc == 3) return serve(argv[2]);
    if (argc != 5) {
        std::fputs("netbench server PORT | rr|crr|stream ADDRESS PORT SECONDS\n", stderr);
        return 2;
    }
    const sockaddr_in to = address_of(argv[2], argv[3]);
    const auto end = Clock::now() + std::chrono::milliseconds(int(std::atof(argv[4]) * 1000));
    double (*run)(const sockaddr_in&, Clock::time_point) = mode == "rr" ? round_trips : mode == "crr" ? connects : stream;
    std::printf("%.1f\n", run(to, end));
    return 0;
}
