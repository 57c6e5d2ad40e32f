// Sockets: the listeners and fresh sockets that a worker asks for, made in the network namespace of the calling thread.
// The keeper makes them inside a VPC's namespace, local_channel() in the caller's own.
//
// Every descriptor is CLOEXEC and non-blocking. Errors: the operating system's, with the address in the message.
// Threads: plain functions, any. Source: ip(7) IP_FREEBIND, socket(7) SO_REUSEPORT; kernel-facts: SO_NETNS_COOKIE.
#pragma once
#include <cstdint>
#include <vector>

#include "worker/worker.h"

namespace weft::worker {

inline constexpr int listen_backlog = 4096;           // the kernel cuts it to net.core.somaxconn
inline constexpr int udp_receive_bytes = 1024 * 1024;  // what a burst may queue while a worker is being replaced

// One listening (TCP) or bound (UDP) socket with SO_REUSEPORT and IP_FREEBIND. Port 0 lets the kernel choose.
Result<Fd> make_listener(const ListenKey& key);
// Unconnected, unbound, AF_INET.
Result<Fd> make_upstream(net::Protocol protocol);
// Which network namespace a socket lives in: a number never used again while the machine runs; 0 when unknown.
uint64_t netns_cookie(int socket);
// Tells two duplicates of one socket from two sockets.
uint64_t socket_cookie(int socket);
// The soft limit of open descriptors becomes the hard one; a server of connections needs it.
void raise_descriptor_limit();

}  // namespace weft::worker
