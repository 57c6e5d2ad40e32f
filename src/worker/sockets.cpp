#include "worker/sockets.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cstring>

namespace weft::worker {

namespace {

std::string describe(const ListenKey& key) {
    return (key.protocol == net::Protocol::udp ? "udp " : "tcp ") + key.address.text() + ":" + std::to_string(key.port);
}

Status bind_to(int fd, const ListenKey& key) {
    sockaddr_storage storage{};
    socklen_t size = 0;
    if (key.address.is_v4()) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_port = htons(key.port);
        v4.sin_addr.s_addr = htonl(key.address.v4_host_order());
        std::memcpy(&storage, &v4, size = sizeof v4);
    } else {
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(key.port);
        std::memcpy(&v6.sin6_addr, key.address.bytes.data(), sizeof v6.sin6_addr);
        std::memcpy(&storage, &v6, size = sizeof v6);
    }
    if (bind(fd, reinterpret_cast<const sockaddr*>(&storage), size) != 0) return fail_errno("bind " + describe(key));
    return {};
}

Status set_option(int fd, int level, int name, int value, std::string_view what) {
    if (setsockopt(fd, level, name, &value, sizeof value) != 0) return fail_errno(what);
    return {};
}

}  // namespace

Result<Fd> make_listener(const ListenKey& key) {
    const bool udp = key.protocol == net::Protocol::udp;
    if (!udp && key.protocol != net::Protocol::tcp) return fail(Code::invalid, "listen: protocol must be TCP or UDP");
    const int type = (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    Fd fd(socket(key.address.is_v4() ? AF_INET : AF_INET6, type, 0));
    if (!fd) return fail_errno("socket for " + describe(key));
    // FREEBIND: the agent may put the address on the loopback a moment later than the VPC's object reaches the worker.
    if (key.address.is_v4()) {
        TRY(set_option(fd.get(), IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND"));
    } else {
        TRY(set_option(fd.get(), IPPROTO_IPV6, IPV6_FREEBIND, 1, "IPV6_FREEBIND"));
        TRY(set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY"));
    }
    TRY(set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"));
    if (udp) {
        TRY(set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, udp_receive_bytes, "SO_RCVBUF"));
    } else {
        TRY(set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"));
    }
    TRY(bind_to(fd.get(), key));
    if (!udp && listen(fd.get(), listen_backlog) != 0) return fail_errno("listen " + describe(key));
    return fd;
}

Result<Fd> make_upstream(net::Protocol protocol) {
    if (protocol != net::Protocol::tcp && protocol != net::Protocol::udp) {
        return fail(Code::invalid, "upstream: protocol must be TCP or UDP");
    }
    const int type = protocol == net::Protocol::udp ? SOCK_DGRAM : SOCK_STREAM;
    Fd fd(socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno("upstream socket");
    return fd;
}

uint64_t netns_cookie(int socket) {
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return getsockopt(socket, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

uint64_t socket_cookie(int socket) {
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace weft::worker
