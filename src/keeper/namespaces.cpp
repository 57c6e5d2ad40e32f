#include "keeper/namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include "worker/sockets.h"

namespace weft::keeper {

Result<Namespaces> Namespaces::open(const Instance& instance, std::string_view node) {
    Fd home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!home) return fail_errno("open own network namespace");
    return Namespaces(instance, node, std::move(home));
}

Result<Made> Namespaces::make_in(uint32_t vni, unsigned n, const std::function<Result<Fd>()>& make) const {
    if (vni != 0) {
        const std::string name = instance_.vpc_netns(node_, vni);
        const Fd there(::open(Instance::netns_path(name).c_str(), O_RDONLY | O_CLOEXEC));
        if (!there && errno != ENOENT) return fail_errno("open netns " + name);
        // EINVAL: the file is there, the namespace not yet bound to it (or no more).
        if (!there || (setns(there.get(), CLONE_NEWNET) != 0 && errno == EINVAL)) {
            return fail(Code::not_found, "no service endpoint on this node: netns " + name);
        }
    }
    Result<Made> made = Made{};
    // Always one socket more: it tells the cookie even when none is asked for.
    const Fd probe(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    made->netns_cookie = probe ? worker::netns_cookie(probe.get()) : 0;
    for (unsigned i = 0; i < n && made; ++i) {
        Result<Fd> socket = make();
        if (socket) {
            made->sockets.push_back(std::move(*socket));
        } else {
            made = fail(std::move(socket).error());
        }
    }
    // Staying in a VPC by accident would cross tenants: no way on from here.
    if (vni != 0) ENSURE(setns(home_.get(), CLONE_NEWNET) == 0);
    if (made && made->netns_cookie == 0) return fail(Code::io, "the kernel tells no netns cookie");
    return made;
}

Result<uint64_t> Namespaces::cookie(uint32_t vni) const {
    const Made made = TRY(make_in(vni, 0, [] { return Result<Fd>(Fd()); }));
    return made.netns_cookie;
}

}  // namespace weft::keeper
