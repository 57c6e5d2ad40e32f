#include "io/descriptor.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <vector>

namespace weft::io {
namespace {

constexpr int backlog = 16;

Result<sockaddr_un> unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return fail(Code::invalid, path + ": the path is too long for a socket");
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

Result<Fd> seqpacket() {
    Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno("socket");
    return fd;
}

}  // namespace

Status send_descriptor(int socket, std::string_view text, int fd) {
    if (text.empty() || text.size() > descriptor_text_bytes_max) return fail(Code::invalid, "descriptor text: too long");
    iovec data{const_cast<char*>(text.data()), text.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    if (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) return fail_errno("send a descriptor");
    return {};
}

Result<NamedDescriptor> receive_descriptor(int socket) {
    char text[descriptor_text_bytes_max];
    iovec data{text, sizeof text};
    alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t bytes = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (bytes < 0) return fail_errno("receive a descriptor");
    std::vector<Fd> received;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        for (size_t at = 0; at + CMSG_LEN(sizeof(int)) <= part->cmsg_len; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + at, sizeof fd);
            received.emplace_back(fd);
        }
    }
    if (bytes == 0) return fail(Code::unavailable, "the sender has closed");
    if (received.size() != 1 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return fail(Code::invalid, "a packet must carry one descriptor");
    return NamedDescriptor{std::string(text, size_t(bytes)), std::move(received[0])};
}

Result<Fd> listen_for_descriptors(const std::string& path) {
    const sockaddr_un address = TRY(unix_address(path));
    Fd fd = TRY(seqpacket());
    ::unlink(path.c_str());
    const mode_t before = ::umask(0177);
    const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int error = errno;
    ::umask(before);
    errno = error;
    if (bound != 0) return fail_errno("bind " + path);
    if (::listen(fd.get(), backlog) != 0) return fail_errno("listen " + path);
    return fd;
}

Result<Fd> connect_for_descriptors(const std::string& path) {
    const sockaddr_un address = TRY(unix_address(path));
    Fd fd = TRY(seqpacket());
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail_errno("connect " + path);
    return fd;
}

}  // namespace weft::io
