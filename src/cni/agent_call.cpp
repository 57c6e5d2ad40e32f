#include "cni/agent_call.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace weft::cni {
namespace {

namespace wire = protocol::cni;

Result<Fd> connect_to(const std::string& path) {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno("socket");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) return fail(Code::invalid, "socket path too long");
    std::memcpy(address.sun_path, path.data(), path.size());
    // connect() on a unix socket waits while the backlog is full: the send time-out bounds that.
    const timeval patience{.tv_sec = wire::connect_timeout_s, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        if (errno != EINTR) return fail_errno("connect " + path);
    }
    const timeval reply{.tv_sec = wire::reply_timeout_s, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &reply, sizeof(reply));
    return fd;
}

}  // namespace

Called call_agent(const std::string& socket_path, const wire::Request& request) {
    const Result<Fd> fd = connect_to(socket_path);
    if (!fd) return {false, refuse(Answer::try_again, "the node's agent is not reachable", fd.error().message)};
    if (const Status sent = wire::send_all(fd->get(), wire::encode(request)); !sent)
        return {false, refuse(Answer::try_again, "the node's agent went away", sent.error().message)};
    const Result<std::string> text = wire::receive_all(fd->get());
    if (!text || text->empty())
        return {true, refuse(Answer::try_again, "no answer from the node's agent", text ? "" : text.error().message)};
    const Result<wire::Reply> reply = wire::decode_reply(*text);
    if (!reply)
        return {true, refuse(Answer::decode_failure, "the agent's answer is not legible", reply.error().message)};
    if (reply->answer != Answer::ok) return {true, refuse(reply->answer, reply->message, reply->details)};
    return {true, reply->wired};
}

}  // namespace weft::cni
