// Keeper protocol: how a worker without rights gets its sockets from the keeper, over one SEQPACKET socket per worker.
//
// Every packet is one Message of fixed size, descriptors ride along by SCM_RIGHTS. The worker asks, the keeper replies
// with the same `sequence`; one request is outstanding at a time. Connections begin with a hello from each side:
//
//   new worker:  keeper → hello; worker → hello; keeper → a `holding` per key it kept for it, then `holding_end`
//   new keeper:  connects to <worker>.adopt, → hello; worker → hello, a `holding` per key it has, then `holding_end`
//
// Shapes: host byte order (one machine), addresses 16 bytes v4-mapped. Errors: a packet of another size, version or
// kind is Code::invalid and the side that sees it closes the connection; EOF is Code::unavailable.
// Threads: values; send and receive may be called from any thread, one at a time per socket. Source: design.md §3.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "net/address.h"

namespace weft::protocol::keeper {

inline constexpr uint32_t version = 1;
inline constexpr unsigned descriptors_max = 64;  // in one packet; the kernel's own limit is 253
inline constexpr int hello_timeout_s = 5;

// The descriptors a worker is started with.
inline constexpr int channel_fd = 3;
inline constexpr int token_fd = 4;
inline constexpr int adopt_fd = 5;

enum class Kind : uint16_t {
    hello = 1,    // text: the node's name (keeper) or the worker's (worker)
    listen,       // vni, address, port, protocol, count → reply with all sockets of that key
    unlisten,     // vni, address, port, protocol → reply
    upstream,     // vni, protocol, count (0 = only tell the namespace's cookie) → reply with sockets
    api,          // → reply with one connected stream
    reply,        // code and text, or success and descriptors
    holding,      // a listener key and its sockets: what one side has kept for the other
    holding_end,
};

struct Message {
    uint32_t version = keeper::version;
    Kind kind = Kind::hello;
    uint16_t count = 0;
    uint64_t sequence = 0;
    uint64_t netns_cookie = 0;  // reply to listen and upstream: the network namespace the sockets live in
    uint32_t vni = 0;
    uint16_t port = 0;
    uint8_t protocol = 0;
    uint8_t failed = 0;  // reply: 1 = `code` and `text` say why
    std::array<uint8_t, 16> address{};
    uint8_t code = 0;
    std::array<char, 79> text{};

    void set_text(std::string_view from);  // cut to fit
    std::string_view text_view() const;
};
static_assert(sizeof(Message) == 128);

// What a listener stands for: a local address of a VPC's service endpoint. vni 0 = the node's own namespace.
struct ListenerKey {
    uint32_t vni = 0;
    net::Address address;
    uint16_t port = 0;
    net::Protocol protocol = net::Protocol::tcp;
    auto operator<=>(const ListenerKey&) const = default;
};
Message about(Kind kind, const ListenerKey& key);
ListenerKey key_of(const Message& message);

// A reply that carries an error and back.
Message failure(const Error& error);
Status status_of(const Message& reply);

// Never blocks longer than the socket's own mode says; descriptors are borrowed.
Status send(int socket, const Message& message, const std::vector<Fd>& descriptors = {});

struct Received {
    Message message;
    std::vector<Fd> descriptors;  // CLOEXEC
    int sender_pid = 0;           // as the kernel saw it, if the socket has SO_PASSCRED
};
// Waits up to `patience` for a packet: Code::timeout when none came, Code::unavailable when the other side is gone.
Result<Received> receive(int socket, Duration patience);

}  // namespace weft::protocol::keeper
