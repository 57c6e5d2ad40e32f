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
}

bool Peer::fill() {
    bool moved = false;
    while (readable() && in.size() < buffer_high_bytes) {
        const auto room = in.prepare(read_bytes);
        const ssize_t n = ::recv(fd_.get(), room.data(), room.size(), 0);
        if (n > 0) {
            in.commit(size_t(n));
            bytes_received_ += size_t(n);
            moved = true;
            // A short read means dry, unless the end stands right behind it.
            if (size_t(n) < room.size() && !hung_up_) readable_ = false;
        } else if (n == 0) {
            ended_ = true;
            return true;
        } else if (errno == EAGAIN) {
            readable_ = false;
        } else if (errno != EINTR) {
            failed_ = true;
            return true;
        }
    }
    return moved;
}

size_t Peer::send_some(std::string_view bytes) {
    size_t sent = 0;
    while (writable_ && !gone() && sent < bytes.size()) {
        const ssize_t n = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += size_t(n);
        } else if (errno == EAGAIN) {
            writable_ = false;
        } else if (errno != EINTR) {
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
    ::shutdown(fd_.get(), SHUT_WR);
}

void Peer::rest() {
    if (in.empty()) in.release();
    if (out_.empty()) out_.release();
}

}  // namespace weft::alb
