// Downstream: one client connection. Idle it owns no buffers and no exchange; each request is an Exchange, one after
// the other, so pipelined requests are answered in order.
//
//   idle → (bytes) → exchange → keep → idle
//                             → close → linger (the rest of what the client sends is dropped for a moment) → gone
//
// Threads: its hand's.
#pragma once
#include <list>
#include <memory>

#include "alb/peer.h"
#include "io/loop.h"
#include "io/socket.h"
#include "worker/worker.h"

namespace weft::alb {

class Exchange;
class Hand;

class Downstream final : public io::Handler {
public:
    // `tls` nullptr: plain HTTP.
    Downstream(Hand& hand, Fd fd, std::unique_ptr<io::TlsSession> tls, const worker::ListenKey& arrived_at,
               const io::SocketAddress& client);
    ~Downstream();

    // Everything that is possible now; may end in our destruction, so callers touch nothing of us afterwards.
    void advance();
    void ready(uint32_t events) override;
    // At stop: closes unless a request is in the works.
    void close_if_idle();

    Peer peer;
    const worker::ListenKey arrived_at;
    const io::SocketAddress client;
    std::list<Downstream>::iterator self;

private:
    void close_after_answer();
    void linger();

    Hand& hand_;
    io::Timer timer_;
    std::unique_ptr<Exchange> exchange_;
    bool lingering_ = false;
    uint32_t linger_bytes_ = 0;
};

}  // namespace weft::alb
