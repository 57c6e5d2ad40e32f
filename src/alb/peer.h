// Peer: one socket of an exchange with its two buffers, under edge-triggered epoll.
//
// Marks: above buffer_high_bytes of unsent output the peer is congested until it falls below buffer_low_bytes; whoever
// feeds it stops reading meanwhile. An idle peer owns no buffers (rest()). With a TLS session everything goes through it,
// and bytes are counted as the application's. Threads: one hand's.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/fd.h"
#include "io/buffer.h"
#include "io/tls.h"

namespace weft::alb {

class Peer {
public:
    explicit Peer(Fd fd, std::unique_ptr<io::TlsSession> tls = nullptr) : fd_(std::move(fd)), tls_(std::move(tls)) {}

    int fd() const { return fd_.get(); }
    io::Buffer in;

    // What epoll reported.
    void note(uint32_t events);

    // Reads until the socket is dry or `in` is at its high mark. Whether bytes came or the end was seen.
    bool fill();
    // Queues bytes; large ones go to the socket at once when nothing waits before them.
    void write(std::string_view bytes);
    // Sends what is queued as far as the socket takes it. Whether anything moved.
    bool flush();
    void finish_writing();  // after everything queued was sent

    bool readable() const { return readable_ && !ended_ && !failed_; }
    bool congested();
    bool drained() const { return out_.empty(); }
    bool ended() const { return ended_; }    // the other side sends no more
    bool failed() const { return failed_; }  // reading met an error
    // Nothing can be told to the other side any more; what it said before may still be read.
    bool gone() const { return gone_ || failed_; }
    bool writing_finished() const { return writing_finished_; }
    uint64_t bytes_sent() const { return bytes_sent_; }
    uint64_t bytes_received() const { return bytes_received_; }
    const io::TlsSession* tls() const { return tls_.get(); }

    void rest();  // gives empty buffers back

private:
    // One call; what it moved, or blocked, ended, failed.
    io::TlsSession::Io receive(std::span<char> into);
    io::TlsSession::Io send(std::string_view bytes);
    size_t send_some(std::string_view bytes);

    Fd fd_;
    std::unique_ptr<io::TlsSession> tls_;  // nullptr: plain
    io::Buffer out_;
    uint64_t bytes_sent_ = 0, bytes_received_ = 0;
    bool readable_ = false, writable_ = true;
    bool hung_up_ = false;  // epoll saw the end: read on until it is reached
    bool ended_ = false, failed_ = false, gone_ = false, congested_ = false, writing_finished_ = false;
};

}  // namespace weft::alb
