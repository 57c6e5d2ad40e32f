// Socket: listen and connect for TCP and unix sockets. Every descriptor is CLOEXEC; which ones block is said per
// function.
//
// Errors: the operating system's, with the address in the message ("connect 10.0.0.1:80: Connection refused").
// Threads: plain functions, any. Source: unix(7) for SO_PEERCRED.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "net/address.h"

namespace weft::io {

inline constexpr int listen_backlog = 1024;

struct SocketAddress {
    net::Address address;
    uint16_t port = 0;

    std::string text() const;  // "10.0.0.1:80", "[::1]:80"
    auto operator<=>(const SocketAddress&) const = default;
};

// Who is at the other end of a unix socket, as the kernel saw it at connect().
struct PeerCredentials {
    pid_t pid = 0;
    uid_t uid = 0;
    gid_t gid = 0;
};

struct ListenOptions {
    bool nonblocking = false;
    bool reuse_port = false;  // several sockets share one address, the kernel spreads connections
    bool free_bind = false;   // the address need not be on an interface yet
};

// Port 0 lets the kernel choose; ask local_address().
Result<Fd> listen_tcp(const SocketAddress& at, const ListenOptions& options = {});
// Replaces a socket file that nobody listens on any more (already_exists when somebody does); the file has `mode` from
// its first moment. Paths longer than 107 bytes are `invalid`.
Result<Fd> listen_unix(const std::string& path, unsigned mode = 0600, const ListenOptions& options = {});

// Blocking descriptors; the connect itself is bounded by `timeout` (Code::timeout).
Result<Fd> connect_tcp(const SocketAddress& to, Duration timeout);
Result<Fd> connect_unix(const std::string& path);

// A non-blocking connect on a socket that exists already: true when it is connected at once, false when the socket
// becomes writable later and connect_outcome() then tells.
Result<bool> start_connect(int fd, const SocketAddress& to);
Status connect_outcome(int fd);

// One waiting connection, or Code::unavailable when there is none (non-blocking listener) or it went away meanwhile.
Result<Fd> accept(int listener, bool nonblocking, SocketAddress* peer = nullptr);

Result<SocketAddress> local_address(int fd);  // invalid for a unix socket
Result<SocketAddress> peer_address(int fd);
Result<PeerCredentials> peer_credentials(int fd);  // invalid for anything but a unix socket

Status set_nonblocking(int fd, bool nonblocking);
void set_no_delay(int fd);  // no effect on unix sockets

// Waits until poll(2) reports one of `events` (or an error or hang-up) and returns what it reported; 0 = the time is
// over. A negative timeout waits without end.
Result<int> wait_for(int fd, int events, Duration timeout);

}  // namespace weft::io
