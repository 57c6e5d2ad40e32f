// Worker: what `weft alb` and `weft dns` share: the channel to the keeper, which makes every socket they use, the
// adoption door for a new keeper, and the sandbox they lock themselves into.
//
// A worker starts with: descriptor 3 = SEQPACKET channel to the keeper, 4 = memfd with the API token, 5 = listening
// "<worker>.adopt" socket, 2 = log. It opens what it needs, then enter_sandbox(): no capability, no file system, a
// seccomp list. It outlives its keeper: listeners and sockets are its own duplicates. A new keeper connects to the
// adopt socket, gets duplicates of all listeners and serves the same channel protocol from there; nothing is bound
// anew. Threads: Channel may be used from any thread. Source: design.md §3; src/protocol/keeper.h.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "kube/client.h"
#include "net/address.h"
#include "protocol/keeper.h"

namespace weft::worker {

// A local address of a VPC's service endpoint on this node: vni, address, port, protocol. vni 0 = the node's own
// namespace.
using ListenKey = protocol::keeper::ListenerKey;

class Channel {
public:
    virtual ~Channel() = default;
    // `n` non-blocking sockets with SO_REUSEPORT: TCP bound and listening, UDP bound. The same key again gives the same
    // sockets (duplicates), also after the keeper or this worker was restarted. not_found: that VPC has no service
    // endpoint on this node yet (try again); timeout: the keeper is away (keep what you have, try again).
    virtual Result<std::vector<Fd>> listen(const ListenKey& key, unsigned n) = 0;
    virtual Status unlisten(const ListenKey& key) = 0;
    // A fresh non-blocking, unconnected socket in the VPC's service-endpoint namespace, bound to no address (the
    // namespace's own source address is used). Taken from a stock that is refilled in the background, so it rarely
    // waits.
    virtual Result<Fd> upstream(uint32_t vni, net::Protocol protocol) = 0;
    // A connected stream to the API server, for kube::Endpoint::dial.
    virtual Result<Fd> api() = 0;
    // The keys that have listeners at this moment; after a restart, those that the keeper kept for this worker.
    virtual std::vector<ListenKey> held() const { return {}; }
};

struct Start {
    std::string node;
    std::unique_ptr<Channel> channel;
    kube::Endpoint api;  // dial and token set
};

// First thing in main: takes over the inherited descriptors.
Result<Start> start(std::string_view worker_name);

// For tests of a worker without a keeper: makes sockets in the caller's own namespace, whatever the vni.
std::unique_ptr<Channel> local_channel();

// Irreversible. After it: no new file descriptors but by accept/recvmsg, no exec, no file system, no capability.
Status enter_sandbox();

}  // namespace weft::worker
