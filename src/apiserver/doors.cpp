#include "apiserver/doors.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "io/descriptor.h"
#include "io/socket.h"

namespace weft::apiserver {

static constexpr Duration look_at_stop = std::chrono::milliseconds(200);
static constexpr Duration patience = std::chrono::seconds(1);  // of a sender that has connected

// The device that it is bound to went with its node, or is made anew: pods reach it no more, and it holds their namespace.
static bool has_lost_its_device(int fd) {
    char name[IF_NAMESIZE];
    socklen_t size = sizeof name;
    return getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &size) != 0 && errno == ENODEV;
}

static bool is_listening_tcp(int fd) {
    const auto option = [fd](int name) {
        int value = 0;
        socklen_t size = sizeof value;
        return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
    };
    return option(SO_ACCEPTCONN) == 1 && option(SO_PROTOCOL) == IPPROTO_TCP;
}

Result<std::unique_ptr<Doors>> Doors::open(const std::string& path, http::Server& server,
                                           std::shared_ptr<io::TlsContext> tls) {
    Fd listener = TRY(io::listen_for_descriptors(path));
    return std::unique_ptr<Doors>(new Doors(std::move(listener), server, std::move(tls)));
}

Doors::Doors(Fd listener, http::Server& server, std::shared_ptr<io::TlsContext> tls)
    : listener_(std::move(listener)), server_(server), tls_(std::move(tls)), thread_([this](std::stop_token stop) {
          attend(stop);
      }) {}

Doors::~Doors() = default;

void Doors::attend(std::stop_token stop) {
    while (!stop.stop_requested()) {
        close_lost();
        const auto ready = io::wait_for(listener_.get(), POLLIN, look_at_stop);
        if (!ready || *ready == 0) continue;
        const Fd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!connection) continue;
        if (const Status taken = take(connection.get()); !taken)
            log::warning("no door opened", {{"error", taken.error().message}});
    }
}

void Doors::close_lost() {
    std::erase_if(doors_, [](const auto& one) {
        const auto& [node, door] = one;
        if (!has_lost_its_device(door.get())) return false;
        ::shutdown(door.get(), SHUT_RDWR);  // the server lets go of it
        log::info("door closed", {{"node", node}});
        return true;
    });
}

Status Doors::take(int connection) {
    const auto peer = TRY(io::peer_credentials(connection));
    if (peer.uid != 0 && peer.uid != ::geteuid()) return fail(Code::denied, "the sender is neither root nor us");
    if (TRY(io::wait_for(connection, POLLIN, patience)) == 0) return fail(Code::timeout, "the sender says nothing");
    io::NamedDescriptor received = TRY(io::receive_descriptor(connection));
    if (!is_listening_tcp(received.fd.get()))
        return fail(Code::invalid, received.text + ": not a listening TCP socket");
    Fd mine(::fcntl(received.fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!mine) return fail_errno("dup");
    TRY(server_.adopt_listener(std::move(received.fd), tls_));
    Fd& door = doors_[received.text];
    if (door) ::shutdown(door.get(), SHUT_RDWR);  // the server lets go of it
    door = std::move(mine);
    log::info("door opened", {{"node", received.text}});
    return {};
}

}  // namespace weft::apiserver
