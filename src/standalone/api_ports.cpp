#include "standalone/api_ports.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/log.h"
#include "io/descriptor.h"
#include "kernel/link.h"
#include "kernel/netlink.h"
#include "kernel/netns.h"
#include "kernel/ownership.h"

namespace weft::standalone {

static constexpr Duration period = std::chrono::seconds(1);
static constexpr int backlog = 128;

// Of the calling thread's namespace; both families. already_exists: the API server has one from an earlier supervisor.
static Result<Fd> listen_on(std::string_view device) {
    Fd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno("socket");
    const int yes = 1, no = 0;
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) != 0) return fail_errno("IPV6_V6ONLY");
    const std::string name(device);
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, name.c_str(), socklen_t(name.size() + 1)) != 0)
        return fail_errno("bind to device " + name);
    sockaddr_in6 at{};
    at.sin6_family = AF_INET6;
    at.sin6_port = htons(api_port);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) {
        if (errno == EADDRINUSE) return fail(Code::already_exists, "port 6443 is served");
        return fail_errno("bind port 6443");
    }
    if (::listen(fd.get(), backlog) != 0) {
        if (errno == EADDRINUSE) return fail(Code::already_exists, "port 6443 is served");
        return fail_errno("listen on port 6443");
    }
    return fd;
}

Status ApiPorts::tend_node(const std::string& node, int apiserver_pid) {
    const std::string name = instance_.node_netns(node);
    if (!kernel::Netns::exists(name)) return {};
    const kernel::Netns netns = TRY(kernel::Netns::open(name));
    kernel::Netlink netlink = TRY(kernel::Netlink::open(netns));
    const auto link = kernel::find_link(netlink, kernel::host_link);
    if (!link) return {};  // the agent makes it
    const Place place{apiserver_pid, TRY(netns.inode()), link->index};
    if (const auto known = given_.find(node); known != given_.end() && known->second == place) return {};
    auto listener = netns.run([] { return listen_on(kernel::host_link); });
    if (!listener && listener.error().code != Code::already_exists) return fail(listener.error());
    if (listener) {
        const Fd door = TRY(io::connect_for_descriptors(instance_.run_dir() + "/apiserver.doors.sock"));
        TRY(io::send_descriptor(door.get(), node, listener->get()));
    }
    given_[node] = place;
    return {};
}

void ApiPorts::tend(int apiserver_pid, MonotonicTime now) {
    if (apiserver_pid == 0 || now < next_) return;
    next_ = now + period;
    for (const std::string& node : nodes_) {
        const Status done = tend_node(node, apiserver_pid);
        // The API server may only just be starting: then the next look finds it.
        if (!done && done.error().code != Code::not_found && done.error().code != Code::unavailable)
            log::debug("no port of the API server on a node", {{"node", node}, {"error", done.error().message}});
    }
}

}  // namespace weft::standalone
