#include "protocol/keeper.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace weft::protocol::keeper {

namespace {

constexpr size_t control_bytes_max = CMSG_SPACE(descriptors_max * sizeof(int)) + CMSG_SPACE(sizeof(ucred));

// Takes ownership of every descriptor that came, also of a packet that is then refused.
void take_control(msghdr& header, Received& received) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level != SOL_SOCKET) continue;
        if (part->cmsg_type == SCM_RIGHTS) {
            const size_t n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < n; ++i) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
                received.descriptors.emplace_back(fd);
            }
        } else if (part->cmsg_type == SCM_CREDENTIALS) {
            ucred credentials{};
            std::memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
            received.sender_pid = credentials.pid;
        }
    }
}

}  // namespace

void Message::set_text(std::string_view from) {
    text.fill(0);
    std::copy_n(from.begin(), std::min(from.size(), text.size()), text.begin());
}

std::string_view Message::text_view() const { return {text.data(), strnlen(text.data(), text.size())}; }

Message about(Kind kind, const ListenerKey& key) {
    Message message;
    message.kind = kind;
    message.vni = key.vni;
    message.address = key.address.bytes;
    message.port = key.port;
    message.protocol = uint8_t(key.protocol);
    return message;
}

ListenerKey key_of(const Message& message) {
    return {message.vni, {message.address}, message.port, net::Protocol(message.protocol)};
}

Message failure(const Error& error) {
    Message message;
    message.kind = Kind::reply;
    message.failed = 1;
    message.code = uint8_t(error.code);
    message.set_text(error.message);
    return message;
}

Status status_of(const Message& reply) {
    if (reply.failed == 0) return {};
    const uint8_t code = std::min(reply.code, uint8_t(Code::io));
    return fail(Code(code), std::string(reply.text_view()));
}

Status send(int socket, const Message& message, const std::vector<Fd>& descriptors) {
    if (descriptors.size() > descriptors_max) return fail(Code::invalid, "too many descriptors for one packet");
    iovec part{const_cast<Message*>(&message), sizeof message};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, control_bytes_max> control{};
    if (!descriptors.empty()) {
        header.msg_control = control.data();
        header.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
        cmsghdr* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
        for (size_t i = 0; i < descriptors.size(); ++i) {
            const int fd = descriptors[i].get();
            std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof fd);
        }
    }
    ssize_t sent = -1;
    do {
        sent = sendmsg(socket, &header, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) return {};
    if (errno == EPIPE || errno == ECONNRESET) return fail(Code::unavailable, "keeper channel: other side is gone");
    return fail_errno("keeper channel: send");
}

Result<Received> receive(int socket, Duration patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
        Received received;
        iovec part{&received.message, sizeof received.message};
        alignas(cmsghdr) std::array<char, control_bytes_max> control{};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        const ssize_t got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (got >= 0) {
            take_control(header, received);
            if (got == 0) return fail(Code::unavailable, "keeper channel: other side is gone");
            const bool whole = size_t(got) == sizeof(Message) && (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
            if (!whole) return fail(Code::invalid, "keeper channel: packet of a wrong size");
            if (received.message.version != version) return fail(Code::invalid, "keeper channel: another version");
            return received;
        }
        if (errno == EINTR) continue;
        if (errno == ECONNRESET) return fail(Code::unavailable, "keeper channel: other side is gone");
        if (errno != EAGAIN) return fail_errno("keeper channel: receive");

        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) return fail(Code::timeout, "keeper channel: no reply in time");
        pollfd waiting{socket, POLLIN, 0};
        if (poll(&waiting, 1, int(left.count())) < 0 && errno != EINTR) return fail_errno("keeper channel: poll");
    }
}

}  // namespace weft::protocol::keeper
