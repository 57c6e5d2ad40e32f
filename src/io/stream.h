// Stream: a connected, two-way byte stream, plain or TLS, for code that blocks (a thread per connection).
//
// One thread may read while another writes. shutdown() from any thread ends both: a blocked read() then returns 0.
// Errors: timeout when nothing moved for the set time; unavailable when the other end is gone; io otherwise.
#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace weft::io {

inline constexpr Duration no_timeout{-1};

class Stream {
public:
    virtual ~Stream() = default;

    // At least one byte; 0 = the other end has finished.
    virtual Result<size_t> read(std::span<char> into) = 0;
    // All of it.
    virtual Status write(std::string_view bytes) = 0;
    // Says "no more from us"; reading goes on.
    virtual void finish_writing() = 0;
    // Both directions, now.
    virtual void shutdown() = 0;
    // Bytes that read() would give without waiting for the descriptor (TLS keeps some).
    virtual bool has_pending() const { return false; }
    // How long one read() or write() waits for progress; no_timeout = without end.
    virtual void set_timeouts(Duration read, Duration write) = 0;
    // The descriptor, for poll(2) and for asking about the peer.
    virtual int fd() const = 0;
};

// Takes the descriptor and makes it non-blocking (waiting is done by poll, so timeouts hold).
std::unique_ptr<Stream> plain_stream(Fd fd);

}  // namespace weft::io
