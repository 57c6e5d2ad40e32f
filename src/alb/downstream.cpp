#include "alb/downstream.h"

#include <sys/socket.h>

#include "alb/exchange.h"
#include "alb/hand.h"
#include "alb/limits.h"

namespace weft::alb {

// What an idle keep-alive connection costs us: this object, its links in the list, its timer's place in the heap.
static_assert(sizeof(Downstream) + 3 * sizeof(void*) <= idle_connection_bytes_max);

Downstream::Downstream(Hand& hand, Fd fd, std::unique_ptr<io::TlsSession> tls, const worker::ListenKey& arrived,
                       const io::SocketAddress& from)
    : peer(std::move(fd), std::move(tls)),
      arrived_at(arrived),
      client(from),
      hand_(hand),
      timer_([](void* self) { static_cast<Downstream*>(self)->hand_.close(*static_cast<Downstream*>(self)); }, this) {
    timer_.arm(hand_.loop(), hand_.timeouts().idle);
}

Downstream::~Downstream() { hand_.loop().unwatch(peer.fd()); }

void Downstream::ready(uint32_t events) {
    peer.note(events);
    advance();
}

void Downstream::advance() {
    if (lingering_) return linger();
    for (;;) {
        if (!exchange_) {
            if (peer.in.empty() && (!peer.fill() || peer.in.empty())) {
                if (peer.ended() || peer.gone()) return hand_.close(*this);
                peer.rest();
                return;
            }
            timer_.disarm();
            exchange_ = std::make_unique<Exchange>(hand_, *this);
        }
        switch (exchange_->advance()) {
            case Exchange::Verdict::waiting: return;
            case Exchange::Verdict::keep:
                exchange_.reset();
                timer_.arm(hand_.loop(), hand_.timeouts().idle);
                continue;
            case Exchange::Verdict::close: return close_after_answer();
            case Exchange::Verdict::abort: {
                const struct linger hard{.l_onoff = 1,
                                         .l_linger = 0};  // a reset: the client must not take the answer for whole
                ::setsockopt(peer.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
                return hand_.close(*this);
            }
        }
    }
}

void Downstream::close_after_answer() {
    exchange_.reset();
    if (peer.ended() || peer.gone()) return hand_.close(*this);
    peer.finish_writing();
    lingering_ = true;
    timer_.arm(hand_.loop(), linger_time);
    linger();
}

// Closing with unread bytes would send a reset that may overtake the answer (RFC 9112 §9.6).
void Downstream::linger() {
    do {
        linger_bytes_ += uint32_t(peer.in.size());
        peer.in.clear();
        if (linger_bytes_ > linger_bytes_max || peer.ended() || peer.gone()) return hand_.close(*this);
    } while (peer.fill());
}

void Downstream::close_if_idle() {
    if (!exchange_) hand_.close(*this);
}

}  // namespace weft::alb
