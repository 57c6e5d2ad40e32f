#include "alb/peer.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "alb/limits.h"

namespace weft::alb {

void Peer::note(uint32_t events) {
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) hung_up_ = true;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) readable_ = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) writable_ = true;
    if (events & (EPOLLHUP | EPOLLERR)) gone_ = true;
    if (tls_ && events != 0) readable_ = writable_ = true;  // either side may have waited for either event
}

static io::TlsSession::Io outcome_of(ssize_t n, bool end_is_zero) {
    using State = io::TlsSession::State;
    if (n > 0 || (n == 0 && !end_is_zero)) return {State::moved, size_t(n)};
    if (n == 0) return {State::ended};
    return {errno == EAGAIN ? State::blocked : State::failed};
}

io::TlsSession::Io Peer::receive(std::span<char> into) {
    if (tls_) return tls_->read(into);
    ssize_t n = 0;
    while ((n = ::recv(fd_.get(), into.data(), into.size(), 0)) < 0 && errno == EINTR) {}
    return outcome_of(n, true);
}

io::TlsSession::Io Peer::send(std::string_view bytes) {
    if (tls_) return tls_->write(bytes);
    ssize_t n = 0;
    while ((n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL)) < 0 && errno == EINTR) {}
    return outcome_of(n, false);
}

bool Peer::fill() {
    bool moved = false;
    while (readable() && in.size() < buffer_high_bytes) {
        const auto room = in.prepare(read_bytes);
        const auto [state, n] = receive(room);
        switch (state) {
            case io::TlsSession::State::moved:
                in.commit(n);
                bytes_received_ += n;
                moved = true;
                // A short read means dry, unless the end stands right behind it. TLS gives a record at a time.
                if (n < room.size() && !hung_up_ && !tls_) readable_ = false;
                break;
            case io::TlsSession::State::blocked: readable_ = false; break;
            case io::TlsSession::State::ended: ended_ = true; return true;
            case io::TlsSession::State::failed: failed_ = true; return true;
        }
    }
    return moved;
}

size_t Peer::send_some(std::string_view bytes) {
    size_t sent = 0;
    while (writable_ && !gone() && sent < bytes.size()) {
        const auto [state, n] = send(bytes.substr(sent));
        if (state == io::TlsSession::State::moved) {
            sent += n;
        } else if (state == io::TlsSession::State::blocked) {
            writable_ = false;
        } else {
            // An early answer may still wait to be read (413 and close): only writing is over.
            gone_ = true;
            readable_ = true;
        }
    }
    bytes_sent_ += sent;
    return sent;
}

void Peer::write(std::string_view bytes) {
    if (bytes.size() >= direct_write_bytes) {
        flush();
        if (out_.empty()) bytes.remove_prefix(send_some(bytes));
    }
    if (gone()) return;
    out_.append(bytes);
    if (out_.size() >= buffer_high_bytes) congested_ = true;
}

bool Peer::flush() {
    if (out_.empty()) return false;
    const size_t sent = send_some(out_.view());
    out_.consume(gone() ? out_.size() : sent);
    return sent > 0;
}

bool Peer::congested() {
    if (congested_ && out_.size() <= buffer_low_bytes) congested_ = false;
    return congested_;
}

void Peer::finish_writing() {
    if (writing_finished_) return;
    writing_finished_ = true;
    if (tls_) tls_->finish_writing();
    ::shutdown(fd_.get(), SHUT_WR);
}

void Peer::rest() {
    if (in.empty()) in.release();
    if (out_.empty()) out_.release();
}

}  // namespace weft::alb
