// PlainExchange: one HTTP/1.1 exchange over a stream socket that someone else connected (Endpoint::dial). libcurl 7.88
// calls connect() on such a socket whatever its owner says, and a sandboxed worker may not; plain HTTP is all it needs.
//
// Errors: as Transfer's. Limits: head_bytes_max. Threads: one exchange, one thread; stopping shuts the socket down.
#pragma once
#include "base/fd.h"
#include "kube/transfer.h"

namespace weft::kube {

inline constexpr size_t head_bytes_max = 64u << 10;

struct PlainReply {
    RawReply reply;
    bool reusable = false;  // the socket stands at the start of the next reply
};

// `heard` tells whether any byte of a reply came, so that the caller may try again on a fresh socket.
Result<PlainReply> plain_exchange(const Fd& socket, const Endpoint& endpoint, const std::string& token,
                                  const Exchange& exchange, bool& heard);

}  // namespace weft::kube
