#include "io/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weft::io {

namespace {

// IPv4 addresses use AF_INET sockets: their peers then see plain IPv4, and namespaces without IPv6 work.
socklen_t fill(const SocketAddress& from, sockaddr_storage& to) {
    std::memset(&to, 0, sizeof to);
    if (from.address.is_v4()) {
        auto& in = reinterpret_cast<sockaddr_in&>(to);
        in.sin_family = AF_INET;
        in.sin_port = htons(from.port);
        in.sin_addr.s_addr = htonl(from.address.v4_host_order());
        return sizeof in;
    }
    auto& in6 = reinterpret_cast<sockaddr_in6&>(to);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(from.port);
    std::memcpy(&in6.sin6_addr, from.address.bytes.data(), 16);
    return sizeof in6;
}

Result<SocketAddress> read_back(const sockaddr_storage& from) {
    SocketAddress out;
    if (from.ss_family == AF_INET) {
        const auto& in = reinterpret_cast<const sockaddr_in&>(from);
        out.address = net::Address::v4(ntohl(in.sin_addr.s_addr));
        out.port = ntohs(in.sin_port);
        return out;
    }
    if (from.ss_family == AF_INET6) {
        const auto& in6 = reinterpret_cast<const sockaddr_in6&>(from);
        std::memcpy(out.address.bytes.data(), &in6.sin6_addr, 16);
        out.port = ntohs(in6.sin6_port);
        return out;
    }
    return fail(Code::invalid, "not an internet socket");
}

Result<sockaddr_un> unix_address(const std::string& path) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    if (path.size() >= sizeof un.sun_path) {
        return fail(Code::invalid, fmt::format("socket path {}: longer than {} bytes", path, sizeof un.sun_path - 1));
    }
    std::memcpy(un.sun_path, path.data(), path.size());
    return un;
}

}  // namespace

std::string SocketAddress::text() const {
    return address.is_v4() ? fmt::format("{}:{}", address.text(), port) : fmt::format("[{}]:{}", address.text(), port);
}

Result<Fd> listen_tcp(const SocketAddress& at, const ListenOptions& options) {
    const std::string doing = "listen " + at.text();
    sockaddr_storage address;
    const socklen_t size = fill(at, address);
    Fd fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | (options.nonblocking ? SOCK_NONBLOCK : 0), 0));
    if (!fd) return fail_errno(doing);
    const int one = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (options.reuse_port && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) {
        return fail_errno(doing);
    }
    if (options.free_bind && ::setsockopt(fd.get(), IPPROTO_IP, IP_FREEBIND, &one, sizeof one) != 0) {
        return fail_errno(doing);
    }
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return fail_errno(doing);
    if (::listen(fd.get(), listen_backlog) != 0) return fail_errno(doing);
    return fd;
}

Result<Fd> listen_unix(const std::string& path, unsigned mode, const ListenOptions& options) {
    const std::string doing = "listen " + path;
    sockaddr_un address = TRY(unix_address(path));
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (options.nonblocking ? SOCK_NONBLOCK : 0), 0));
    if (!fd) return fail_errno(doing);
    // On Linux the file's mode is the socket inode's mode under the umask: fchmod before bind leaves no moment in
    // between.
    if (::fchmod(fd.get(), mode) != 0) return fail_errno(doing);
    const auto bind = [&] { return ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address); };
    if (bind() != 0) {
        if (errno != EADDRINUSE) return fail_errno(doing);
        if (const auto other = connect_unix(path))
            return fail(Code::already_exists, doing + ": somebody listens there");
        if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(doing);
        if (bind() != 0) return fail_errno(doing);
    }
    if (::listen(fd.get(), listen_backlog) != 0) return fail_errno(doing);
    return fd;
}

Result<Fd> connect_tcp(const SocketAddress& to, Duration timeout) {
    const std::string doing = "connect " + to.text();
    Fd fd(::socket(to.address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno(doing);
    if (!TRY(start_connect(fd.get(), to))) {
        if (TRY(wait_for(fd.get(), POLLOUT, timeout)) == 0) return fail(Code::timeout, doing + ": no answer in time");
        TRY_IN(doing, connect_outcome(fd.get()));
    }
    TRY(set_nonblocking(fd.get(), false));
    return fd;
}

Result<Fd> connect_unix(const std::string& path) {
    const std::string doing = "connect " + path;
    sockaddr_un address = TRY(unix_address(path));
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno(doing);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return fail_errno(doing);
    return fd;
}

Result<bool> start_connect(int fd, const SocketAddress& to) {
    sockaddr_storage address;
    const socklen_t size = fill(to, address);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), size) == 0) return true;
    if (errno == EINPROGRESS || errno == EINTR) return false;
    return fail_errno("connect " + to.text());
}

Status connect_outcome(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return fail_errno("getsockopt SO_ERROR");
    if (error != 0) return fail(errno_error(error, "connect"));
    return {};
}

Result<Fd> accept(int listener, bool nonblocking, SocketAddress* peer) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    Fd fd(::accept4(listener, reinterpret_cast<sockaddr*>(&address), &size,
                    SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0)));
    if (!fd) {
        // Errors of the connection that was lost while waiting are reported here by Linux; they say nothing of the
        // listener.
        switch (errno) {
            case EAGAIN:
            case ECONNABORTED:
            case EINTR:
            case EPROTO:
            case ENETDOWN:
            case ENETUNREACH:
            case EHOSTUNREACH: return fail(Code::unavailable, "accept: nothing waits");
            default: return fail_errno("accept");
        }
    }
    if (peer) {
        if (const auto from = read_back(address)) *peer = *from;
    }
    return fd;
}

Result<SocketAddress> local_address(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return fail_errno("getsockname");
    return read_back(address);
}

Result<SocketAddress> peer_address(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return fail_errno("getpeername");
    return read_back(address);
}

Result<PeerCredentials> peer_credentials(int fd) {
    // Internet sockets answer SO_PEERCRED too, with nobody; the family tells.
    int family = 0;
    socklen_t size = sizeof family;
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) return fail_errno("getsockopt SO_DOMAIN");
    if (family != AF_UNIX) return fail(Code::invalid, "peer credentials: not a unix socket");
    ucred credentials{};
    size = sizeof credentials;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return fail_errno("getsockopt SO_PEERCRED");
    return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

Status set_nonblocking(int fd, bool nonblocking) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0) return fail_errno("fcntl F_GETFL");
    const int wanted = nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (wanted != flags && ::fcntl(fd, F_SETFL, wanted) != 0) return fail_errno("fcntl F_SETFL");
    return {};
}

void set_no_delay(int fd) {
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

Result<int> wait_for(int fd, int events, Duration timeout) {
    const bool endless = timeout < Duration::zero();
    const MonotonicTime deadline = system_clock().now() + (endless ? Duration::zero() : timeout);
    for (;;) {
        int wait_ms = -1;
        if (!endless) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - system_clock().now()).count();
            wait_ms = int(std::clamp<int64_t>(left, 0, INT32_MAX));
        }
        pollfd one{.fd = fd, .events = short(events), .revents = 0};
        const int ready = ::poll(&one, 1, wait_ms);
        if (ready > 0) return int(one.revents);
        if (ready == 0) return 0;
        if (errno != EINTR) return fail_errno("poll");
    }
}

}  // namespace weft::io
