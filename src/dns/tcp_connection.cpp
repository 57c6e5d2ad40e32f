#include "dns/tcp_connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace weft::dns {

TcpConnection::TcpConnection(Hand& hand, Fd fd, uint32_t vni)
    : hand_(hand), fd_(std::move(fd)), vni_(vni),
      timer_([](void* it) { static_cast<TcpConnection*>(it)->close(); }, this) {}

TcpConnection::~TcpConnection() {
    if (open_) hand_.loop().unwatch(fd_.get());
}

void TcpConnection::serve(Hand& hand, Fd fd, uint32_t vni) {
    if (hand.connections().size() >= connections_max) return;
    const std::shared_ptr<TcpConnection> connection(new TcpConnection(hand, std::move(fd), vni));
    if (!hand.loop().watch(connection->fd_.get(), *connection)) return;
    hand.connections().insert(connection);
    connection->timer_.arm(hand.loop(), hand.settings().tcp_idle_timeout);
    connection->read();
}

void TcpConnection::ready(uint32_t events) {
    const std::shared_ptr<TcpConnection> alive = shared_from_this();
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) return close();
    flush();
    read();
}

bool TcpConnection::may_read() const {
    return open_ && !input_ended_ && in_flight_ < in_flight_max && output_.size() - sent_ <= output_high_bytes;
}

void TcpConnection::read() {
    uint8_t buffer[8192];
    while (may_read()) {
        if (!take_queries()) return;
        if (!may_read()) return;
        const ssize_t got = recv(fd_.get(), buffer, sizeof buffer, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got < 0) return close();
        if (got == 0) {
            // A half-closed peer still gets what it has asked for.
            input_ended_ = true;
            if (in_flight_ == 0 && output_.size() == sent_) close();
            return;
        }
        input_.insert(input_.end(), buffer, buffer + got);
    }
}

// False when the connection was closed.
bool TcpConnection::take_queries() {
    size_t at = 0;
    while (may_read() && input_.size() - at >= 2) {
        const size_t size = size_t(input_[at]) << 8 | input_[at + 1];
        if (size == 0) return close(), false;
        if (input_.size() - at - 2 < size) break;
        timer_.arm(hand_.loop(), hand_.settings().tcp_idle_timeout);
        answer(std::span(input_).subspan(at + 2, size));
        at += 2 + size;
    }
    input_.erase(input_.begin(), input_.begin() + std::ptrdiff_t(at));
    return open_;
}

void TcpConnection::answer(std::span<const uint8_t> query) {
    Response response = hand_.answer(query, Transport::tcp, vni_);
    if (response.kind == Response::Kind::drop) return close();
    if (response.kind == Response::Kind::reply) return push(finish(response, Transport::tcp));
    ++in_flight_;
    hand_.forward(std::move(response), Transport::tcp, [weak = weak_from_this()](const std::vector<uint8_t>& bytes) {
        const std::shared_ptr<TcpConnection> connection = weak.lock();
        if (!connection || !connection->open_) return;
        const bool was_full = !connection->may_read();
        --connection->in_flight_;
        connection->push(bytes);
        // Not from inside of take_queries(): the forwarder may call back at once.
        if (was_full) {
            connection->hand_.loop().post([weak] {
                if (const auto waiting = weak.lock(); waiting && waiting->open_) waiting->read();
            });
        }
    });
}

void TcpConnection::push(const std::vector<uint8_t>& response) {
    output_.push_back(uint8_t(response.size() >> 8));
    output_.push_back(uint8_t(response.size()));
    output_.insert(output_.end(), response.begin(), response.end());
    flush();
}

void TcpConnection::flush() {
    while (open_ && sent_ < output_.size()) {
        const ssize_t sent = send(fd_.get(), output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) return;
        if (sent < 0) return close();
        sent_ += size_t(sent);
    }
    if (sent_ == output_.size()) {
        output_.clear();
        sent_ = 0;
        if (input_ended_ && in_flight_ == 0) close();
    }
}

void TcpConnection::close() {
    if (!open_) return;
    open_ = false;
    timer_.disarm();
    hand_.loop().unwatch(fd_.get());
    fd_.reset();
    // A caller further up may still use us: the last reference goes in the next turn.
    hand_.loop().post([last = shared_from_this()] {});
    hand_.connections().erase(shared_from_this());
}

}  // namespace weft::dns
