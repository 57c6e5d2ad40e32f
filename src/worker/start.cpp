#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "worker/keeper_channel.h"
#include "worker/sandbox.h"
#include "worker/sockets.h"
#include "worker/worker.h"

namespace weft::worker {

namespace {

namespace wire = protocol::keeper;

constexpr size_t token_bytes_max = 64 * 1024;

Result<Fd> inherited_socket(int fd, int option, int wanted, std::string_view what) {
    int value = 0;
    socklen_t size = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, option, &value, &size) != 0 || value != wanted) {
        return fail(Code::invalid, "descriptor " + std::to_string(fd) + " is not " + std::string(what) +
                                       ": workers are started by `weft keeper`");
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return Fd(fd);
}

Result<std::string> inherited_token() {
    const Fd fd(wire::token_fd);
    struct stat about {};
    if (fstat(fd.get(), &about) != 0) return fail_errno("descriptor 4 (token)");
    if (about.st_size < 0 || size_t(about.st_size) > token_bytes_max) return fail(Code::invalid, "token: too long");
    std::string token(size_t(about.st_size), '\0');
    const ssize_t got = pread(fd.get(), token.data(), token.size(), 0);
    if (got < 0) return fail_errno("reading the token");
    token.resize(size_t(got));
    return std::string(trim(token));
}

}  // namespace

Result<Start> start(std::string_view worker_name) {
    Fd connection = TRY(inherited_socket(wire::channel_fd, SO_TYPE, SOCK_SEQPACKET, "the keeper's channel"));
    Fd adopt = TRY(inherited_socket(wire::adopt_fd, SO_ACCEPTCONN, 1, "the adopt socket"));
    std::string token = TRY(inherited_token());
    TRY(drop_capabilities());
    raise_descriptor_limit();

    std::unique_ptr<KeeperChannel> channel =
        TRY(KeeperChannel::open(worker_name, std::move(connection), std::move(adopt)));
    Start start;
    start.node = channel->node();
    start.api.token = std::move(token);
    start.api.user_agent = "weft-" + std::string(worker_name);
    start.api.dial = [it = channel.get()] { return it->api(); };
    start.channel = std::move(channel);
    return start;
}

}  // namespace weft::worker
